//! How long to wait after a failed token request.

use std::time::Duration;

use super::error::TokenError;

/// Grows with every failure in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure.
    ///
    /// Doubles from 2 s (what passes by itself) or 10 s (what somebody must mend) to 5 min; up to a
    /// quarter is taken off at random, so that relays which failed together do not come back
    /// together. The server's `Retry-After` is a lower bound, believed up to an hour. `chance` is
    /// in `0.0..1.0`.
    pub(super) fn next(&mut self, error: &TokenError, chance: f64) -> Duration {
        let first = match error {
            TokenError::Retry(_) => RETRY_FIRST,
            TokenError::Operator(_) | TokenError::Fault(_) => OPERATOR_FIRST,
        };
        let step = first
            .saturating_mul(2u32.saturating_pow(self.failures))
            .min(WAIT_MAX);
        self.failures = self.failures.saturating_add(1);
        let asked = error.retry_after().unwrap_or_default().min(RETRY_AFTER_MAX);
        step.mul_f64(1.0 - chance / 4.0).max(asked)
    }

    /// After a success, or when an operator asks for a fresh start.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

const RETRY_FIRST: Duration = Duration::from_secs(2);
const OPERATOR_FIRST: Duration = Duration::from_secs(10);
const WAIT_MAX: Duration = Duration::from_mins(5);
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::super::error::{FaultError, RetryError};
    use super::*;

    fn busy(retry_after_s: Option<u64>) -> TokenError {
        TokenError::Retry(RetryError::Busy {
            host: "login.example".into(),
            status: 429,
            retry_after: retry_after_s.map(Duration::from_secs),
            response: None,
        })
    }

    #[test]
    fn waits_double_to_five_minutes() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..10)
            .map(|_| backoff.next(&busy(None), 0.0).as_secs())
            .collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        backoff.reset();
        assert_eq!(backoff.next(&busy(None), 0.0).as_secs(), 2);
    }

    #[test]
    fn what_somebody_must_mend_waits_longer_at_first() {
        let mut backoff = Backoff::default();
        let fault = TokenError::Fault(FaultError::Request);
        let waits: Vec<u64> = (0..7)
            .map(|_| backoff.next(&fault, 0.0).as_secs())
            .collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn jitter_takes_off_a_quarter_at_most() {
        let wait = Backoff::default().next(&busy(None), 0.999_999);
        assert!(wait >= Duration::from_millis(1_500) && wait < Duration::from_millis(1_501));
    }

    #[test]
    fn retry_after_is_a_lower_bound_up_to_an_hour() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(&busy(Some(120)), 0.9).as_secs(), 120);
        assert_eq!(backoff.next(&busy(Some(u64::MAX)), 0.9).as_secs(), 3_600);
        assert_eq!(backoff.next(&busy(Some(1)), 0.0).as_secs(), 8);
    }

    #[test]
    fn endless_failure_does_not_overflow() {
        let mut backoff = Backoff { failures: u32::MAX };
        assert_eq!(backoff.next(&busy(None), 0.0), WAIT_MAX);
    }
}
