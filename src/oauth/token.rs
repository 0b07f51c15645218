//! An access token and how long it is good for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::secret::Secret;

/// A bearer token (RFC 6750) for one account; clones share one copy of the text.
#[derive(Clone)]
pub struct AccessToken(Arc<Inner>);

struct Inner {
    secret: Secret,
    obtained_at: Instant,
    expires_at: Instant,
    serial: u64,
}

impl AccessToken {
    /// `asked_at` is when the request was sent: counted from there the life is never too long.
    pub(crate) fn new(secret: Secret, asked_at: Instant, lifetime: Duration) -> Self {
        // Counts through all sources of the process, so that a token of one that was replaced is
        // never taken for one of its successor.
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        Self(Arc::new(Inner {
            secret,
            obtained_at: asked_at,
            expires_at: asked_at + lifetime.min(LIFETIME_MAX),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
        }))
    }

    /// The token's text, visible ASCII; for the wire only.
    pub fn secret(&self) -> &Secret {
        &self.0.secret
    }

    /// When it was asked for.
    pub fn obtained_at(&self) -> Instant {
        self.0.obtained_at
    }

    /// From then on it is worthless.
    ///
    /// On the monotonic clock, which stands still while a machine is suspended; a token that
    /// expired that way is found out by its refusal.
    pub fn expires_at(&self) -> Instant {
        self.0.expires_at
    }

    /// Until then a session that was opened with it may begin something new. A token that is fresh
    /// enough to be handed out is good for a while (facts A.5).
    pub(crate) fn reusable_until(&self) -> Instant {
        self.expires_at() - margin(self.lifetime()) / 2
    }

    /// Unique in this process; tells an old token from its successor.
    pub fn serial(&self) -> u64 {
        self.0.serial
    }

    /// Whether enough is left of it to begin something new.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now + margin(self.lifetime()) <= self.expires_at()
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        now >= self.expires_at()
    }

    /// When to ask for the next one: at a random point between half and three quarters of its life
    /// (so that many relays do not ask at once), but before it stops being fresh.
    ///
    /// `chance` is in `0.0..1.0`.
    pub(super) fn renew_at(&self, chance: f64) -> Instant {
        let lifetime = self.lifetime();
        let earliest = lifetime / 2;
        let latest = (lifetime / 4 * 3).min(lifetime.saturating_sub(margin(lifetime)));
        let delay = earliest + latest.saturating_sub(earliest).mul_f64(chance);
        self.obtained_at() + delay.max(PAUSE_MIN)
    }

    fn lifetime(&self) -> Duration {
        self.expires_at().duration_since(self.obtained_at())
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("serial", &self.0.serial)
            .field("expires_at", &self.0.expires_at)
            .finish_non_exhaustive()
    }
}

/// What must be left of a token for it to be handed out without a look for a better one.
///
/// Ten minutes; a session with Exchange takes that long at worst. A token that lives less than
/// twenty could keep that only by being renewed all the time, so for it a quarter of its life
/// has to do: the renewal, due at three quarters, comes first.
fn margin(lifetime: Duration) -> Duration {
    if lifetime >= 2 * MARGIN {
        MARGIN
    } else {
        lifetime / 4
    }
}

const MARGIN: Duration = Duration::from_mins(10);

/// Entra's longest are 28 hours; a number far beyond must not overflow the clock.
pub(super) const LIFETIME_MAX: Duration = Duration::from_hours(7 * 24);

/// However short tokens live, requests that succeed are never closer together.
pub(super) const PAUSE_MIN: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(lifetime_s: u64) -> AccessToken {
        let lifetime = Duration::from_secs(lifetime_s);
        AccessToken::new(Secret::new("hunter2"), Instant::now(), lifetime)
    }

    fn fresh_for(token: &AccessToken) -> Duration {
        token.lifetime().saturating_sub(margin(token.lifetime()))
    }

    #[test]
    fn debug_shows_nothing_of_the_text() {
        assert!(!format!("{:?} {:#?}", token(60), Some(token(60))).contains("hunter2"));
    }

    #[test]
    fn ten_minutes_are_kept_back_or_a_quarter_of_a_short_life() {
        for (lifetime_s, fresh_s) in [
            (86_400, 85_800),
            (3_600, 3_000),
            (1_200, 600),
            (1_199, 899),
            (300, 225),
            (0, 0),
        ] {
            assert_eq!(fresh_for(&token(lifetime_s)).as_secs(), fresh_s);
        }
        let token = token(3_600);
        let last = token.expires_at() - MARGIN;
        assert!(token.is_fresh(last));
        assert!(!token.is_fresh(last + Duration::from_nanos(1)));
        assert!(!token.is_expired(last) && token.is_expired(token.expires_at()));
    }

    #[test]
    fn absurd_lifetimes_do_not_overflow() {
        assert_eq!(token(u64::MAX).lifetime(), LIFETIME_MAX);
    }

    #[test]
    fn serials_are_never_equal() {
        assert_ne!(token(1).serial(), token(1).serial());
    }

    proptest! {
        #[test]
        fn renewal_falls_between_half_and_three_quarters(
            lifetime_s in 30u64..200_000,
            chance in 0.0f64..1.0,
        ) {
            let token = token(lifetime_s);
            let delay = token.renew_at(chance).duration_since(token.obtained_at());
            prop_assert!(delay >= token.lifetime() / 2);
            prop_assert!(delay <= token.lifetime() / 4 * 3);
            prop_assert!(delay <= fresh_for(&token));
        }
    }
}
