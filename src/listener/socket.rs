//! Opening a port, also one that is about to be given up.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::net::{SocketFlags, accept_with};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::inherited::{Inherited, InheritedSocket};
use super::peer::Peer;
use super::{Address, Handle, port};
use crate::unix_socket::{self, SocketFile, UnixSocketError};

/// Connections that may wait to be accepted; the system lowers it to its own bound.
const BACKLOG: u32 = 1024;

/// An open socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix {
        socket: UnixListener,
        /// Goes with it, where it is ours.
        _file: Option<SocketFile>,
    },
}

/// A client's connection.
#[derive(Debug)]
pub(super) enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Opens `address`, or takes over what systemd opened. `leaving` are listeners whose ports are about to
    /// be closed.
    pub(super) async fn open(
        address: &Address,
        inherited: &Inherited,
        leaving: &[&Handle],
    ) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => bind(*address, leaving).await.map(Self::Tcp),
            Address::Unix { path, mode } => {
                let (path, mode) = (path.clone(), *mode);
                let bound = tokio::task::spawn_blocking(move || bind_unix(&path, mode)).await;
                bound.unwrap_or_else(|panic| Err(io::Error::other(panic)))
            }
            Address::Systemd(name) => match inherited.get(name)? {
                InheritedSocket::Tcp(socket) => {
                    socket.set_nonblocking(true)?;
                    TcpListener::from_std(socket).map(Self::Tcp)
                }
                InheritedSocket::Unix(socket) => {
                    socket.set_nonblocking(true)?;
                    UnixListener::from_std(socket).map(|socket| Self::Unix {
                        socket,
                        _file: None,
                    })
                }
            },
        }
    }

    /// The port that was taken, of a TCP socket.
    pub(super) fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Unix { .. } => None,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Connection, Peer)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                Ok((Connection::Tcp(stream), Peer::network(peer.ip())))
            }
            Self::Unix { socket, .. } => {
                let (stream, _) = socket.accept().await?;
                let user = stream.peer_cred()?.uid();
                Ok((Connection::Unix(stream), Peer::Local(user)))
            }
        }
    }

    /// Connections in the backlog of a socket that is about to be closed. One that comes in the very moment
    /// is reset by the system.
    ///
    /// The socket itself is asked: the runtime learns of connections only when it looks again.
    pub(super) fn waiting(&self) -> impl Iterator<Item = File> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let next = move || accept_with(self.as_fd(), flags).ok();
        std::iter::from_fn(next)
            .take(BACKLOG as usize)
            .map(File::from)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix { socket, .. } => socket.as_fd(),
        }
    }
}

impl Connection {
    /// For one short write, which never blocks: the socket stays non-blocking.
    pub(super) fn into_file(self) -> io::Result<File> {
        Ok(match self {
            Self::Tcp(stream) => OwnedFd::from(stream.into_std()?).into(),
            Self::Unix(stream) => OwnedFd::from(stream.into_std()?).into(),
        })
    }
}

fn bind_unix(path: &Path, mode: u32) -> io::Result<Socket> {
    let (socket, file) = unix_socket::bind(path, mode, BACKLOG as i32).map_err(|error| {
        let kind = match &error {
            UnixSocketError::Io { source, .. } => source.kind(),
            UnixSocketError::NoFolder { .. } => io::ErrorKind::NotFound,
            UnixSocketError::InUse { .. } | UnixSocketError::NotASocket { .. } => {
                io::ErrorKind::AlreadyExists
            }
        };
        io::Error::new(kind, error)
    })?;
    Ok(Socket::Unix {
        socket: UnixListener::from_std(socket)?,
        _file: Some(file),
    })
}

async fn bind(address: SocketAddr, leaving: &[&Handle]) -> io::Result<TcpListener> {
    let sharing: Vec<Arc<Socket>> = leaving
        .iter()
        .filter_map(|handle| handle.socket.upgrade())
        .filter(|socket| {
            socket
                .tcp_address()
                .is_some_and(|held| held.port() == address.port())
        })
        .collect();
    port::open(address, &sharing, BACKLOG).await
}
