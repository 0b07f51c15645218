//! One client's dialogue: the shell round `smtp::server`.

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::listener::intake::{Client, Intake, storage_reply};
use crate::listener::{Current, Settings, Stop};
use crate::queue::{Draft, Queue};
use crate::smtp::{Action, COMMAND_LINE_MAX_OCTETS, Line, LineFramer, Reply, Session as Machine};

use super::replies;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// QUIT, too many errors, or a client that is no mail client.
    Closed,
    /// The client went away without a word.
    ClientGone,
    /// The client took too long.
    Timeout,
    /// The listener is stopping.
    Stopping,
}

/// Read from the socket at once.
const INPUT_BYTES: usize = 4 * 1024;
const CONTENT_INPUT_BYTES: usize = 8 * 1024;
/// Once content has filled a block, the client has much to say.
const LONG_CONTENT_INPUT_BYTES: usize = 64 * 1024;

pub(super) struct Session<'a, S> {
    stream: S,
    peer: IpAddr,
    settings: &'a Settings,
    /// The settings in force by now.
    latest: watch::Receiver<Arc<Current>>,
    queue: &'a Queue,
    stop: &'a Stop,
    /// No new transaction may begin.
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Not even the transaction in progress may wait for its client any more.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    machine: Machine,
    framer: LineFramer,
    input: BytesMut,
    output: BytesMut,
    /// Room for the transaction in progress.
    draft: Option<Draft>,
    /// When the session is over; a transaction begun before gets its own full time.
    deadline: Instant,
    transaction_deadline: Option<Instant>,
}

/// What reading led to.
enum Read {
    Octets,
    End(Ended),
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Session<'a, S> {
    pub(super) fn new(
        stream: S,
        peer: IpAddr,
        current: &'a Current,
        latest: watch::Receiver<Arc<Current>>,
        queue: &'a Queue,
        stop: &'a Stop,
    ) -> Self {
        let settings = &current.settings;
        Self {
            stream,
            peer: peer.to_canonical(),
            latest,
            queue,
            stop,
            draining: Box::pin(stop.drain.clone().cancelled_owned()),
            cut: Box::pin(stop.cut.clone().cancelled_owned()),
            machine: Machine::new(Arc::clone(&current.machine)),
            framer: LineFramer::new(COMMAND_LINE_MAX_OCTETS),
            input: BytesMut::with_capacity(INPUT_BYTES),
            output: BytesMut::with_capacity(512),
            draft: None,
            deadline: Instant::now() + settings.timeouts.session,
            transaction_deadline: None,
            settings,
        }
    }

    /// The whole dialogue.
    pub(super) async fn run(mut self) -> io::Result<Ended> {
        self.reply(&self.machine.greeting());
        loop {
            let action = match self.framer.next(&mut self.input) {
                Some(Line::Complete(line)) => self.machine.receive(&line),
                Some(Line::TooLong) => self.machine.line_too_long(),
                None => match self.read_command().await? {
                    Read::Octets => continue,
                    Read::End(ended) => return self.end(ended).await,
                },
            };
            if matches!(action, Action::CheckSender { .. }) && self.stop.drain.is_cancelled() {
                return self.end(Ended::Stopping).await;
            }
            let action = self.judge(action);
            if let Some(ended) = self.perform(action).await? {
                return self.end(ended).await;
            }
            if !self.machine.in_transaction() {
                self.draft = None;
                self.transaction_deadline = None;
            }
        }
    }

    /// Answers what the machine leaves to the shell: is there room, may this recipient be written to?
    fn judge(&mut self, action: Action) -> Action {
        match action {
            Action::CheckSender { size_bytes, .. } => {
                let client = self.peer.to_string();
                let room = match self.queue.draft_from(&client, size_bytes) {
                    Ok(draft) => {
                        self.draft = Some(draft);
                        let patience = self.settings.timeouts.session;
                        self.transaction_deadline = Some(Instant::now() + patience);
                        Ok(())
                    }
                    Err(error) => Err(storage_reply(&error)),
                };
                self.machine.sender_checked(room)
            }
            Action::CheckRecipient { .. } => self.machine.recipient_checked(Ok(())),
            decided => decided,
        }
    }

