//! One account's mail, from the queue to its connections.

mod health;
mod turns;

use std::collections::{HashMap, VecDeque};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::delivery::circuit::{Circuit, Incident};
use crate::delivery::members::Limits;
use crate::delivery::quota::{Quota, Tenure, Turn};
use crate::delivery::status::{Status, Throttled, TroubleStatus, UnknownReplies};
use crate::delivery::tenant::Tenant;
use crate::delivery::worker::{Job, Report, Shared, Worker};
use crate::delivery::{Settings, State};
use crate::oauth::{TokenSource, TokenStatus};
use crate::queue::{Lease, Leased, Queue, StorageError};

/// Leased at once, where the pace allows it.
const BATCH_MAX: usize = 32;

/// After a storage failure.
const STORAGE_PAUSE: Duration = Duration::from_secs(1);

type Leasing = Pin<Box<dyn Future<Output = Result<Leased, StorageError>> + Send>>;

/// Sends one account's mail until it is told to stop.
pub struct Dispatcher {
    shared: Arc<Shared>,
    quota: Quota,
    tenant: Tenant,
    circuit: Circuit,
    operator: Arc<Notify>,
    status: watch::Sender<Status>,
    leasing_ended: CancellationToken,
}

/// A dispatcher at work.
struct Work {
    shared: Arc<Shared>,
    tenure: Tenure,
    tenant: Tenant,
    circuit: Circuit,
    operator: Arc<Notify>,
    workers: Vec<mpsc::Sender<Job>>,
    /// The one that worked last stands last: under light load one connection is kept warm.
    idle: Vec<usize>,
    probing: Option<usize>,
    /// Of the busy workers.
    turns: HashMap<usize, Turn>,
    ready: VecDeque<Lease>,
    throttled: Option<Throttled>,
    leasing: Option<Leasing>,
    /// There may be something to lease.
    look: bool,
    look_again_at: Option<Instant>,
    ready_since: Option<Instant>,
    last_error: Option<String>,
    unknown: UnknownReplies,
    status: watch::Sender<Status>,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher")
            .field("settings", &self.shared.settings)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

impl Dispatcher {
    /// `tls` trusts the upstream's certificate; `tokens` is run by somebody else. `quota` is the
    /// mailbox's: shared with the dispatcher it had before, if it had one; `tenant` is shared with the
    /// dispatchers of its other accounts.
    pub fn new(
        settings: Settings,
        queue: Queue,
        tokens: TokenSource,
        tls: Arc<ClientConfig>,
        quota: Quota,
        tenant: Tenant,
    ) -> Self {
        Self {
            quota,
            tenant,
            circuit: Circuit::Closed,
            operator: Arc::default(),
            status: watch::Sender::new(Status::default()),
            leasing_ended: CancellationToken::new(),
            shared: Arc::new(Shared {
                settings,
                queue,
                tokens,
                tls,
                refreshing: watch::Sender::new(0),
            }),
        }
    }

    /// Goes on where the mailbox's dispatcher before it ended: trouble is still trouble until a probe
    /// under the new settings says otherwise.
    pub fn resume(&mut self, before: &Status) {
        if let Some(trouble) = &before.trouble {
            self.circuit = Circuit::resumed(trouble.clone(), Instant::now());
        }
    }

    /// Goes on where the account was when a daemon before this one ended, however it ended: what throttled
    /// the mailbox then does so still.
    pub fn recall(&mut self) {
        let (settings, incidents) = (&self.shared.settings, self.shared.queue.incidents());
        if let Some(circuit) = health::recall(settings, &incidents) {
            self.circuit = circuit;
        }
    }

    /// What to show of this account.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Notified, it tries again at once what an operator may have mended.
    pub fn operator_acted(&self) -> Arc<Notify> {
        Arc::clone(&self.operator)
    }

    /// Cancelled once nothing more is leased, soon after the dispatcher was told to stop: from then on
    /// another one may work for this account, or with this quota.
    pub fn leasing_ended(&self) -> CancellationToken {
        self.leasing_ended.clone()
    }

