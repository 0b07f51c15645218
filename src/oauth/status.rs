//! What a token source tells the rest of the program about itself.

use tokio::time::Instant;

use super::error::TokenError;

/// For status pages, and for delivery to learn that a token has become available.
#[derive(Clone, Debug)]
pub enum TokenStatus {
    /// No request has ended yet.
    Starting,
    /// The last request brought a token.
    Valid {
        /// When it was asked for.
        obtained_at: Instant,
        /// When it becomes worthless.
        expires_at: Instant,
        /// When the next one will be asked for.
        renew_at: Instant,
    },
    /// The last request brought none.
    Failing {
        /// Why.
        error: TokenError,
        /// When the first of the failures in a row happened.
        since: Instant,
        /// When the next request is made.
        next_try: Instant,
        /// Until then the earlier token still serves; `None` when there is none that does.
        usable_until: Option<Instant>,
    },
    /// The task that renews has ended.
    Stopped,
}

impl TokenStatus {
    /// Whether [`super::TokenSource::token`] would return a token without waiting for long.
    pub fn is_usable(&self, now: Instant) -> bool {
        match self {
            Self::Valid { expires_at, .. } => now < *expires_at,
            Self::Failing { usable_until, .. } => usable_until.is_some_and(|until| now < until),
            Self::Starting | Self::Stopped => false,
        }
    }
}

/// There is no token to hand out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unavailable {
    /// Requests fail; asking again before `next_try` gives the same answer.
    #[error("no access token")]
    Failing {
        /// Why the last request failed.
        #[source]
        error: TokenError,
        /// When the next one is made.
        next_try: Instant,
    },
    /// The task that renews has ended: the program stops, or the account was reconfigured.
    #[error("no access token: its renewal has stopped")]
    Stopped,
}

/// What came of reporting that a server refused a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it says whether another try with a token makes sense"]
pub enum Refusal {
    /// A new token is being asked for: [`super::TokenSource::token`] waits for it.
    Renewing,
    /// There is a newer token already.
    Superseded,
    /// This one is the result of a renewal that was forced less than a minute ago, so a new token
    /// would not help: the fault is elsewhere, and Entra answers a loop with AADSTS50196. Also when
    /// nobody renews any more.
    TooSoon,
}
