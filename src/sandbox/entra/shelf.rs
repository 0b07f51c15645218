//! A map that forgets its oldest entry when it is full: nothing that clients can make grows without end.

use std::collections::{HashMap, VecDeque};

pub(in crate::sandbox) struct Shelf<T> {
    entries: HashMap<String, T>,
    order: VecDeque<String>,
    limit: usize,
}

impl<T> Shelf<T> {
    pub(in crate::sandbox) fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            limit,
        }
    }

    /// What was there under this key before.
    pub(in crate::sandbox) fn insert(&mut self, key: String, entry: T) -> Option<T> {
        let before = self.entries.insert(key.clone(), entry);
        if before.is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        before
    }

    pub(in crate::sandbox) fn get(&self, key: &str) -> Option<&T> {
        self.entries.get(key)
    }

    pub(in crate::sandbox) fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        self.entries.get_mut(key)
    }

    pub(in crate::sandbox) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.values_mut()
    }

    pub(in crate::sandbox) fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first() {
        let mut shelf = Shelf::new(2);
        assert_eq!(shelf.insert("a".into(), 1), None);
        assert_eq!(shelf.insert("b".into(), 2), None);
        assert_eq!(shelf.insert("a".into(), 3), Some(1));
        assert_eq!(shelf.insert("c".into(), 4), None);
        assert_eq!((shelf.get("a"), shelf.get("b")), (None, Some(&2)));
        shelf.clear();
        assert_eq!(shelf.get("b"), None);
    }
}
