//! Batches in which something fails, on a real database.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::sync::oneshot::Receiver;

use super::*;
use crate::queue::Leased;
use crate::queue::insert::{Maker, NewContent, NewMessage};
use crate::queue::tests::{settings, submission};
use crate::queue::{MessageState, Queue, QueueId, schema};

/// A writer in the place of the queue's own, whose batches are the test's.
struct Bench {
    writer: Writer,
    queue: Queue,
    _folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let queue = Queue::open(settings(folder.path())).unwrap();
        queue.clone().close();
        let connection = schema::open_writer(&folder.path().join("queue/queue.db")).unwrap();
        let (_, inbox) = mpsc::channel(1);
        let writer = Writer {
            connection,
            shared: Arc::clone(&queue.shared),
            inbox,
            broken: Cell::default(),
            turns: RefCell::default(),
            refusing: false,
            checkpoint_after: None,
            patience: Patience::default(),
            _lock: FolderLock::acquire(folder.path()).unwrap(),
        };
        Self {
            writer,
            queue,
            _folder: folder,
        }
    }

    fn commit(&self, size: usize) -> (QueueId, Op, Receiver<Result<Receipt, StorageError>>) {
        let content = vec![b'x'; size];
        self.commit_content(NewContent::Inline(content), size)
    }

    fn commit_content(
        &self,
        content: NewContent,
        size: usize,
    ) -> (QueueId, Op, Receiver<Result<Receipt, StorageError>>) {
        let (answer, answered) = oneshot::channel();
        let id = self.queue.shared.ids.generate();
        let message = Box::new(NewMessage {
            id,
            submission: submission(&["a@contoso.com"]),
            content,
            size_bytes: size as u64,
            reservation: self.queue.shared.room.reserve(None, size as u64).unwrap(),
            made_by: Maker::Client,
            copies: Vec::new(),
        });
        (id, Op::Commit { message, answer }, answered)
    }

    /// Commits messages of a few octets.
    fn stored(&mut self, count: usize) {
        for _ in 0..count {
            let (_, op, answered) = self.commit(10);
            self.writer.write(vec![op]);
            let _ = answered.blocking_recv().unwrap().unwrap();
        }
    }

    fn pragma(&self, name: &str, value: i64) {
        let connection = &self.writer.connection;
        connection
            .query_row(&format!("PRAGMA {name} = {value}"), [], |_| Ok(()))
            .unwrap();
    }

    fn ids(&self) -> Vec<String> {
        let mut statement = self
            .writer
            .connection
            .prepare("SELECT id FROM message ORDER BY id")
            .unwrap();
        let ids = statement.query_map([], |row| row.get(0)).unwrap();
        ids.collect::<rusqlite::Result<_>>().unwrap()
    }

    fn state(&self, seq: i64) -> i64 {
        self.writer
            .connection
            .query_row("SELECT state FROM message WHERE seq = ?1", [seq], |row| {
                row.get(0)
            })
            .unwrap()
    }
}

fn lease(max: usize) -> (Op, Receiver<Result<Leased, StorageError>>) {
    let (answer, answered) = oneshot::channel();
    let account = "default".into();
    (
        Op::Lease {
            account,
            max,
            answer,
        },
        answered,
    )
}

#[test]
fn a_database_that_cannot_grow_in_the_middle_of_a_batch_stores_what_it_acknowledged_and_no_more() {
    let mut bench = Bench::new();
    // The next pages are refused: SQLite undoes more than the one statement.
    bench.pragma("max_page_count", 1);
    let batch: Vec<_> = [100, 60_000, 100, 60_000, 100]
        .map(|size| bench.commit(size))
        .into();
    let (ops, expected): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .map(|(id, op, answered)| (op, (id, answered)))
        .unzip();
    bench.writer.write(ops);
    let mut acknowledged = Vec::new();
    for (id, answered) in expected {
        match answered.blocking_recv().unwrap() {
            Ok(_) => acknowledged.push(id.to_string()),
            Err(error) => assert!(matches!(error, StorageError::DiskFull), "{error}"),
        }
    }
    assert_eq!(bench.ids(), acknowledged);
    assert!(!bench.queue.is_latched());
    assert_eq!(bench.queue.used().0, acknowledged.len() as u64);

    bench.pragma("max_page_count", 100_000);
    bench.stored(1);
    assert_eq!(bench.ids().len(), acknowledged.len() + 1);
}

#[test]
fn leases_dropped_while_nothing_can_be_stored_come_back_once_it_can() {
    let mut bench = Bench::new();
    bench.stored(1);
    let (op, leased) = lease(1);
    bench.writer.write(vec![op]);
    let leased = leased.blocking_recv().unwrap().unwrap();
    assert_eq!(leased.leases.len(), 1);
    // The queue's own writer must not be the one that gives it back.
    bench
        .writer
        .connection
        .execute_batch("BEGIN IMMEDIATE")
        .unwrap();
    bench.writer.connection.execute_batch("ROLLBACK").unwrap();
    let seq = leased.leases[0].seq;
    mem::forget(leased);
    let dropped = Dropped {
        seq,
        is_presented: false,
    };
    bench.writer.dropped_leases().push(dropped);

    bench.pragma("max_page_count", 1);
    let (_, op, answered) = bench.commit(60_000);
    bench.writer.write(vec![op]);
    assert!(answered.blocking_recv().unwrap().is_err());
    assert_eq!(bench.state(seq), MessageState::Sending.number());

    bench.pragma("max_page_count", 100_000);
    bench.writer.write(vec![Op::Look]);
    assert_eq!(bench.state(seq), MessageState::Ready.number());
}

