//! One connection to the upstream: the shell round [`crate::smtp::Client`].

mod error;
#[cfg(test)]
mod tests;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::{Instant, sleep, timeout};

use crate::delivery::Settings;
use crate::delivery::content::ContentReader;
use crate::delivery::dial::{self, Dialed};
use crate::delivery::letter::Letter;
use crate::delivery::quota::Slot;
use crate::delivery::settings::{CONNECTION_AGE_MAX, CONNECTION_MESSAGES_MAX, IDLE_MAX, Timeouts};
use crate::mail::Envelope;
use crate::mail::rewrite::Changes;
use crate::oauth::AccessToken;
use crate::smtp::{
    Capabilities, Client, ClientError, ClientSettings, Event, Reply, Step, Tls, TransactionOutcome,
};
use crate::telemetry::counters;

pub(super) use error::{ConnectionError, Interrupted};
pub use wire::Encryption;
pub(super) use wire::Wire;
use wire::{Unasked, Written};

/// An open session with the upstream.
pub(super) struct Connection {
    /// Whose replies are counted.
    account: String,
    wire: Wire,
    machine: Client,
    timeouts: Timeouts,
    opened_at: Instant,
    /// Of the token it was opened with.
    reusable_until: Instant,
    messages: u32,
    final_dot: Option<Instant>,
    /// Among the mailbox's connections.
    _slot: Slot,
}

/// What ended the rest of an idle connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// The remote: the connection is of no further use.
    Disturbed,
    /// Time: we close it before the service does (facts A.5).
    LongEnough,
}

/// How far a message got.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The remote may have all of the message.
    dot_sent: bool,
}

/// Written at once while content is sent.
const BLOCK_BYTES: usize = 64 * 1024;

impl Connection {
    /// Connects and goes on to the point where the remote wants to know who we are.
    pub(super) async fn open(
        settings: &Settings,
        config: &Arc<ClientConfig>,
        slot: Slot,
    ) -> Result<Self, ConnectionError> {
        let dialed = dial::dial(
            &dial::System,
            (&settings.host, settings.port),
            settings.proxy.as_ref(),
            settings.timeouts.connect,
        );
        let Dialed { stream, early } = dialed.await?;
        Self::begin(Wire::new(stream, early), settings, config, slot).await
    }

    async fn begin(
        wire: Wire,
        settings: &Settings,
        config: &Arc<ClientConfig>,
        slot: Slot,
    ) -> Result<Self, ConnectionError> {
        let mut connection = Self::new(wire, settings, slot);
        connection.introduce(settings, config).await?;
        Ok(connection)
    }

    /// On which nothing was said yet.
    pub(super) fn new(wire: Wire, settings: &Settings, slot: Slot) -> Self {
        let opened_at = Instant::now();
        Self {
            account: settings.account.clone(),
            wire,
            machine: Client::new(ClientSettings {
                ehlo_name: settings.ehlo_name.clone(),
                tls: settings.tls,
                auth: true,
            }),
            timeouts: settings.timeouts,
            opened_at,
            reusable_until: opened_at,
            messages: 0,
            final_dot: None,
            _slot: slot,
        }
    }

    /// Goes on to the point where the remote wants to know who we are.
    pub(super) async fn introduce(
        &mut self,
        settings: &Settings,
        config: &Arc<ClientConfig>,
    ) -> Result<(), ConnectionError> {
        if settings.tls == Tls::Implicit {
            self.handshake(&settings.host, config).await?;
        }
        loop {
            match self.next_event().await? {
                Event::UpgradeTls => {
                    self.handshake(&settings.host, config).await?;
                    self.machine.tls_established()?;
                }
                Event::Authenticate => return Ok(()),
                event => return Err(out_of_turn(&event)),
            }
        }
    }

    /// What the remote offered last.
    pub(super) fn capabilities(&self) -> &Capabilities {
        self.machine.capabilities()
    }

    /// How it is encrypted; none: not yet, or never.
    pub(super) fn encryption(&self) -> Option<Encryption> {
        self.wire.encryption
    }

    /// The step whose reply is waited for; none within a handshake.
    pub(super) fn expecting(&self) -> Option<Step> {
        self.machine.expecting()
    }

