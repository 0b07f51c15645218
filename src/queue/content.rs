//! The octets of a message: up to 64 KiB in the database, beyond that one file each.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::owner;
use crate::queue::{QueueId, StorageError};

/// Up to this many octets the content is kept in memory and then in the database.
pub(super) const INLINE_MAX_BYTES: usize = 64 * 1024;

/// The content of a leased message, exactly as it goes to the remote, before dot-stuffing.
#[derive(Clone, Debug)]
pub enum Content {
    /// Small, and in memory already.
    Inline(Bytes),
    /// Large: to be read in pieces.
    File {
        /// Where it lies.
        path: PathBuf,
        /// How long it is.
        size_bytes: u64,
    },
}

/// `DIRECTORY/content/ID`.
pub(super) fn path_of(directory: &Path, id: QueueId) -> PathBuf {
    directory.join("content").join(id.as_str())
}

/// Removes the content file of a message that has ended. Blocking.
pub(super) fn remove(directory: &Path, id: QueueId) {
    if let Err(error) = std::fs::remove_file(path_of(directory, id)) {
        // The next start sweeps it.
        tracing::warn!(queue_id = %id, %error, "content file of an ended message stays for now");
    }
}

/// A content file while it is being written; dropped unfinished, it is removed.
#[derive(Debug)]
pub(super) struct ContentFile {
    file: File,
    path: PathBuf,
    finished: bool,
}

impl ContentFile {
    /// Blocking.
    pub(super) fn create(path: PathBuf) -> Result<Self, StorageError> {
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        match opened {
            Ok(file) => {
                let made = Self {
                    file,
                    path,
                    finished: false,
                };
                let folder = made.path.parent().unwrap_or_else(|| Path::new("."));
                owner::adopt(&made.file, folder)
                    .map_err(|error| StorageError::content(made.path.clone(), error))?;
                Ok(made)
            }
            Err(error) => Err(StorageError::content(path, error)),
        }
    }

    /// Blocking.
    pub(super) fn append(&mut self, octets: &[u8]) -> Result<(), StorageError> {
        self.file
            .write_all(octets)
            .map_err(|error| StorageError::content(self.path.clone(), error))
    }

    /// Puts file and directory entry on stable storage, and with them one more entry for each of
    /// `copies`: messages that share their content. Blocking.
    ///
    /// A sync that failed is never tried again and believed: the kernel may have dropped the pages.
    pub(super) fn finish(mut self, copies: Vec<PathBuf>) -> Result<StoredFiles, FinishError> {
        let content = |error| StorageError::content(self.path.clone(), error);
        let folder =
            open_parent(&self.path).map_err(|error| FinishError::NotStored(content(error)))?;
        let mut linked = Vec::new();
        for path in copies {
            let made = std::fs::hard_link(&self.path, &path);
            made.map_err(|error| FinishError::NotStored(content(error)))?;
            linked.push(StoredFile { path, kept: false });
        }
        if let Err(error) = self.file.sync_all() {
            // Space that was promised and then was not there concerns this file alone.
            return Err(match content(error) {
                error @ StorageError::DiskFull => FinishError::NotStored(error),
                error => FinishError::Unknown(error),
            });
        }
        folder.sync_all().map_err(|error| {
            FinishError::Unknown(StorageError::Content {
                path: self.path.clone(),
                source: Arc::new(error),
            })
        })?;
        self.finished = true;
        let first = StoredFile {
            path: std::mem::take(&mut self.path),
            kept: false,
        };
        Ok(StoredFiles {
            first,
            copies: linked,
        })
    }
}

/// What [`ContentFile::finish`] made of a file.
#[derive(Debug)]
pub(super) struct StoredFiles {
    pub(super) first: StoredFile,
    /// In the order in which they were asked for.
    pub(super) copies: Vec<StoredFile>,
}

/// Why a content file is not on stable storage.
#[derive(Debug)]
pub(super) enum FinishError {
    /// The file is of no use, and nothing else is touched by it.
    NotStored(StorageError),
    /// A sync failed: what the disk holds, of this file or of the folder, is unknown.
    Unknown(StorageError),
}

impl Drop for ContentFile {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A content file on stable storage that no row names yet; dropped before it is, it is removed.
#[derive(Debug)]
pub(super) struct StoredFile {
    path: PathBuf,
    kept: bool,
}

impl StoredFile {
    /// The row that names the file is committed, or may be.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for StoredFile {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn open_parent(path: &Path) -> io::Result<File> {
    File::open(path.parent().unwrap_or_else(|| Path::new(".")))
}

/// Removes files of drafts that were never committed; `is_known` tells of an id whether a row names
/// its file. Returns how many were removed.
pub(super) fn sweep_orphans(
    directory: &Path,
    mut is_known: impl FnMut(QueueId) -> rusqlite::Result<bool>,
) -> Result<usize, StorageError> {
    let folder = directory.join("content");
    let failed = |error| StorageError::content(folder.clone(), error);
    let mut removed = 0;
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // What this program did not name, it does not touch.
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| QueueId::parse(name).ok())
        else {
            continue;
        };
        if !is_known(id)? {
            std::fs::remove_file(entry.path()).map_err(failed)?;
            removed += 1;
        }
    }
    Ok(removed)
}
