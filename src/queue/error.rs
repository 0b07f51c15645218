//! What can go wrong with the queue, one enum for each thing a caller does.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::queue::Full;

/// Why a queue folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder, or something in it, cannot be made, read or written.
    #[error("queue folder {path}: {source}; it must exist and belong to the daemon's user")]
    Folder {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Promise: one daemon for each folder.
    #[error(
        "queue folder {path} is in use by {holder}; stop that daemon or set another queue.directory"
    )]
    Held {
        /// The folder.
        path: PathBuf,
        /// The process, as far as it is known.
        holder: String,
    },
    /// Written by a later version of this program.
    #[error(
        "queue.db has schema {found} and this program knows up to {known}; install the newer exorelay again"
    )]
    NewerSchema {
        /// On disk.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// `queue.db` is some other program's database.
    #[error("queue.db is not a queue of exorelay; set another queue.directory")]
    NotAQueue,
    /// Write-ahead logging is not to be had here, usually on a network filesystem.
    #[error(
        "queue.db cannot use write-ahead logging (journal mode {mode}); put queue.directory on a local disk"
    )]
    NoWal {
        /// The mode the database stayed in.
        mode: String,
    },
    /// The database itself.
    #[error("queue.db: {0}")]
    Database(#[from] rusqlite::Error),
}

/// The queue's storage did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// No space; nothing was changed, and it heals when space returns.
    #[error("the disk that holds the queue is full")]
    DiskFull,
    /// A failure left the disk in an unknown state: nothing is written on top of it.
    #[error("the queue is latched by an earlier storage failure; see the log, then restart")]
    Latched,
    /// A statement failed.
    #[error("queue.db: {0}")]
    Database(Arc<rusqlite::Error>),
    /// A content file cannot be written or read.
    #[error("content file {path}: {source}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A row does not make sense.
    #[error("message {id} is damaged: {what}")]
    Damaged {
        /// The message's id as stored.
        id: String,
        /// What does not make sense.
        what: String,
    },
    /// A reader and a database of different versions.
    #[error(
        "queue.db has schema {found} and this program reads {known}; start its daemon once, or install the newer exorelay again"
    )]
    Schema {
        /// On disk.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// The queue has been closed.
    #[error("the queue is closed")]
    Closed,
}

/// Why a draft cannot take more content or be committed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DraftError {
    /// A bound is reached: 452 4.3.1.
    #[error(transparent)]
    Full(#[from] Full),
    /// The storage failed: 451 4.3.0, or 452 4.3.1 when the disk is full.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl StorageError {
    /// Sorts a database error by what must happen next.
    pub(super) fn from_database(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            _ => Self::Database(Arc::new(error)),
        }
    }

    /// Whether it is certain that the failure changed nothing, so that going on is safe.
    pub(super) fn is_certain(&self) -> bool {
        match self {
            Self::Database(error) => changed_nothing(error),
            _ => true,
        }
    }

    pub(super) fn content(path: PathBuf, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
            return Self::DiskFull;
        }
        Self::Content {
            path,
            source: Arc::new(source),
        }
    }
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        Self::from_database(error)
    }
}

/// Whether it is certain that the disk holds what it held before.
///
/// A write that fails is certain: nothing is believed before it is synced, and the write-ahead log
/// forgets what was not committed. SQLite tells a full disk from other trouble by ENOSPC alone;
/// quotas, limits on file sizes and read-only filesystems are plain write errors to it. After a
/// sync that failed, or a read, nobody knows what the disk holds.
pub(super) fn changed_nothing(error: &rusqlite::Error) -> bool {
    use rusqlite::{ErrorCode, ffi};
    let Some(code) = error.sqlite_error_code() else {
        // A value of an unexpected type, say: one row's trouble.
        return true;
    };
    match code {
        ErrorCode::SystemIoFailure => matches!(
            error.sqlite_extended_error_code(),
            Some(
                ffi::SQLITE_IOERR_WRITE
                    | ffi::SQLITE_IOERR_NOMEM
                    | ffi::SQLITE_IOERR_SHMOPEN
                    | ffi::SQLITE_IOERR_SHMSIZE
                    | ffi::SQLITE_IOERR_SHMMAP
            )
        ),
        ErrorCode::DiskFull
        | ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::OutOfMemory
        | ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied
        | ErrorCode::ConstraintViolation
        | ErrorCode::TooBig => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;
    use rustix::io::Errno;

    #[test]
    fn failed_writes_heal_and_failed_syncs_and_reads_do_not() {
        let certain =
            |code| changed_nothing(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR_SHMSIZE,
            ffi::SQLITE_BUSY,
            ffi::SQLITE_CANTOPEN,
        ] {
            assert!(certain(code), "{code}");
        }
        for code in [
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_DIR_FSYNC,
            ffi::SQLITE_IOERR_TRUNCATE,
            ffi::SQLITE_IOERR_READ,
            ffi::SQLITE_IOERR_SHORT_READ,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_NOTADB,
            ffi::SQLITE_ERROR,
        ] {
            assert!(!certain(code), "{code}");
        }
    }

    #[test]
    fn every_lack_of_space_for_content_is_a_full_disk() {
        let content =
            |errno| StorageError::content("x".into(), io::Error::from_raw_os_error(errno));
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
            assert!(matches!(
                content(errno.raw_os_error()),
                StorageError::DiskFull
            ));
        }
        for errno in [Errno::IO, Errno::ROFS, Errno::MFILE] {
            assert!(matches!(
                content(errno.raw_os_error()),
                StorageError::Content { .. }
            ));
        }
    }
}
