//! The client's side of a session with the upstream server, as a machine: replies and wishes in,
//! octets and [`Event`]s out.

mod capabilities;
mod challenge;
mod error;
mod output;
#[cfg(test)]
mod tests;
mod transaction;

use std::mem;

use bytes::BytesMut;

use crate::mail::Envelope;
use crate::secret::Secret;
use crate::smtp::line::AUTH_LINE_MAX_OCTETS;
use crate::smtp::{Reply, Severity, xoauth2_response};

pub use capabilities::Capabilities;
pub use challenge::ErrorChallenge;
pub use error::ClientError;
use output::Output;
pub use transaction::TransactionOutcome;
use transaction::{Progress, Transaction};

/// How a session is to be opened.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The name in EHLO; characters that are no part of a name or address literal are left out.
    pub ehlo_name: String,
    /// When the connection is encrypted.
    pub tls: Tls,
    /// Whether to authenticate; without it a session is ready after EHLO.
    pub auth: bool,
}

/// When the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// After STARTTLS (RFC 3207). There is no going on in plaintext.
    StartTls,
    /// Before the greeting (RFC 8314 section 3.3); the shell sees to it.
    Implicit,
    /// Never, so the token travels in plaintext: for loopback only.
    None,
}

/// What a reply answers; for timeouts, and to say where an error happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The opening of the connection.
    Greeting,
    /// EHLO
    Ehlo,
    /// STARTTLS
    StartTls,
    /// AUTH, in all its lines.
    Auth,
    /// MAIL
    Mail,
    /// RCPT for the recipient of that index in the envelope.
    Rcpt(usize),
    /// DATA
    Data,
    /// The dot after the content.
    EndOfData,
    /// RSET
    Rset,
    /// QUIT
    Quit,
}

/// What the shell does next, apart from writing what [`Client::take_output`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Make sure that nothing is left unread (RFC 3207 section 6: it would have been injected), do
    /// the handshake, then call [`Client::tls_established`].
    UpgradeTls,
    /// Get a token, then call [`Client::authenticate`].
    Authenticate,
    /// [`Client::submit`] may be called.
    Ready,
    /// Write the content through a [`crate::smtp::ContentEncoder`], its end too, then call
    /// [`Client::content_sent`].
    SendContent,
    /// The transaction is over; [`Client::submit`] may be called again.
    Outcome(TransactionOutcome),
    /// The server has said good-bye to QUIT: close.
    Closed,
}

/// One session, from the connection on.
///
/// After every call the shell writes what [`Client::take_output`] gives, and reads while
/// [`Client::expecting`] names a step. After an error nothing but [`Client::quit`] and
/// [`Client::take_decided`] is of use.
#[derive(Debug)]
pub struct Client {
    settings: ClientSettings,
    state: State,
    capabilities: Capabilities,
    output: Output,
    /// The one in progress, or the one that an error interrupted.
    transaction: Option<Transaction>,
    /// The server may still remember a transaction that came to nothing.
    needs_reset: bool,
}

#[derive(Debug)]
enum State {
    Greeting,
    /// `is_secure`: no STARTTLS is to follow.
    Ehlo {
        is_secure: bool,
    },
    StartTls,
    Handshake,
    NeedsCredentials,
    Auth(Auth),
    Ready,
    Transaction,
    Reset,
    Quit,
    Closed,
    Failed,
}

/// RFC 4954 section 4.
#[derive(Debug)]
enum Auth {
    /// The response went with the command; kept for the other form.
    Initial(Secret),
    /// The command went alone, 334 comes next.
    Announced(Secret),
    /// The response went in a line of its own.
    Response,
    /// An error challenge was answered with an empty line, as XOAUTH2 wants it; what could be read of it.
    ErrorChallenge(Option<ErrorChallenge>),
}

impl Client {
    /// A session on a new connection. With [`Tls::Implicit`] the handshake is already done.
    pub fn new(settings: ClientSettings) -> Self {
        Self {
            settings,
            state: State::Greeting,
            capabilities: Capabilities::default(),
            output: Output::default(),
            transaction: None,
            needs_reset: false,
        }
    }

    /// Moves what is to be written to the end of `target`. It may hold a token.
    pub fn take_output(&mut self, target: &mut BytesMut) {
        self.output.take(target);
    }

    /// Whether [`Client::take_output`] would give anything.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// The step whose reply comes next; `None` when it is the shell's turn.
    pub fn expecting(&self) -> Option<Step> {
        match &self.state {
            State::Greeting => Some(Step::Greeting),
            State::Ehlo { .. } => Some(Step::Ehlo),
            State::StartTls => Some(Step::StartTls),
            State::Auth(_) => Some(Step::Auth),
            State::Transaction => self.transaction.as_ref().and_then(Transaction::expecting),
            State::Reset => Some(Step::Rset),
            State::Quit => Some(Step::Quit),
            State::Handshake
            | State::NeedsCredentials
            | State::Ready
            | State::Closed
            | State::Failed => None,
        }
    }

