//! The token of one account: who renews it and how it is asked for.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::grant::{Grant, Obtain};
use super::journal::Journal;
use super::settings::{Settings, SettingsError};
use super::state::State;
use super::status::{Refusal, TokenStatus, Unavailable};
use super::store::SignIn;
use super::token::AccessToken;
use super::watch::Watch;

/// Keeps one account's access token ready; clones share it.
#[derive(Clone)]
pub struct TokenSource {
    shared: Arc<Shared>,
    /// Under whose name its requests are counted.
    account: Option<Arc<str>>,
}

struct Shared {
    grant: Box<dyn Obtain>,
    /// What it reads for each request.
    files: Arc<[PathBuf]>,
    state: watch::Sender<State>,
    status: watch::Sender<TokenStatus>,
    /// Wakes the task out of its rest; what it is wanted for is in the state.
    bell: Notify,
    /// Held by the one task that makes requests.
    turn: Mutex<()>,
}

impl TokenSource {
    /// Makes a source that has no token yet; nothing is sent before [`TokenSource::run`].
    ///
    /// Reads the trust store and `ca_file` (short and blocking: call it while starting or reloading).
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let files = settings.files();
        Ok(Self::watching(Box::new(Grant::new(settings)?), files))
    }

    /// Has its requests counted under the account's name.
    #[must_use]
    pub fn counted_for(self, account: &str) -> Self {
        Self {
            account: Some(account.into()),
            ..self
        }
    }

    #[cfg(test)]
    pub(super) fn with_grant(grant: Box<dyn Obtain>) -> Self {
        Self::watching(grant, Vec::new())
    }

    /// `files` are those whose change may mend what is wrong.
    pub(super) fn watching(grant: Box<dyn Obtain>, files: Vec<PathBuf>) -> Self {
        Self {
            shared: Arc::new(Shared {
                grant,
                files: files.into(),
                state: watch::Sender::new(State::new()),
                status: watch::Sender::new(TokenStatus::Starting),
                bell: Notify::new(),
                turn: Mutex::new(()),
            }),
            account: None,
        }
    }

    /// Obtains the first token at once and renews it until `shutdown`, at a random point between half
    /// and three quarters of its life.
    ///
    /// Failures are tried again with growing waits, for ever, and at once when a file with a credential has
    /// changed. A person's sign-in is renewed as often, whether mail flows or not, so that Entra does not
    /// forget it after 90 days of silence. To be spawned once, in a span that
    /// names the account; of several only one works at a time. Cancel `shutdown` after the
    /// deliveries have ended: they may need a token until then. Dropping the future is the same
    /// as cancelling.
    pub async fn run(&self, shutdown: CancellationToken) {
        let shared = &*self.shared;
        let _turn = tokio::select! {
            biased;
            // First, so that a run that is cancelled before it begins still says that it has ended.
            turn = shared.turn.lock() => turn,
            () = shutdown.cancelled() => return,
        };
        let _stopped = StopOnDrop(shared);
        let mut backoff = Backoff::default();
        let mut journal = Journal::of(self.account.clone());
        let mut watch = Watch::new(&shared.files);
        loop {
            let request = async {
                watch.note().await;
                shared.request(&mut backoff, &mut journal).await
            };
            let rest_until = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                rest_until = request => rest_until,
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep_until(rest_until) => {}
                // Somebody changed something: the next failure is a first one again.
                () = shared.hurried() => backoff.reset(),
                () = watch.changed(), if shared.state.borrow().awaits_operator() => {
                    tracing::info!("a file that the access token depends on has changed: trying at once");
                    backoff.reset();
                }
            }
        }
    }

    /// The current token, or the reason why there is none.
    ///
    /// A token with ten minutes left (a quarter of its life, if that is under twenty minutes) is
    /// returned at once. With less left, or without a token, the request in flight is waited for; when
    /// it fails, what is left of the old token serves until it expires. While requests
    /// fail, callers get the last error at once and cause no further request.
    ///
    /// Waits for ever when nobody runs [`TokenSource::run`].
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing: the request is not the caller's.
    pub async fn token(&self) -> Result<AccessToken, Unavailable> {
        let mut states = self.shared.state.subscribe();
        loop {
            let answer = states.borrow_and_update().answer(Instant::now());
            if let Some(answer) = answer {
                return answer;
            }
            if states.changed().await.is_err() {
                return Err(Unavailable::Stopped);
            }
        }
    }

    /// Reports that a server refused `token` (a 535): forces one renewal if it still is the current
    /// one, and not more than once a minute.
    ///
    /// The refused token is not handed out again; [`TokenSource::token`] waits for the new one.
    pub fn refused(&self, token: &AccessToken) -> Refusal {
        let mut outcome = (Refusal::Superseded, false);
        self.shared.state.send_if_modified(|state| {
            outcome = state.refuse(token.serial(), Instant::now());
            outcome.0 == Refusal::Renewing
        });
        let (refusal, wake) = outcome;
        if wake {
            self.shared.bell.notify_one();
        }
        refusal
    }

    /// Asks for a new token now, whether the old one is good or a back-off is running: for
    /// operators, and after a change of settings or secret. It does not wait for a `Retry-After` either.
    pub fn renew_now(&self) {
        if self.shared.state.send_if_modified(State::hurry) {
            self.shared.bell.notify_one();
        }
    }

    /// The sign-in that tokens are obtained with, once it is known; `None` where nobody signs in.
    pub fn sign_in(&self) -> Option<watch::Receiver<Option<SignIn>>> {
        self.shared.grant.sign_in()
    }

    /// What to show, and what to wait on until a token becomes available.
    pub fn status(&self) -> watch::Receiver<TokenStatus> {
        self.shared.status.subscribe()
    }
}

impl Shared {
    /// One request and what follows from it; returns when the next one is due.
    ///
    /// The status changes before the state: who has been told that there is no token and then waits
    /// for a better status must not find the one from before.
    async fn request(&self, backoff: &mut Backoff, journal: &mut Journal) -> Instant {
        self.state.send_modify(State::begin);
        let asked_at = Instant::now();
        let outcome = self.grant.obtain().await;
        let now = Instant::now();
        match outcome {
            Ok(granted) => {
                let token = AccessToken::new(granted.token, asked_at, granted.lifetime);
                let renew_at = token.renew_at(fastrand::f64());
                backoff.reset();
                journal.obtained(&token, now);
                self.status.send_replace(TokenStatus::Valid {
                    obtained_at: token.obtained_at(),
                    expires_at: token.expires_at(),
                    renew_at,
                });
                self.state
                    .send_modify(|state| state.succeed(token, renew_at));
                renew_at
            }
            Err(error) => {
                let wait = backoff.next(&error, fastrand::f64());
                journal.failed(&error, now, wait);
                let next_try = now + wait;
                let status = self.state.borrow().failing(error.clone(), now, next_try);
                self.status.send_replace(status);
                self.state
                    .send_modify(|state| state.fail(error, now, next_try));
                next_try
            }
        }
    }

    async fn hurried(&self) {
        while !self.state.borrow().is_urgent() {
            self.bell.notified().await;
        }
    }
}

/// However the task ends, those who wait for a token are told.
struct StopOnDrop<'a>(&'a Shared);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.status.send_replace(TokenStatus::Stopped);
        self.0.state.send_modify(State::stop);
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("status", &*self.shared.status.borrow())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
