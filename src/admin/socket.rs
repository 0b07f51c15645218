//! The Unix socket: made, guarded, removed.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::peer::{Owner, Peer};
use super::server::BindError;

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

/// Removes the file when dropped, unless another has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Socket {
    /// Takes the place of a socket that nobody answers at. Blocking for a moment.
    pub(super) fn bind(path: &Path) -> Result<Self, BindError> {
        let io_error = |source: io::Error| BindError::Io {
            path: path.to_owned(),
            source,
        };
        require_folder(path)?;
        remove_stale(path)?;
        let address = SocketAddrUnix::new(path).map_err(|errno| io_error(errno.into()))?;
        let socket = new_socket().map_err(|errno| io_error(errno.into()))?;
        rustix::net::bind(&socket, &address).map_err(|errno| match errno {
            Errno::ADDRINUSE => BindError::InUse {
                path: path.to_owned(),
            },
            errno => io_error(errno.into()),
        })?;
        let file = SocketFile::new(path).map_err(io_error)?;
        // Before listen(), without which nobody can connect: no moment with a wider mode.
        let mode = std::fs::Permissions::from_mode(MODE);
        std::fs::set_permissions(path, mode).map_err(io_error)?;
        rustix::net::listen(&socket, BACKLOG).map_err(|errno| io_error(errno.into()))?;
        Ok(Self {
            listener: UnixListener::from(socket),
            file,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.file.path
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

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if ours {
            // A file that stays is found stale by the next daemon.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn require_folder(path: &Path) -> Result<(), BindError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(BindError::NoFolder {
            path: folder.to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(BindError::NoFolder {
            path: folder.to_owned(),
        }),
        Err(source) => Err(BindError::Io {
            path: folder.to_owned(),
            source,
        }),
    }
}

/// A file that outlived its daemon refuses connections; only then is it removed.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let io_error = |source: io::Error| BindError::Io {
        path: path.to_owned(),
        source,
    };
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => {
            return Err(BindError::NotASocket {
                path: path.to_owned(),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error(error)),
    }
    let address = SocketAddrUnix::new(path).map_err(|errno| io_error(errno.into()))?;
    let probe = new_socket().map_err(|errno| io_error(errno.into()))?;
    match rustix::net::connect(&probe, &address) {
        Err(Errno::CONNREFUSED) => std::fs::remove_file(path).map_err(io_error),
        Err(Errno::NOENT) => Ok(()),
        // AGAIN: it listens and its backlog is full.
        Ok(()) | Err(Errno::AGAIN) => Err(BindError::InUse {
            path: path.to_owned(),
        }),
        Err(errno) => Err(io_error(errno.into())),
    }
}

fn new_socket() -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        // A connect() to a daemon that hangs must not hang too.
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
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
        let peer = match Owner::of(&self.file.path) {
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
