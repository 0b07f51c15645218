//! One client's dialogue: the shell round `smtp::server`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::listener::certificate::Certificate;
use crate::listener::clients::Notes;
use crate::listener::hours::Place;
use crate::listener::intake::{Client, Intake, storage_reply};
use crate::listener::transport::Transport;
use crate::listener::{Current, HANDSHAKE_MAX, Peer, Sender, Settings, Stop};
use crate::mail::{Mailbox, ReversePath};
use crate::queue::{Draft, Queue, Quirk};
use crate::smtp::{
    Action, COMMAND_LINE_MAX_OCTETS, Line, LineFramer, Reply, Session as Machine, Severity,
};

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
    stream: Transport<S>,
    peer: Peer,
    certificate: Option<&'a Certificate>,
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
    /// Its place in its client's hour, where that is limited.
    place: Option<Place>,
    notes: Notes,
    /// Whom it comes from, as far as the routes are concerned.
    reverse_path: ReversePath,
    /// When the session is over; a transaction begun before gets its own full time.
    deadline: Instant,
    transaction_deadline: Option<Instant>,
}

/// The code for a message that is larger than the listener takes.
const TOO_LARGE: u16 = 552;

/// What reading led to.
enum Read {
    Octets,
    End(Ended),
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Session<'a, S> {
    pub(super) fn new(
        stream: Transport<S>,
        peer: Peer,
        current: &'a Current,
        latest: watch::Receiver<Arc<Current>>,
        queue: &'a Queue,
        stop: &'a Stop,
    ) -> Self {
        let settings = &current.settings;
        Self {
            machine: Machine::new(
                Arc::clone(&current.machine),
                matches!(stream, Transport::Tls(_)),
            ),
            stream,
            peer,
            certificate: current.certificate.as_deref(),
            latest,
            queue,
            stop,
            draining: Box::pin(stop.drain.clone().cancelled_owned()),
            cut: Box::pin(stop.cut.clone().cancelled_owned()),
            framer: LineFramer::new(COMMAND_LINE_MAX_OCTETS),
            input: BytesMut::with_capacity(INPUT_BYTES),
            output: BytesMut::with_capacity(512),
            draft: None,
            place: None,
            notes: Notes::new(peer.to_string()),
            reverse_path: ReversePath::Null,
            deadline: Instant::now() + settings.timeouts.session,
            transaction_deadline: None,
            settings,
        }
    }

    /// The whole dialogue.
    pub(super) async fn run(mut self) -> io::Result<Ended> {
        let ended = self.converse().await;
        self.tell();
        ended
    }

    async fn converse(&mut self) -> io::Result<Ended> {
        self.reply(&self.machine.greeting());
        loop {
            let line;
            let action = match self.framer.next(&mut self.input) {
                Some(Line::Complete(complete)) => {
                    line = complete;
                    self.machine.receive(&line)
                }
                Some(Line::TooLong) => {
                    line = BytesMut::new();
                    self.machine.line_too_long()
                }
                None => match self.read_command().await? {
                    Read::Octets => continue,
                    Read::End(ended) => return self.end(ended).await,
                },
            };
            if matches!(action, Action::CheckSender { .. }) && self.stop.drain.is_cancelled() {
                return self.end(Ended::Stopping).await;
            }
            let action = self.judge(action, &line);
            if let Some(ended) = self.perform(action).await? {
                return self.end(ended).await;
            }
            if !self.machine.in_transaction() {
                self.draft = None;
                self.place = None;
                self.transaction_deadline = None;
            }
        }
    }

    /// Answers what the machine leaves to the shell: does it find a way, and is there room?
    fn judge(&mut self, action: Action, line: &[u8]) -> Action {
        match action {
            Action::CheckSender {
                reverse_path,
                size_bytes,
            } => {
                let admitted = self.admit(reverse_path, size_bytes);
                if admitted.is_ok() {
                    self.notes.addressed(line);
                }
                self.machine.sender_checked(admitted)
            }
            Action::CheckRecipient { mailbox } => {
                let routed = self.route(&mailbox);
                if routed.is_ok() {
                    self.notes.addressed(line);
                }
                self.machine.recipient_checked(routed)
            }
            Action::Reply(reply) if reply.code() == TOO_LARGE => {
                self.notes.too_large(line);
                Action::Reply(reply)
            }
            decided => decided,
        }
    }

