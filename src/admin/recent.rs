//! An answer that several may share for a moment.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Finds an answer no more often than once in a while, and for one caller at a time: whoever may ask may ask as
/// often as they like.
#[derive(Debug)]
pub(super) struct Recent<T> {
    /// Zero: whoever asks wants to see what has just been done.
    age_max: Duration,
    last: Mutex<Option<(Instant, T)>>,
}

impl<T: Clone> Recent<T> {
    pub(super) fn new(age_max: Duration) -> Self {
        Self {
            age_max,
            last: Mutex::new(None),
        }
    }

    /// What was found a moment ago, or what `find` gives now.
    pub(super) async fn get(&self, find: impl Future<Output = T>) -> T {
        if self.age_max.is_zero() {
            return find.await;
        }
        // Whoever comes meanwhile waits, and gets the same.
        let mut last = self.last.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < self.age_max
        {
            return found.clone();
        }
        let found = find.await;
        *last = Some((Instant::now(), found.clone()));
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_found_once_in_a_while_however_many_ask() {
        let times = AtomicUsize::new(0);
        let find = async || {
            tokio::task::yield_now().await;
            times.fetch_add(1, Ordering::Relaxed)
        };
        let recent = Recent::new(Duration::from_secs(1));
        assert_eq!(tokio::join!(recent.get(find()), recent.get(find())), (0, 0));
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(recent.get(find()).await, 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(recent.get(find()).await, 1);
        let fresh = Recent::new(Duration::ZERO);
        assert_eq!(fresh.get(find()).await, 2);
        assert_eq!(fresh.get(find()).await, 3);
    }
}
