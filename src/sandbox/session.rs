//! One SMTP session: which command is allowed when, and what it is answered with.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::Shared;
use super::command::{Command, Mail};
use super::fault::{self, Fault, Step};
use super::ledger::Count;
use super::mailboxes::Seat;
use super::voice::{HOST, Voice};
use super::wire::{End, Line, Wire};

/// Syntax errors and commands out of order before the connection is closed.
const ERRORS_MAX: u32 = 50;

/// What the connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read the next command.
    Read,
    /// Start the TLS handshake.
    StartTls,
    /// Send what waits and close.
    Close,
}

/// What an ordered fault leaves to do.
#[derive(Debug)]
pub(super) enum Struck {
    /// There was none.
    Nothing,
    /// Go on, but say this in case of success.
    Reworded(String),
    /// The step is refused, and the refusal sent.
    Refused(Next),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hello {
    None,
    Helo,
    Ehlo,
}

/// MAIL and what followed it.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) mail: Mail,
    pub(super) recipients: Vec<String>,
    /// The final reply that a recipient asked for.
    pub(super) fault: Option<String>,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: u64,
    pub(super) voice: Voice,
    pub(super) tls: bool,
    pub(super) hello: Hello,
    pub(super) seat: Option<Seat>,
    pub(super) transaction: Option<Transaction>,
    /// A command of a pipelined group was refused: those behind it were sent in good faith and are no violation.
    pub(super) excused: bool,
    peer: IpAddr,
    errors: u32,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, connection: u64, peer: IpAddr) -> Self {
        Self {
            shared,
            connection,
            voice: Voice::new(),
            tls: false,
            hello: Hello::None,
            seat: None,
            transaction: None,
            excused: false,
            peer,
            errors: 0,
        }
    }

    /// Reads and answers commands until something else is to be done.
    pub(super) async fn converse<S>(&mut self, wire: &mut Wire<S>) -> Result<Next, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let line = wire.line().await?;
            match self.line(wire, line).await? {
                Next::Read => {}
                next => return Ok(next),
            }
        }
    }

    /// After the handshake nothing is known of the client (RFC 3207 section 4.2).
    pub(super) fn secured(&mut self) {
        self.tls = true;
        self.hello = Hello::None;
        self.transaction = None;
        self.excused = false;
    }

    /// Carries out the fault that is ordered for `step`, if any.
    pub(super) async fn strike<S>(&self, wire: &mut Wire<S>, step: Step) -> Result<Struck, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let fault = self.shared.faults.strike(step);
        self.carry_out(wire, fault).await
    }

    /// Carries `fault` out, if there is one.
    pub(super) async fn carry_out<S>(
        &self,
        wire: &mut Wire<S>,
        fault: Option<Fault>,
    ) -> Result<Struck, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match fault {
            None => Ok(Struck::Nothing),
            Some(Fault::Reply(text)) if text.starts_with(['2', '3']) => Ok(Struck::Reworded(text)),
            Some(Fault::Reply(text)) => {
                wire.reply(&text).await?;
                let closes = text.starts_with("421");
                Ok(Struck::Refused(if closes {
                    Next::Close
                } else {
                    Next::Read
                }))
            }
            Some(Fault::Hang) => {
                wire.flush().await?;
                wire.hang().await;
                Err(End::Cut)
            }
            Some(Fault::Disconnect | Fault::DisconnectAfterAccept) => {
                wire.flush().await?;
                Err(End::Cut)
            }
        }
    }

    pub(super) fn violated(&self, what: impl Into<String>) {
        self.shared.ledger.violated(self.connection, what.into());
    }

    /// Refuses with Exchange's ending; 50 of these close the connection.
    pub(super) async fn refuse<S>(&mut self, wire: &mut Wire<S>, text: &str) -> Result<Next, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.errors += 1;
        wire.reply(&self.voice.refusal(text)).await?;
        if self.errors < ERRORS_MAX {
            return Ok(Next::Read);
        }
        let text = "421 4.7.0 Too many errors on this connection, closing transmission channel";
        wire.reply(&self.voice.refusal(text)).await?;
        Ok(Next::Close)
    }

    /// Refuses a command in the wrong place.
    pub(super) async fn out_of_order<S>(
        &mut self,
        wire: &mut Wire<S>,
        text: &str,
        what: &str,
    ) -> Result<Next, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if !self.excused {
            self.violated(what);
        }
        self.refuse(wire, text).await
    }

    async fn line<S>(&mut self, wire: &mut Wire<S>, line: Line) -> Result<Next, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let line = match line {
            Line::Whole(line) => line,
            Line::BareNewline => {
                self.violated("a command with a bare CR or LF");
                let text = "500 5.5.2 Syntax error, a command ends in CRLF";
                return self.refuse(wire, text).await;
            }
            Line::TooLong => {
                self.violated("a line over 12288 octets");
                return self.refuse(wire, "500 5.5.6 Line too long").await;
            }
        };
        match Command::decode(&line) {
            Ok(command) => self.command(wire, command).await,
            Err(refusal) => {
                self.violated(refusal.violation);
                // The rest of the group is refused in consequence.
                self.excused = true;
                self.refuse(wire, refusal.reply).await
            }
        }
    }

    async fn command<S>(&mut self, wire: &mut Wire<S>, command: Command<'_>) -> Result<Next, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let ahead = !wire.input.is_empty();
        let may_be_followed = matches!(
            command,
            Command::Mail(_) | Command::Rcpt(_) | Command::Rset | Command::Unknown(_)
        );
        if ahead && !may_be_followed {
            // Its reply was not even sent (RFC 2920 section 3.1).
            self.violated("octets behind a command that must be the last of its group");
        }
        match command {
            Command::Ehlo => self.hello(wire, Hello::Ehlo).await,
            Command::Helo => self.hello(wire, Hello::Helo).await,
            Command::StartTls => self.start_tls(wire, ahead).await,
            Command::Auth { mechanism, initial } => {
                self.authenticate(wire, mechanism, initial).await
            }
            Command::Mail(mail) => self.mail(wire, mail).await,
            Command::Rcpt(recipient) => self.rcpt(wire, recipient).await,
            Command::Data => self.data(wire).await,
            Command::Rset => {
                self.transaction = None;
                self.excused = false;
                self.say(wire, "250 2.0.0 Resetting").await
            }
            Command::Noop => self.say(wire, "250 2.0.0 OK").await,
            Command::Vrfy => self.say(wire, "252 2.1.5 Cannot VRFY user").await,
            Command::Help => {
                self.say(wire, "214 2.0.0 This is the exorelay sandbox")
                    .await
            }
            Command::Quit => {
                wire.reply("221 2.0.0 Service closing transmission channel")
                    .await?;
                Ok(Next::Close)
            }
            Command::Unknown(verb) => {
                self.violated(format!("the unknown command {verb}"));
                let text = format!("500 5.3.3 Unrecognized command '{verb}'");
                self.refuse(wire, &text).await
            }
        }
    }

    async fn say<S>(&self, wire: &mut Wire<S>, text: &str) -> Result<Next, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        wire.reply(text).await?;
        Ok(Next::Read)
    }

    /// HELO brings no extensions, and so no AUTH (facts A.2).
    async fn hello<S>(&mut self, wire: &mut Wire<S>, hello: Hello) -> Result<Next, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let text = match self.strike(wire, Step::Ehlo).await? {
            Struck::Refused(next) => return Ok(next),
            Struck::Reworded(text) => text,
            Struck::Nothing if hello == Hello::Helo => format!("250 {HOST} Hello [{}]", self.peer),
            Struck::Nothing => {
                let size_max_bytes = self.shared.settings.limits.message_size_max_bytes;
                Voice::ehlo(self.peer, size_max_bytes, self.tls)
            }
        };
        self.hello = hello;
        self.transaction = None;
        self.excused = false;
        self.say(wire, &text).await
    }

    async fn start_tls<S>(&mut self, wire: &mut Wire<S>, ahead: bool) -> Result<Next, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.tls || self.hello != Hello::Ehlo {
            let text = "503 5.5.2 Bad sequence of commands";
            let what = "STARTTLS before EHLO or inside TLS";
            return self.out_of_order(wire, text, what).await;
        }
        if ahead {
            // Octets in plaintext behind STARTTLS would be taken for part of the protected session (CVE-2011-0411).
            return Err(End::Cut);
        }
        let text = match self.strike(wire, Step::StartTls).await? {
            Struck::Refused(next) => return Ok(next),
            Struck::Reworded(text) => text,
            Struck::Nothing => "220 2.0.0 SMTP server ready".to_owned(),
        };
        wire.reply(&text).await?;
        Ok(Next::StartTls)
    }

    async fn mail<S>(&mut self, wire: &mut Wire<S>, mail: Mail) -> Result<Next, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.hello == Hello::None {
            let text = "503 5.5.2 Send hello first";
            return self.out_of_order(wire, text, "MAIL before EHLO").await;
        }
        if self.seat.is_none() {
            let text = "530 5.7.57 Client not authenticated to send mail.";
            let refused = self.out_of_order(wire, text, "MAIL before AUTH").await;
            self.excused = true;
            return refused;
        }
        if self.transaction.is_some() {
            let text = "503 5.5.2 Sender already specified";
            return self
                .out_of_order(wire, text, "MAIL within a transaction")
                .await;
        }
        let text = match self.strike(wire, Step::Mail).await? {
            Struck::Refused(next) => {
                self.excused = true;
                return Ok(next);
            }
            Struck::Reworded(text) => text,
            Struck::Nothing => "250 2.1.0 Sender OK".to_owned(),
        };
        let size_max_bytes = self.shared.settings.limits.message_size_max_bytes;
        if mail.size_bytes.is_some_and(|size| size > size_max_bytes) {
            self.excused = true;
            let text = "552 5.3.4 Message size exceeds fixed maximum message size";
            return self.say(wire, text).await;
        }
        self.excused = false;
        self.transaction = Some(Transaction {
            mail,
            recipients: Vec::new(),
            fault: None,
        });
        self.say(wire, &text).await
    }

    async fn rcpt<S>(&mut self, wire: &mut Wire<S>, recipient: String) -> Result<Next, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(transaction) = &self.transaction else {
            let text = "503 5.5.2 Need mail command";
            return self.out_of_order(wire, text, "RCPT before MAIL").await;
        };
        if !recipient.is_ascii() && !transaction.mail.smtputf8 {
            self.violated("RCPT with an international address, without SMTPUTF8 at MAIL");
            self.excused = true;
            return self.refuse(wire, "550 5.6.7 Address needs SMTPUTF8").await;
        }
        let recipients_max = self.shared.settings.limits.recipients_per_message;
        if transaction.recipients.len() >= recipients_max {
            self.excused = true;
            return self.say(wire, "452 4.5.3 Too many recipients").await;
        }
        let text = match self.strike(wire, Step::Rcpt).await? {
            Struck::Refused(next) => {
                self.excused = true;
                return Ok(next);
            }
            Struck::Reworded(text) => text,
            Struck::Nothing => "250 2.1.5 Recipient OK".to_owned(),
        };
        let by_recipient = fault::by_recipient(&recipient);
        if let Some((Step::Rcpt, text)) = &by_recipient {
            self.excused = true;
            let next = self.say(wire, text).await?;
            let closes = text.starts_with("421");
            return Ok(if closes { Next::Close } else { next });
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.recipients.push(recipient);
            if let Some((_, text)) = by_recipient {
                transaction.fault.get_or_insert(text);
            }
        }
        self.say(wire, &text).await
    }

    async fn data<S>(&mut self, wire: &mut Wire<S>) -> Result<Next, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let transaction = match self.transaction.take() {
            Some(transaction) if !transaction.recipients.is_empty() => transaction,
            transaction => {
                let text = match transaction {
                    Some(_) => "503 5.5.2 Need rcpt command",
                    None => "503 5.5.2 Need mail command",
                };
                self.transaction = transaction;
                return self
                    .out_of_order(wire, text, "DATA before MAIL and RCPT")
                    .await;
            }
        };
        let text = match self.strike(wire, Step::Data).await? {
            Struck::Refused(next) => {
                self.transaction = Some(transaction);
                self.excused = true;
                return Ok(next);
            }
            Struck::Reworded(text) => text,
            Struck::Nothing => "354 Start mail input; end with <CRLF>.<CRLF>".to_owned(),
        };
        wire.reply(&text).await?;
        let next = self.content(wire, transaction).await?;
        match self.shared.faults.strike(Step::AfterReply) {
            None => Ok(next),
            Some(Fault::Hang) => {
                wire.flush().await?;
                wire.hang().await;
                Err(End::Cut)
            }
            Some(Fault::Reply(text)) => {
                wire.reply(&text).await?;
                Ok(Next::Close)
            }
            Some(Fault::Disconnect | Fault::DisconnectAfterAccept) => {
                wire.flush().await?;
                Err(End::Cut)
            }
        }
    }

    /// Counts a refused AUTH.
    pub(super) fn authentication_refused(&self) {
        self.shared.ledger.count(Count::AuthenticationRefused);
    }
}
