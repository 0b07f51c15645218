//! Whether a client is who it says.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

use crate::listener::attempts::Attempts;
use crate::listener::users::Users;
use crate::listener::{Peer, replies};
use crate::secret::Secret;
use crate::smtp::Reply;
use crate::tls::Tag;

/// Passwords that are hashed at the same time, by all listeners together: each takes a core and, with hashes of our
/// own, 19 MiB.
static HASHING: Semaphore = Semaphore::const_new(2);

/// For its turn; by then some hundreds of others have had theirs.
const TURN_MAX: Duration = Duration::from_secs(30);

/// Of a name that somebody made up.
const NAME_SHOWN_MAX_CHARS: usize = 64;

/// Somebody who wants to log in.
#[derive(Debug)]
pub(super) struct Login<'a> {
    pub(super) client: Peer,
    pub(super) name: &'a str,
    pub(super) password: Secret,
}

/// How a login ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The session goes on, with this reply if the login failed.
    Checked(Result<(), Reply>),
    /// The session is over.
    ShutOut(Reply),
}

impl Login<'_> {
    /// Returns at once for what has been verified before, and late for what is wrong.
    ///
    /// # Cancel safety
    /// A hash that is being calculated is still calculated to its end, and its result forgotten.
    pub(super) async fn judge(self, users: &Arc<Users>, attempts: &Attempts) -> Verdict {
        let begun = Instant::now();
        let tag = users.tag(self.name, &self.password);
        // A shut-out client is not told of a right password either, or it could go on guessing.
        if let Some(verdict) = self.decided(users, attempts, &tag) {
            return verdict;
        }
        let Ok(Ok(turn)) = timeout(TURN_MAX, HASHING.acquire()).await else {
            return self.put_off("too many logins at once");
        };
        // Others have been at it meanwhile: that makes an end of a hundred guesses at once, and of the hundred
        // logins of a device that the relay sees for the first time.
        if let Some(verdict) = self.decided(users, attempts, &tag) {
            return verdict;
        }
        let hashing = tokio::task::spawn_blocking({
            let (users, name) = (Arc::clone(users), self.name.to_owned());
            let password = self.password.clone();
            move || {
                let matches = users.verify(&name, &password, &tag);
                drop(turn);
                matches
            }
        });
        match hashing.await {
            Ok(Ok(true)) => self.succeed(),
            Ok(Ok(false)) => self.fail(attempts, tag, begun).await,
            Ok(Err(_)) => self.put_off("no memory to check the password with"),
            Err(_) => self.put_off("checking the password was interrupted"),
        }
    }

    /// What can be said without hashing.
    fn decided(&self, users: &Users, attempts: &Attempts, tag: &Tag) -> Option<Verdict> {
        if let Some(left) = attempts.shut_out(self.client) {
            tracing::warn!(
                name = self.shown_name(),
                seconds = left.as_secs(),
                "login refused: the client is shut out after too many failures"
            );
            return Some(Verdict::ShutOut(replies::shut_out(left)));
        }
        users.knows(self.name, tag).then(|| self.succeed())
    }

    fn succeed(&self) -> Verdict {
        tracing::info!(name = self.shown_name(), "logged in");
        Verdict::Checked(Ok(()))
    }

    /// Answered so late that nobody can tell by the clock what was wrong.
    async fn fail(&self, attempts: &Attempts, tag: Tag, begun: Instant) -> Verdict {
        let consequence = attempts.failed(self.client, tag);
        tracing::warn!(
            name = self.shown_name(),
            "login failed: wrong name or password"
        );
        if let Some(time) = consequence.shut_out {
            tracing::warn!(
                seconds = time.as_secs(),
                "too many different names and passwords: the client is shut out from AUTH"
            );
        }
        sleep_until(begun + consequence.delay).await;
        Verdict::Checked(Err(replies::LOGIN_FAILED))
    }

    fn put_off(&self, reason: &str) -> Verdict {
        tracing::warn!(name = self.shown_name(), reason, "login put off");
        Verdict::Checked(Err(replies::LOGIN_PUT_OFF))
    }

    fn shown_name(&self) -> &str {
        let end = self.name.char_indices().nth(NAME_SHOWN_MAX_CHARS);
        end.and_then(|(end, _)| self.name.get(..end))
            .unwrap_or(self.name)
    }
}