#[test]
fn a_lease_that_was_undone_does_not_give_away_what_another_one_holds() {
    let mut bench = Bench::new();
    bench.stored(2);
    bench
        .writer
        .connection
        .execute_batch(
            "CREATE TEMP TRIGGER no BEFORE UPDATE OF state ON message WHEN NEW.seq = 2
             BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    let (both, undone) = lease(2);
    let (one, held) = lease(1);
    bench.writer.write(vec![both, one]);
    assert!(undone.blocking_recv().unwrap().is_err());
    let held = held.blocking_recv().unwrap().unwrap();
    assert_eq!(held.leases[0].seq, 1);
    bench.writer.write(vec![Op::Look]);
    assert_eq!(bench.state(1), MessageState::Sending.number());
}

/// A content file that is stored, and the message it belongs to.
fn large(bench: &Bench) -> (PathBuf, Op, Receiver<Result<Receipt, StorageError>>) {
    let shared = &bench.queue.shared;
    let path = content::path_of(&shared.directory, shared.ids.generate());
    let mut file = content::ContentFile::create(path.clone()).unwrap();
    file.append(b"x").unwrap();
    let stored = NewContent::File(file.finish(Vec::new()).unwrap().first);
    let (_, op, answered) = bench.commit_content(stored, 1);
    (path, op, answered)
}

#[test]
fn a_database_that_is_not_what_it_should_be_latches_the_queue() {
    let mut bench = Bench::new();
    let (path, first, answered) = large(&bench);
    // A damaged database, as far as the second request can tell.
    let damage = "DROP TABLE content";
    bench.writer.connection.execute_batch(damage).unwrap();
    let (_, second, unanswered) = bench.commit(10);
    bench.writer.write(vec![first, second]);
    assert!(answered.blocking_recv().unwrap().is_err());
    assert!(unanswered.blocking_recv().unwrap().is_err());
    assert!(bench.queue.is_latched());
    assert!(bench.ids().is_empty());
    assert!(!path.exists(), "nothing was committed");
    let (answer, refused) = oneshot::channel();
    bench.writer.write(vec![Op::Maintain { answer }]);
    let refused = refused.blocking_recv().unwrap();
    assert!(matches!(refused, Err(StorageError::Latched)));
}

#[test]
fn the_file_of_a_message_in_doubt_is_left_to_the_next_start() {
    let bench = Bench::new();
    for (in_doubt, is_left) in [(true, true), (false, false)] {
        let (path, op, answered) = large(&bench);
        let Op::Commit { message, answer } = op else {
            unreachable!("a commit was asked for");
        };
        Done::Committed(message, answer).fail(&StorageError::Closed, in_doubt);
        assert!(answered.blocking_recv().unwrap().is_err());
        assert_eq!(path.exists(), is_left);
    }
}

#[test]
fn what_one_leasing_cannot_carry_or_sets_aside_is_not_forgotten() {
    let mut bench = Bench::new();
    for _ in 0..20 {
        let (_, op, answered) = bench.commit(60_000);
        bench.writer.write(vec![op]);
        let _ = answered.blocking_recv().unwrap().unwrap();
    }
    let (op, leased) = lease(32);
    bench.writer.write(vec![op]);
    let leased = leased.blocking_recv().unwrap().unwrap();
    assert!(leased.leases.len() < 20, "more than fits into memory");
    assert_eq!(leased.next_due, Some(Duration::ZERO));

    let connection = &bench.writer.connection;
    connection
        .execute("DELETE FROM content WHERE seq = 19", [])
        .unwrap();
    let (op, leased) = lease(2);
    bench.writer.write(vec![op]);
    let leased = leased.blocking_recv().unwrap().unwrap();
    assert_eq!(leased.leases.len(), 1, "the other one is damaged");
    assert_eq!(leased.next_due, Some(Duration::ZERO));
}

#[test]
fn transactions_are_counted_by_the_messages_they_take_in() {
    let mut bench = Bench::new();
    let (mut batch, mut answers) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (_, op, answered) = bench.commit(10);
        batch.push(op);
        answers.push(answered);
    }
    bench.writer.write(batch);
    for answered in answers {
        let _ = answered.blocking_recv().unwrap().unwrap();
    }
    bench.stored(2);
    let (op, leased) = lease(5);
    bench.writer.write(vec![op]);
    let leased = leased.blocking_recv().unwrap().unwrap();
    // Neither of these changes anything.
    let (op, nothing) = lease(5);
    bench.writer.write(vec![op]);
    assert!(nothing.blocking_recv().unwrap().unwrap().leases.is_empty());
    bench.pragma("max_page_count", 1);
    let (_, op, refused) = bench.commit(60_000);
    bench.writer.write(vec![op]);
    assert!(refused.blocking_recv().unwrap().is_err());

    let counts = bench.queue.commits();
    let buckets = counts.messages.buckets.iter();
    let seen: Vec<_> = buckets
        .filter(|bucket| bucket.count > 0)
        .map(|bucket| (bucket.at_most, bucket.count))
        .collect();
    assert_eq!(seen, [(Some(0), 1), (Some(1), 2), (Some(4), 1)]);
    assert_eq!((counts.messages.count, counts.messages.sum), (4, 5));
    assert_eq!(counts.microseconds.count, 4);
    drop(leased);
}
