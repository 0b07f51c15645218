//! Refresh tokens at rest: one small file for each account.
//!
//! A refresh token rotates (facts D.6): the file is replaced as a whole, and [`TokenStore::save`] returns
//! only when the new one would survive a power cut. Before that, the old one is still there. Whoever
//! exchanges a token holds the account's [`TokenLock`] from reading it to having saved its successor, so
//! that daemon and commands never overwrite what the other one got.
//!
//! With a key the files are encrypted ([`sealed`]); one from before the key is read all the same, and
//! sealed when it is written the next time.

mod file;
mod lock;
mod sealed;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use self::sealed::{Key, Sealed};
use crate::secret::{Secret, SecretSource};

pub use lock::TokenLock;
pub(super) use lock::{PATIENCE as LOCK_PATIENCE, PAUSE as LOCK_PAUSE};
pub use sealed::KeyError;

/// `DIRECTORY/tokens`; clones are alike. Everything here blocks: call it off the runtime's threads.
#[derive(Clone, Debug)]
pub struct TokenStore {
    directory: PathBuf,
    key: Option<SecretSource>,
    /// That others could read a file is said once.
    exposure_told: Arc<AtomicBool>,
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

/// The same without the token: what may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The application it was for.
    pub client_id: String,
    /// Who signed in, as far as the sign-in told.
    pub user: Option<String>,
    /// How it came here.
    pub origin: Origin,
    /// When the person signed in, or the token was imported.
    pub obtained_at: Timestamp,
    /// When it was last renewed; Entra forgets one that is not used for 90 days (facts D.6).
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

impl Origin {
    /// As it is stored, and shown to programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Device => "device",
            Self::Import => "import",
        }
    }
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
    /// There is no key, and it needs one.
    #[error("{path} is encrypted: set token_store.key to the key it was written with")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Another key, another account's file, or one that was tampered with.
    #[error(
        "{path} cannot be decrypted with token_store.key: put back the key it was written with, or sign in again with exorelay login"
    )]
    WrongKey {
        /// The file.
        path: PathBuf,
    },
    /// The key is of no use.
    #[error("token_store.key: {0}")]
    Key(#[from] KeyError),
    /// Another process renews the token, or hangs while it does.
    #[error("{path} is held by another process; try again, or end that one")]
    Busy {
        /// The lock.
        path: PathBuf,
    },
}

/// As it stands in the file, or inside of what is sealed.
#[derive(Serialize, Deserialize)]
struct Written<'t> {
    refresh_token: Cow<'t, str>,
    client_id: Cow<'t, str>,
    user: Option<Cow<'t, str>>,
    origin: Origin,
    obtained_at: Timestamp,
    renewed_at: Timestamp,
}

/// Tells which of the two a file is, without a copy of anything in it.
#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    sealed: Option<IgnoredAny>,
}

impl TokenStore {
    /// The store in the queue's folder, without encryption; nothing is read or made yet.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            key: None,
            exposure_told: Arc::default(),
        }
    }

    /// The same, encrypted with `key`, which is read anew for every use.
    #[must_use]
    pub fn sealed_with(self, key: Option<SecretSource>) -> Self {
        Self { key, ..self }
    }

    /// Whether the key, if there is one, can be read and is of use.
    pub fn check_key(&self) -> Result<(), KeyError> {
        self.key().map(drop)
    }

    /// The account's token, if somebody has signed in for it.
    pub fn load(&self, account: &str) -> Result<Option<StoredToken>, StoreError> {
        let path = self.path(account);
        let Some(file) = file::read(&path).map_err(failed("read", &path))? else {
            return Ok(None);
        };
        if file.is_exposed && !self.exposure_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                path = %path.display(),
                "other users of this machine could read the refresh token; its permissions are mended with the next \
                 renewal, and a new sign-in makes what they may have read worthless sooner"
            );
        }
        let damaged = || StoreError::Damaged { path: path.clone() };
        let shape: Shape = serde_json::from_slice(&file.octets).map_err(|_| damaged())?;
        let text = if shape.sealed.is_some() {
            let sealed: Sealed = serde_json::from_slice(&file.octets).map_err(|_| damaged())?;
            let key = self.key()?;
            let key = key.ok_or_else(|| StoreError::NoKey { path: path.clone() })?;
            let opened = sealed.open(&key, account);
            opened.ok_or_else(|| StoreError::WrongKey { path: path.clone() })?
        } else {
            file.octets
        };
        let written: Written<'_> = serde_json::from_slice(&text).map_err(|_| damaged())?;
        Ok(Some(StoredToken {
            refresh_token: Secret::new(written.refresh_token.into_owned()),
            client_id: written.client_id.into_owned(),
            user: written.user.map(Cow::into_owned),
            origin: written.origin,
            obtained_at: written.obtained_at,
            renewed_at: written.renewed_at,
        }))
    }

    /// Replaces the account's token; it is on stable storage when this returns. Waits for a renewal that is
    /// under way in another process, and wins over it.
    pub fn save(&self, account: &str, token: &StoredToken) -> Result<(), StoreError> {
        self.lock(account)?.save(token)
    }

    /// Removes the account's token; whether there was one.
    pub fn forget(&self, account: &str) -> Result<bool, StoreError> {
        let folder = self.folder();
        if !folder.try_exists().map_err(failed("read", &folder))? {
            return Ok(false);
        }
        self.lock(account)?.forget()
    }

    /// The account's file. Accounts have names that are safe in a path (letters, digits, `-`, `_`).
    pub fn path(&self, account: &str) -> PathBuf {
        self.folder().join(format!("{account}.json"))
    }

    /// Files whose change may mend what is wrong with the account's token.
    pub(super) fn files(&self, account: &str) -> impl Iterator<Item = PathBuf> {
        let key = self.key.as_ref().and_then(SecretSource::path);
        key.into_iter().chain([self.path(account)])
    }

    fn write(&self, account: &str, token: &StoredToken) -> Result<(), StoreError> {
        let path = self.path(account);
        let unwritable = |error| failed("write", &path)(io::Error::other(error));
        let written = Written {
            refresh_token: token.refresh_token.reveal().into(),
            client_id: token.client_id.as_str().into(),
            user: token.user.as_deref().map(Cow::from),
            origin: token.origin,
            obtained_at: token.obtained_at,
            renewed_at: token.renewed_at,
        };
        let plain = serde_json::to_vec(&written).map(Zeroizing::new);
        let plain = plain.map_err(unwritable)?;
        let octets = match self.key()? {
            None => plain,
            Some(key) => {
                let sealed =
                    Sealed::new(&key, account, &plain).map_err(failed("encrypt", &path))?;
                let text = serde_json::to_vec(&sealed).map_err(unwritable)?;
                Zeroizing::new(text)
            }
        };
        file::replace(&path, &octets).map_err(failed("write", &path))
    }

    fn folder(&self) -> PathBuf {
        self.directory.join("tokens")
    }

    fn key(&self) -> Result<Option<Key>, KeyError> {
        self.key.as_ref().map(Key::read).transpose()
    }
}

impl StoredToken {
    /// What may be shown of it.
    pub fn sign_in(&self) -> SignIn {
        SignIn {
            client_id: self.client_id.clone(),
            user: self.user.clone(),
            origin: self.origin,
            obtained_at: self.obtained_at,
            renewed_at: self.renewed_at,
        }
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::File { what, path, source }
}