    /// MAIL. A session may outlive the settings it began with: routes and limits of single clients are
    /// those of the moment.
    fn admit(&mut self, reverse_path: ReversePath, size_bytes: Option<u64>) -> Result<(), Reply> {
        let latest = Arc::clone(&self.latest.borrow());
        let settings = &latest.settings;
        let client = self
            .peer
            .address()
            .and_then(|address| settings.routing.client(address));
        let forced = client.and_then(|client| client.sender.clone());
        let given = reverse_path.to_string();
        self.reverse_path = forced.map_or(reverse_path, ReversePath::Mailbox);
        let path = self.reverse_path.to_string();
        if !settings.routing.takes_from(self.sender(settings, &path)) {
            tracing::warn!(listener = settings.name, client = %self.peer, reverse_path = path, "message refused: no account takes it");
            return Err(replies::no_route(&self.reverse_path, None));
        }
        if let Some(client) = client.filter(|client| client.messages_per_hour > 0) {
            let max = client.messages_per_hour;
            self.place = settings.hours.take(&client.name, max);
            if self.place.is_none() {
                tracing::warn!(client = %self.peer, section = client.name, max, "message refused for now: over messages_per_hour");
                return Err(replies::over_the_hour(max));
            }
        }
        let draft = self.queue.draft_from(self.notes.client(), size_bytes);
        self.draft = Some(draft.map_err(|error| storage_reply(&error))?);
        self.transaction_deadline = Some(Instant::now() + self.settings.timeouts.session);
        self.notes.begun(given);
        let is_greeted = self.machine.is_greeted();
        self.notes.note(Quirk::NoHelo, !is_greeted);
        let is_esmtp = self.machine.is_esmtp();
        self.notes.note(Quirk::HeloOnly, is_greeted && !is_esmtp);
        self.notes
            .note(Quirk::LfCommands, self.framer.has_bare_lf());
        Ok(())
    }

    /// RCPT.
    fn route(&self, recipient: &Mailbox) -> Result<(), Reply> {
        let latest = self.latest.borrow();
        let settings = &latest.settings;
        let path = self.reverse_path.to_string();
        let key = settings
            .routing
            .key(self.sender(settings, &path), recipient.as_str());
        if key.is_none() {
            tracing::warn!(listener = settings.name, client = %self.peer, reverse_path = path, %recipient, "recipient refused: no account takes it");
            return Err(replies::no_route(&self.reverse_path, Some(recipient)));
        }
        Ok(())
    }

    fn sender<'s>(&self, settings: &'s Settings, reverse_path: &'s str) -> Sender<'s> {
        Sender {
            listener: &settings.name,
            client: self.peer.address(),
            reverse_path,
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
            Action::StartTls(reply) => return self.start_tls(&reply).await,
            Action::CheckLogin { .. } => {
                let verdict = self.machine.login_checked(Err(replies::LOGIN_FAILED));
                return Box::pin(self.perform(verdict)).await;
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

    /// Whatever the client sent behind STARTTLS came in plain text and is thrown away unseen: nobody
    /// on the way may put commands into the encrypted session (RFC 3207 section 4.2).
    async fn start_tls(&mut self, reply: &Reply) -> io::Result<Option<Ended>> {
        let Some(certificate) = self.certificate else {
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

    async fn receive_content(
        &mut self,
        envelope: crate::mail::Envelope,
        draft: Draft,
    ) -> io::Result<Option<Ended>> {
        let latest = Arc::clone(&self.latest.borrow());
        let peer = client(&self.machine, &self.stream, self.peer);
        let mut intake = Intake::new(self.settings, &latest.settings, peer, envelope, draft);
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
                self.notes.note(Quirk::LfEnd, intake.seems_ended());
                return Ok(Some(ended));
            }
        }
        let latest = Arc::clone(&self.latest.borrow());
        let peer = client(&self.machine, &self.stream, self.peer);
        let notes = &mut self.notes;
        let reply = intake
            .commit(&latest.settings, &latest.repeats, peer, notes)
            .await;
        if reply.severity() == Severity::Completed
            && let Some(place) = self.place.take()
        {
            place.keep();
        }
        match self.machine.content_received(reply) {
            Action::Close(reply) => {
                self.reply(&reply);
                Ok(Some(Ended::Closed))
            }
            Action::Reply(reply) => {
                self.reply(&reply);
                self.tell();
                Ok(None)
            }
            Action::CheckSender { .. }
            | Action::CheckRecipient { .. }
            | Action::ReceiveContent { .. }
            | Action::StartTls(_)
            | Action::CheckLogin { .. }
            | Action::CutOff => Ok(Some(Ended::Closed)),
        }
    }

    /// Replies are gathered and go out together when there is nothing left to answer (RFC 2920).
    fn reply(&mut self, reply: &Reply) {
        reply.encode(&mut self.output);
        if *reply != replies::STOPPING {
            self.notes.replied(reply);
        }
    }

    fn tell(&mut self) {
        let client = client(&self.machine, &self.stream, self.peer);
        self.notes.tell(self.queue, &self.settings.name, client);
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

    async fn end(&mut self, ended: Ended) -> io::Result<Ended> {
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

fn client<'a, S: AsyncRead + AsyncWrite + Unpin>(
    machine: &'a Machine,
    stream: &Transport<S>,
    peer: Peer,
) -> Client<'a> {
    Client {
        peer,
        helo: machine.helo_name().unwrap_or_default(),
        protocol: machine.protocol(),
        tls: stream.tls_version(),
        login: machine.login_name(),
    }
}
