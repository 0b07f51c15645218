//! Azure Arc's keys: files that only those can read who may ask.

use std::collections::VecDeque;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::sandbox::voice::guid;

/// Challenges that may be open at a time; the oldest goes first.
const KEYS_MAX: usize = 16;
/// The folder's name.
const FOLDER: &str = "arc";

#[derive(Debug)]
pub(super) struct Keys {
    folder: PathBuf,
    open: Arc<Mutex<VecDeque<Key>>>,
}

/// Good once.
#[derive(Debug)]
struct Key {
    file: PathBuf,
    text: String,
}

impl Keys {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            folder: directory.join(FOLDER),
            open: Arc::default(),
        }
    }

    /// Leaves a new key and tells where: `Basic realm=PATH`. `None`: it cannot be written, or its path not told.
    pub(super) async fn make(&self) -> Option<HeaderValue> {
        let folder = self.folder.clone();
        let open = Arc::clone(&self.open);
        let making = tokio::task::spawn_blocking(move || {
            let key = write(&folder)?;
            let challenge = format!("Basic realm={}", key.file.display());
            let mut open = lock(&open);
            if open.len() == KEYS_MAX {
                open.pop_front().as_ref().map(Key::remove);
            }
            open.push_back(key);
            io::Result::Ok(challenge)
        });
        let challenge = making.await.ok()?.ok()?;
        HeaderValue::from_str(&challenge).ok()
    }

    /// Whether `authorization` is `Basic KEY` with an open key, which is used up by it.
    pub(super) async fn take(&self, authorization: &[u8]) -> bool {
        let Some(text) = authorization.strip_prefix(b"Basic ") else {
            return false;
        };
        let taken = {
            let mut open = lock(&self.open);
            let at = open.iter().position(|key| key.text.as_bytes() == text);
            at.and_then(|at| open.remove(at))
        };
        let Some(key) = taken else { return false };
        let _ = tokio::task::spawn_blocking(move || key.remove()).await;
        true
    }

    /// Removes what nobody has asked with. Blocking.
    pub(super) fn sweep(&self) {
        for key in lock(&self.open).drain(..) {
            key.remove();
        }
    }
}

impl Key {
    /// A file that somebody took away is as good as removed.
    fn remove(&self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

fn write(folder: &Path) -> io::Result<Key> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let key = Key {
        file: std::path::absolute(folder)?.join(format!("{}.key", guid())),
        text: BASE64_STANDARD.encode(guid()),
    };
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&key.file)?;
    file.write_all(key.text.as_bytes())?;
    Ok(key)
}

fn lock(open: &Mutex<VecDeque<Key>>) -> MutexGuard<'_, VecDeque<Key>> {
    // At worst a key is forgotten.
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