    /// Authenticates; afterwards messages can be sent.
    pub(super) async fn authenticate(
        &mut self,
        mailbox: &str,
        token: &AccessToken,
    ) -> Result<(), ConnectionError> {
        self.machine.authenticate(mailbox, token.secret())?;
        self.reusable_until = token.reusable_until();
        match self.next_event().await? {
            Event::Ready => Ok(()),
            event => Err(out_of_turn(&event)),
        }
    }

    /// Whether the connection may carry another message (facts A.5).
    pub(super) fn is_fresh(&self) -> bool {
        self.messages < CONNECTION_MESSAGES_MAX
            && self.opened_at.elapsed() < CONNECTION_AGE_MAX
            && Instant::now() < self.reusable_until
    }

    /// Whether it has carried a message yet: one that has may have been closed by the remote since.
    pub(super) fn is_used(&self) -> bool {
        self.messages > 0
    }

    /// When the final dot of the last message was written, if it came to that.
    pub(super) fn final_dot(&self) -> Option<Instant> {
        self.final_dot
    }

    /// Whether the remote has kept silent since its last reply: if not, it has closed, or nobody knows
    /// what its next reply would answer.
    pub(super) async fn is_quiet(&mut self) -> bool {
        match self.wire.unasked().await {
            None => true,
            Some(unasked) => {
                note(&unasked);
                false
            }
        }
    }

    /// Sends one message to all recipients of `envelope`.
    pub(super) async fn send(
        &mut self,
        envelope: &Envelope,
        letter: &mut Letter,
    ) -> Result<TransactionOutcome, Box<Interrupted>> {
        self.messages += 1;
        self.final_dot = None;
        let mut progress = Progress::default();
        let result = self.transact(envelope, letter, &mut progress).await;
        result.map_err(|error| {
            let answered = matches!(
                error,
                ConnectionError::Protocol(
                    ClientError::Goodbye {
                        step: Some(Step::EndOfData),
                        ..
                    } | ClientError::CutShort { .. }
                )
            );
            Box::new(Interrupted {
                error,
                decided: self.machine.take_decided(),
                uncertain: progress.dot_sent && !answered,
            })
        })
    }

    async fn transact(
        &mut self,
        envelope: &Envelope,
        letter: &mut Letter,
        progress: &mut Progress,
    ) -> Result<TransactionOutcome, ConnectionError> {
        let reader = letter.open().await.map_err(ConnectionError::Content)?;
        let limit = self.machine.capabilities().size;
        let size_bytes = letter.size_to_declare(&reader, limit);
        let mut event = match self.machine.submit(envelope, size_bytes)? {
            Some(event) => event,
            None => self.next_event().await?,
        };
        if event == Event::SendContent {
            let (written, changes) = self.send_content(reader, progress).await?;
            letter.changes = changes;
            if written == Written::Whole {
                self.machine.content_sent()?;
            }
            event = self.next_event().await?;
        }
        let Event::Outcome(outcome) = event else {
            return Err(out_of_turn(&event));
        };
        match self.wire.unasked().await {
            None | Some(Unasked::Goodbye) => Ok(outcome),
            // One reply too many: perhaps it was the one before that answers something else.
            Some(Unasked::Words(text)) => Err(ConnectionError::Unasked { text }),
        }
    }

    async fn send_content(
        &mut self,
        mut reader: ContentReader,
        progress: &mut Progress,
    ) -> Result<(Written, Option<Changes>), ConnectionError> {
        loop {
            let more = reader
                .next(&mut self.wire.output)
                .await
                .map_err(ConnectionError::Content)?;
            if !more {
                let changes = reader.finish(&mut self.wire.output);
                // From the last octet on the remote may have all of it.
                let written = self.write_content(&mut progress.dot_sent).await;
                self.final_dot = progress.dot_sent.then(Instant::now);
                return Ok((written?, changes));
            }
            if self.wire.output.len() >= BLOCK_BYTES
                && self.write_content(&mut false).await? == Written::Answered
            {
                return Ok((Written::Answered, None));
            }
        }
    }

