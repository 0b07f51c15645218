//! The admin socket and who is let in.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::peer::{Owner, Peer};
use crate::unix_socket::{self, SocketFile, UnixSocketError};

/// Owner and group; membership is what gives access.
const MODE: u32 = 0o660;
/// People and scripts at the same time.
const CONNECTIONS_MAX: usize = 64;
const BACKLOG: i32 = 64;

/// A bound socket whose file goes with it.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    file: SocketFile,
}

impl Socket {
    /// Takes the place of a socket that nobody answers at. Blocking for a moment.
    pub(super) fn bind(path: &Path) -> Result<Self, UnixSocketError> {
        let (listener, file) = unix_socket::bind(path, MODE, BACKLOG)?;
        Ok(Self { listener, file })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// To be called within a runtime.
    pub(super) fn listen(self) -> io::Result<GuardedListener> {
        Ok(GuardedListener {
            listener: tokio::net::UnixListener::from_std(self.listener)?,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            file: self.file,
        })
    }
}

/// Accepts a bounded number of connections and knows who they are.
#[derive(Debug)]
pub(super) struct GuardedListener {
    listener: tokio::net::UnixListener,
    places: Arc<Semaphore>,
    file: SocketFile,
}

impl Listener for GuardedListener {
    type Io = Connection;
    type Addr = ();

    async fn accept(&mut self) -> (Connection, ()) {
        // Nobody closes the semaphore, so there is always a permit in the end.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, _) = Listener::accept(&mut self.listener).await;
        let peer = match Owner::of(self.file.path()) {
            Some(owner) => owner.admit(stream.peer_cred().ok()),
            None => Peer {
                uid: None,
                permitted: false,
            },
        };
        let connection = Connection {
            stream,
            peer,
            _place: place,
        };
        (connection, ())
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// One connection and its place among [`CONNECTIONS_MAX`].
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    peer: Peer,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connected<IncomingStream<'_, GuardedListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, GuardedListener>) -> Self {
        stream.io().peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
