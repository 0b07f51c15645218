//! The write-ahead log folded back into the database: now and then, and at the end.

use std::mem;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;

use super::Writer;
use crate::queue::{StorageError, clients, heard, lease};

/// Pages in the write-ahead log after which it is folded back into the database.
const CHECKPOINT_PAGES: i64 = 4000;

/// After a log that could not be folded back: nothing is lost by it, it only grows.
const CHECKPOINT_PAUSE: Duration = Duration::from_secs(5);

impl Writer {
    /// Between batches, never inside one, so that no waiter pays for it before its answer.
    pub(super) fn checkpoint_if_long(&mut self) {
        if self.shared.is_latched() || self.checkpoint_after.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let _storing = self.shared.heart.storing();
        let was_failing = self.checkpoint_after.take().is_some();
        let folded = match self.wal_checkpoint("NOOP") {
            Ok(pages) if pages >= CHECKPOINT_PAGES => self.wal_checkpoint("PASSIVE"),
            pages => pages,
        };
        let Err(error) = folded.map_err(StorageError::from) else {
            return;
        };
        if !error.is_certain() {
            self.shared.latch(&error);
            return;
        }
        if !was_failing {
            tracing::warn!(%error, "the log of queue.db cannot be folded back for now and grows");
        }
        self.checkpoint_after = Some(Instant::now() + CHECKPOINT_PAUSE);
    }

    /// Returns how many pages the log holds that are not in the database yet.
    fn wal_checkpoint(&self, mode: &str) -> rusqlite::Result<i64> {
        self.connection
            .prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
            .query_row([], |row| {
                let (log, folded): (i64, i64) = (row.get(1)?, row.get(2)?);
                Ok(log - folded)
            })
    }

    pub(super) fn close(self) {
        if self.shared.is_latched() {
            // Folding the log back would believe what could not be synced.
            let kept = self
                .connection
                .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            if let Err(error) = kept {
                tracing::warn!(%error, "queue.db is closed as it is");
                mem::forget(self.connection);
                return;
            }
        } else {
            let dropped = mem::take(&mut *self.dropped_leases());
            let stored = lease::release(&self.connection, &self.shared, &dropped)
                .and_then(|_| self.shared.clock.store(&self.connection));
            if let Err(error) = stored {
                tracing::warn!(%error, "the queue's clocks could not be stored while closing");
            }
            let incidents = &self.shared.incidents;
            let stored = incidents.save(&self.connection, &incidents.take_unsaved());
            if let Err(error) = stored {
                tracing::warn!(%error, "incidents could not be stored while closing");
            }
            if let Err(error) = heard::save(&self.connection, &self.shared) {
                tracing::warn!(%error, "when clients were heard could not be stored while closing");
            }
            if let Err(error) = clients::save_all(&self.connection, &self.shared) {
                tracing::warn!(%error, "what clients needed could not be stored while closing");
            }
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "queue.db did not close cleanly; it recovers at the next start");
        }
    }
}
