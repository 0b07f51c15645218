//! Small files, read off the runtime's threads and in bounded time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// One reading at a time.
#[derive(Debug)]
pub(super) struct Reading {
    /// One permit: a file that never lets itself be read occupies one thread, not all of them.
    permit: Arc<Semaphore>,
}

impl Reading {
    /// What the blocking `read` makes of its file; `None` when it takes longer than [`READ_LIMIT`], or one
    /// before it still does.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let permit = Arc::clone(&self.permit).try_acquire_owned().ok()?;
        let reading = tokio::task::spawn_blocking(move || {
            let value = read();
            drop(permit);
            value
        });
        // The inner error: the runtime is shutting down, or reading panicked, and nothing was read.
        tokio::time::timeout(READ_LIMIT, reading).await.ok()?.ok()
    }
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            permit: Arc::new(Semaphore::new(1)),
        }
    }
}

/// For a small file; longer means that its file system hangs.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(10);
