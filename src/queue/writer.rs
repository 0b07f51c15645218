//! The one thread that writes: group commit.

use std::io;
use std::mem;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::queue::change::{self, Changed};
use crate::queue::insert::{self, NewContent, NewMessage};
use crate::queue::lock::FolderLock;
use crate::queue::settle::{self, Settled};
use crate::queue::store::Shared;
use crate::queue::{
    Leased, Outcome, QueueId, Receipt, Settlement, StorageError, content, lease, retention,
};

/// Requests that may wait; sessions beyond that wait for a place.
pub(super) const INBOX_MAX: usize = 1024;

/// Requests that share one transaction.
const BATCH_MAX: usize = 256;

/// Content that shares one transaction.
const BATCH_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Pages in the write-ahead log after which it is folded back into the database.
const CHECKPOINT_PAGES: i64 = 4000;

type Answer<T> = oneshot::Sender<Result<T, StorageError>>;

/// A request to the writer.
#[derive(Debug)]
pub(super) enum Op {
    Commit {
        message: Box<NewMessage>,
        answer: Answer<Receipt>,
    },
    Lease {
        account: String,
        max: usize,
        answer: Answer<Leased>,
    },
    Settle {
        seq: i64,
        settlement: Box<Settlement>,
        answer: Answer<Outcome>,
    },
    Maintain {
        answer: Answer<bool>,
    },
    Change {
        request: Box<change::Request>,
        answer: Answer<Changed>,
    },
    /// Leases were dropped.
    Look,
    Close,
}

impl Op {
    fn inline_bytes(&self) -> usize {
        match self {
            Self::Commit { message, .. } => message.content.inline_bytes(),
            _ => 0,
        }
    }

