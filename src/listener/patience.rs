//! How long a client may be waited for.

use std::time::Duration;

/// What content must bring on average. A modem of 1,200 bit/s brings more; a client that brings less holds a
/// session, a place in the queue and a file for next to nothing.
const CONTENT_FLOOR_OCTETS_PER_SECOND: u64 = 100;

/// Time that content may still take: waiting uses it up, octets earn it back.
///
/// It never exceeds what it began with. So silence between two blocks is bounded by that, and no stretch of
/// content is slower than the floor for longer than that.
#[derive(Debug)]
pub(super) struct Credit {
    left: Duration,
    max: Duration,
}

impl Credit {
    pub(super) fn new(max: Duration) -> Self {
        Self { left: max, max }
    }

    /// How long to wait for the next block.
    pub(super) fn left(&self) -> Duration {
        self.left
    }

    /// `octets` came after having been `waited` for; time that we took ourselves is nobody's fault.
    pub(super) fn settle(&mut self, waited: Duration, octets: usize) {
        let microseconds = octets as u64 * 1_000_000 / CONTENT_FLOOR_OCTETS_PER_SECOND;
        let earned = Duration::from_micros(microseconds);
        let left = self.left.saturating_sub(waited).saturating_add(earned);
        self.left = left.min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_keeps_credit_as_it_is() {
        let mut credit = Credit::new(Duration::from_mins(3));
        credit.settle(Duration::from_mins(1), 0);
        for _ in 0..10_000 {
            credit.settle(Duration::from_secs(1), 100);
        }
        assert_eq!(credit.left(), Duration::from_mins(2));
        credit.settle(Duration::from_secs(1), 50);
        assert_eq!(credit.left(), Duration::from_millis(119_500));
    }

    #[test]
    fn nobody_saves_up() {
        let mut credit = Credit::new(Duration::from_mins(3));
        credit.settle(Duration::ZERO, 1 << 30);
        assert_eq!(credit.left(), Duration::from_mins(3));
        credit.settle(Duration::from_mins(4), 0);
        assert_eq!(credit.left(), Duration::ZERO);
    }
}
