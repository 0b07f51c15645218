//! The server's side of a session, as a machine: a line in, an [`Action`] out.

mod auth;
mod patience;
mod replies;
mod secured;
#[cfg(test)]
mod tests;

use std::mem;
use std::sync::Arc;

use crate::mail::dsn::{EnvelopeId, Ret};
use crate::mail::{BodyType, Envelope, Mailbox, Recipient, ReversePath};
use crate::secret::Secret;
use crate::smtp::command::{MailParameters, RcptParameters};
use crate::smtp::{Command, CommandError, Reply, Severity, Verb};
use auth::Exchange;
use patience::Patience;

/// What every session of a listener has in common.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// What the greeting and EHLO name us.
    pub hostname: String,
    /// `SIZE` as offered; over it MAIL is refused.
    pub message_size_max_bytes: u64,
    /// Recipients of one transaction; over it RCPT gets a 452.
    pub recipients_max: usize,
    /// Errors without a message accepted in between; over it the session is closed.
    pub errors_max: u32,
    /// STARTTLS, for sessions that begin in plain text.
    pub starttls: Demand,
    /// AUTH PLAIN and LOGIN.
    pub auth: Demand,
    /// Whether AUTH is offered to a session in plain text too.
    pub auth_in_plain_text: bool,
}

/// What a listener asks of its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    /// Not offered.
    #[default]
    Never,
    /// Offered.
    Offered,
    /// No mail without it.
    Required,
}

/// What the shell does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write it, then wait for the next line.
    Reply(Reply),
    /// Decide whether this sender may send, then call [`Session::sender_checked`].
    CheckSender {
        /// The sender.
        reverse_path: ReversePath,
        /// How large the message will be, if the client said so; within the limit.
        size_bytes: Option<u64>,
    },
    /// Decide whether mail to this recipient is taken, then call [`Session::recipient_checked`].
    CheckRecipient {
        /// The recipient.
        mailbox: Mailbox,
    },
    /// Write the reply, receive the content, then call [`Session::content_received`]. A shell that
    /// cannot take content now calls it at once, without writing this reply.
    ReceiveContent {
        /// 354.
        reply: Reply,
        /// Whose content it is.
        envelope: Envelope,
    },
    /// Write it, throw away whatever has been read, shake hands, then call [`Session::tls_started`].
    /// After a handshake that failed there is no session any more.
    StartTls(Reply),
    /// Find out whether the password is right, then call [`Session::login_checked`].
    CheckLogin {
        /// As the client gave it.
        name: Box<str>,
        /// What is to be proved.
        password: Secret,
    },
    /// Write it, then close.
    Close(Reply),
    /// Close without a word: the client does not speak SMTP.
    CutOff,
}

/// One session, from the greeting on.
///
/// Order is kept as RFC 5321 section 4.1.4 has it, with one exception: MAIL is taken without HELO or
/// EHLO, since devices exist that send neither, and the name they would give proves nothing.
///
/// Errors are counted (whatever is answered with 5yz) until a message is accepted; a 4yz is not the
/// client's mistake and does not count.
#[derive(Debug)]
pub struct Session {
    settings: Arc<ServerSettings>,
    helo: Option<Helo>,
    transaction: Transaction,
    login: Login,
    is_encrypted: bool,
    patience: Patience,
}

#[derive(Debug)]
enum Login {
    None,
    /// The next line belongs to it.
    Exchange(Exchange),
    /// The password was given to the shell for judgement.
    Pending(Box<str>),
    Done(Box<str>),
}

#[derive(Debug)]
struct Helo {
    name: Box<str>,
    is_esmtp: bool,
}

#[derive(Debug)]
enum Transaction {
    None,
    /// MAIL was given to the shell for judgement.
    SenderPending(Sender),
    /// MAIL was accepted.
    Open(Sender, Vec<Recipient>),
    /// RCPT was given to the shell for judgement.
    RecipientPending(Sender, Vec<Recipient>, Recipient),
    /// The envelope was handed over; the content is on its way.
    Content,
}

#[derive(Debug)]
struct Sender {
    reverse_path: ReversePath,
    body_type: BodyType,
    smtputf8: bool,
    ret: Option<Ret>,
    envelope_id: Option<EnvelopeId>,
}

impl Session {
    /// A session whose greeting is still to be written. `is_encrypted`: TLS from the first octet.
    pub fn new(settings: Arc<ServerSettings>, is_encrypted: bool) -> Self {
        Self {
            settings,
            helo: None,
            transaction: Transaction::None,
            login: Login::None,
            is_encrypted,
            patience: Patience::default(),
        }
    }

    /// 220, to be written first.
    pub fn greeting(&self) -> Reply {
        replies::GREETING.with_text(format!("{} ESMTP exorelay", self.settings.hostname))
    }

    /// What the client called itself, fit for logs and Received lines: only characters of names, at
    /// most 255 octets, not empty.
    pub fn helo_name(&self) -> Option<&str> {
        let name = self.helo.as_ref().map(|helo| helo.name.as_ref());
        name.filter(|name| !name.is_empty())
    }

