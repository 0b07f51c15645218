//! STARTTLS and AUTH: what makes a session trusted (RFC 3207, RFC 4954).

use std::mem;

use super::auth::{self, Progress};
use super::{Action, Demand, Login, Session, Transaction, replies};
use crate::secret::Secret;
use crate::smtp::{Command, Reply};

impl Session {
    /// Goes on after [`Action::StartTls`], once the handshake is done: the client begins anew (RFC 3207
    /// section 4.2).
    pub fn tls_started(&mut self) {
        self.is_encrypted = true;
        self.helo = None;
        self.transaction = Transaction::None;
        self.login = Login::None;
    }

    /// Goes on after [`Action::CheckLogin`]; the reply of an `Err` is what the client gets.
    pub fn login_checked(&mut self, verdict: Result<(), Reply>) -> Action {
        match (mem::replace(&mut self.login, Login::None), verdict) {
            (Login::Pending(name), Ok(())) => {
                self.login = Login::Done(name);
                Action::Reply(replies::AUTHENTICATED)
            }
            (Login::Pending(_), Err(reply)) => self.refuse(reply),
            (other, _) => {
                self.login = other;
                self.refuse(replies::BAD_SEQUENCE)
            }
        }
    }

    pub(super) fn offers_tls(&self) -> bool {
        self.settings.starttls != Demand::Never && !self.is_encrypted
    }

    pub(super) fn offers_auth(&self) -> bool {
        self.settings.auth != Demand::Never
            && (self.is_encrypted || self.settings.auth_in_plain_text)
    }

    /// RFC 3207 section 4 names the commands that are still answered; RSET and HELP do no harm.
    pub(super) fn needs_tls(&self, command: &Command) -> bool {
        self.settings.starttls == Demand::Required
            && !self.is_encrypted
            && matches!(
                command,
                Command::Mail { .. } | Command::Rcpt { .. } | Command::Data | Command::Auth { .. }
            )
    }

    pub(super) fn start_tls(&mut self) -> Action {
        if self.offers_tls() {
            return Action::StartTls(replies::START_TLS);
        }
        self.refuse(if self.is_encrypted {
            replies::TLS_ACTIVE
        } else {
            replies::NOT_IMPLEMENTED
        })
    }

    pub(super) fn auth(&mut self, mechanism: &str, initial: Option<&Secret>) -> Action {
        if self.settings.auth == Demand::Never {
            return self.refuse(replies::NOT_IMPLEMENTED);
        }
        if !self.offers_auth() {
            return self.refuse(replies::AUTH_NEEDS_TLS);
        }
        if self.login_name().is_some() {
            return self.refuse(replies::AUTH_ACTIVE);
        }
        if self.in_transaction() {
            return self.refuse(replies::AUTH_IN_TRANSACTION);
        }
        self.exchange(auth::begin(mechanism, initial))
    }

    pub(super) fn exchange(&mut self, progress: Progress) -> Action {
        match progress {
            Progress::Challenge(reply, exchange) => {
                self.login = Login::Exchange(exchange);
                Action::Reply(reply)
            }
            Progress::Credentials { name, password } => {
                self.login = Login::Pending(name.clone());
                Action::CheckLogin { name, password }
            }
            Progress::Refused(reply) => self.refuse(reply),
        }
    }
}
