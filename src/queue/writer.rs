//! The one thread that writes: group commit.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tokio::sync::mpsc;

use crate::queue::batch::{Batch, Patience};
use crate::queue::change;
use crate::queue::clients;
use crate::queue::denied;
use crate::queue::heard;
use crate::queue::insert;
use crate::queue::lease::Dropped;
use crate::queue::lock::FolderLock;
use crate::queue::op::{Done, Op, Transaction};
use crate::queue::settle;
use crate::queue::store::Shared;
use crate::queue::turn::Turns;
use crate::queue::{
    MessageState, Receipt, StorageError, content, lease, notice, reroute, retention,
};

/// Requests that may wait; sessions beyond that wait for a place.
pub(super) const INBOX_MAX: usize = 1024;

/// Pages in the write-ahead log after which it is folded back into the database.
const CHECKPOINT_PAGES: i64 = 4000;

/// After a log that could not be folded back: nothing is lost by it, it only grows.
const CHECKPOINT_PAUSE: Duration = Duration::from_secs(5);

pub(super) fn spawn(
    connection: Connection,
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Op>,
    lock: FolderLock,
) -> io::Result<JoinHandle<()>> {
    let writer = Writer {
        connection,
        shared,
        inbox,
        broken: Cell::default(),
        turns: RefCell::default(),
        refusing: false,
        checkpoint_after: None,
        patience: Patience::default(),
        _lock: lock,
    };
    std::thread::Builder::new()
        .name("queue-writer".into())
        .spawn(move || writer.run())
}

struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Op>,
    /// What has undone the transaction in progress, not only the request that met it.
    broken: Cell<Option<StorageError>>,
    /// Whose mail is leased next.
    turns: RefCell<Turns>,
    /// Storing failed last time: said once, and once more when it works again.
    refusing: bool,
    checkpoint_after: Option<Instant>,
    patience: Patience,
    /// Let go only when nothing can be written any more.
    _lock: FolderLock,
}

impl Writer {
    fn run(mut self) {
        let mut closing = false;
        while !closing {
            let Some(batch) =
                Batch::receive(&mut self.inbox, &self.shared.intakes, &mut self.patience)
            else {
                break;
            };
            let batch = batch.ops;
            closing = batch.iter().any(|op| matches!(op, Op::Close));
            self.write(batch);
            self.checkpoint_if_long();
        }
        self.inbox.close();
        while let Ok(op) = self.inbox.try_recv() {
            op.refuse(&StorageError::Closed);
        }
        self.close();
    }

    fn write(&mut self, batch: Vec<Op>) {
        if self.shared.is_latched() {
            for op in batch {
                op.refuse(&StorageError::Latched);
            }
            return;
        }
        let mut batch = batch.into_iter();
        let mut transaction = Transaction::default();
        let began = Instant::now();
        match self.transact(&mut batch, &mut transaction) {
            Ok(()) => {
                if transaction.has_written() {
                    let Shared {
                        commits,
                        clock,
                        heard,
                        ..
                    } = &*self.shared;
                    commits.count(transaction.messages(), began.elapsed());
                    heard.took(transaction.heard, clock.open_ms(), clock.wall_ms());
                    if mem::take(&mut self.refusing) {
                        tracing::info!("the queue can store again");
                    }
                }
                for account in transaction.released_accounts {
                    self.shared.wake(&account);
                }
                for done in transaction.done {
                    self.finish(done);
                }
            }
            Err(error) => {
                self.roll_back();
                self.judge(&error);
                self.dropped_leases().append(&mut transaction.released);
                self.shared.incidents.give_back(&transaction.incidents);
                let in_doubt = transaction.is_ending && !error.is_certain();
                for done in transaction.done {
                    done.fail(&error, in_doubt);
                }
                for op in batch {
                    op.refuse(&error);
                }
            }
        }
    }

