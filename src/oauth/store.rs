//! Refresh tokens at rest: one small file for each account.
//!
//! A refresh token rotates (facts D.6): the file is replaced as a whole, and [`TokenStore::save`] returns
//! only when the new one would survive a power cut. Before that, the old one is still there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// `DIRECTORY/tokens`; clones are alike. Everything here blocks: call it off the runtime's threads.
#[derive(Clone, Debug)]
pub struct TokenStore {
    folder: PathBuf,
}

/// What a person's sign-in left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredToken {
    /// What brings the next access token.
    pub refresh_token: Secret,
    /// The application it was issued to; useless for another.
    pub client_id: String,
    /// Who signed in, as far as the sign-in told.
    pub user: Option<String>,
    /// How it came here.
    pub origin: Origin,
    /// When the person signed in, or the token was imported.
    pub obtained_at: Timestamp,
    /// When it was last exchanged for a new one.
    pub renewed_at: Timestamp,
}

/// How a refresh token came into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A sign-in in a browser: authorization code with PKCE.
    Browser,
    /// A sign-in on another device: RFC 8628.
    Device,
    /// Made elsewhere.
    Import,
}

/// Stored tokens cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What the system said.
    #[error("cannot {what} {path}: {source}")]
    File {
        /// In one word.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Neither written by this program nor by an older one.
    #[error("{path} is damaged: sign in again with exorelay login")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Serialize, Deserialize)]
struct Written {
    refresh_token: String,
    client_id: String,
    user: Option<String>,
    origin: Origin,
    obtained_at: Timestamp,
    renewed_at: Timestamp,
}

/// A refresh token has 1 to 2 KiB.
const FILE_MAX_BYTES: u64 = 64 * 1024;

impl TokenStore {
    /// The store in the queue's folder; nothing is read or made yet.
    pub fn new(directory: &Path) -> Self {
        Self {
            folder: directory.join("tokens"),
        }
    }

    /// The account's token, if somebody has signed in for it.
    pub fn load(&self, account: &str) -> Result<Option<StoredToken>, StoreError> {
        let path = self.path(account);
        let mut text = Zeroizing::new(String::new());
        let read =
            File::open(&path).and_then(|file| file.take(FILE_MAX_BYTES).read_to_string(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(StoreError::Damaged { path });
            }
            Err(error) => return Err(failed("read", &path)(error)),
            Ok(_) => {}
        }
        let Ok(written) = serde_json::from_str::<Written>(&text) else {
            return Err(StoreError::Damaged { path });
        };
        Ok(Some(StoredToken {
            refresh_token: Secret::new(written.refresh_token),
            client_id: written.client_id,
            user: written.user,
            origin: written.origin,
            obtained_at: written.obtained_at,
            renewed_at: written.renewed_at,
        }))
    }

    /// Replaces the account's token; it is on stable storage when this returns.
    pub fn save(&self, account: &str, token: &StoredToken) -> Result<(), StoreError> {
        let path = self.path(account);
        let part = self.folder.join(format!("{account}.part"));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(failed("make", &self.folder))?;
        let written = Written {
            refresh_token: token.refresh_token.reveal().to_owned(),
            client_id: token.client_id.clone(),
            user: token.user.clone(),
            origin: token.origin,
            obtained_at: token.obtained_at,
            renewed_at: token.renewed_at,
        };
        let text = serde_json::to_string(&written).map(Zeroizing::new);
        let text = text.map_err(|error| failed("write", &path)(io::Error::other(error)))?;
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&part)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(failed("write", &path))
    }

    /// Removes the account's token; whether there was one.
    pub fn forget(&self, account: &str) -> Result<bool, StoreError> {
        let path = self.path(account);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("remove", &path)(error)),
        }
    }

    /// Accounts have names that are safe in a path (letters, digits, `-`, `_`).
    fn path(&self, account: &str) -> PathBuf {
        self.folder.join(format!("{account}.json"))
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::File { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_until_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = TokenStore::new(folder.path());
        assert_eq!(store.load("default").unwrap(), None);
        let mut token = StoredToken {
            refresh_token: Secret::new("1.AXoA"),
            client_id: "app".to_owned(),
            user: Some("relay@contoso.com".to_owned()),
            origin: Origin::Browser,
            obtained_at: Timestamp::UNIX_EPOCH,
            renewed_at: Timestamp::UNIX_EPOCH,
        };
        store.save("default", &token).unwrap();
        token.refresh_token = Secret::new("1.AXoB");
        store.save("default", &token).unwrap();
        assert_eq!(store.load("default").unwrap(), Some(token));
        assert_eq!(store.load("other").unwrap(), None);
        assert!(store.forget("default").unwrap() && !store.forget("default").unwrap());
        assert_eq!(store.load("default").unwrap(), None);
    }
}
