//! One daemon for each queue folder.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::owner;

/// Holds the folder for as long as it lives; the kernel lets go when the process dies.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

/// Why the folder cannot be had.
#[derive(Debug)]
pub(super) enum LockError {
    /// Another process has it; the text names the process as far as it is known.
    Held(String),
    /// The lock file cannot be made.
    Io(PathBuf, io::Error),
}

impl FolderLock {
    pub(super) fn acquire(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join("lock");
        let io_error = |error| LockError::Io(path.clone(), error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io_error)?;
        owner::adopt(&file, directory).map_err(io_error)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // Only a hint for the person who reads the error.
                let _ = (&file).take(64).read_to_string(&mut holder);
                return Err(LockError::Held(holder.trim().to_owned()));
            }
            Err(errno) => return Err(io_error(errno.into())),
        }
        // Only a hint for the person who reads the error: a full disk must not keep the daemon down.
        let hint = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "process {}", std::process::id()));
        if let Err(error) = hint {
            tracing::debug!(%error, path = %path.display(), "the holder's number is not noted");
        }
        Ok(Self { _file: file })
    }

    /// Whether some process holds the folder at this moment.
    pub(super) fn is_held(directory: &Path) -> bool {
        let Ok(file) = File::open(directory.join("lock")) else {
            return false;
        };
        flock(&file, FlockOperation::NonBlockingLockShared).is_err()
    }
}
