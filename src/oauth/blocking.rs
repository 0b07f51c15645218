//! Small reads and writes of files, off the runtime's threads.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// For small files; longer means that their file system hangs.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// One thread's worth of them: a file that never lets itself be read occupies one thread, not all.
#[derive(Clone, Debug)]
pub(super) struct Blocking {
    turn: Arc<Semaphore>,
}

/// It took longer than [`LIMIT`], or an earlier one still does; it goes on, and nobody learns the outcome.
#[derive(Debug)]
pub(super) struct Overdue;

impl Blocking {
    pub(super) fn new() -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// What `work` returns, in bounded time.
    ///
    /// # Cancel safety
    /// `work` goes on to its end once it has begun.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Overdue> {
        let turn = Arc::clone(&self.turn).try_acquire_owned();
        let turn = turn.map_err(|_| Overdue)?;
        let working = tokio::task::spawn_blocking(move || {
            let value = work();
            drop(turn);
            value
        });
        match tokio::time::timeout(LIMIT, working).await {
            Ok(Ok(value)) => Ok(value),
            // The runtime is shutting down, or the work panicked: there is no outcome either way.
            Ok(Err(_)) | Err(_) => Err(Overdue),
        }
    }
}