    async fn perform(&mut self, action: Action) -> io::Result<Option<Ended>> {
        match action {
            Action::Reply(reply) => self.reply(&reply),
            Action::CheckSender { .. } | Action::CheckRecipient { .. } => {
                // `judge` has answered these.
                self.reply(&replies::STORAGE_FAILED);
            }
            Action::ReceiveContent { reply, envelope } => {
                let Some(draft) = self.draft.take() else {
                    // MAIL made one, and only the end of the transaction takes it away.
                    self.reply(&replies::STORAGE_FAILED);
                    return Ok(Some(Ended::Closed));
                };
                self.reply(&reply);
                return self.receive_content(envelope, draft).await;
            }
            Action::Close(reply) => {
                self.reply(&reply);
                return Ok(Some(Ended::Closed));
            }
            Action::CutOff => {
                tracing::warn!(client = %self.peer, "cut off: the client does not speak SMTP");
                self.output.clear();
                return Ok(Some(Ended::Closed));
            }
        }
        Ok(None)
    }

    async fn receive_content(
        &mut self,
        envelope: crate::mail::Envelope,
        draft: Draft,
    ) -> io::Result<Option<Ended>> {
        let settings = self.routed();
        let mut intake = Intake::new(&settings, client(&self.machine, self.peer), envelope, draft);
        let mut block = CONTENT_INPUT_BYTES;
        loop {
            if self.input.len() >= CONTENT_INPUT_BYTES {
                block = LONG_CONTENT_INPUT_BYTES;
            }
            if intake.receive(&mut self.input).await {
                break;
            }
            self.flush().await?;
            let read = self.read(block, self.settings.timeouts.data).await?;
            if let Read::End(ended) = read {
                return Ok(Some(ended));
            }
        }
        let reply = intake
            .commit(&settings, client(&self.machine, self.peer))
            .await;
        match self.machine.content_received(reply) {
            Action::Close(reply) => {
                self.reply(&reply);
                Ok(Some(Ended::Closed))
            }
            Action::Reply(reply) => {
                self.reply(&reply);
                Ok(None)
            }
            Action::CheckSender { .. }
            | Action::CheckRecipient { .. }
            | Action::ReceiveContent { .. }
            | Action::CutOff => Ok(Some(Ended::Closed)),
        }
    }

    /// A session may outlive the account it began with: each message goes where the settings of the
    /// moment send it.
    fn routed(&self) -> Cow<'a, Settings> {
        let own = self.settings;
        let latest = &self.latest.borrow().settings;
        if own.account == latest.account && own.mailbox == latest.mailbox {
            return Cow::Borrowed(own);
        }
        Cow::Owned(Settings {
            account: latest.account.clone(),
            mailbox: latest.mailbox.clone(),
            ..own.clone()
        })
    }

    /// Replies are gathered and go out together when there is nothing left to answer (RFC 2920).
    fn reply(&mut self, reply: &Reply) {
        reply.encode(&mut self.output);
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            // A client that never reads its replies is a client that takes too long.
            let until = Instant::now() + self.settings.timeouts.command;
            let written = timeout_at(until, async {
                self.stream.write_all(&self.output).await?;
                self.stream.flush().await
            })
            .await;
            self.output.clear();
            written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        }
        Ok(())
    }

    fn patience_ends(&self) -> Instant {
        self.transaction_deadline.unwrap_or(self.deadline)
    }

    async fn read_command(&mut self) -> io::Result<Read> {
        self.flush().await?;
        self.read(INPUT_BYTES, self.settings.timeouts.command).await
    }

    async fn read(&mut self, octets: usize, patience: std::time::Duration) -> io::Result<Read> {
        let until = self.patience_ends().min(Instant::now() + patience);
        self.input.reserve(octets);
        let may_drain = !self.machine.in_transaction();
        let read = tokio::select! {
            biased;
            read = timeout_at(until, self.stream.read_buf(&mut self.input)) => read,
            () = self.draining.as_mut(), if may_drain => return Ok(Read::End(Ended::Stopping)),
            () = self.cut.as_mut() => return Ok(Read::End(Ended::Stopping)),
        };
        match read {
            Ok(Ok(0)) => Ok(Read::End(Ended::ClientGone)),
            Ok(Ok(_)) => Ok(Read::Octets),
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(Read::End(Ended::Timeout)),
        }
    }

    async fn end(mut self, ended: Ended) -> io::Result<Ended> {
        match ended {
            Ended::Timeout => self.reply(&replies::TIMEOUT),
            Ended::Stopping => self.reply(&replies::STOPPING),
            Ended::Closed | Ended::ClientGone => {}
        }
        self.flush().await?;
        if matches!(ended, Ended::Timeout | Ended::Stopping) {
            // The client may be writing: without this its octets would cost it our last reply.
            let _ = self.stream.shutdown().await;
        }
        Ok(ended)
    }
}

fn client(machine: &Machine, address: IpAddr) -> Client<'_> {
    Client {
        address,
        helo: machine.helo_name().unwrap_or_default(),
        protocol: if machine.is_esmtp() { "ESMTP" } else { "SMTP" },
    }
}