    /// Whether the client said HELO or EHLO.
    pub fn is_greeted(&self) -> bool {
        self.helo.is_some()
    }

    /// Whether the client said EHLO.
    pub fn is_esmtp(&self) -> bool {
        self.helo.as_ref().is_some_and(|helo| helo.is_esmtp)
    }

    /// Whether the session runs under TLS.
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// Who has proved to be somebody.
    pub fn login_name(&self) -> Option<&str> {
        match &self.login {
            Login::Done(name) => Some(name),
            Login::None | Login::Exchange(_) | Login::Pending(_) => None,
        }
    }

    /// For `with` in the Received line (RFC 5321 section 4.4, RFC 3848).
    pub fn protocol(&self) -> &'static str {
        match (self.is_esmtp(), self.is_encrypted, self.login_name()) {
            (false, _, _) => "SMTP",
            (true, false, None) => "ESMTP",
            (true, false, Some(_)) => "ESMTPA",
            (true, true, None) => "ESMTPS",
            (true, true, Some(_)) => "ESMTPSA",
        }
    }

    /// Whether MAIL was begun and the content is not yet settled.
    pub fn in_transaction(&self) -> bool {
        !matches!(self.transaction, Transaction::None)
    }

    /// Takes one line, without its line end.
    pub fn receive(&mut self, line: &[u8]) -> Action {
        match mem::replace(&mut self.login, Login::None) {
            Login::Exchange(exchange) => return self.exchange(auth::respond(exchange, line)),
            other => self.login = other,
        }
        let command = match Command::parse(line) {
            Ok(command) => command,
            // Not offered, so nobody needs to know what its arguments should have been.
            Err(CommandError::Syntax(Verb::Auth)) if self.settings.auth == Demand::Never => {
                return self.refuse(replies::NOT_IMPLEMENTED);
            }
            Err(error) => {
                return match replies::to_error(error) {
                    Some(reply) => self.refuse(reply),
                    None => Action::CutOff,
                };
            }
        };
        if self.needs_tls(&command) {
            return self.refuse(replies::TLS_FIRST);
        }
        if command.is_idle() && !self.patience.bears_idle_command() {
            return self.give_up(replies::TOO_MANY_COMMANDS);
        }
        match command {
            Command::Helo { name } => self.helo(name),
            Command::Ehlo { name } => self.ehlo(name),
            Command::Mail {
                reverse_path,
                parameters,
            } => self.mail(reverse_path, parameters),
            Command::Rcpt {
                forward_path,
                parameters,
            } => self.rcpt(forward_path, parameters),
            Command::Data => self.data(),
            Command::Rset => {
                self.transaction = Transaction::None;
                Action::Reply(replies::RESET)
            }
            Command::Noop => Action::Reply(replies::NOOP),
            Command::Vrfy => Action::Reply(replies::CANNOT_VERIFY),
            Command::Help => Action::Reply(replies::HELP),
            Command::Quit => {
                self.transaction = Transaction::None;
                Action::Close(replies::BYE)
            }
            Command::StartTls => self.start_tls(),
            Command::Auth { mechanism, initial } => self.auth(&mechanism, initial.as_ref()),
            Command::Expn | Command::Bdat | Command::Obsolete => {
                self.refuse(replies::NOT_IMPLEMENTED)
            }
            Command::Unknown => self.refuse(replies::UNKNOWN),
        }
    }

    /// Takes a line that was over the limit and is gone.
    pub fn line_too_long(&mut self) -> Action {
        if matches!(self.login, Login::Exchange(_)) {
            self.login = Login::None;
        }
        self.refuse(replies::LINE_TOO_LONG)
    }

    /// Goes on after [`Action::CheckSender`]; the reply of an `Err` is what the client gets.
    pub fn sender_checked(&mut self, verdict: Result<(), Reply>) -> Action {
        match (
            mem::replace(&mut self.transaction, Transaction::None),
            verdict,
        ) {
            (Transaction::SenderPending(sender), Ok(())) => {
                self.transaction = Transaction::Open(sender, Vec::new());
                Action::Reply(replies::SENDER_OK)
            }
            (Transaction::SenderPending(_), Err(reply)) => self.refuse(reply),
            (other, _) => self.out_of_sequence(other),
        }
    }

    /// Goes on after [`Action::CheckRecipient`]; the reply of an `Err` is what the client gets.
    pub fn recipient_checked(&mut self, verdict: Result<(), Reply>) -> Action {
        match mem::replace(&mut self.transaction, Transaction::None) {
            Transaction::RecipientPending(sender, mut recipients, recipient) => match verdict {
                Ok(()) => {
                    recipients.push(recipient);
                    self.transaction = Transaction::Open(sender, recipients);
                    Action::Reply(replies::RECIPIENT_OK)
                }
                Err(reply) => {
                    self.transaction = Transaction::Open(sender, recipients);
                    self.refuse(reply)
                }
            },
            other => self.out_of_sequence(other),
        }
    }

    /// Ends the transaction, whether its content was accepted or not.
    pub fn content_received(&mut self, reply: Reply) -> Action {
        self.transaction = Transaction::None;
        if reply.severity() == Severity::Completed {
            self.patience.renew();
        }
        self.refuse(reply)
    }

    fn helo(&mut self, name: Box<str>) -> Action {
        self.greet(name, false);
        Action::Reply(replies::HELLO.with_text(self.settings.hostname.as_str()))
    }

    fn ehlo(&mut self, name: Box<str>) -> Action {
        self.greet(name, true);
        let starttls = if self.offers_tls() { "STARTTLS\n" } else { "" };
        // One line: a second one with `=` would be for clients older than any that is left.
        let auth = if self.offers_auth() {
            "AUTH PLAIN LOGIN\n"
        } else {
            ""
        };
        Action::Reply(replies::HELLO.with_text(format!(
            "{} greets you\nSIZE {}\nPIPELINING\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nDSN\n{starttls}{auth}HELP",
            self.settings.hostname, self.settings.message_size_max_bytes,
        )))
    }

    /// RFC 5321 section 4.1.4: both reset as RSET does.
    fn greet(&mut self, name: Box<str>, is_esmtp: bool) {
        self.transaction = Transaction::None;
        self.helo = Some(Helo { name, is_esmtp });
    }

    fn mail(&mut self, reverse_path: ReversePath, parameters: MailParameters) -> Action {
        if self.in_transaction() {
            return self.refuse(replies::NESTED_MAIL);
        }
        if self.settings.auth == Demand::Required && self.login_name().is_none() {
            let reply = if self.offers_auth() {
                replies::AUTH_FIRST
            } else {
                replies::TLS_FIRST
            };
            return self.refuse(reply);
        }
        if !reverse_path.is_ascii() && !parameters.smtputf8 {
            return self.refuse(replies::SMTPUTF8_NEEDED);
        }
        let size_bytes = parameters.size_bytes;
        if size_bytes.is_some_and(|size| size > self.settings.message_size_max_bytes) {
            return self.refuse(replies::TOO_LARGE);
        }
        self.transaction = Transaction::SenderPending(Sender {
            reverse_path: reverse_path.clone(),
            body_type: parameters.body_type,
            smtputf8: parameters.smtputf8,
            ret: parameters.ret,
            envelope_id: parameters.envelope_id,
        });
        Action::CheckSender {
            reverse_path,
            size_bytes,
        }
    }

    fn rcpt(&mut self, mailbox: Mailbox, parameters: RcptParameters) -> Action {
        let Transaction::Open(sender, recipients) = &mut self.transaction else {
            return self.refuse(replies::MAIL_FIRST);
        };
        if !mailbox.is_ascii() && !sender.smtputf8 {
            return self.refuse(replies::SMTPUTF8_NEEDED);
        }
        if recipients.len() >= self.settings.recipients_max {
            return self.refuse(replies::TOO_MANY_RECIPIENTS);
        }
        let recipient = Recipient {
            forward_path: mailbox.clone(),
            notify: parameters.notify,
            original_recipient: parameters.original_recipient,
        };
        if let Transaction::Open(sender, recipients) =
            mem::replace(&mut self.transaction, Transaction::None)
        {
            self.transaction = Transaction::RecipientPending(sender, recipients, recipient);
        }
        Action::CheckRecipient { mailbox }
    }

    fn data(&mut self) -> Action {
        match mem::replace(&mut self.transaction, Transaction::Content) {
            Transaction::Open(sender, recipients) => {
                let Sender {
                    reverse_path,
                    body_type,
                    smtputf8,
                    ret,
                    envelope_id,
                } = sender;
                match Envelope::new(reverse_path, recipients, body_type, smtputf8) {
                    Ok(envelope) => Action::ReceiveContent {
                        reply: replies::SEND_CONTENT,
                        envelope: envelope.with_dsn(ret, envelope_id),
                    },
                    Err(_) => self.no_recipient(),
                }
            }
            Transaction::None => {
                self.transaction = Transaction::None;
                self.refuse(replies::MAIL_FIRST)
            }
            other => self.out_of_sequence(other),
        }
    }

    /// With pipelining the client could not know that every RCPT failed, and those were counted.
    /// The transaction is over: what could follow is another RCPT, which no pipelining client sends.
    fn no_recipient(&mut self) -> Action {
        self.transaction = Transaction::None;
        Action::Reply(replies::NO_VALID_RECIPIENTS)
    }

    /// A call that does not belong here; the transaction stays what it was.
    fn out_of_sequence(&mut self, transaction: Transaction) -> Action {
        self.transaction = transaction;
        self.refuse(replies::BAD_SEQUENCE)
    }

    /// The one place where errors are counted.
    fn refuse(&mut self, reply: Reply) -> Action {
        if reply.severity() == Severity::Permanent
            && !self.patience.bears_error(self.settings.errors_max)
        {
            return self.give_up(replies::TOO_MANY_ERRORS);
        }
        Action::Reply(reply)
    }

    fn give_up(&mut self, reply: Reply) -> Action {
        self.transaction = Transaction::None;
        Action::Close(reply)
    }
}
