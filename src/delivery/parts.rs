//! Which of a message's recipients go into which transaction.

use std::collections::VecDeque;

/// Recipients, by their index in the envelope, that wait for a transaction.
#[derive(Debug)]
pub(super) struct Parts {
    waiting: VecDeque<usize>,
    most: usize,
}

impl Parts {
    /// All of `count` recipients, at most `most` at a time.
    pub(super) fn new(count: usize, most: usize) -> Self {
        Self {
            waiting: (0..count).collect(),
            most: most.max(1),
        }
    }

    /// Who goes into the next transaction; none: everybody has had one.
    pub(super) fn next(&mut self) -> Option<Vec<usize>> {
        let count = self.most.min(self.waiting.len());
        let part: Vec<usize> = self.waiting.drain(..count).collect();
        (!part.is_empty()).then_some(part)
    }

    /// The server took `taken` recipients and had no room for those others: they come next, and it is
    /// not asked for more than that again. As long as one is taken each time, this ends.
    pub(super) fn put_back(&mut self, left_over: &[usize], taken: usize) {
        if left_over.is_empty() {
            return;
        }
        self.most = taken.clamp(1, self.most);
        for index in left_over.iter().rev() {
            self.waiting.push_front(*index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_cut_at_the_limit() {
        let mut parts = Parts::new(5, 2);
        assert_eq!(parts.next(), Some(vec![0, 1]));
        assert_eq!(parts.next(), Some(vec![2, 3]));
        assert_eq!(parts.next(), Some(vec![4]));
        assert_eq!(parts.next(), None);
        assert_eq!(Parts::new(0, 2).next(), None);
    }

    #[test]
    fn who_found_no_room_comes_next_and_no_more_than_were_taken() {
        let mut parts = Parts::new(7, 5);
        assert_eq!(parts.next(), Some(vec![0, 1, 2, 3, 4]));
        parts.put_back(&[2, 4], 2);
        assert_eq!(parts.next(), Some(vec![2, 4]));
        parts.put_back(&[], 1);
        assert_eq!(parts.next(), Some(vec![5, 6]), "nobody was put back");
        assert_eq!(parts.next(), None);
    }
}