    /// What the server offered in its latest reply to EHLO.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Takes one reply.
    ///
    /// # Errors
    /// The session is over. What the transaction in progress has decided up to then is still there
    /// for [`Client::take_decided`].
    pub fn receive(&mut self, reply: Reply) -> Result<Option<Event>, ClientError> {
        // A reply in the middle of the content is about the content.
        let early = || self.is_sending_content().then_some(Step::EndOfData);
        let step = self.expecting().or_else(early);
        let state = mem::replace(&mut self.state, State::Failed);
        if matches!(state, State::Quit) {
            // Whatever it says, there is nothing more to say.
            self.state = State::Closed;
            return Ok(Some(Event::Closed));
        }
        if reply.code() == 421 {
            return Err(ClientError::Goodbye { step, reply });
        }
        match (state, reply.severity()) {
            (State::Greeting, Severity::Completed) => {
                self.say_ehlo(self.settings.tls != Tls::StartTls);
                Ok(None)
            }
            (State::Greeting, _) => Err(ClientError::GreetingRefused { reply }),
            (State::Ehlo { is_secure }, Severity::Completed) => self.offered(&reply, is_secure),
            (State::Ehlo { .. }, _) => Err(ClientError::EhloRefused { reply }),
            (State::StartTls, Severity::Completed) => {
                self.state = State::Handshake;
                Ok(Some(Event::UpgradeTls))
            }
            (State::StartTls, _) => Err(ClientError::StartTlsRefused { reply }),
            (State::Auth(auth), _) => self.auth_answered(auth, reply),
            (State::Transaction, _) => self.transaction_answered(step, reply),
            (State::Reset, Severity::Completed) => {
                self.needs_reset = false;
                Ok(Some(self.ready()))
            }
            _ => Err(ClientError::Unexpected { step, reply }),
        }
    }

    /// Goes on after [`Event::UpgradeTls`]: everything learned in plaintext is forgotten.
    pub fn tls_established(&mut self) -> Result<(), ClientError> {
        if !matches!(self.state, State::Handshake) {
            return Err(ClientError::OutOfTurn);
        }
        self.capabilities = Capabilities::default();
        self.say_ehlo(true);
        Ok(())
    }

    /// Goes on after [`Event::Authenticate`].
    ///
    /// The response goes with the command while the line stays within the limit of RFC 4954 section
    /// 4, else, or when the server does not take it so, in a line of its own.
    pub fn authenticate(&mut self, user: &str, token: &Secret) -> Result<(), ClientError> {
        const PREFIX: &[u8] = b"AUTH XOAUTH2 ";
        if !matches!(self.state, State::NeedsCredentials) {
            return Err(ClientError::OutOfTurn);
        }
        let response = xoauth2_response(user, token);
        if PREFIX.len() + response.reveal().len() + 2 <= AUTH_LINE_MAX_OCTETS {
            self.output.put_secret_line(PREFIX, &response);
            self.state = State::Auth(Auth::Initial(response));
        } else {
            self.announce_auth(response);
        }
        Ok(())
    }

    /// Begins a transaction. `size_bytes` is the size of the content before dots are stuffed.
    ///
    /// An event comes at once when no recipient can be served by this server.
    pub fn submit(
        &mut self,
        envelope: &Envelope,
        size_bytes: u64,
    ) -> Result<Option<Event>, ClientError> {
        if !matches!(self.state, State::Ready) {
            return Err(ClientError::OutOfTurn);
        }
        let capabilities = &self.capabilities;
        match Transaction::new(envelope, size_bytes, capabilities, self.needs_reset) {
            Ok(mut transaction) => {
                transaction.advance(&mut self.output);
                self.transaction = Some(transaction);
                self.state = State::Transaction;
                Ok(None)
            }
            Err(outcome) => Ok(Some(Event::Outcome(outcome))),
        }
    }

    /// Goes on after [`Event::SendContent`].
    pub fn content_sent(&mut self) -> Result<(), ClientError> {
        let transaction = self.transaction.as_mut();
        if matches!(self.state, State::Transaction)
            && transaction.is_some_and(Transaction::content_sent)
        {
            Ok(())
        } else {
            Err(ClientError::OutOfTurn)
        }
    }

    /// Asks the server whether it is still there; [`Event::Ready`] follows. Not needed between
    /// transactions: [`Client::submit`] sends RSET where one is due.
    pub fn reset(&mut self) -> Result<(), ClientError> {
        if !matches!(self.state, State::Ready) {
            return Err(ClientError::OutOfTurn);
        }
        self.output.put(b"RSET\r\n");
        self.state = State::Reset;
        Ok(())
    }

