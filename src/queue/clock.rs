//! Two clocks that no administrator, NTP server or suspend can turn back.
//!
//! *Queue time* orders attempts: milliseconds that start at the wall clock and then follow the
//! monotonic clock. *Active time* counts, for each account, only while mail could have been tried;
//! ages are measured in it, so neither a paused account nor a relay that is switched off makes a
//! message older.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch on the wall clock, for display and history only.
pub(super) fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

#[derive(Debug)]
pub(super) struct QueueClock {
    origin: Instant,
    origin_ms: i64,
    accounts: Mutex<HashMap<String, ActiveTime>>,
}

#[derive(Debug, Default)]
struct ActiveTime {
    /// Completed stretches.
    elapsed: Duration,
    /// Start of the stretch in progress.
    since: Option<Instant>,
}

impl ActiveTime {
    fn total(&self, now: Instant) -> Duration {
        let running = self.since.map(|since| now.saturating_duration_since(since));
        self.elapsed + running.unwrap_or_default()
    }
}

impl QueueClock {
    /// `last_ms` is the queue time stored last: the wall clock may lag behind it, the queue may not.
    pub(super) fn new(last_ms: i64, active_ms: impl IntoIterator<Item = (String, u64)>) -> Self {
        let accounts = active_ms.into_iter().map(|(account, ms)| {
            let active = ActiveTime {
                elapsed: Duration::from_millis(ms),
                since: None,
            };
            (account, active)
        });
        Self {
            origin: Instant::now(),
            origin_ms: wall_ms().max(last_ms),
            accounts: Mutex::new(accounts.collect()),
        }
    }

    /// Queue time now.
    pub(super) fn now_ms(&self) -> i64 {
        self.origin_ms + self.origin.elapsed().as_millis() as i64
    }

    /// What the wall clock shows, or will show, at a queue time.
    pub(super) fn wall_at(&self, queue_ms: i64) -> i64 {
        wall_ms() + (queue_ms - self.now_ms())
    }

    /// The account's active time so far.
    pub(super) fn active_ms(&self, account: &str) -> i64 {
        let accounts = self.accounts();
        accounts
            .get(account)
            .map_or(0, |active| active.total(Instant::now()).as_millis() as i64)
    }

    /// Starts or stops an account's active time; saying so twice is harmless.
    pub(super) fn set_active(&self, account: &str, running: bool) {
        let now = Instant::now();
        let mut accounts = self.accounts();
        let active = accounts.entry(account.to_owned()).or_default();
        if running {
            active.since.get_or_insert(now);
        } else {
            active.elapsed = active.total(now);
            active.since = None;
        }
    }

    /// Every account's active time, to be stored.
    pub(super) fn snapshot(&self) -> Vec<(String, i64)> {
        let now = Instant::now();
        self.accounts()
            .iter()
            .map(|(account, active)| (account.clone(), active.total(now).as_millis() as i64))
            .collect()
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<String, ActiveTime>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_time_never_falls_behind_what_was_stored() {
        let future = wall_ms() + 86_400_000;
        let clock = QueueClock::new(future, []);
        assert!(clock.now_ms() >= future);
        let shown = clock.wall_at(clock.now_ms());
        assert!(
            (shown - wall_ms()).abs() < 10_000,
            "display follows the wall clock"
        );
    }

    #[test]
    fn active_time_stands_still_while_an_account_is_paused() {
        let clock = QueueClock::new(0, [("default".to_owned(), 5_000)]);
        assert_eq!(clock.active_ms("default"), 5_000);
        assert_eq!(clock.active_ms("unknown"), 0);
        clock.set_active("default", true);
        clock.set_active("default", true);
        clock.set_active("default", false);
        let stopped = clock.active_ms("default");
        assert!(stopped >= 5_000);
        assert_eq!(clock.active_ms("default"), stopped);
    }
}
