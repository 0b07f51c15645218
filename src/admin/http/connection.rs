//! Connections to the port: as many as there may be, and none longer than it is good for.
//!
//! ```text
//! opened ──HEAD_MAX──> head complete ──answering, as long as it takes──> idle ──IDLE_MAX──> closed
//!                         ^                                               │
//!                         └──────────────HEAD_MAX from its first octet────┘
//! ```

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// A few browsers with several connections each, and monitoring; the rest wait to be accepted.
pub(super) const CONNECTIONS_MAX: usize = 64;

/// What the head of a request may take; whoever sends one sends it at once.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// What a head may come to; browsers send one or two thousand octets. The library takes twenty times as many.
pub(super) const HEAD_MAX_BYTES: usize = 16 * 1024;

/// Between two requests: longer than a page waits before it asks again.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// A reader who has taken nothing for so long is gone, or means to hold the place.
const STALLED_MAX: Duration = Duration::from_secs(30);

/// After a failure to accept, such as no free descriptor: what passes, passes by itself.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Accepts a bounded number of connections.
#[derive(Debug)]
pub(super) struct GuardedListener {
    listener: Arc<TcpListener>,
    places: Arc<Semaphore>,
}

impl GuardedListener {
    pub(super) fn new(listener: Arc<TcpListener>) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }
}

impl Listener for GuardedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Nobody closes the semaphore, so there is always a permit in the end.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (Connection::new(stream, place), peer),
                // Of a connection that is gone already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "admin http: cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection and its place among [`CONNECTIONS_MAX`].
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    answering: Answering,
    /// Whose answers have begun, at the last look.
    questions: usize,
    /// Of the head that is being read.
    head_bytes: usize,
    /// When somebody must have sent something.
    reading: Alarm,
    /// When somebody must have taken something.
    writing: Alarm,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, place: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            stream,
            answering: Answering::default(),
            questions: 0,
            head_bytes: 0,
            reading: Alarm::after(HEAD_MAX),
            writing: Alarm::default(),
            _place: place,
        }
    }

    /// Whoever has asked gets time for the next question.
    fn notice_questions(&mut self) {
        let begun = self.answering.begun();
        if begun != self.questions {
            self.questions = begun;
            self.head_bytes = 0;
            self.reading = Alarm::default();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.notice_questions();
        if read.is_pending() {
            self.answering.wake_after(context.waker());
        }
        if self.answering.is_under_way() {
            return read;
        }
        if read.is_pending() {
            self.reading.arm(IDLE_MAX);
            return self.reading.poll(context);
        }
        let octets = buffer.filled().len() - before;
        if self.head_bytes == 0 && octets > 0 {
            self.reading = Alarm::after(HEAD_MAX);
        }
        self.head_bytes += octets;
        if self.head_bytes > HEAD_MAX_BYTES {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, octets);
        if written.is_pending() {
            self.writing.arm(STALLED_MAX);
            return self.writing.poll(context);
        }
        self.writing = Alarm::default();
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A moment by which something must have happened, if there is one.
#[derive(Debug, Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    fn after(time: Duration) -> Self {
        let at = Instant::now() + time;
        Self(Some(Box::pin(tokio::time::sleep_until(at))))
    }

    /// Sets it, unless it is.
    fn arm(&mut self, time: Duration) {
        if self.0.is_none() {
            *self = Self::after(time);
        }
    }

    fn poll<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some(sleep) = &mut self.0 else {
            return Poll::Pending;
        };
        let rung = sleep.as_mut().poll(context);
        rung.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// The answers that a connection gave and gives.
#[derive(Clone, Debug, Default)]
pub(super) struct Answering(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// Whoever waits for the next question.
    reader: Mutex<Option<Waker>>,
}

/// An answer, from its question until its last octet is handed over.
#[derive(Debug)]
pub(super) struct Answer(Answering);

impl Answering {
    pub(super) fn begin(&self) -> Answer {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Answer(self.clone())
    }

    fn begun(&self) -> usize {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// Time for the next question runs from the end of an answer: the reader has to look then.
    fn wake_after(&self, waker: &Waker) {
        let mut reader = self.0.reader.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *reader {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    fn is_under_way(&self) -> bool {
        self.begun() != self.0.ended.load(Ordering::Relaxed)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let Self(Answering(count)) = self;
        count.ended.fetch_add(1, Ordering::Relaxed);
        let mut reader = count.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = reader.take() {
            reader.wake();
        }
    }
}

impl Connected<IncomingStream<'_, GuardedListener>> for Answering {
    fn connect_info(stream: IncomingStream<'_, GuardedListener>) -> Self {
        stream.io().answering.clone()
    }
}
