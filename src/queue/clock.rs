//! Three clocks that no administrator, NTP server, dead battery or suspend can turn.
//!
//! *Queue time* orders attempts and measures how long ended messages are kept: milliseconds that
//! follow the monotonic clock while the queue is open. A new queue begins at what the wall clock shows;
//! from then on queue time is stored and goes on from there, so a wall clock that steps, however far,
//! neither makes anything due nor forgets anything. Of the time while no daemon ran only the wall clock
//! tells, which may be wrong: it counts up to [`STOPPED_MAX`], and never backwards.
//!
//! *Active time* counts, for each account and each pool of them, only while mail could have been tried: by
//! any account of the pool. Ages are measured in it, so neither a paused account nor a relay that is
//! switched off makes a message older.
//!
//! *Open time* counts only while mail can be taken in. Silence is measured in it: nobody has fallen silent
//! because nobody listened.
//!
//! While a machine is suspended all of them stand still, as do the timers that wait for them: what is due, or
//! to be forgotten, is later by that time, and nothing is sooner.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, params};

use crate::queue::pool::{is_pool, pool_members};

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
    activity: Mutex<Activity>,
}

#[derive(Debug, Default)]
struct Activity {
    /// By account, or by the key of a pool.
    times: HashMap<String, ActiveTime>,
    /// Accounts whose mail can be tried.
    accounts: HashSet<String>,
    /// While mail can be taken in.
    open: ActiveTime,
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

    fn run(&mut self, running: bool, now: Instant) {
        if running {
            self.since.get_or_insert(now);
        } else {
            self.elapsed = self.total(now);
            self.since = None;
        }
    }
}

impl Activity {
    /// The time of `key`, which begins when the first message has it.
    fn total(&mut self, key: &str, now: Instant) -> Duration {
        if let Some(time) = self.times.get(key) {
            return time.total(now);
        }
        let mut time = ActiveTime::default();
        let mut members = pool_members(key);
        time.run(members.any(|one| self.accounts.contains(one)), now);
        self.times.insert(key.to_owned(), time);
        Duration::ZERO
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
        let mut times: HashMap<String, ActiveTime> = statement
            .query_map([], |row| {
                let active = ActiveTime {
                    elapsed: Duration::from_millis(row.get::<_, i64>(1)?.max(0) as u64),
                    since: None,
                };
                Ok((row.get(0)?, active))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let waiting = keys_in_use(connection)?;
        // Of a pool that has nothing to send nobody asks again: pools come and go with the settings.
        times.retain(|key, _| waiting.contains(key) || !is_pool(key));
        for key in waiting {
            // The last of it may have been lost in a crash.
            times.entry(key).or_default();
        }
        let open_ms = meta("open_ms")?.unwrap_or(0).max(0);
        let activity = Activity {
            times,
            accounts: HashSet::new(),
            open: ActiveTime {
                elapsed: Duration::from_millis(open_ms as u64),
                since: None,
            },
        };
        Ok(Self {
            origin: time.instant(),
            origin_ms: last_ms.saturating_add(stopped_ms),
            activity: Mutex::new(activity),
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
                 VALUES ('queue_ms', ?1), ('wall_ahead_ms', ?2), ('open_ms', ?3)",
            )?
            .execute([
                now_ms,
                self.wall_ms().saturating_sub(now_ms),
                self.open_ms(),
            ])?;
        let now = self.time.instant();
        let mut statement = connection
            .prepare_cached("INSERT OR REPLACE INTO account (name, active_ms) VALUES (?1, ?2)")?;
        for (key, active) in &self.activity().times {
            statement.execute(params![key, active.total(now).as_millis() as i64])?;
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

    /// The active time so far of an account or a pool.
    pub(super) fn active_ms(&self, key: &str) -> i64 {
        let now = self.time.instant();
        self.activity().total(key, now).as_millis() as i64
    }

    /// Open time now.
    pub(super) fn open_ms(&self) -> i64 {
        let now = self.time.instant();
        self.activity().open.total(now).as_millis() as i64
    }

    /// Mail can be taken in from now on, or no more; saying so twice is harmless.
    pub(super) fn set_open(&self, open: bool) {
        let now = self.time.instant();
        self.activity().open.run(open, now);
    }

    /// Starts or stops the active time of an account, and of its pools if no other account of them runs;
    /// saying so twice is harmless.
    pub(super) fn set_active(&self, account: &str, running: bool) {
        let now = self.time.instant();
        let mut activity = self.activity();
        let activity = &mut *activity;
        if running == activity.accounts.contains(account) {
            return;
        }
        if running {
            activity.accounts.insert(account.to_owned());
        } else {
            activity.accounts.remove(account);
        }
        let accounts = &activity.accounts;
        activity.times.entry(account.to_owned()).or_default();
        for (key, time) in &mut activity.times {
            time.run(pool_members(key).any(|one| accounts.contains(one)), now);
        }
    }

    /// The keys of all mail that `account` may send: its own first, then those of its pools.
    pub(super) fn keys_of(&self, account: &str) -> Vec<String> {
        let activity = self.activity();
        let pools = activity.times.keys().filter(|key| is_pool(key));
        let pools = pools.filter(|key| pool_members(key).any(|one| one == account));
        std::iter::once(account.to_owned())
            .chain(pools.cloned())
            .collect()
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keys_in_use(connection: &Connection) -> rusqlite::Result<HashSet<String>> {
    let mut statement =
        connection.prepare("SELECT DISTINCT account FROM message WHERE state < 4")?;
    let mut rows = statement.query([])?;
    let mut keys = HashSet::new();
    while let Some(row) = rows.next()? {
        // A damaged row must not keep the daemon from starting.
        if let Ok(key) = row.get_ref(0)?.as_str() {
            keys.insert(key.to_owned());
        }
    }
    Ok(keys)
}
