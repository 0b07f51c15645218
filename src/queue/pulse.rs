//! Whether the writer's thread lives.
//!
//! It answers between two requests. One that does not answer may be waiting for a disk that is slow, which nobody
//! mends by killing the daemon; so it counts as alive while it is storing, while the system says that it waits for
//! a disk, and while it reads or writes. What is left is a thread that spins or waits for something that never comes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::queue::Queue;
use crate::queue::op::Op;

/// What an answer may take before somebody looks closer.
const ANSWER: Duration = Duration::from_secs(1);

/// Without a sign of life for so long it is dead: longer than it waits for another program that holds the database.
const STUCK: Duration = Duration::from_secs(30);

/// Kept by the writer.
#[derive(Debug, Default)]
pub(super) struct Heart {
    /// Requests so far.
    beats: AtomicU64,
    /// A transaction is being ended, or the log folded back.
    stores: AtomicBool,
    /// Its thread in `/proc`; none where there is no such thing.
    thread: OnceLock<PathBuf>,
    last: Mutex<Option<Sign>>,
}

/// A sign of life, and when it was seen.
#[derive(Debug)]
struct Sign {
    beats: u64,
    io: Option<String>,
    at: Instant,
}

/// What the system says of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Thread {
    /// As in proc(5): `D` is a wait for a disk.
    state: char,
    /// What it has read and written; none where this is not counted.
    io: Option<String>,
}

/// Until it is dropped, the thread waits for the disk.
#[derive(Debug)]
pub(super) struct Storing<'a>(&'a Heart);

impl Drop for Storing<'_> {
    fn drop(&mut self) {
        self.0.stores.store(false, Ordering::Relaxed);
    }
}

impl Heart {
    /// Called by the thread itself.
    pub(super) fn begin(&self) {
        let thread = std::fs::read_link("/proc/thread-self").ok();
        let id = thread.and_then(|link| Some(link.file_name()?.to_owned()));
        if let Some(id) = id {
            let _ = self.thread.set(Path::new("/proc/self/task").join(id));
        }
    }

    /// A request is begun.
    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn storing(&self) -> Storing<'_> {
        self.stores.store(true, Ordering::Relaxed);
        Storing(self)
    }

    /// It has not answered at once. Reads files in memory, whatever the disk does: nothing here may wait for that.
    fn judge(&self, now: Instant) -> Result<(), String> {
        let thread = self.thread.get().and_then(|path| Thread::read(path));
        self.judge_by(now, thread.as_ref())
    }

    fn judge_by(&self, now: Instant, thread: Option<&Thread>) -> Result<(), String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let beats = self.beats.load(Ordering::Relaxed);
        let io = thread.and_then(|thread| thread.io.clone());
        let is_known = last
            .as_ref()
            .is_some_and(|last| last.beats == beats && last.io == io);
        let waits = self.stores.load(Ordering::Relaxed)
            // Nothing is known of it: that is no reason to be killed.
            || thread.is_none_or(|thread| thread.state == 'D');
        let at = match &*last {
            Some(last) if is_known && !waits => last.at,
            _ => now,
        };
        *last = Some(Sign { beats, io, at });
        let quiet = now.saturating_duration_since(at);
        if quiet < STUCK {
            return Ok(());
        }
        let state = thread.map_or('?', |thread| thread.state);
        Err(format!(
            "the queue's writer has not moved for {}s (thread state {state})",
            quiet.as_secs()
        ))
    }

    fn answered(&self, now: Instant) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Sign {
            beats: self.beats.load(Ordering::Relaxed),
            io: None,
            at: now,
        });
    }
}

impl Thread {
    fn read(folder: &Path) -> Option<Self> {
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        // The name before may hold anything.
        let (_, rest) = stat.rsplit_once(')')?;
        Some(Self {
            state: rest.trim_start().chars().next()?,
            io: std::fs::read_to_string(folder.join("io")).ok(),
        })
    }
}

