//! When a deferred message is tried again.

use std::time::Duration;

/// Exponential back-off with jitter, computed from the number of attempts on disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// After the first attempt.
    pub initial: Duration,
    /// Growth from one attempt to the next, at least 1.
    pub factor: f64,
    /// No wait is longer, jitter aside.
    pub max: Duration,
}

impl Backoff {
    /// The wait after attempt number `attempts` (1 is the first), spread by a fifth either way so
    /// that messages deferred together do not return together.
    ///
    /// `spread` lies in `0.0..1.0` and is the caller's random number.
    pub fn delay(&self, attempts: u32, spread: f64) -> Duration {
        let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
        let max = self.max.as_secs_f64();
        let plain = (self.initial.as_secs_f64() * self.factor.powi(exponent)).min(max);
        Duration::from_secs_f64(plain * (0.8 + 0.4 * spread.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEFAULT: Backoff = Backoff {
        initial: Duration::from_secs(30),
        factor: 2.0,
        max: Duration::from_hours(1),
    };

    #[test]
    fn waits_double_up_to_the_maximum() {
        let waits = |attempts| DEFAULT.delay(attempts, 0.5).as_secs();
        assert_eq!(
            [1, 2, 3, 7, 8, 1_000_000].map(waits),
            [30, 60, 120, 1920, 3600, 3600]
        );
        assert_eq!(DEFAULT.delay(u32::MAX, 0.0), Duration::from_mins(48));
    }

    proptest! {
        #[test]
        fn waits_never_shrink_and_stay_in_bounds(attempts in 1_u32..10_000, spread in 0.0..1.0_f64) {
            let wait = DEFAULT.delay(attempts, spread);
            prop_assert!(wait <= DEFAULT.delay(attempts + 1, spread));
            prop_assert!(wait >= DEFAULT.initial.mul_f64(0.8) && wait <= DEFAULT.max.mul_f64(1.2));
        }
    }
}