    /// All of the batch in one transaction; what is left in `batch` after a failure was not begun.
    fn transact(
        &self,
        batch: &mut impl Iterator<Item = Op>,
        transaction: &mut Transaction,
    ) -> Result<(), StorageError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        self.release_dropped(transaction)?;
        self.save_incidents(transaction)?;
        for op in batch {
            // A lease that an undone request had made was dropped in this very batch: it must not
            // make ready what somebody else is about to hold.
            if matches!(op, Op::Lease { .. }) {
                self.release_dropped(transaction)?;
            }
            self.apply(op, transaction);
            if let Some(error) = self.broken.take() {
                return Err(error);
            }
        }
        self.save_heard(transaction)?;
        transaction.is_ending = true;
        Ok(self.connection.execute_batch("COMMIT")?)
    }

    fn roll_back(&self) {
        self.broken.take();
        // After some failures SQLite has done it already.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            self.shared.latch(&error.into());
        }
    }

    /// What certainly changed nothing heals: mail stays with its clients until the disk takes it.
    /// On top of anything else nothing is written.
    fn judge(&mut self, error: &StorageError) {
        if !error.is_certain() {
            self.shared.latch(error);
        } else if !mem::replace(&mut self.refusing, true) {
            tracing::error!(%error, "nothing can be stored for now");
        }
    }

    fn dropped_leases(&self) -> MutexGuard<'_, Vec<Dropped>> {
        self.shared
            .dropped_leases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn release_dropped(&self, transaction: &mut Transaction) -> Result<(), StorageError> {
        let dropped = mem::take(&mut *self.dropped_leases());
        if dropped.is_empty() {
            return Ok(());
        }
        // They are dropped still if the transaction fails.
        transaction.released.extend_from_slice(&dropped);
        let accounts =
            self.guarded(|connection| Ok(lease::release(connection, &self.shared, &dropped)?))?;
        transaction.released_accounts.extend(accounts);
        Ok(())
    }

    /// Mail does not depend on them: what cannot be stored is kept for the next transaction.
    fn save_incidents(&self, transaction: &mut Transaction) -> Result<(), StorageError> {
        let incidents = &self.shared.incidents;
        let unsaved = incidents.take_unsaved();
        if unsaved.is_empty() {
            return Ok(());
        }
        match self.guarded(|connection| Ok(incidents.save(connection, &unsaved)?)) {
            Ok(()) => transaction.incidents = unsaved,
            Err(error) => {
                incidents.give_back(&unsaved);
                transaction.incidents_refused = Some(error);
            }
        }
        match self.broken.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Mail does not depend on it either: the next message tells the same.
    fn save_heard(&self, transaction: &mut Transaction) -> Result<(), StorageError> {
        if transaction.heard.is_empty() {
            return Ok(());
        }
        let saved = self.guarded(|connection| {
            Ok(heard::save_messages(
                connection,
                &self.shared,
                &transaction.heard,
            )?)
        });
        if let Ok(stored) = saved {
            transaction.heard.stored = stored;
        }
        self.broken.take().map_or(Ok(()), Err)
    }

    /// One request inside its own savepoint: a failure undoes that request and no other.
    ///
    /// Some failures undo the whole transaction all the same, a full disk among them: SQLite has
    /// rolled it back by then, or nothing may be built on it.
    fn guarded<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let connection = &self.connection;
        let statement = |sql| connection.prepare_cached(sql)?.execute([]);
        let guarded = || {
            statement("SAVEPOINT one")?;
            let result = work(connection);
            let lost = match &result {
                Ok(_) => false,
                Err(error) => connection.is_autocommit() || !error.is_certain(),
            };
            if !lost {
                if result.is_err() {
                    statement("ROLLBACK TO one")?;
                }
                statement("RELEASE one")?;
            }
            Ok((result, lost))
        };
        let (result, lost) =
            guarded().unwrap_or_else(|error: rusqlite::Error| (Err(error.into()), true));
        if let Err(error) = &result
            && lost
        {
            self.broken.set(Some(error.clone()));
        }
        result
    }

    fn apply(&self, op: Op, transaction: &mut Transaction) {
        let done = &mut transaction.done;
        match op {
            Op::Commit { message, answer } => {
                let inserted = self
                    .guarded(|connection| Ok(insert::insert(connection, &self.shared, &message)?));
                match inserted {
                    Ok(()) => {
                        transaction.heard.note(&message.submission.origin);
                        done.push(Done::Committed(message, answer));
                    }
                    Err(error) => {
                        // Its room is free before anybody hears that it was refused.
                        drop(message);
                        let _ = answer.send(Err(error));
                    }
                }
            }
            Op::Lease {
                account,
                max,
                answer,
            } => {
                let leased = self.guarded(|connection| {
                    let turns = &mut self.turns.borrow_mut();
                    lease::lease(connection, &self.shared, turns, &account, max)
                });
                match leased {
                    Ok(leased) => done.push(Done::Leased(leased, answer)),
                    Err(error) => drop(answer.send(Err(error))),
                }
            }
            Op::Settle {
                seq,
                account,
                settlement,
                answer,
            } => {
                let settled = self.guarded(|connection| {
                    settle::settle(connection, &self.shared, seq, &account, &settlement)
                });
                match settled {
                    Ok(settled) => done.push(Done::Settled(Box::new(settled), answer)),
                    Err(error) => drop(answer.send(Err(error))),
                }
            }
            Op::Maintain { answer } => {
                let swept =
                    self.guarded(|connection| Ok(retention::sweep(connection, &self.shared)?));
                match swept {
                    Ok(swept) => done.push(Done::Maintained(swept, answer)),
                    Err(error) => drop(answer.send(Err(error))),
                }
            }
            Op::Change { request, answer } => {
                let changed =
                    self.guarded(|connection| change::change(connection, &self.shared, &request));
                match changed {
                    Ok(changed) => done.push(Done::Changed(Box::new(changed), answer)),
                    Err(error) => drop(answer.send(Err(error))),
                }
            }
            Op::Tell { telling, answer } => {
                let told = self.guarded(|connection| Ok(notice::tell(connection, &telling)?));
                match told {
                    Ok(()) => done.push(Done::Told(answer)),
                    Err(error) => drop(answer.send(Err(error))),
                }
            }
            Op::Reroute { request, answer } => {
                let moved = self.guarded(|connection| {
                    Ok(reroute::reroute(connection, &self.shared, &request)?)
                });
                match moved {
                    Ok(moved) => done.push(Done::Rerouted(moved, answer)),
                    Err(error) => drop(answer.send(Err(error))),
                }
            }
            Op::Denied { request, answer } => {
                let effect = self.guarded(|connection| {
                    Ok(denied::apply(connection, &self.shared.clock, &request)?)
                });
                match effect {
                    Ok(effect) => done.push(Done::Denied(effect, answer)),
                    Err(error) => drop(answer.send(Err(error))),
                }
            }
            Op::Incidents { answer } => match &transaction.incidents_refused {
                None => done.push(Done::IncidentsStored(answer)),
                Some(error) => drop(answer.send(Err(error.clone()))),
            },
            Op::Look | Op::Close => {}
        }
    }

    /// The transaction is on stable storage: now, and not before, anybody may be told.
    fn finish(&self, done: Done) {
        match done {
            Done::Committed(message, answer) => {
                let id = message.id;
                let keys = message.keep(&self.shared.room);
                let _ = answer.send(Ok(Receipt::new(id)));
                for key in keys {
                    self.shared.wake(&key);
                }
            }
            Done::Leased(leased, answer) => {
                // Leases that nobody waits for any more go back by being dropped.
                let _ = answer.send(Ok(leased));
            }
            Done::Settled(settled, answer) => {
                if let Some((holder, bytes)) = settled.released {
                    self.shared.room.release(holder, bytes);
                }
                if let Some(id) = settled.content_file {
                    content::remove(&self.shared.directory, id);
                }
                if settled.outcome.retry_in.is_some() {
                    self.shared.wake(&settled.account);
                }
                if settled.outcome.state == MessageState::Failed {
                    self.shared.owing.notify_one();
                }
                let _ = answer.send(Ok(settled.outcome));
            }
            Done::Maintained(mut swept, answer) => {
                self.shared.clients.saved(mem::take(&mut swept.clients));
                self.shared.heard.saved(mem::take(&mut swept.heard));
                let _ = answer.send(Ok(swept));
            }
            Done::Changed(mut changed, answer) => {
                changed.take_effect(&self.shared);
                let _ = answer.send(Ok(*changed));
            }
            Done::Told(answer) => drop(answer.send(Ok(()))),
            Done::Rerouted(moved, answer) => {
                moved.take_effect(&self.shared);
                let _ = answer.send(Ok(moved));
            }
            Done::Denied(effect, answer) => {
                let _ = answer.send(Ok(self.shared.denied.take_in(effect)));
            }
            Done::IncidentsStored(answer) => {
                let _ = answer.send(Ok(()));
            }
        }
    }

    /// Between batches, never inside one, so that no waiter pays for it before its answer.
    fn checkpoint_if_long(&mut self) {
        if self.shared.is_latched() || self.checkpoint_after.is_some_and(|at| Instant::now() < at) {
            return;
        }
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

    fn close(self) {
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

#[cfg(test)]
mod tests;
