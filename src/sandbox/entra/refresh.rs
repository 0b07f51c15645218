//! Refresh tokens: 90 days, a new one at each use (facts D.6).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::client::App;
use super::clock::{Clock, Moment};
use super::random::{RandomError, opaque};
use super::refusal::Refusal;
use super::shelf::Shelf;
use super::sign_in::{SignIn, of_another_client};
use crate::secret::Secret;

const TOKENS_MAX: usize = 10_000;
const LIFETIME: Duration = Duration::from_hours(90 * 24);

/// What becomes of a refresh token that was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// It stays valid until it expires, as at Entra.
    #[default]
    Lenient,
    /// It dies once the one that took its place was used: who keeps the old one is found out.
    Strict,
}

/// How the tokens of a person come to an end from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum End {
    /// The password was changed, or an administrator revoked the sessions.
    Revoked,
    /// Nobody used them for 90 days.
    Expired,
}

/// Refresh tokens that were given out.
pub(in crate::sandbox) struct RefreshTokens {
    issued: Mutex<Shelf<RefreshToken>>,
    strict: AtomicBool,
}

struct RefreshToken {
    sign_in: SignIn,
    issued: Timestamp,
    expires: Moment,
    end: Option<End>,
    /// Replaced by one that was used since.
    is_superseded: bool,
    /// The one that was shown to get this one.
    parent: Option<String>,
}

impl RefreshTokens {
    pub(in crate::sandbox) fn new() -> Self {
        Self {
            issued: Mutex::new(Shelf::new(TOKENS_MAX)),
            strict: AtomicBool::new(false),
        }
    }

    pub(in crate::sandbox) fn rotate(&self, rotation: Rotation) {
        self.strict
            .store(rotation == Rotation::Strict, Ordering::Relaxed);
    }

    /// `parent` is the token that was shown, if it was one.
    pub(super) fn issue(
        &self,
        sign_in: SignIn,
        parent: Option<&str>,
        clock: &Clock,
    ) -> Result<Secret, RandomError> {
        let text = format!("1.{}", opaque::<840>()?);
        let token = RefreshToken {
            sign_in,
            issued: clock.now(),
            expires: clock.moment().after(LIFETIME),
            end: None,
            is_superseded: false,
            parent: parent.map(str::to_owned),
        };
        self.lock().insert(text.clone(), token);
        Ok(Secret::new(text))
    }

    /// The sign-in that a token stands for; its use is remembered.
    pub(super) fn redeem(&self, text: &str, app: App, now: Moment) -> Result<SignIn, Refusal> {
        let mut issued = self.lock();
        let Some(token) = issued.get_mut(text) else {
            return Err(invalid());
        };
        if token.sign_in.app != app {
            return Err(of_another_client());
        }
        let issued_at = token.issued;
        match token.end {
            Some(End::Revoked) => {
                let text = format!(
                    "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user \
                     might have changed or reset their password. The grant was issued on '{issued_at}'."
                );
                return Err(Refusal::grant(50_173, text).suberror("bad_token"));
            }
            None if now < token.expires => {}
            Some(End::Expired) | None => {
                let text = format!(
                    "The refresh token has expired due to inactivity. The token was issued on {issued_at} and was \
                     inactive for 90.00:00:00."
                );
                return Err(Refusal::grant(700_082, text).suberror("bad_token"));
            }
        }
        let strict = self.strict.load(Ordering::Relaxed);
        if strict && token.is_superseded {
            return Err(invalid());
        }
        let sign_in = token.sign_in.clone();
        let parent = token.parent.take();
        if let Some(parent) = parent.and_then(|parent| issued.get_mut(&parent)) {
            parent.is_superseded = true;
        }
        Ok(sign_in)
    }

    /// Ends the tokens of `user`, or everybody's.
    pub(in crate::sandbox) fn end(&self, user: Option<&str>, end: End) {
        for token in self.lock().values_mut() {
            if user.is_none_or(|user| user.eq_ignore_ascii_case(&token.sign_in.user.name)) {
                token.end = Some(end);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf<RefreshToken>> {
        // At worst a token is forgotten: a panic elsewhere leaves nothing dangerous half done.
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn invalid() -> Refusal {
    Refusal::grant(70_000, "Provided grant is invalid or malformed.").suberror("bad_token")
}