impl Queue {
    /// Whether its writer lives, be it that it waits for the disk; else why not.
    pub async fn pulse(&self) -> Result<(), String> {
        let heart = &self.shared.heart;
        let (answer, answered) = oneshot::channel();
        match self.ops.try_send(Op::Pulse { answer }) {
            Ok(()) => {
                // A queue that has latched refuses to answer, which is one as well.
                if timeout(ANSWER, answered).await.is_ok() {
                    heart.answered(Instant::now());
                    return Ok(());
                }
            }
            // So it has enough to do.
            Err(mpsc::error::TrySendError::Full(_)) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => {
                return Err("the queue's writer has ended".to_owned());
            }
        }
        heart.judge(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::queue::tests::settings;

    fn thread(state: char, io: &str) -> Thread {
        Thread {
            state,
            io: Some(io.to_owned()),
        }
    }

    #[test]
    fn who_spins_or_sleeps_for_good_is_dead() {
        for state in ['R', 'S'] {
            let heart = Heart::default();
            let begun = Instant::now();
            let stuck = thread(state, "rchar: 1");
            for seconds in [0, 10, 29] {
                let now = begun + Duration::from_secs(seconds);
                assert_eq!(heart.judge_by(now, Some(&stuck)), Ok(()));
            }
            let reason = heart.judge_by(begun + STUCK, Some(&stuck)).unwrap_err();
            assert_eq!(
                reason,
                format!("the queue's writer has not moved for 30s (thread state {state})")
            );
            // It has only been slow.
            heart.beat();
            assert_eq!(heart.judge_by(begun + STUCK, Some(&stuck)), Ok(()));
        }
    }

    #[test]
    fn a_slow_disk_kills_nobody() {
        let heart = Heart::default();
        let begun = Instant::now();
        let later = |minutes| begun + Duration::from_mins(minutes);
        for minute in 0..10 {
            let waits = thread('D', "rchar: 1");
            assert_eq!(heart.judge_by(later(minute), Some(&waits)), Ok(()));
        }
        for minute in 10..20 {
            let reads = thread('R', &format!("rchar: {minute}"));
            assert_eq!(heart.judge_by(later(minute), Some(&reads)), Ok(()));
        }
        let storing = heart.storing();
        for minute in 20..30 {
            let syncs = thread('S', "rchar: 1");
            assert_eq!(heart.judge_by(later(minute), Some(&syncs)), Ok(()));
        }
        drop(storing);
        let still = thread('S', "rchar: 1");
        assert_eq!(heart.judge_by(later(29), Some(&still)), Ok(()));
        assert!(heart.judge_by(later(30), Some(&still)).is_err());
        for minute in 30..40 {
            assert_eq!(heart.judge_by(later(minute), None), Ok(()), "not known");
        }
    }

    #[test]
    fn an_answer_is_a_sign_of_life() {
        let heart = Heart::default();
        let begun = Instant::now();
        let idle = thread('S', "rchar: 1");
        assert_eq!(heart.judge_by(begun, Some(&idle)), Ok(()));
        heart.answered(begun + STUCK);
        assert_eq!(heart.judge_by(begun + STUCK, Some(&idle)), Ok(()));
    }

    #[tokio::test]
    async fn a_queue_answers_until_it_is_closed_also_when_it_has_latched() {
        let folder = TempDir::new().unwrap();
        let queue = Queue::open(settings(folder.path())).unwrap();
        assert_eq!(queue.pulse().await, Ok(()));
        let path = queue.shared.heart.thread.get().unwrap().clone();
        let thread = Thread::read(&path).unwrap();
        assert!("RSD".contains(thread.state), "{thread:?}");
        let name = std::fs::read_to_string(path.join("comm")).unwrap();
        assert_eq!(name.trim(), "queue-writer");
        queue.shared.latch(&crate::queue::StorageError::Latched);
        assert_eq!(queue.pulse().await, Ok(()));
        let other = queue.clone();
        let closed = tokio::task::spawn_blocking(move || queue.close()).await;
        closed.unwrap();
        assert_eq!(
            other.pulse().await,
            Err("the queue's writer has ended".to_owned())
        );
    }

    #[tokio::test]
    async fn a_writer_that_another_program_holds_up_has_time() {
        let folder = TempDir::new().unwrap();
        let queue = Queue::open(settings(folder.path())).unwrap();
        let database = folder.path().join("queue/queue.db");
        let other = rusqlite::Connection::open(database).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(queue.pulse().await, Ok(()));
        other.execute_batch("ROLLBACK").unwrap();
        let closed = tokio::task::spawn_blocking(move || queue.close()).await;
        closed.unwrap();
    }
}