    async fn write_content(&mut self, all_out: &mut bool) -> Result<Written, ConnectionError> {
        let patience = self.timeouts.body;
        match timeout(patience, self.wire.write_content(all_out)).await {
            Ok(Ok(written)) => Ok(written),
            Ok(Err(error)) => Err(self.last_words(error).await),
            Err(_) => Err(ConnectionError::Timeout(patience)),
        }
    }

    /// Says good-bye, and does not wait long for the answer.
    pub(super) async fn quit(mut self) {
        if self.machine.quit().is_ok() {
            let _ = timeout(Duration::from_secs(2), self.next_event()).await;
        }
        let _ = timeout(Duration::from_secs(1), self.wire.shut_down()).await;
    }

    /// Waits, for as long as an idle connection is kept, for the remote to do something: there is
    /// nothing it could say that is of use, and usually it has just closed.
    ///
    /// # Cancel safety
    /// Cancel safe: what was read is still seen by [`Connection::is_quiet`].
    pub(super) async fn rest(&mut self) -> Rest {
        tokio::select! {
            biased;
            unasked = self.wire.stirs() => {
                note(&unasked);
                Rest::Disturbed
            }
            () = sleep(IDLE_MAX) => Rest::LongEnough,
        }
    }

    async fn next_event(&mut self) -> Result<Event, ConnectionError> {
        loop {
            self.machine.take_output(&mut self.wire.output);
            if !self.wire.output.is_empty() {
                self.write().await?;
            }
            let patience = match self.machine.expecting() {
                Some(Step::Greeting) => self.timeouts.greeting,
                Some(Step::Data) => self.timeouts.data,
                Some(Step::EndOfData) => self.timeouts.end_of_data,
                Some(
                    Step::Ehlo
                    | Step::StartTls
                    | Step::Auth
                    | Step::Mail
                    | Step::Rcpt(_)
                    | Step::Rset
                    | Step::Quit,
                ) => self.timeouts.command,
                // A reply in the middle of the content has begun.
                None if self.wire.has_input() => self.timeouts.command,
                None => return Err(ClientError::OutOfTurn.into()),
            };
            let reply = timeout(patience, self.wire.reply())
                .await
                .map_err(|_| ConnectionError::Timeout(patience))??;
            self.count(&reply);
            tracing::trace!(reply = %reply, "upstream replied");
            if let Some(event) = self.machine.receive(reply)? {
                return Ok(event);
            }
        }
    }

    async fn write(&mut self) -> Result<(), ConnectionError> {
        let patience = self.timeouts.command;
        match timeout(patience, self.wire.write()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.last_words(error).await),
            Err(_) => Err(ConnectionError::Timeout(patience)),
        }
    }

    /// A remote that closes while we write has often said why.
    async fn last_words(&mut self, error: io::Error) -> ConnectionError {
        let Ok(Ok(reply)) = timeout(Duration::from_secs(5), self.wire.reply()).await else {
            return error.into();
        };
        self.count(&reply);
        match self.machine.expecting() {
            // In the middle of the content: the machine knows whether that is an answer.
            None => match self.machine.receive(reply) {
                Err(said) => said.into(),
                Ok(_) => error.into(),
            },
            step @ Some(_) => ClientError::Goodbye { step, reply }.into(),
        }
    }

    fn count(&self, reply: &Reply) {
        let code = reply.code().to_string();
        counters().upstream_replies.add([&self.account, &code]);
    }

    async fn handshake(
        &mut self,
        host: &str,
        config: &Arc<ClientConfig>,
    ) -> Result<(), ConnectionError> {
        let patience = self.timeouts.tls;
        timeout(patience, self.wire.handshake(host, config))
            .await
            .map_err(|_| ConnectionError::Timeout(patience))?
    }
}

/// A wire that has gone quiet is everyday life, replies that nobody asked for are not.
fn note(unasked: &Unasked) {
    match unasked {
        Unasked::Goodbye => tracing::debug!("the server has closed an idle connection"),
        Unasked::Words(text) => {
            tracing::debug!(
                text,
                "the server spoke on an idle connection, which ends it"
            );
        }
    }
}

fn out_of_turn(event: &Event) -> ConnectionError {
    tracing::debug!(?event, "event out of turn");
    ClientError::OutOfTurn.into()
}
