//! Two clocks that no administrator, NTP server, dead battery or suspend can turn.
//!
//! *Queue time* orders attempts and measures how long ended messages are kept: milliseconds that
//! follow the monotonic clock while the queue is open. A new queue begins at what the wall clock shows;
//! from then on queue time is stored and goes on from there, so a wall clock that steps, however far,
//! neither makes anything due nor forgets anything. Of the time while no daemon ran only the wall clock
//! tells, which may be wrong: it counts up to [`STOPPED_MAX`], and never backwards.
//!
//! *Active time* counts, for each account, only while mail could have been tried; ages are measured in
//! it, so neither a paused account nor a relay that is switched off makes a message older.
//!
//! While a machine is suspended both stand still, as do the timers that wait for them: what is due, or
//! to be forgotten, is later by that time, and nothing is sooner.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, params};

/// Of the time while no daemon ran, this much counts at most: longer than back-off usually is, and little
/// of what mail is kept for, should the wall clock have leapt by years.
const STOPPED_MAX: Duration = Duration::from_hours(24);

/// Milliseconds since the Unix epoch on the wall clock, for display and history only.
pub(super) fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// Where time comes from; tests turn it by hand.
pub(super) trait Time: fmt::Debug + Send + Sync {
    /// Never steps, and stands still while the machine is suspended (`CLOCK_MONOTONIC`).
    fn instant(&self) -> Instant;

    /// As [`wall_ms`].
    fn wall_ms(&self) -> i64;
}

/// The machine's own clocks.
#[derive(Debug)]
pub(super) struct MachineTime;

impl Time for MachineTime {
    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn wall_ms(&self) -> i64 {
        wall_ms()
    }
}

#[derive(Debug)]
pub(super) struct QueueClock {
    time: Arc<dyn Time>,
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
    /// Goes on from what is stored; a new queue begins now.
    pub(super) fn load(connection: &Connection, time: Arc<dyn Time>) -> rusqlite::Result<Self> {
        let wall_ms = time.wall_ms();
        // At once: were it lost in a crash, a wall clock set back would make queued mail wait for years.
        connection.execute(
            "INSERT OR IGNORE INTO meta (key, value) VALUES ('queue_ms', ?1)",
            [wall_ms],
        )?;
        let meta = |key| {
            connection
                .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
                    row.get::<_, i64>(0)
                })
                .optional()
        };
        let last_ms = meta("queue_ms")?.unwrap_or(wall_ms);
        // Earlier versions went by the wall clock at their start: not ahead of it.
        let last_wall_ms = last_ms.saturating_add(meta("wall_ahead_ms")?.unwrap_or(0));
        let stopped_ms = wall_ms
            .saturating_sub(last_wall_ms)
            .clamp(0, STOPPED_MAX.as_millis() as i64);
        let mut statement = connection.prepare("SELECT name, active_ms FROM account")?;
        let accounts = statement
            .query_map([], |row| {
                let active = ActiveTime {
                    elapsed: Duration::from_millis(row.get::<_, i64>(1)?.max(0) as u64),
                    since: None,
                };
                Ok((row.get(0)?, active))
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self {
            origin: time.instant(),
            origin_ms: last_ms.saturating_add(stopped_ms),
            accounts: Mutex::new(accounts),
            time,
        })
    }

    /// So that a restart neither resets back-off nor turns ages back.
    pub(super) fn store(&self, connection: &Connection) -> rusqlite::Result<()> {
        let now_ms = self.now_ms();
        // One statement: each is worth nothing without the other.
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO meta (key, value)
                 VALUES ('queue_ms', ?1), ('wall_ahead_ms', ?2)",
            )?
            .execute([now_ms, self.wall_ms().saturating_sub(now_ms)])?;
        let now = self.time.instant();
        let mut statement = connection
            .prepare_cached("INSERT OR REPLACE INTO account (name, active_ms) VALUES (?1, ?2)")?;
        for (account, active) in self.accounts().iter() {
            statement.execute(params![account, active.total(now).as_millis() as i64])?;
        }
        Ok(())
    }

    /// Queue time now.
    pub(super) fn now_ms(&self) -> i64 {
        let elapsed = self.time.instant().saturating_duration_since(self.origin);
        self.origin_ms.saturating_add(elapsed.as_millis() as i64)
    }

    /// What the wall clock shows, for display and history only.
    pub(super) fn wall_ms(&self) -> i64 {
        self.time.wall_ms()
    }

    /// What the wall clock shows, or will show, at a queue time.
    pub(super) fn wall_at(&self, queue_ms: i64) -> i64 {
        self.wall_ms() + (queue_ms - self.now_ms())
    }

    /// The account's active time so far.
    pub(super) fn active_ms(&self, account: &str) -> i64 {
        let now = self.time.instant();
        self.accounts()
            .get(account)
            .map_or(0, |active| active.total(now).as_millis() as i64)
    }

    /// Starts or stops an account's active time; saying so twice is harmless.
    pub(super) fn set_active(&self, account: &str, running: bool) {
        let now = self.time.instant();
        let mut accounts = self.accounts();
        let active = accounts.entry(account.to_owned()).or_default();
        if running {
            active.since.get_or_insert(now);
        } else {
            active.elapsed = active.total(now);
            active.since = None;
        }
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<String, ActiveTime>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
