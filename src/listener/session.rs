//! One client's dialogue: the shell round `smtp::server`.

mod secured;

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::listener::clients::Notes;
use crate::listener::hours::Place;
use crate::listener::intake::{Client, Intake, storage_reply};
use crate::listener::patience::Credit;
use crate::listener::sessions::Descriptor;
use crate::listener::transport::Transport;
use crate::listener::visit::Visit;
use crate::listener::{Current, Peer, Sender, Sessions, Settings, Stop};
use crate::mail::{Mailbox, ReversePath};
use crate::queue::{Draft, Queue, Quirk};
use crate::smtp::{
    Action, COMMAND_LINE_MAX_OCTETS, Line, LineFramer, Reply, Session as Machine, Severity,
};
use crate::telemetry::counters;

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

/// Of commands, read from the socket at once.
const INPUT_BYTES: usize = 4 * 1024;
const CONTENT_INPUT_BYTES: usize = 8 * 1024;
/// Once content has filled a block, the client has much to say.
const LONG_CONTENT_INPUT_BYTES: usize = 64 * 1024;

pub(super) struct Session<'a, S> {
    stream: Transport<S>,
    peer: Peer,
    current: &'a Current,
    settings: &'a Settings,
    /// The settings in force by now.
    latest: &'a watch::Receiver<Arc<Current>>,
    queue: &'a Queue,
    stop: &'a Stop,
    sessions: &'a Sessions,
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
    /// For its content file.
    descriptor: Option<Descriptor>,
    /// Its place in its client's hour, where that is limited.
    place: Option<Place>,
    notes: Notes,
    /// Whom it comes from, as far as the routes are concerned.
    reverse_path: ReversePath,
    /// When the session is over; a transaction begun before gets its own full time.
    deadline: Instant,
    transaction_deadline: Option<Instant>,
    /// When a line that has begun must have ended.
    line_deadline: Option<Instant>,
}

/// The code for a message that is larger than the listener takes.
const TOO_LARGE: u16 = 552;

/// What reading led to.
enum Read {
    Octets(usize),
    End(Ended),
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Session<'a, S> {
    pub(super) fn new(stream: Transport<S>, visit: &'a Visit) -> Self {
        let Visit {
            peer,
            current,
            latest,
            queue,
            stop,
            sessions,
            _admission: _,
        } = visit;
        let settings = &current.settings;
        Self {
            machine: Machine::new(current.machine(*peer), matches!(stream, Transport::Tls(_))),
            stream,
            peer: *peer,
            current,
            latest,
            queue,
            stop,
            sessions,
            draining: Box::pin(stop.drain.clone().cancelled_owned()),
            cut: Box::pin(stop.cut.clone().cancelled_owned()),
            framer: LineFramer::new(COMMAND_LINE_MAX_OCTETS),
            input: BytesMut::new(),
            output: BytesMut::new(),
            draft: None,
            descriptor: None,
            place: None,
            notes: Notes::new(peer.to_string()),
            reverse_path: ReversePath::Null,
            deadline: Instant::now() + settings.timeouts.session,
            transaction_deadline: None,
            line_deadline: None,
            settings,
        }
    }

    /// The whole dialogue.
    pub(super) async fn run(&mut self) -> io::Result<Ended> {
        let ended = self.converse().await;
        self.tell();
        ended
    }

