//! The handshake, and the proof of who the client is.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use super::{Ended, Session, replies};
use crate::listener::HANDSHAKE_MAX;
use crate::listener::login::{Login, Verdict};
use crate::secret::Secret;
use crate::smtp::Reply;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<'_, S> {
    /// Whatever the client sent behind STARTTLS came in plain text and is thrown away unseen: nobody
    /// on the way may put commands into the encrypted session (RFC 3207 section 4.2).
    pub(super) async fn start_tls(&mut self, reply: &Reply) -> io::Result<Option<Ended>> {
        let Some(certificate) = &self.current.certificate else {
            // Offered only with a certificate.
            self.reply(&replies::STORAGE_FAILED);
            return Ok(Some(Ended::Closed));
        };
        self.input.clear();
        self.framer.restart();
        self.reply(reply);
        self.flush().await?;
        let until = self
            .patience_ends()
            .min(Instant::now() + self.settings.timeouts.command.min(HANDSHAKE_MAX));
        let handshake = self.stream.start_tls(Arc::clone(certificate.config()));
        tokio::select! {
            done = timeout_at(until, handshake) => match done {
                Ok(done) => done?,
                Err(_) => return Ok(Some(Ended::Closed)),
            },
            () = self.cut.as_mut() => return Ok(Some(Ended::Closed)),
        }
        self.machine.tls_started();
        Ok(None)
    }

    /// Users are those of the moment. A session that may log in although nobody may any more keeps to those it
    /// began with.
    pub(super) async fn check_login(
        &mut self,
        name: &str,
        password: Secret,
    ) -> io::Result<Option<Ended>> {
        self.flush().await?;
        let latest = Arc::clone(&self.latest.borrow());
        let users = latest.users.as_ref().or(self.current.users.as_ref());
        let verdict = match users {
            Some(users) => {
                let login = Login {
                    client: self.peer,
                    name,
                    password,
                };
                tokio::select! {
                    biased;
                    verdict = login.judge(users, &latest.lasting.attempts) => verdict,
                    () = self.draining.as_mut() => return Ok(Some(Ended::Stopping)),
                    () = self.cut.as_mut() => return Ok(Some(Ended::Stopping)),
                }
            }
            // Offered only with a file of them.
            None => Verdict::Checked(Err(replies::LOGIN_PUT_OFF)),
        };
        match verdict {
            Verdict::Checked(verdict) => {
                let action = self.machine.login_checked(verdict);
                Box::pin(self.perform(action)).await
            }
            Verdict::ShutOut(reply) => {
                self.reply(&reply);
                Ok(Some(Ended::Closed))
            }
        }
    }
}