    /// Says good-bye, where a command may stand: not while a reply is awaited or content is sent.
    /// After an error it is worth a try.
    pub fn quit(&mut self) -> Result<(), ClientError> {
        match self.state {
            State::NeedsCredentials | State::Ready | State::Failed
                if !self.is_sending_content() =>
            {
                self.output.put(b"QUIT\r\n");
                self.state = State::Quit;
                Ok(())
            }
            _ => Err(ClientError::OutOfTurn),
        }
    }

    /// Of a transaction that an error or a lost connection interrupted: one entry for each recipient
    /// in the order of the envelope, `None` where nothing was decided. Empty without a transaction, all
    /// `None` where replies and commands got out of step.
    pub fn take_decided(&mut self) -> Vec<Option<(Step, Reply)>> {
        self.transaction
            .take()
            .map(Transaction::into_decided)
            .unwrap_or_default()
    }

    fn is_sending_content(&self) -> bool {
        let transaction = self.transaction.as_ref();
        transaction.is_some_and(Transaction::is_sending_content)
    }

    fn say_ehlo(&mut self, is_secure: bool) {
        let is_name_octet = |octet: &u8| octet.is_ascii_alphanumeric() || b".-_:[]".contains(octet);
        let name: Vec<u8> = self
            .settings
            .ehlo_name
            .bytes()
            .filter(is_name_octet)
            .collect();
        self.output.put(b"EHLO ");
        self.output.put(&name);
        self.output.put(b"\r\n");
        self.state = State::Ehlo { is_secure };
    }

    fn offered(&mut self, reply: &Reply, is_secure: bool) -> Result<Option<Event>, ClientError> {
        self.capabilities = Capabilities::from_reply(reply);
        if !is_secure {
            if !self.capabilities.starttls {
                return Err(ClientError::StartTlsNotOffered);
            }
            self.output.put(b"STARTTLS\r\n");
            self.state = State::StartTls;
            return Ok(None);
        }
        if !self.settings.auth {
            return Ok(Some(self.ready()));
        }
        if !self.capabilities.offers_auth("XOAUTH2") {
            return Err(ClientError::XoauthNotOffered);
        }
        self.state = State::NeedsCredentials;
        Ok(Some(Event::Authenticate))
    }

    fn announce_auth(&mut self, response: Secret) {
        self.output.put(b"AUTH XOAUTH2\r\n");
        self.state = State::Auth(Auth::Announced(response));
    }

    fn auth_answered(&mut self, auth: Auth, reply: Reply) -> Result<Option<Event>, ClientError> {
        let is_empty = reply.lines().all(str::is_empty);
        match (auth, reply.code()) {
            (Auth::Initial(_) | Auth::Response, 200..300) => return Ok(Some(self.ready())),
            // The initial form is not known there, or its line is too long for them.
            (Auth::Initial(response), 500 | 501 | 555) => self.announce_auth(response),
            // An empty challenge asks for the response again; any other is JSON about an error.
            (Auth::Initial(response), 334) if is_empty => self.respond(&response),
            (Auth::Announced(response), 334) => self.respond(&response),
            (Auth::Initial(_) | Auth::Response, 334) => {
                self.output.put(b"\r\n");
                let challenge = ErrorChallenge::decode(&reply);
                self.state = State::Auth(Auth::ErrorChallenge(challenge));
            }
            (Auth::ErrorChallenge(challenge), 400..) => {
                return Err(ClientError::AuthRefused { reply, challenge });
            }
            (_, 400..) => {
                let challenge = None;
                return Err(ClientError::AuthRefused { reply, challenge });
            }
            _ => {
                let step = Some(Step::Auth);
                return Err(ClientError::Unexpected { step, reply });
            }
        }
        Ok(None)
    }

    fn respond(&mut self, response: &Secret) {
        self.output.put_secret_line(b"", response);
        self.state = State::Auth(Auth::Response);
    }

    fn transaction_answered(
        &mut self,
        step: Option<Step>,
        reply: Reply,
    ) -> Result<Option<Event>, ClientError> {
        let Some(transaction) = &mut self.transaction else {
            return Err(ClientError::Unexpected { step, reply });
        };
        match transaction.receive(reply, &mut self.output) {
            Progress::GoOn => {
                self.state = State::Transaction;
                Ok(None)
            }
            Progress::SendContent => {
                self.state = State::Transaction;
                Ok(Some(Event::SendContent))
            }
            Progress::Done(outcome) => {
                self.needs_reset = !transaction.is_forgotten();
                self.transaction = None;
                self.state = State::Ready;
                Ok(Some(Event::Outcome(outcome)))
            }
            Progress::CutShort(reply) => Err(ClientError::CutShort { reply }),
            Progress::Unexpected(reply) => {
                transaction.undecide();
                Err(ClientError::Unexpected { step, reply })
            }
        }
    }

    fn ready(&mut self) -> Event {
        self.state = State::Ready;
        Event::Ready
    }
}
