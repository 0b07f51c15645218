//! One renewal of an account's token at a time, over all processes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::{StoreError, StoredToken, TokenStore, failed, file};
use crate::owner;

/// Holds an account's token for as long as it lives; the kernel lets go when the process dies.
#[derive(Debug)]
pub struct TokenLock {
    store: TokenStore,
    account: String,
    _file: File,
}

impl TokenStore {
    /// The account's lock; waits while another process has it, up to two minutes.
    pub fn lock(&self, account: &str) -> Result<TokenLock, StoreError> {
        let give_up_at = Instant::now() + PATIENCE;
        loop {
            match self.try_lock(account) {
                Err(StoreError::Busy { .. }) if Instant::now() < give_up_at => {
                    std::thread::sleep(PAUSE);
                }
                decided => return decided,
            }
        }
    }

    /// The account's lock, or [`StoreError::Busy`].
    pub fn try_lock(&self, account: &str) -> Result<TokenLock, StoreError> {
        let folder = self.folder();
        file::make_folder(&folder).map_err(failed("make", &folder))?;
        let path = folder.join(format!("{account}.lock"));
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed("open", &path))?;
        owner::adopt(&file, &folder).map_err(failed("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(TokenLock {
                store: self.clone(),
                account: account.to_owned(),
                _file: file,
            }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Busy { path }),
            Err(errno) => Err(failed("lock", &path)(errno.into())),
        }
    }
}

impl TokenLock {
    /// The account's token, if somebody has signed in for it.
    pub fn load(&self) -> Result<Option<StoredToken>, StoreError> {
        self.store.load(&self.account)
    }

    /// Replaces the account's token; it is on stable storage when this returns.
    pub fn save(&self, token: &StoredToken) -> Result<(), StoreError> {
        self.store.write(&self.account, token)
    }

    /// Removes the account's token; whether there was one.
    pub fn forget(&self) -> Result<bool, StoreError> {
        let path = self.store.path(&self.account);
        // What a crash has left of a newer one must not outlive it.
        for path in [path.with_extension("part"), path] {
            match fs::remove_file(&path) {
                Ok(()) if path.extension().is_some_and(|kind| kind == "json") => return Ok(true),
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &path)(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(false)
    }
}

/// A renewal is one request or two; longer means that its process hangs.
pub(in crate::oauth) const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks at a lock that somebody has.
pub(in crate::oauth) const PAUSE: Duration = Duration::from_millis(50);
