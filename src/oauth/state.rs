//! What a token source knows at one moment, and what follows from it. No clock, no I/O.

use std::time::Duration;

use tokio::time::Instant;

use super::error::TokenError;
use super::status::{Refusal, TokenStatus, Unavailable};
use super::token::AccessToken;

#[derive(Debug)]
pub(super) struct State {
    token: Option<AccessToken>,
    /// A server refused the current token: it is not handed out any more.
    refused: bool,
    phase: Phase,
    /// The first of the failures in a row.
    failing_since: Option<Instant>,
    /// When a renewal was last forced by a refusal.
    forced_at: Option<Instant>,
    /// The next request is wanted now, whatever the schedule says.
    urgent: bool,
}

#[derive(Debug)]
enum Phase {
    /// A request is in flight, or about to be.
    Requesting,
    /// The last request brought the token.
    Resting { renew_at: Instant },
    /// The last request failed.
    BackingOff {
        error: TokenError,
        next_try: Instant,
    },
    /// Nobody makes requests.
    Stopped,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            token: None,
            refused: false,
            phase: Phase::Requesting,
            failing_since: None,
            forced_at: None,
            urgent: false,
        }
    }

    /// The answer to a caller, or `None`: it has to wait for the next change.
    pub(super) fn answer(&self, now: Instant) -> Option<Result<AccessToken, Unavailable>> {
        let usable = self.usable(now);
        if let Some(token) = usable.filter(|token| token.is_fresh(now)) {
            return Some(Ok(token.clone()));
        }
        // Little is left of it, so it is handed out only when no better one is to be expected.
        match &self.phase {
            Phase::Requesting => None,
            // The renewal is due this moment; or, of a token that lives only seconds, not so soon.
            Phase::Resting { renew_at } if *renew_at <= now => None,
            Phase::Resting { .. } => usable.cloned().map(Ok),
            Phase::BackingOff { error, next_try } => {
                Some(usable.cloned().ok_or_else(|| Unavailable::Failing {
                    error: error.clone(),
                    next_try: *next_try,
                }))
            }
            Phase::Stopped => Some(usable.cloned().ok_or(Unavailable::Stopped)),
        }
    }

    pub(super) fn begin(&mut self) {
        self.phase = Phase::Requesting;
        self.urgent = false;
    }

    pub(super) fn succeed(&mut self, token: AccessToken, renew_at: Instant) {
        self.token = Some(token);
        self.refused = false;
        self.phase = Phase::Resting { renew_at };
        self.failing_since = None;
        // Whatever was wanted while the request was in flight is fulfilled by it.
        self.urgent = false;
    }

    pub(super) fn fail(&mut self, error: TokenError, now: Instant, next_try: Instant) {
        self.failing_since.get_or_insert(now);
        self.phase = Phase::BackingOff { error, next_try };
    }

    /// What is told about the failure that is about to be noted.
    pub(super) fn failing(
        &self,
        error: TokenError,
        now: Instant,
        next_try: Instant,
    ) -> TokenStatus {
        TokenStatus::Failing {
            error,
            since: self.failing_since.unwrap_or(now),
            next_try,
            usable_until: self.usable(now).map(AccessToken::expires_at),
        }
    }

    pub(super) fn stop(&mut self) {
        self.phase = Phase::Stopped;
    }

    pub(super) fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// The last request failed of what somebody has to mend.
    pub(super) fn awaits_operator(&self) -> bool {
        matches!(
            &self.phase,
            Phase::BackingOff {
                error: TokenError::Operator(_),
                ..
            }
        )
    }

    /// An operator wants a request now; true when the task has to be woken.
    pub(super) fn hurry(&mut self) -> bool {
        match self.phase {
            Phase::Stopped => false,
            Phase::Requesting | Phase::Resting { .. } | Phase::BackingOff { .. } => {
                self.urgent = true;
                self.phase = Phase::Requesting;
                true
            }
        }
    }

    /// A server refused the token `serial`; the second part is true when the task has to be woken.
    pub(super) fn refuse(&mut self, serial: u64, now: Instant) -> (Refusal, bool) {
        if self.token.as_ref().map(AccessToken::serial) != Some(serial) {
            return (Refusal::Superseded, false);
        }
        match self.phase {
            // The request in flight, or the next one of the back-off, brings another token.
            Phase::Requesting | Phase::BackingOff { .. } => {
                self.refused = true;
                (Refusal::Renewing, false)
            }
            Phase::Resting { .. } => {
                if self.forced_at.is_some_and(|at| now < at + FORCED_PAUSE) {
                    return (Refusal::TooSoon, false);
                }
                self.forced_at = Some(now);
                self.refused = true;
                self.urgent = true;
                self.phase = Phase::Requesting;
                (Refusal::Renewing, true)
            }
            Phase::Stopped => {
                self.refused = true;
                (Refusal::TooSoon, false)
            }
        }
    }

    fn usable(&self, now: Instant) -> Option<&AccessToken> {
        self.token
            .as_ref()
            .filter(|token| !self.refused && !token.is_expired(now))
    }
}

/// Entra answers a client that asks for the same in a loop with AADSTS50196 and minutes of silence.
const FORCED_PAUSE: Duration = Duration::from_mins(1);
