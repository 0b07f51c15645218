//! The handle that everybody holds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::queue::batch::Intakes;
use crate::queue::bounds::Room;
use crate::queue::clients::{self, Clients};
use crate::queue::clock::{MachineTime, QueueClock, Time};
use crate::queue::commits::Commits;
use crate::queue::denied::DeniedSenders;
use crate::queue::heard;
use crate::queue::id::QueueIdGenerator;
use crate::queue::incident;
use crate::queue::lease::Dropped;
use crate::queue::lock::{FolderLock, LockError};
use crate::queue::op::Op;
use crate::queue::opening::{make_folder, newest_id, node_of, sweep_content, waiting};
use crate::queue::pool::pool_members;
use crate::queue::writer;
use crate::queue::{
    Backoff, CommitCounts, Draft, DraftError, Full, Incidents, Leased, Limits, OpenError, Reader,
    Sender, StorageError, content, presented, schema,
};

/// What the queue needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Holds `queue.db`, `content/` and `lock`; made if its parent exists.
    pub directory: PathBuf,
    /// How much it may hold.
    pub limits: Limits,
    /// When deferred messages are tried again.
    pub backoff: Backoff,
    /// Age, in time that the account was able to send, after which a message is given up.
    pub expire_after: Duration,
    /// How long ended messages are remembered.
    pub retention: Retention,
    /// Whether subjects are stored beside the content.
    pub record_subject: bool,
}

/// How long ended messages are remembered.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// History of delivered and deleted messages, without content.
    pub delivered: Duration,
    /// Failed messages, with content.
    pub failed: Duration,
}

/// Of one round of housekeeping: what is left waits for the next.
const SWEEPS_MAX: usize = 200;

/// What can change while the queue is open, with effect from the next commit or settlement on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuning {
    pub(super) backoff: Backoff,
    pub(super) expire_after: Duration,
    pub(super) retention: Retention,
    pub(super) record_subject: bool,
}

impl Tuning {
    fn of(settings: &Settings) -> Self {
        Self {
            backoff: settings.backoff,
            expire_after: settings.expire_after,
            retention: settings.retention,
            record_subject: settings.record_subject,
        }
    }
}

/// A cheap handle; the queue closes when the last one is dropped, or at [`Queue::close`].
#[derive(Clone, Debug)]
pub struct Queue {
    pub(super) shared: Arc<Shared>,
    pub(super) ops: mpsc::Sender<Op>,
    writer: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// What sessions, deliveries and the writer's thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) directory: PathBuf,
    tuning: RwLock<Tuning>,
    pub(super) clock: Arc<QueueClock>,
    pub(super) room: Arc<Room>,
    pub(super) commits: Commits,
    pub(super) ids: Arc<QueueIdGenerator>,
    pub(super) incidents: Incidents,
    pub(super) intakes: Intakes,
    /// Asked at every attempt, so kept in memory too.
    pub(super) denied: DeniedSenders,
    pub(super) clients: Clients,
    pub(super) heard: heard::Ledger,
    /// Leases that were dropped; the writer makes them ready again with its next batch.
    pub(super) dropped_leases: Mutex<Vec<Dropped>>,
    /// By account.
    senders: Mutex<HashMap<String, Sender>>,
    /// Weak, so that the inbox closes with the last [`Queue`].
    nudge: mpsc::WeakSender<Op>,
    wakers: Mutex<HashMap<String, Arc<Notify>>>,
    /// Somebody is to be told of a failure.
    pub(super) owing: Arc<Notify>,
    latched: watch::Sender<bool>,
}

impl Shared {
    pub(super) fn tuning(&self) -> Tuning {
        *self.tuning.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the dispatchers of all accounts that `key` names that there is something to lease.
    pub(super) fn wake(&self, key: &str) {
        let wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        for account in pool_members(key) {
            if let Some(waker) = wakers.get(account) {
                waker.notify_one();
            }
        }
    }

    /// Tells every account's dispatcher to look.
    pub(super) fn wake_all(&self) {
        let wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        for waker in wakers.values() {
            waker.notify_one();
        }
    }

    /// A lease was dropped; the writer makes the message ready again.
    pub(super) fn give_back(&self, dropped: Dropped) {
        self.dropped_leases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(dropped);
        // When the inbox is full the writer is awake anyway and will look.
        if let Some(ops) = self.nudge.upgrade() {
            let _ = ops.try_send(Op::Look);
        }
    }

    /// Without one, the account is its own mailbox, and a message goes out at once.
    pub(super) fn sender(&self, account: &str) -> Sender {
        let senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let known = senders.get(account).cloned();
        known.unwrap_or_else(|| Sender {
            mailbox: Sender::key(account),
            recipients_max: usize::MAX,
        })
    }

    /// Nothing is written from here on; said once, loudly.
    pub(super) fn latch(&self, error: &StorageError) {
        if !self.latched.send_replace(true) {
            tracing::error!(
                %error,
                "queue storage failed and its state is unknown: no mail is accepted or sent until a restart"
            );
        }
    }

    pub(super) fn is_latched(&self) -> bool {
        *self.latched.borrow()
    }
}

impl Queue {
    /// Opens or makes the folder, takes its lock, brings the schema up to date, frees what a crash
    /// left behind and starts the writer. Blocking: a second of work at most with a full queue.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        Self::open_at(settings, Arc::new(MachineTime))
    }