    fn refuse(self, error: &StorageError) {
        match self {
            Self::Commit { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Lease { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Settle { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Maintain { answer } => drop(answer.send(Err(error.clone()))),
            Self::Change { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Look | Self::Close => {}
        }
    }
}

/// What to tell whom once the transaction is on stable storage.
#[derive(Debug)]
enum Done {
    Committed(Box<NewMessage>, Answer<Receipt>),
    Leased(Leased, Answer<Leased>),
    Settled(Box<Settled>, Answer<Outcome>),
    Maintained(retention::Swept, Answer<bool>),
    Changed(Box<Changed>, Answer<Changed>),
}

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
    /// Let go only when nothing can be written any more.
    _lock: FolderLock,
}

impl Writer {
    fn run(mut self) {
        let mut closing = false;
        while !closing {
            let Some(first) = self.inbox.blocking_recv() else {
                break;
            };
            let mut batch = vec![first];
            let mut bytes = batch.iter().map(Op::inline_bytes).sum::<usize>();
            while batch.len() < BATCH_MAX && bytes < BATCH_MAX_BYTES {
                let Ok(op) = self.inbox.try_recv() else {
                    break;
                };
                bytes += op.inline_bytes();
                batch.push(op);
            }
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
        if let Err(error) = self.connection.execute_batch("BEGIN IMMEDIATE") {
            let error = StorageError::from(error);
            self.judge(&error);
            for op in batch {
                op.refuse(&error);
            }
            return;
        }
        let released = self.release_dropped();
        let mut done = Vec::with_capacity(batch.len());
        for op in batch {
            self.apply(op, &mut done);
        }
        match self.connection.execute_batch("COMMIT") {
            Ok(()) => {
                for account in released {
                    self.shared.wake(&account);
                }
                for done in done {
                    self.finish(done);
                }
            }
            Err(error) => {
                let error = StorageError::from(error);
                if !self.connection.is_autocommit() {
                    let _ = self.connection.execute_batch("ROLLBACK");
                }
                self.judge(&error);
                for done in done {
                    done.fail(&error);
                }
            }
        }
    }

    /// A full disk heals; after anything else that fails a whole transaction nothing is certain.
    fn judge(&self, error: &StorageError) {
        match error {
            StorageError::DiskFull => tracing::warn!(%error, "nothing can be stored"),
            _ => self.shared.latch(error),
        }
    }

    fn release_dropped(&self) -> Vec<String> {
        let mut dropped = self
            .shared
            .dropped_leases
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if dropped.is_empty() {
            return Vec::new();
        }
        match self.guarded(|connection| Ok(lease::release(connection, &dropped)?)) {
            Ok(accounts) => {
                dropped.clear();
                accounts
            }
            Err(error) => {
                tracing::warn!(%error, "leases could not be given back yet");
                Vec::new()
            }
        }
    }

    /// One request inside its own savepoint: a failure undoes that request and no other.
    fn guarded<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let connection = &self.connection;
        connection.prepare_cached("SAVEPOINT one")?.execute([])?;
        let result = work(connection);
        if result.is_err() && !connection.is_autocommit() {
            connection.prepare_cached("ROLLBACK TO one")?.execute([])?;
        }
        connection.prepare_cached("RELEASE one")?.execute([])?;
        result
    }

    fn apply(&self, op: Op, done: &mut Vec<Done>) {
        match op {
            Op::Commit { message, answer } => {
                let inserted = self
                    .guarded(|connection| Ok(insert::insert(connection, &self.shared, &message)?));
                match inserted {
                    Ok(()) => done.push(Done::Committed(message, answer)),
                    Err(error) => drop(answer.send(Err(error))),
                }
            }
            Op::Lease {
                account,
                max,
                answer,
            } => {
                let leased = self
                    .guarded(|connection| lease::lease(connection, &self.shared, &account, max));
                match leased {
                    Ok(leased) => done.push(Done::Leased(leased, answer)),
                    Err(error) => drop(answer.send(Err(error))),
                }
            }
            Op::Settle {
                seq,
                settlement,
                answer,
            } => {
                let settled = self.guarded(|connection| {
                    settle::settle(connection, &self.shared, seq, &settlement)
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
            Op::Look | Op::Close => {}
        }
    }

    /// The transaction is on stable storage: now, and not before, anybody may be told.
    fn finish(&self, done: Done) {
        match done {
            Done::Committed(message, answer) => {
                let NewMessage {
                    id,
                    submission,
                    content,
                    size_bytes,
                    reservation,
                    ..
                } = *message;
                reservation.keep(size_bytes);
                if let NewContent::File(file) = content {
                    file.committed();
                }
                let _ = answer.send(Ok(Receipt::new(id)));
                self.shared.wake(&submission.account);
            }
            Done::Leased(leased, answer) => {
                // Leases that nobody waits for any more go back by being dropped.
                let _ = answer.send(Ok(leased));
            }
            Done::Settled(settled, answer) => {
                if let Some(bytes) = settled.released_bytes {
                    self.shared.room.release(1, bytes);
                }
                if let Some(id) = settled.content_file {
                    self.remove_content_file(id);
                }
                if settled.outcome.retry_in.is_some() {
                    self.shared.wake(&settled.account);
                }
                let _ = answer.send(Ok(settled.outcome));
            }
            Done::Maintained(swept, answer) => {
                for id in swept.content_files {
                    self.remove_content_file(id);
                }
                let _ = answer.send(Ok(swept.more));
            }
            Done::Changed(mut changed, answer) => {
                changed.take_effect(&self.shared);
                let _ = answer.send(Ok(*changed));
            }
        }
    }

    fn remove_content_file(&self, id: QueueId) {
        let path = content::path_of(&self.shared.settings.directory, id);
        if let Err(error) = std::fs::remove_file(&path) {
            // The next start sweeps it.
            tracing::warn!(queue_id = %id, %error, "content file of an ended message stays for now");
        }
    }

    /// Between batches, never inside one, so that no waiter pays for it before its answer.
    fn checkpoint_if_long(&self) {
        let pages = self.wal_checkpoint("NOOP");
        if pages.is_ok_and(|pages| pages >= CHECKPOINT_PAGES)
            && let Err(error) = self.wal_checkpoint("PASSIVE")
        {
            self.judge(&StorageError::from(error));
        }
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
        if !self.shared.is_latched() {
            let mut dropped = self
                .shared
                .dropped_leases
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let seqs = mem::take(&mut *dropped);
            drop(dropped);
            let stored = lease::release(&self.connection, &seqs)
                .and_then(|_| retention::store_clock(&self.connection, &self.shared));
            if let Err(error) = stored {
                tracing::warn!(%error, "the queue's clocks could not be stored while closing");
            }
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "queue.db did not close cleanly; it recovers at the next start");
        }
    }
}

impl Done {
    fn fail(self, error: &StorageError) {
        match self {
            Self::Committed(_, answer) => drop(answer.send(Err(error.clone()))),
            Self::Leased(_, answer) => drop(answer.send(Err(error.clone()))),
            Self::Settled(_, answer) => drop(answer.send(Err(error.clone()))),
            Self::Maintained(_, answer) => drop(answer.send(Err(error.clone()))),
            Self::Changed(_, answer) => drop(answer.send(Err(error.clone()))),
        }
    }
}
