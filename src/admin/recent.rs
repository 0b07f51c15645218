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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::admin::protocol::{Reception, StatusFuture};
    use crate::admin::tests::sample_status;
    use crate::admin::{QueueStatus, Timeline};

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl StatusSource for Counting {
        fn status(&self) -> StatusFuture<'_> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async {
                tokio::task::yield_now().await;
                sample_status(QueueStatus::default())
            })
        }

        fn reception(&self) -> Reception {
            unreachable!("nobody asks")
        }

        fn names(&self) -> Vec<String> {
            unreachable!("nobody asks")
        }

        fn timeline(&self) -> Arc<Timeline> {
            unreachable!("nobody asks")
        }

        fn renew(&self, _: &str) -> bool {
            unreachable!("nobody asks")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_source_is_asked_once_in_a_while_however_many_ask() {
        let source = Counting::default();
        let asked = || source.0.load(Ordering::Relaxed);
        let recent = Recent::new(Duration::from_secs(1));
        tokio::join!(recent.status(&source), recent.status(&source));
        tokio::time::advance(Duration::from_millis(999)).await;
        recent.status(&source).await;
        assert_eq!(asked(), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        recent.status(&source).await;
        assert_eq!(asked(), 2);
        let fresh = Recent::new(Duration::ZERO);
        fresh.status(&source).await;
        fresh.status(&source).await;
        assert_eq!(asked(), 4);
    }
}