    pub(super) fn open_at(settings: Settings, time: Arc<dyn Time>) -> Result<Self, OpenError> {
        let tuning = RwLock::new(Tuning::of(&settings));
        let Settings {
            directory, limits, ..
        } = settings;
        make_folder(&directory)?;
        let lock = FolderLock::acquire(&directory).map_err(|error| match error {
            LockError::Held(holder) => OpenError::Held {
                path: directory.clone(),
                holder: if holder.is_empty() {
                    "another process".into()
                } else {
                    holder
                },
            },
            LockError::Io(path, source) => OpenError::Folder { path, source },
        })?;
        make_folder(&directory.join("content"))?;
        let connection = schema::open_writer(&directory.join("queue.db"))?;
        let node = node_of(&connection)?;
        let newest = newest_id(&connection)?;
        let clock = Arc::new(QueueClock::load(&connection, time)?);
        let void = presented::void_leases(&connection, clock.now_ms())?;
        sweep_content(&connection, &directory)?;
        let held = waiting(&connection)?;
        let (ops, inbox) = mpsc::channel(writer::INBOX_MAX);
        let ids = Arc::new(QueueIdGenerator::new(node, newest));
        let incidents = Incidents::new(
            incident::load(&connection)?,
            Arc::clone(&clock),
            Arc::clone(&ids),
            ops.downgrade(),
        );
        let room = Room::new(limits, &directory, held);
        room.report_to(incidents.clone());
        let shared = Arc::new(Shared {
            clock,
            room,
            commits: Commits::new(),
            ids,
            incidents,
            intakes: Intakes::default(),
            denied: DeniedSenders::load(&connection)?,
            clients: clients::load(&connection)?,
            heard: heard::load(&connection)?,
            dropped_leases: Mutex::new(void),
            senders: Mutex::default(),
            nudge: ops.downgrade(),
            wakers: Mutex::default(),
            owing: Arc::default(),
            latched: watch::Sender::new(false),
            tuning,
            directory: directory.clone(),
        });
        let thread =
            writer::spawn(connection, Arc::clone(&shared), inbox, lock).map_err(|source| {
                OpenError::Folder {
                    path: directory,
                    source,
                }
            })?;
        Ok(Self {
            shared,
            ops,
            writer: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Whether a daemon holds this folder at the moment.
    pub fn is_in_use(directory: &Path) -> bool {
        FolderLock::is_held(directory)
    }

    /// Begins taking a message in, with room for `size_bytes` as announced, or for none yet. It is
    /// an operator's: only the bounds limit it.
    ///
    /// # Errors
    /// When a bound is reached.
    pub fn draft(&self, size_bytes: Option<u64>) -> Result<Draft, DraftError> {
        self.draft_of(None, size_bytes)
    }

    /// As [`Queue::draft`], for the client at this address, which needs a share of the room when there
    /// is little left.
    ///
    /// # Errors
    /// When a bound is reached, or the client's share: it gets a 452 and tries again.
    pub fn draft_from(&self, client: &str, size_bytes: Option<u64>) -> Result<Draft, DraftError> {
        self.draft_of(Some(client), size_bytes)
    }

    fn draft_of(&self, client: Option<&str>, size_bytes: Option<u64>) -> Result<Draft, DraftError> {
        if self.shared.is_latched() {
            return Err(StorageError::Latched.into());
        }
        let room = &self.shared.room;
        let holder = client.map(|client| room.holder(client));
        let reservation = room.reserve(holder, size_bytes.unwrap_or(0))?;
        Ok(Draft::new(self.clone(), reservation))
    }

    /// Up to `max` messages that are due and that `account` may send, those of its pools included, each
    /// leased to the caller.
    pub async fn lease(&self, account: &str, max: usize) -> Result<Leased, StorageError> {
        let account = account.to_owned();
        let (answer, answered) = oneshot::channel();
        self.send(Op::Lease {
            account,
            max,
            answer,
        })
        .await?;
        answered.await.map_err(|_| StorageError::Closed)?
    }

    /// Is notified when `account` may have something to lease.
    pub fn waker(&self, account: &str) -> Arc<Notify> {
        let mut wakers = self
            .shared
            .wakers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(wakers.entry(account.to_owned()).or_default())
    }

    /// Is notified when a message has failed that somebody may have to be told of.
    pub fn owing_waker(&self) -> Arc<Notify> {
        Arc::clone(&self.shared.owing)
    }

    /// Starts or stops the account's active time: messages age only while it runs, or that of another account
    /// of their pool (promise 4).
    pub fn set_active(&self, account: &str, active: bool) {
        self.shared.clock.set_active(account, active);
    }

    /// Who sends what is leased of `account` from now on.
    pub fn set_sender(&self, account: &str, sender: &Sender) {
        let senders = &self.shared.senders;
        let mut senders = senders.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = Sender {
            mailbox: Sender::key(&sender.mailbox),
            ..*sender
        };
        senders.insert(account.to_owned(), sender);
    }

    /// Goes over to other bounds, back-off, expiry and retention; the directory stays what it is.
    ///
    /// Messages that are deferred keep the moment they were told. With a bound below what is held,
    /// nothing more is taken in until enough has ended.
    pub fn retune(&self, settings: &Settings) {
        self.shared.room.set_limits(settings.limits);
        let tuning = &self.shared.tuning;
        *tuning.write().unwrap_or_else(PoisonError::into_inner) = Tuning::of(settings);
    }

    /// What is wrong, and who is still to be told of it.
    pub fn incidents(&self) -> Incidents {
        self.shared.incidents.clone()
    }

    /// Stores the clocks and what clients needed, forgets what is older than `keep_delivered` and `keep_failed`, and hands free
    /// space back: as much as there is, up to a bound, in steps that let mail in between.
    pub async fn maintain(&self) -> Result<(), StorageError> {
        // The disk is looked at also while no mail comes.
        let _ = self.is_full();
        for _ in 0..SWEEPS_MAX {
            let (answer, answered) = oneshot::channel();
            self.send(Op::Maintain { answer }).await?;
            let swept = answered.await.map_err(|_| StorageError::Closed)??;
            let shared = Arc::clone(&self.shared);
            // Large files take a disk long to remove. What is left when this fails, or when nobody waits
            // for it any more, the next start sweeps.
            let remove = move || {
                for id in swept.content_files {
                    content::remove(&shared.directory, id);
                }
            };
            let _ = tokio::task::spawn_blocking(remove).await;
            if !swept.more {
                break;
            }
        }
        Ok(())
    }

    /// Messages and bytes that count against the bounds, drafts included.
    pub fn used(&self) -> (u64, u64) {
        self.shared.room.used()
    }

    /// What its transactions came to so far.
    pub fn commits(&self) -> CommitCounts {
        self.shared.commits.counts()
    }

    /// The bounds in force.
    pub fn limits(&self) -> Limits {
        self.shared.room.limits()
    }

    /// Why nothing more is accepted at the moment, if so.
    pub fn is_full(&self) -> Option<Full> {
        self.shared.room.reserve(None, 0).err()
    }

    /// Whether a storage failure has stopped the queue.
    pub fn is_latched(&self) -> bool {
        self.shared.is_latched()
    }

    /// Resolves when a storage failure has stopped the queue: only a new start can tell what is on
    /// the disk.
    pub async fn latched(&self) {
        let mut latched = self.shared.latched.subscribe();
        // The sender lives as long as `self`.
        let _ = latched.wait_for(|latched| *latched).await;
    }

    /// For listings: opens read-only connections of its own.
    pub fn reader(&self) -> Reader {
        Reader::of(&self.shared)
    }

    /// Ends the writer after what waits, stores the clocks and folds the log back. Blocking.
    pub fn close(self) {
        let thread = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // Handles may still live in tasks that were told to stop: the writer need not wait for them.
        let _ = self.ops.blocking_send(Op::Close);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    pub(super) async fn send(&self, op: Op) -> Result<(), StorageError> {
        if self.shared.is_latched() {
            return Err(StorageError::Latched);
        }
        self.ops.send(op).await.map_err(|_| StorageError::Closed)
    }
}