    /// Works until `stop`; then leases nothing more and waits for the attempts under way. Dropping
    /// the future gives them up: their messages are tried again after the next start.
    pub async fn run(self, stop: CancellationToken) {
        // However it ends.
        let leasing_ended = self.leasing_ended.drop_guard();
        let settings = &self.shared.settings;
        let tenure = self.quota.begin(Limits {
            connections: settings.connections_max,
            messages_per_minute: settings.messages_per_minute,
            recipients_per_day: settings.recipients_per_day,
        });
        let recalled = self.quota.recall(&self.shared.queue, &settings.mailbox);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = recalled => {}
        }
        let work = Work {
            shared: self.shared,
            tenure,
            tenant: self.tenant,
            circuit: self.circuit,
            operator: self.operator,
            workers: Vec::new(),
            idle: Vec::new(),
            probing: None,
            turns: HashMap::new(),
            ready: VecDeque::new(),
            throttled: None,
            leasing: None,
            look: true,
            look_again_at: None,
            ready_since: None,
            last_error: None,
            unknown: UnknownReplies::default(),
            status: self.status,
        };
        work.run(stop, leasing_ended).await;
    }
}

impl Work {
    async fn run(mut self, stop: CancellationToken, leasing_ended: DropGuard) {
        let settings = &self.shared.settings;
        let account = settings.account.clone();
        let waker = self.shared.queue.waker(&account);
        self.shared.queue.set_sender(&account, &self.sender());
        let (report, mut reports) = mpsc::channel(settings.connections_max.max(1));
        let mut tasks = JoinSet::new();
        for number in 0..settings.connections_max.max(1) {
            let (jobs, inbox) = mpsc::channel(1);
            self.workers.push(jobs);
            self.idle.push(number);
            let (shared, tenure) = (Arc::clone(&self.shared), self.tenure.clone());
            let worker = Worker::new(number, shared, tenure, stop.clone());
            tasks.spawn(worker.run(inbox, report.clone()));
        }
        drop(report);
        let mut tokens = self.shared.tokens.status();
        let mut changes = self.tenure.changes();
        let mut refreshing = self.shared.refreshing.subscribe();
        let mut news = self.tenant.subscribe();
        let operator = Arc::clone(&self.operator);
        // What was resumed may be on the books under another name, or with another probe.
        self.tell(false, false, Instant::now());
        while !stop.is_cancelled() {
            let now = Instant::now();
            self.shared.queue.set_active(&account, self.ages_mail());
            self.assign(now);
            self.lease(now);
            self.show();
            let timer = self.timer(now);
            tokio::select! {
                () = stop.cancelled() => break,
                Some(report) = reports.recv() => self.reported(report),
                leased = next(&mut self.leasing) => self.leased(leased),
                () = waker.notified() => self.look = true,
                Ok(()) = tokens.changed() => {
                    let usable = matches!(*tokens.borrow_and_update(), TokenStatus::Valid { .. });
                    if usable {
                        self.token_arrived();
                    }
                }
                Ok(()) = refreshing.changed() => {}
                Ok(()) = news.changed() => {
                    let heard = news.borrow_and_update().clone();
                    self.heard(heard.as_ref());
                }
                () = operator.notified() => self.circuit.operator_acted(Instant::now()),
                Ok(()) = changes.changed() => {}
                () = wait_until(timer) => {}
            }
        }
        self.ready.clear();
        self.leasing = None;
        self.workers.clear();
        self.tenure.leave();
        self.shared.queue.set_active(&account, false);
        // A successor may work for the account from here on, within what these attempts leave it.
        drop(leasing_ended);
        while let Some(report) = reports.recv().await {
            self.end_turn(&report);
        }
        while tasks.join_next().await.is_some() {}
    }

    fn ages_mail(&self) -> bool {
        let incident = self.circuit.incident();
        self.throttled.is_none()
            && incident.is_none_or(|incident| incident.trouble.pause.ages_mail())
    }

    /// Gives work to idle workers as far as circuit and quota allow.
    fn assign(&mut self, now: Instant) {
        self.tenure.want(self.wants(now));
        let incident = self.circuit.incident();
        match incident.map(Incident::is_probed_by_message) {
            None => while !self.idle.is_empty() && self.deliver(now).is_some() {},
            Some(_) if self.idle.is_empty() || !self.probe_is_due(now) => {}
            Some(true) => {
                if let Some(worker) = self.deliver(now) {
                    self.circuit.begin_probe(now);
                    self.probing = Some(worker);
                }
            }
            Some(false) => {
                if let Some(turn) = self.tenure.probe(now) {
                    self.circuit.begin_probe(now);
                    self.probing = self.give(Job::Probe, turn);
                }
            }
        }
        if self.tenure.room(now) == 0 {
            // Others of the mailbox were faster: it may be a minute.
            self.ready.clear();
        }
        self.tenure.want(self.wants(now));
    }

    fn give(&mut self, job: Job, turn: Turn) -> Option<usize> {
        let number = self.idle.pop()?;
        // An idle worker's inbox is empty, and it lives as long as the dispatcher.
        let given = self
            .workers
            .get(number)
            .is_some_and(|worker| worker.try_send(job).is_ok());
        given.then(|| {
            self.turns.insert(number, turn);
            number
        })
    }

