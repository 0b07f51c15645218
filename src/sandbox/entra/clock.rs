//! Entra's clock, which can be set wrong on purpose.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A hundred years: dates stay within what certificates and HTTP can say.
const OFFSET_MAX_SECONDS: i64 = 100 * 366 * 86_400;

/// What the time is, and how much of it has passed.
pub(in crate::sandbox) struct Clock {
    started: Instant,
    offset_seconds: AtomicI64,
}

impl Clock {
    pub(in crate::sandbox) fn new() -> Self {
        Self {
            started: Instant::now(),
            offset_seconds: AtomicI64::new(0),
        }
    }

    /// From now on the clock is so far ahead of the machine's; what was issued before ages by the difference.
    pub(in crate::sandbox) fn shift(&self, offset_seconds: i64) {
        let offset = offset_seconds.clamp(-OFFSET_MAX_SECONDS, OFFSET_MAX_SECONDS);
        self.offset_seconds.store(offset, Ordering::Relaxed);
    }

    /// What headers, claims and answers say.
    pub(in crate::sandbox) fn now(&self) -> Timestamp {
        Timestamp::now()
            .checked_add(self.offset())
            .unwrap_or(Timestamp::MAX)
    }

    /// The present, to be compared with other moments of this clock.
    pub(in crate::sandbox) fn moment(&self) -> Moment {
        let elapsed = SignedDuration::try_from(self.started.elapsed());
        let elapsed = elapsed.unwrap_or(SignedDuration::MAX);
        Moment(elapsed.saturating_add(self.offset()))
    }

    fn offset(&self) -> SignedDuration {
        SignedDuration::from_secs(self.offset_seconds.load(Ordering::Relaxed))
    }
}

/// A point on the clock, exact where a timestamp would have to trust the machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sandbox) struct Moment(SignedDuration);

impl Moment {
    pub(in crate::sandbox) fn after(self, duration: Duration) -> Self {
        let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        Self(self.0.saturating_add(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn moments_pass_with_the_time_and_with_the_offset() {
        let clock = Clock::new();
        let minute = Duration::from_mins(1);
        let later = clock.moment().after(minute);
        assert!(clock.moment() < later);
        clock.shift(59);
        assert!(clock.moment() < later);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(clock.moment() >= later);
        clock.shift(-3_600);
        assert!(clock.moment() < later);
    }

    #[test]
    fn an_offset_that_leads_nowhere_is_cut() {
        let clock = Clock::new();
        clock.shift(i64::MAX);
        assert_ne!(clock.now(), Timestamp::MAX);
        clock.shift(i64::MIN);
        assert!(clock.now() < Timestamp::UNIX_EPOCH);
    }
}
