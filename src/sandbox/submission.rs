//! From the 354 to the final reply.

use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, sleep_until};

use super::content::{Content, Findings, HEADER_VALUE_MAX_BYTES};
use super::fault::{Fault, Step};
use super::inbox::Spool;
use super::ledger::{Count, Message};
use super::session::{Next, Session, Transaction};
use super::settings::Excess;
use super::voice::{self, Voice};
use super::wire::{End, Wire};

/// A client that is made to hang in the middle of its content has long given up by then.
const HANG: Duration = Duration::from_mins(30);

/// What becomes of a message.
enum Verdict {
    /// Accepted with this reply.
    Accept(String),
    /// Refused with this reply.
    Refuse(String),
}

/// How an accepted message is answered.
#[derive(PartialEq, Eq)]
enum Answer {
    Reply,
    /// The ordered disconnect in place of the reply.
    Silence,
}

impl Session {
    /// Reads content up to its end and answers it.
    pub(super) async fn content<S>(
        &mut self,
        wire: &mut Wire<S>,
        transaction: Transaction,
    ) -> Result<Next, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut spool = self.shared.inbox.spool(self.connection);
        match self.read_content(wire, &mut spool).await {
            Ok(findings) => self.conclude(wire, transaction, findings, spool).await,
            Err(end) => {
                spool.forget().await;
                Err(end)
            }
        }
    }

    async fn read_content<S>(&self, wire: &mut Wire<S>, spool: &mut Spool) -> Result<Findings, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let size_max_bytes = self.shared.settings.limits.message_size_max_bytes;
        let mut content = Content::new();
        let mut first = true;
        loop {
            if wire.input.is_empty() || !first {
                wire.fill().await?;
            }
            if first {
                self.strike_content(wire).await?;
                first = false;
            }
            let done = content.receive(&mut wire.input, &mut spool.buffer);
            if content.findings.size_bytes > size_max_bytes {
                // The rest is read all the same: the client listens only after its final dot.
                spool.forget().await;
            }
            if done {
                return Ok(content.findings);
            }
            if spool.relieve().await.is_err() {
                tracing::warn!("sandbox: cannot write content, check its folder and the disk");
                return Err(End::Cut);
            }
        }
    }

    /// The client does not listen here, so every fault ends the connection.
    async fn strike_content<S>(&self, wire: &mut Wire<S>) -> Result<(), End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.shared.faults.strike(Step::Content) {
            None => return Ok(()),
            Some(Fault::Reply(text)) => {
                wire.reply(&text).await?;
                wire.flush().await?;
            }
            Some(Fault::Hang) => sleep(HANG).await,
            Some(Fault::Disconnect | Fault::DisconnectAfterAccept) => {}
        }
        Err(End::Cut)
    }

    async fn conclude<S>(
        &mut self,
        wire: &mut Wire<S>,
        transaction: Transaction,
        findings: Findings,
        mut spool: Spool,
    ) -> Result<Next, End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let received = Instant::now();
        let received_at = Timestamp::now();
        self.note_violations(&transaction, &findings);

        let mut answer = Answer::Reply;
        let mut ordered = None;
        match self.shared.faults.strike(Step::EndOfData) {
            None => {}
            Some(Fault::Reply(text)) => ordered = Some(text),
            Some(Fault::DisconnectAfterAccept) => answer = Answer::Silence,
            Some(fault @ (Fault::Hang | Fault::Disconnect)) => {
                spool.forget().await;
                wire.flush().await?;
                if fault == Fault::Hang {
                    wire.hang().await;
                }
                return Err(End::Cut);
            }
        }
        let verdict = match ordered {
            Some(text) if !text.starts_with('2') => Verdict::Refuse(text),
            ordered => self.judge(&transaction, &findings, ordered, received).await,
        };
        let reply = match verdict {
            Verdict::Accept(reply) => reply,
            Verdict::Refuse(reply) => {
                spool.forget().await;
                self.shared.ledger.count(Count::MessageRefused);
                let closes = reply.starts_with("421");
                wire.reply(&reply).await?;
                return Ok(if closes { Next::Close } else { Next::Read });
            }
        };

        let mut message = Message {
            number: self.shared.ledger.next_number(),
            connection: self.connection,
            mailbox: self
                .seat
                .as_ref()
                .map(|seat| seat.mailbox().to_owned())
                .unwrap_or_default(),
            reverse_path: transaction.mail.reverse_path,
            recipients: transaction.recipients,
            size_bytes: findings.size_bytes,
            message_id: findings.message_id,
            eight_bit: transaction.mail.eight_bit,
            smtputf8: transaction.mail.smtputf8,
            received_at,
            received,
            reply,
            file: None,
        };
        if let Err(error) = self.shared.inbox.keep(spool, &mut message).await {
            tracing::warn!(%error, "sandbox: cannot keep a message, check its folder and the disk");
            self.shared.ledger.count(Count::MessageRefused);
            let text = self
                .voice
                .refusal("452 4.3.1 Insufficient system resources");
            wire.reply(&text).await?;
            return Ok(Next::Read);
        }
        let reply = message.reply.clone();
        self.shared.ledger.publish(message);
        if answer == Answer::Silence {
            wire.flush().await?;
            return Err(End::Cut);
        }
        wire.reply(&reply).await?;
        Ok(Next::Read)
    }

    fn note_violations(&self, transaction: &Transaction, findings: &Findings) {
        if let Some(line) = findings.bare_newline {
            self.violated(format!("a bare CR or LF in line {line} of the content"));
        }
        if let Some(line) = findings.unstuffed_dot {
            self.violated(format!(
                "line {line} of the content begins with a dot that was not doubled"
            ));
        }
        if let Some(line) = findings.eight_bit
            && !transaction.mail.eight_bit
        {
            self.violated(format!(
                "an 8-bit octet in line {line} of the content, without BODY=8BITMIME"
            ));
        }
        if let Some(announced) = transaction.mail.size_bytes
            && findings.size_bytes > announced
        {
            let size_bytes = findings.size_bytes;
            self.violated(format!(
                "{size_bytes} octets of content, announced as SIZE={announced}"
            ));
        }
    }

    /// Applies the rules of Exchange Online, the message's own faults first.
    async fn judge(
        &self,
        transaction: &Transaction,
        findings: &Findings,
        reworded: Option<String>,
        received: Instant,
    ) -> Verdict {
        let limits = &self.shared.settings.limits;
        if findings.size_bytes > limits.message_size_max_bytes {
            let text = "552 5.3.4 Message size exceeds fixed maximum message size";
            return Verdict::Refuse(text.to_owned());
        }
        if findings.bare_newline.is_some() {
            let text = "550 5.6.11 SMTPSEND.BareLinefeedsAreIllegal; message contains bare linefeeds, \
                        which cannot be sent via DATA";
            return Verdict::Refuse(self.voice.refusal(text));
        }
        if findings.unstuffed_dot.is_some() {
            let text =
                "554 5.6.0 Invalid message content; a line begins with a dot that was not doubled";
            return Verdict::Refuse(self.voice.refusal(text));
        }
        if let Some((name, bytes)) = &findings.long_header {
            let text = format!(
                "554 5.6.211 Invalid MIME Content: Single text value size ({bytes}) exceeded allowed maximum \
                 ({HEADER_VALUE_MAX_BYTES}) for the '{name}' header"
            );
            return Verdict::Refuse(self.voice.refusal(&text));
        }
        if let Some(text) = &transaction.fault {
            return Verdict::Refuse(Voice::submission(text));
        }
        if let Some(text) = self.send_as_refusal(transaction, findings) {
            return Verdict::Refuse(self.voice.refusal(&text));
        }
        // Public transcripts show this reply after the content, not at AUTH.
        if self
            .seat
            .as_ref()
            .is_some_and(|seat| seat.is_over(limits.connections))
        {
            let text = "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending \
                        for more information.";
            return Verdict::Refuse(Voice::submission(text));
        }
        if let Some(refusal) = self.pace(received).await {
            return Verdict::Refuse(refusal);
        }
        Verdict::Accept(reworded.unwrap_or_else(|| {
            let message_id = findings
                .message_id
                .clone()
                .unwrap_or_else(voice::message_id);
            Voice::submission(&format!("250 2.0.0 OK {message_id}"))
        }))
    }

    fn send_as_refusal(&self, transaction: &Transaction, findings: &Findings) -> Option<String> {
        let mailbox = self.seat.as_ref()?.mailbox();
        let path = transaction.mail.reverse_path.as_str();
        let addresses = [findings.author.as_deref().unwrap_or(path), path];
        self.shared.rights.refusal(mailbox, &addresses)
    }

    /// Holds a message over the rate back, or says how it is refused.
    async fn pace(&self, received: Instant) -> Option<String> {
        let seat = self.seat.as_ref()?;
        let limits = &self.shared.settings.limits;
        let place = seat.place(received, limits.messages_per_minute, limits.excess);
        if place <= received {
            return None;
        }
        self.shared.ledger.count(Count::OverRate);
        match limits.excess {
            Excess::Slow => {
                sleep_until(place).await;
                None
            }
            Excess::Refuse => {
                let text = "451 4.7.500 Server busy. Please try again later";
                Some(self.voice.refusal(text))
            }
            Excess::Count => None,
        }
    }
}
