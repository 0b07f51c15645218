//! Unix sockets: made, guarded, removed.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// A socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum UnixSocketError {
    /// Not made here: its owner and mode are the operator's, or systemd's, to choose.
    #[error("the folder {path} does not exist; create it")]
    NoFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A daemon that lives.
    #[error("another process answers at {path}; stop it")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Somebody's file, which is left alone.
    #[error("{path} is a file of another kind; remove it")]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("{path}: {source}; its folder must belong to the daemon's user")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Removes the file when dropped, unless another has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Makes a socket with the permissions `mode`, in a folder that exists; it does not block. A socket that
/// nobody answers at any more is replaced. Blocking for a moment.
pub fn bind(
    path: &Path,
    mode: u32,
    backlog: i32,
) -> Result<(UnixListener, SocketFile), UnixSocketError> {
    let io_error = |source: io::Error| UnixSocketError::Io {
        path: path.to_owned(),
        source,
    };
    require_folder(path)?;
    remove_stale(path)?;
    let address = SocketAddrUnix::new(path).map_err(|errno| io_error(errno.into()))?;
    let socket = new_socket().map_err(|errno| io_error(errno.into()))?;
    rustix::net::bind(&socket, &address).map_err(|errno| match errno {
        Errno::ADDRINUSE => UnixSocketError::InUse {
            path: path.to_owned(),
        },
        errno => io_error(errno.into()),
    })?;
    let file = SocketFile::new(path).map_err(io_error)?;
    // Before listen(), without which nobody can connect: no moment with a wider mode.
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).map_err(io_error)?;
    rustix::net::listen(&socket, backlog).map_err(|errno| io_error(errno.into()))?;
    Ok((UnixListener::from(socket), file))
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

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
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

fn require_folder(path: &Path) -> Result<(), UnixSocketError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(UnixSocketError::NoFolder {
            path: folder.to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(UnixSocketError::NoFolder {
            path: folder.to_owned(),
        }),
        Err(source) => Err(UnixSocketError::Io {
            path: folder.to_owned(),
            source,
        }),
    }
}

/// A file that outlived its daemon refuses connections; only then is it removed.
fn remove_stale(path: &Path) -> Result<(), UnixSocketError> {
    let io_error = |source: io::Error| UnixSocketError::Io {
        path: path.to_owned(),
        source,
    };
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => {
            return Err(UnixSocketError::NotASocket {
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
        Ok(()) | Err(Errno::AGAIN) => Err(UnixSocketError::InUse {
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