    async fn converse(&mut self) -> io::Result<Ended> {
        self.reply(&self.machine.greeting());
        loop {
            let Some(line) = self.framer.next(&mut self.input) else {
                match self.read_command().await? {
                    Read::Octets(_) => continue,
                    Read::End(ended) => return self.end(ended).await,
                }
            };
            self.line_deadline = None;
            let (line, action) = match line {
                Line::Complete(line) => {
                    let action = self.machine.receive(&line);
                    (line, action)
                }
                Line::TooLong => (BytesMut::new(), self.machine.line_too_long()),
            };
            if matches!(action, Action::CheckSender { .. }) && self.stop.drain.is_cancelled() {
                return self.end(Ended::Stopping).await;
            }
            let action = self.judge(action, &line);
            // Not held while the action is carried out.
            drop(line);
            if let Some(ended) = self.perform(action).await? {
                return self.end(ended).await;
            }
            if !self.machine.in_transaction() {
                self.draft = None;
                self.descriptor = None;
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
            tracing::warn!(reverse_path = path, "message refused: no account takes it");
            return Err(replies::no_route(&self.reverse_path, None));
        }
        if let Some(client) = client.filter(|client| client.messages_per_hour > 0) {
            let max = client.messages_per_hour;
            self.place = settings.hours.take(&client.name, max);
            if self.place.is_none() {
                tracing::warn!(
                    section = client.name,
                    max,
                    "message refused for now: over messages_per_hour"
                );
                return Err(replies::over_the_hour(max));
            }
        }
        self.descriptor = self.sessions.descriptor(self.peer);
        if self.descriptor.is_none() {
            tracing::warn!(
                "message refused for now: too many files are open (LimitNOFILE, ulimit -n)"
            );
            return Err(replies::TOO_MANY_MESSAGES);
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
        let allowed = &settings.allow_recipients;
        if !allowed.is_empty() && !allowed.iter().any(|one| one.takes(recipient.as_str())) {
            tracing::warn!(%recipient, "recipient refused: not in allow_recipients");
            return Err(replies::recipient_not_allowed(recipient));
        }
        let path = self.reverse_path.to_string();
        let key = settings
            .routing
            .key(self.sender(settings, &path), recipient.as_str());
        if key.is_none() {
            tracing::warn!(reverse_path = path, %recipient, "recipient refused: no account takes it");
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
                // What content takes is not held by a session without.
                return Box::pin(self.receive_content(envelope, draft)).await;
            }
            Action::StartTls(reply) => return Box::pin(self.start_tls(&reply)).await,
            Action::CheckLogin { name, password } => {
                return Box::pin(self.check_login(&name, password)).await;
            }
            Action::Close(reply) => {
                self.reply(&reply);
                return Ok(Some(Ended::Closed));
            }
            Action::CutOff => {
                tracing::warn!("cut off: the client does not speak SMTP");
                // No word about that; what came before is answered, an accepted message above all.
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
        let latest = Arc::clone(&self.latest.borrow());
        let peer = client(&self.machine, &self.stream, self.peer);
        let mut intake = Intake::new(self.settings, &latest.settings, peer, envelope, draft);
        let mut block = CONTENT_INPUT_BYTES;
        let mut credit = Credit::new(self.settings.timeouts.data);
        loop {
            if self.input.len() >= CONTENT_INPUT_BYTES {
                block = LONG_CONTENT_INPUT_BYTES;
            }
            if intake.receive(&mut self.input).await {
                break;
            }
            self.flush().await?;
            let begun = Instant::now();
            match self.read_content(block, begun + credit.left()).await? {
                Read::Octets(octets) => credit.settle(begun.elapsed(), octets),
                Read::End(ended) => {
                    self.notes.note(Quirk::LfEnd, intake.seems_ended());
                    return Ok(Some(ended));
                }
            }
        }
        let latest = Arc::clone(&self.latest.borrow());
        let peer = client(&self.machine, &self.stream, self.peer);
        let notes = &mut self.notes;
        let reply = intake
            .commit(&latest.settings, &latest.lasting.repeats, peer, notes)
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
        counters().replies.add(reply.code());
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

    /// Up to the end of a line there is one patience, however its octets are dealt out. Meanwhile a client that
    /// has nothing to say costs no buffers.
    async fn read_command(&mut self) -> io::Result<Read> {
        self.flush().await?;
        self.output = BytesMut::new();
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        let mut until = Instant::now() + self.settings.timeouts.command;
        if self.framer.has_begun() {
            until = *self.line_deadline.get_or_insert(until);
        }
        let until = self.patience_ends().min(until);
        let may_drain = !self.machine.in_transaction();
        tokio::select! {
            biased;
            read = timeout_at(until, read_some(&mut self.stream, &mut self.input)) => outcome(read),
            () = self.draining.as_mut(), if may_drain => Ok(Read::End(Ended::Stopping)),
            () = self.cut.as_mut() => Ok(Read::End(Ended::Stopping)),
        }
    }

    /// The transaction is one that a drain waits for.
    async fn read_content(&mut self, octets: usize, until: Instant) -> io::Result<Read> {
        let until = self.patience_ends().min(until);
        self.input.reserve(octets);
        tokio::select! {
            biased;
            read = timeout_at(until, self.stream.read_buf(&mut self.input)) => outcome(read),
            () = self.cut.as_mut() => Ok(Read::End(Ended::Stopping)),
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

/// What there is, by way of the stack: `input` grows only by what came.
async fn read_some(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
) -> io::Result<usize> {
    poll_fn(|context| {
        let mut room = [const { MaybeUninit::uninit() }; INPUT_BYTES];
        let mut block = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut block))?;
        input.extend_from_slice(block.filled());
        Poll::Ready(Ok(block.filled().len()))
    })
    .await
}

fn outcome(read: Result<io::Result<usize>, Elapsed>) -> io::Result<Read> {
    match read {
        Ok(Ok(0)) => Ok(Read::End(Ended::ClientGone)),
        Ok(Ok(octets)) => Ok(Read::Octets(octets)),
        Ok(Err(error)) => Err(error),
        Err(_) => Ok(Read::End(Ended::Timeout)),
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
