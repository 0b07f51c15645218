//! Incidents: what keeps mail from flowing, remembered across restarts, and who is still to be told.
//!
//! They lie here because every part that can be in trouble stands above the queue, and because the queue
//! owns the one place that outlives the process. What is reported holds at once in memory and is stored
//! with the writer's next transaction; whoever tells the world waits for [`Incidents::stored`] first.

mod ledger;
mod record;
mod store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::queue::clock::QueueClock;
use crate::queue::id::QueueIdGenerator;
use crate::queue::op::Op;
use crate::queue::{QueueId, StorageError};

use ledger::{Ledger, Now};

pub use ledger::News;
pub use record::{Alarm, Finding, Hook, Incident, IncidentKind, Owed, ProbePlan, Told, Urgency};
pub(in crate::queue) use store::load;

/// The incidents of a relay; clones are the same.
#[derive(Clone, Debug)]
pub struct Incidents {
    ledger: Arc<Mutex<Ledger>>,
    clock: Arc<QueueClock>,
    ids: Arc<QueueIdGenerator>,
    /// Weak, so that the inbox closes with the last queue.
    writer: mpsc::WeakSender<Op>,
    changes: watch::Sender<()>,
}

impl Incidents {
    pub(in crate::queue) fn new(
        known: Vec<Incident>,
        clock: Arc<QueueClock>,
        ids: Arc<QueueIdGenerator>,
        writer: mpsc::WeakSender<Op>,
    ) -> Self {
        Self {
            ledger: Arc::new(Mutex::new(Ledger::new(known))),
            clock,
            ids,
            writer,
            changes: watch::Sender::new(()),
        }
    }

    /// Something is wrong, or still is. `counts`: it has failed once more; otherwise there is only
    /// something else to be said of it. Never waits.
    pub fn found(&self, finding: Finding, counts: bool) -> (QueueId, News) {
        let now = self.now();
        let reported = {
            let new_id = || self.ids.generate();
            self.ledger().find(finding, counts, now, new_id)
        };
        self.changed();
        reported
    }

    /// It is well again. Returns the incident that is over, if there was one.
    pub fn recovered(&self, kind: IncidentKind, account: &str) -> Option<Incident> {
        let now = self.now();
        let incident = self.ledger().recover(kind, account, now)?;
        self.changed();
        Some(incident)
    }

    /// Accounts that are no longer there are in no trouble.
    pub fn keep_accounts(&self, is_kept: impl Fn(&str) -> bool) {
        let gone = |one: &Incident| {
            one.finding.kind == IncidentKind::Account && !is_kept(&one.finding.account)
        };
        for incident in self.open().into_iter().filter(gone) {
            self.recovered(incident.finding.kind, &incident.finding.account);
        }
    }

    /// What is wrong at the moment, oldest first.
    pub fn open(&self) -> Vec<Incident> {
        self.ledger().open().cloned().collect()
    }

    /// The one of an account, with what is left of its wait for the next probe.
    pub fn of_account(&self, account: &str) -> Option<Incident> {
        let now_ms = self.clock.now_ms();
        let mut open = self.open().into_iter();
        let mut incident = open.find(|one| {
            one.finding.kind == IncidentKind::Account && one.finding.account == account
        })?;
        let next_ms = incident.next_probe_ms.unwrap_or(now_ms);
        if let Some(probe) = &mut incident.finding.probe {
            probe.next_in = ledger::span(now_ms, next_ms);
        }
        Some(incident)
    }

    /// Tells that [`Incidents::open`] or [`Incidents::owed`] may have changed.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// What `hook` has not passed on yet, oldest first; `opened` always comes before `recovered`.
    pub fn owed(&self, hook: Hook) -> Vec<Owed> {
        self.ledger().owed(hook, self.clock.now_ms())
    }

    /// `hook` has passed on an alarm, or never will.
    pub fn told(&self, id: QueueId, hook: Hook, told: Told) {
        self.ledger().told(id, hook, told);
        self.changed();
    }

    /// There is no such hook: what is over need not be told by it any more. What is open still is to be
    /// told, should it be set.
    pub fn nobody_listens(&self, hook: Hook) {
        if self.ledger().nobody_listens(hook) {
            self.changed();
        }
    }

    /// Resolves once what was reported so far is on stable storage.
    pub async fn stored(&self) -> Result<(), StorageError> {
        let writer = self.writer.upgrade().ok_or(StorageError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let sent = writer.send(Op::Incidents { answer }).await;
        sent.map_err(|_| StorageError::Closed)?;
        answered.await.map_err(|_| StorageError::Closed)?
    }

    /// Those that are not on the disk as they are now; inside the writer's transaction.
    pub(in crate::queue) fn save(
        &self,
        connection: &Connection,
        unsaved: &[Incident],
    ) -> rusqlite::Result<()> {
        store::save(connection, unsaved, self.clock.now_ms())
    }

    pub(in crate::queue) fn take_unsaved(&self) -> Vec<Incident> {
        self.ledger().take_unsaved()
    }

    pub(in crate::queue) fn give_back(&self, unsaved: &[Incident]) {
        self.ledger().give_back(unsaved.iter().map(|one| one.id));
    }

    fn changed(&self) {
        // When the inbox is full the writer is awake anyway and will look.
        if let Some(writer) = self.writer.upgrade() {
            let _ = writer.try_send(Op::Look);
        }
        self.changes.send_replace(());
    }

    fn now(&self) -> Now {
        Now {
            queue_ms: self.clock.now_ms(),
            wall: Timestamp::from_millisecond(self.clock.wall_ms()).unwrap_or_default(),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