    /// Asks the queue for more before the workers run dry.
    fn lease(&mut self, now: Instant) {
        if self.look_again_at.is_some_and(|at| at <= now) {
            self.look = true;
            self.look_again_at = None;
        }
        let room = self.tenure.room(now);
        // Where messages are counted, each lease that is open when the process dies costs a place in the
        // next minute; and a trickle needs no batches.
        let batch = match room {
            usize::MAX => BATCH_MAX,
            _ => self.workers.len().min(BATCH_MAX),
        };
        let max = if self.throttled.is_some() && self.look_again_at.is_some() {
            0
        } else if self.circuit.is_closed() {
            batch.min(room).saturating_sub(self.ready.len())
        } else {
            // What was leased goes back; a probe that needs a message leases one.
            let wanted = usize::from(self.message_probe_is_due(now));
            self.ready.truncate(wanted);
            wanted.saturating_sub(self.ready.len())
        };
        let low = self.ready.len() <= batch / 2;
        if self.look && low && max > 0 && self.leasing.is_none() {
            self.look = false;
            self.look_again_at = None;
            let shared = Arc::clone(&self.shared);
            self.leasing = Some(Box::pin(async move {
                shared
                    .queue
                    .lease(&shared.settings.account, max)
                    .await
                    .map(|mut leased| {
                        // As many as were asked for: there may be more.
                        if leased.leases.len() >= max {
                            leased.next_due = Some(Duration::ZERO);
                        }
                        leased
                    })
            }));
        }
    }

    fn probe_is_due(&self, now: Instant) -> bool {
        matches!(&self.circuit, Circuit::Open(incident) if incident.next_probe <= now)
    }

    fn message_probe_is_due(&self, now: Instant) -> bool {
        let incident = self.circuit.incident();
        self.probe_is_due(now) && incident.is_some_and(Incident::is_probed_by_message)
    }

    fn leased(&mut self, leased: Result<Leased, StorageError>) {
        self.leasing = None;
        match leased {
            Ok(leased) => {
                if leased.leases.is_empty() && self.ready.is_empty() {
                    self.throttled = None;
                }
                self.ready.extend(leased.leases);
                match leased.next_due {
                    Some(Duration::ZERO) => self.look = true,
                    Some(wait) => self.look_again_at = Some(Instant::now() + wait),
                    None => {}
                }
            }
            Err(error) => {
                tracing::debug!(account = self.shared.settings.account, %error, "cannot lease");
                self.look_again_at = Some(Instant::now() + STORAGE_PAUSE);
            }
        }
    }

    fn reported(&mut self, report: Report) {
        let now = Instant::now();
        self.idle.push(report.worker);
        self.end_turn(&report);
        if let Some(failure) = report.failure {
            self.last_error = Some(failure);
        }
        let decides = self.probing == Some(report.worker);
        if decides {
            self.probing = None;
        }
        self.unknown.add(report.unknown);
        match report.trouble {
            Some(trouble) => self.failed(trouble, now),
            None if decides => self.probed(report.conclusive, now),
            None => {}
        }
    }

    fn timer(&self, now: Instant) -> Option<Instant> {
        let probe = match &self.circuit {
            Circuit::Open(incident) if incident.next_probe > now => Some(incident.next_probe),
            _ => None,
        };
        let pace = self
            .tenure
            .next_room(now)
            .filter(|_| self.look || !self.ready.is_empty());
        [probe, pace, self.look_again_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn show(&mut self) {
        let state = match self.circuit.state() {
            State::Ready if *self.shared.refreshing.borrow() > 0 => State::Refreshing,
            State::Ready if self.throttled.is_some() => State::Throttled,
            state => state,
        };
        let status = Status {
            state,
            trouble: TroubleStatus::of(&self.circuit),
            throttled: self.throttled,
            busy: self.workers.len() - self.idle.len(),
            connections: self.tenure.connections(),
            ready_since: self.ready_since,
            last_error: self.last_error.clone(),
            unknown_replies: self.unknown.clone(),
        };
        self.status.send_if_modified(|shown| {
            let changed = *shown != status;
            *shown = status;
            changed
        });
    }
}

async fn next(leasing: &mut Option<Leasing>) -> Result<Leased, StorageError> {
    match leasing {
        Some(leasing) => leasing.await,
        None => pending().await,
    }
}

async fn wait_until(timer: Option<Instant>) {
    match timer {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
