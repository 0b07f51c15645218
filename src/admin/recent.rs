//! A status that several may share for a moment.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::protocol::{Status, StatusSource};

/// Asks the source no more often than once in a while, and for one caller at a time: the queue is counted in the
/// database, and whoever may look may look as often as they like.
#[derive(Debug)]
pub(super) struct Recent {
    /// Zero: whoever asks wants to see what has just been done.
    age_max: Duration,
    last: Mutex<Option<(Instant, Arc<Status>)>>,
}

impl Recent {
    pub(super) fn new(age_max: Duration) -> Self {
        Self {
            age_max,
            last: Mutex::default(),
        }
    }

    pub(super) async fn status(&self, source: &dyn StatusSource) -> Arc<Status> {
        if self.age_max.is_zero() {
            return Arc::new(source.status().await);
        }
        // Whoever comes meanwhile waits, and gets the same.
        let mut last = self.last.lock().await;
        if let Some((at, status)) = &*last
            && at.elapsed() < self.age_max
        {
            return Arc::clone(status);
        }
        let status = Arc::new(source.status().await);
        *last = Some((Instant::now(), Arc::clone(&status)));
        status
    }
}
