//! One account's place in the token store, off the runtime's threads and in bounded time.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use crate::oauth::blocking::{Blocking, LIMIT, Overdue};
use crate::oauth::error::{OperatorError, RetryError, TokenError};
use crate::oauth::store::{
    LOCK_PATIENCE, LOCK_PAUSE, StoreError, StoredToken, TokenLock, TokenStore,
};

#[derive(Debug)]
pub(super) struct Shelf {
    store: TokenStore,
    account: String,
    blocking: Blocking,
}

impl Shelf {
    pub(super) fn new(store: TokenStore, account: String) -> Self {
        Self {
            store,
            account,
            blocking: Blocking::new(),
        }
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    pub(super) async fn load(&self) -> Result<Option<StoredToken>, OperatorError> {
        let (store, account) = (self.store.clone(), self.account.clone());
        let loaded = self.run(move || store.load(&account)).await?;
        loaded.map_err(|error| OperatorError::Store(Arc::new(error)))
    }

    /// Waits for whoever has it, without a thread.
    pub(super) async fn lock(&self) -> Result<TokenLock, TokenError> {
        let give_up_at = Instant::now() + LOCK_PATIENCE;
        loop {
            let (store, account) = (self.store.clone(), self.account.clone());
            let tried = self.run(move || store.try_lock(&account)).await;
            match tried.map_err(TokenError::Operator)? {
                Ok(lock) => return Ok(lock),
                Err(StoreError::Busy { .. }) if Instant::now() < give_up_at => {
                    sleep(LOCK_PAUSE).await;
                }
                Err(StoreError::Busy { path }) => {
                    return Err(TokenError::Retry(RetryError::Locked {
                        lock: path,
                        limit: LOCK_PATIENCE,
                    }));
                }
                Err(error) => {
                    return Err(TokenError::Operator(OperatorError::Store(Arc::new(error))));
                }
            }
        }
    }

    /// On stable storage when it returns. One that takes too long goes on, and keeps the lock meanwhile.
    pub(super) async fn save(
        &self,
        lock: &Arc<TokenLock>,
        token: &StoredToken,
    ) -> Result<(), OperatorError> {
        let (lock, token) = (Arc::clone(lock), token.clone());
        let saved = self.run(move || lock.save(&token)).await?;
        saved.map_err(|error| OperatorError::NotSaved(Arc::new(error)))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, OperatorError> {
        let done = self.blocking.run(work).await;
        done.map_err(|Overdue| OperatorError::StoreTimeout {
            path: self.store.path(&self.account),
            limit: LIMIT,
        })
    }
}
