//! What a place in the queue costs: from draft to receipt, and from lease to settlement.
//!
//! The queue lies in `$EXORELAY_BENCH_DIR`, or else under the target folder: on a real disk, or the
//! figures mean nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use divan::Bencher;
use divan::counter::ItemsCount;
use exorelay::mail::{BodyType, Envelope, Mailbox, Recipient, ReversePath};
use exorelay::queue::{
    Backoff, Disposition, Lease, Limits, Origin, Queue, RecipientOutcome, Retention, Retry,
    Settings, Settlement, Submission,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

fn main() {
    divan::main();
}

const CONTENT_BYTES: usize = 4 << 10;

/// What each session sends before it is measured how long all of them took: enough that sessions
/// and writer find their rhythm, in which the next messages come while a transaction is synced.
const MESSAGES_EACH: usize = 8;

/// An open queue on a real disk.
struct Bench {
    runtime: Runtime,
    queue: Option<Queue>,
    _folder: TempDir,
}

impl Bench {
    fn open() -> Self {
        let base = std::env::var_os("EXORELAY_BENCH_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
        let folder = TempDir::with_prefix_in("commit-", &base).expect("a folder for the queue");
        warn_of_memory(folder.path());
        let settings = Settings {
            directory: folder.path().join("queue"),
            limits: Limits {
                messages_max: u64::MAX,
                bytes_max: u64::MAX,
                disk_free_min_bytes: 0,
            },
            backoff: Backoff {
                initial: Duration::from_secs(30),
                factor: 2.0,
                max: Duration::from_hours(1),
            },
            expire_after: Duration::from_hours(48),
            retention: Retention {
                delivered: Duration::from_hours(24),
                failed: Duration::from_hours(24),
            },
            record_subject: true,
        };
        Self {
            runtime: Runtime::new().expect("a runtime"),
            queue: Some(Queue::open(settings).expect("an empty queue")),
            _folder: folder,
        }
    }

    fn queue(&self) -> Queue {
        self.queue.clone().expect("open until dropped")
    }

    /// `sessions` at once, each committing one message after the other.
    fn commit(&self, sessions: usize, messages_each: usize) {
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..sessions {
                let queue = self.queue();
                tasks.spawn(async move {
                    for _ in 0..messages_each {
                        commit_one(&queue).await;
                    }
                });
            }
            while let Some(done) = tasks.join_next().await {
                done.expect("a session");
            }
        });
    }

    fn lease(&self, count: usize) -> Vec<Lease> {
        let queue = self.queue();
        let found = self.runtime.block_on(queue.lease("default", count));
        let leases = found.expect("a lease").leases;
        assert_eq!(leases.len(), count);
        leases
    }

    fn settle(&self, leases: Vec<Lease>) {
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for lease in leases {
                let queue = self.queue();
                tasks.spawn(async move { lease.settle(&queue, delivered()).await });
            }
            while let Some(done) = tasks.join_next().await {
                done.expect("a delivery").expect("a settlement");
            }
        });
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Before its folder goes.
        if let Some(queue) = self.queue.take() {
            queue.close();
        }
    }
}

fn warn_of_memory(folder: &Path) {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    if rustix::fs::statfs(folder).is_ok_and(|fs| fs.f_type as u64 == TMPFS_MAGIC) {
        eprintln!(
            "{} is in memory, where a sync costs nothing: set EXORELAY_BENCH_DIR to a folder on a disk",
            folder.display()
        );
    }
}

async fn commit_one(queue: &Queue) {
    let content = [b'x'; CONTENT_BYTES];
    let mut draft = queue.draft(Some(CONTENT_BYTES as u64)).expect("room");
    draft.append(&content).await.expect("room");
    let _receipt = draft.commit(submission()).await.expect("a receipt");
}

fn submission() -> Submission {
    let mailbox = |text| Mailbox::parse(text).expect("an address");
    let recipients = vec![Recipient::from(mailbox("office@contoso.com"))];
    let reverse_path = ReversePath::parse("scanner@contoso.com").expect("an address");
    Submission {
        envelope: Envelope::new(reverse_path, recipients, BodyType::SevenBit, false)
            .expect("a recipient"),
        account: "default".into(),
        origin: Origin {
            listener: "local".into(),
            client: "127.0.0.1".into(),
            helo: "scanner.contoso.local".into(),
            ..Origin::default()
        },
        subject: Some("Scan of the third floor".into()),
        message_id: Some("<20261120100000.1@contoso.com>".into()),
    }
}

fn delivered() -> Settlement {
    let reply = "250 2.0.0 OK [Hostname=relay.outlook.office365.com]";
    Settlement {
        recipients: vec![RecipientOutcome {
            number: 0,
            disposition: Disposition::Delivered,
            reply: reply.into(),
        }],
        retry: Retry::Scheduled,
        started_at: SystemTime::now(),
        remote: "smtp.office365.com".into(),
        connection: Some(1),
        transactions: 1,
        uncertain: false,
        note: None,
        reply: reply.into(),
    }
}

/// The more sessions push, the more messages share a transaction and its sync.
#[divan::bench(args = [1, 8, 20, 64], sample_count = 50)]
fn draft_to_receipt(bencher: Bencher<'_, '_>, sessions: usize) {
    let bench = Bench::open();
    bencher
        .counter(ItemsCount::new(sessions * MESSAGES_EACH))
        .bench_local(|| bench.commit(sessions, MESSAGES_EACH));
}

#[divan::bench(args = [1, 8, 20, 64], sample_count = 50)]
fn lease_to_settlement(bencher: Bencher<'_, '_>, messages: usize) {
    let bench = Bench::open();
    bencher
        .counter(ItemsCount::new(messages))
        .with_inputs(|| bench.commit(messages, 1))
        .bench_local_values(|()| {
            let leases = bench.lease(messages);
            bench.settle(leases);
        });
}
