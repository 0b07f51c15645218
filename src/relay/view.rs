//! What the running relay shows of itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::civil::Date;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::account::Handle;
use super::expiry::Perishable;
use super::pulse::Pulse;
use crate::admin::{
    AccountState, AccountStatus, ClientStatus, DeniedSenderStatus, IncidentStatus, ListenerStatus,
    PaceReport, PulseFuture, QueueStatus, Reception, SignInReport, Status, StatusFuture,
    StatusSource, Timeline, TokenReport, TokenState, wall,
};
use crate::config::machine_name;
use crate::delivery::{self, Quota};
use crate::listener::{Address, Routing, Sessions};
use crate::oauth::{SignIn, TokenStatus, aadsts};
use crate::queue::{DeniedSender, MessageState, Queue};

/// What to show of one account.
#[derive(Clone, Debug)]
pub struct AccountView {
    /// The account's name.
    pub name: String,
    /// The XOAUTH2 user.
    pub mailbox: String,
    /// The upstream.
    pub host: String,
    /// Its delivery.
    pub delivery: watch::Receiver<delivery::Status>,
    /// What its mailbox may use.
    pub quota: Quota,
    /// Its token.
    pub token: watch::Receiver<TokenStatus>,
    /// The sign-in that it comes from, if a person has to sign in.
    pub sign_in: Option<watch::Receiver<Option<SignIn>>>,
    /// What an operator can do to it.
    pub handle: Handle,
    /// What it gets a token with.
    pub perishable: Perishable,
}

/// What to show of the relay while it runs.
#[derive(Debug)]
pub struct View {
    /// When it was started.
    pub started_at: Timestamp,
    /// The queue.
    pub queue: Queue,
    /// Of all listeners.
    pub sessions: Sessions,
    /// How it did lately.
    pub timeline: Arc<Timeline>,
    /// Cancelled when the relay stops.
    drain: CancellationToken,
    machine: String,
    /// Whether it lives.
    pub pulse: Pulse,
    shown: watch::Sender<Arc<Shown>>,
    /// The day on which each account's credential runs out, where one is known.
    ends: Mutex<BTreeMap<String, Date>>,
}

/// The parts that are there at one moment: a reload exchanges them.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The name in greetings.
    pub hostname: String,
    /// Each listener's name and address.
    pub listeners: Vec<(String, Address)>,
    /// Where `admin.http` answers, if it does.
    pub admin_http: Option<SocketAddr>,
    /// Every account.
    pub accounts: Vec<AccountView>,
    /// The way of all mail.
    pub routing: Arc<Routing>,
}

impl View {
    pub(super) fn new(
        queue: Queue,
        sessions: Sessions,
        drain: CancellationToken,
        pulse: Pulse,
    ) -> Self {
        Self {
            started_at: Timestamp::now(),
            queue,
            sessions,
            timeline: Arc::default(),
            drain,
            machine: machine_name(),
            pulse,
            shown: watch::Sender::default(),
            ends: Mutex::default(),
        }
    }

    /// The parts as they are now.
    pub fn now(&self) -> Arc<Shown> {
        Arc::clone(&self.shown.borrow())
    }

    /// Whether it takes mail, or will in a moment; it ends otherwise.
    pub fn is_serving(&self) -> bool {
        self.pulse.is_serving()
    }

    /// Tells when a reload has exchanged parts.
    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Shown>> {
        self.shown.subscribe()
    }

    /// The days on which credentials run out, by account.
    pub(super) fn expect_ends(&self, ends: BTreeMap<String, Date>) {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = ends;
    }

    fn end(&self, account: &str) -> Option<Date> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.get(account).copied()
    }

    pub(super) fn show(&self, shown: Shown) {
        self.shown.send_replace(Arc::new(shown));
    }
}

impl Shown {
    /// How many messages wait for each account, or pool of accounts, that there is not: nobody will send
    /// them.
    pub(super) fn strays(&self, accounts: &States) -> BTreeMap<String, u64> {
        let waiting = |states: &BTreeMap<String, u64>| -> u64 {
            let failed = states.get(MessageState::Failed.as_str());
            states.values().sum::<u64>() - failed.copied().unwrap_or_default()
        };
        let strays = accounts.iter().filter(|(key, _)| !self.routing.serves(key));
        strays
            .map(|(name, states)| (name.clone(), waiting(states)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

/// By account and state, as in [`crate::queue::Counts`].
type States = BTreeMap<String, BTreeMap<String, u64>>;

impl StatusSource for View {
    fn status(&self) -> StatusFuture<'_> {
        Box::pin(async {
            let mut queue = QueueStatus::of(&self.queue).await;
            let now = self.now();
            let denied = self.queue.denied_senders();
            queue.unknown_accounts = now.strays(&queue.counts);
            let accounts = now.accounts.iter();
            let accounts =
                accounts.map(|account| account.status(self, &now, &queue.counts, &denied));
            let accounts = accounts.collect();
            Status {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                hostname: now.hostname.clone(),
                pid: std::process::id(),
                started_at: self.started_at,
                listeners: now.listeners.iter().map(listener).collect(),
                admin_http: now.admin_http.map(|address| address.to_string()),
                sessions: self.sessions.open() as u64,
                session_panics: self.sessions.panics(),
                queue,
                accounts,
                incidents: IncidentStatus::all(&self.queue),
                clients: ClientStatus::all(&self.queue),
            }
        })
    }

    fn reception(&self) -> Reception {
        Reception {
            listeners: self.now().listeners.len(),
            draining: self.drain.is_cancelled(),
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names = vec![self.now().hostname.clone(), self.machine.clone()];
        names.dedup();
        // It is known by that name anyhow.
        names.retain(|name| name != "localhost");
        names
    }

    fn timeline(&self) -> Arc<Timeline> {
        Arc::clone(&self.timeline)
    }

    fn pulse(&self) -> PulseFuture<'_> {
        Box::pin(self.pulse.check())
    }

    fn renew(&self, account: &str) -> bool {
        let now = self.now();
        let found = now.accounts.iter().find(|one| one.name == account);
        found.map(|account| account.handle.renew()).is_some()
    }
}

fn listener((name, address): &(String, Address)) -> ListenerStatus {
    ListenerStatus {
        name: name.clone(),
        address: address.to_string(),
    }
}

const DAY_IS_USED_UP: &str = "the recipients of the last 24 hours have reached recipients_per_day";

impl AccountView {
    /// `counts` tells what is queued.
    fn status(
        &self,
        view: &View,
        shown: &Shown,
        counts: &States,
        denied: &[DeniedSender],
    ) -> AccountStatus {
        let delivery = self.delivery.borrow().clone();
        let mut token = TokenReport::of(&self.token.borrow(), &self.name);
        let sign_in = self.sign_in.as_ref();
        token.sign_in = sign_in.and_then(|known| known.borrow().as_ref().map(SignInReport::of));
        let throttled = delivery.throttled.filter(|_| delivery.trouble.is_none());
        let since = match (&delivery.trouble, throttled) {
            (Some(trouble), _) => wall(trouble.since),
            (None, Some(throttled)) => wall(throttled.since),
            (None, None) => delivery.ready_since.map_or(view.started_at, wall),
        };
        let state = match delivery.state {
            delivery::State::Ready if token.state == TokenState::Starting => AccountState::Starting,
            delivery::State::Ready => AccountState::Ready,
            delivery::State::Refreshing => AccountState::Refreshing,
            delivery::State::Throttled => AccountState::Throttled,
            delivery::State::Paused => AccountState::Paused,
            delivery::State::Blocked => AccountState::Blocked,
        };
        let trouble = delivery.trouble.as_ref();
        let known = trouble.and_then(|trouble| trouble.known.as_ref());
        let number = known.and_then(|known| aadsts::number_of(known.key()));
        let pace = self.pace(shown, counts, throttled.map(|one| one.until));
        AccountStatus {
            name: self.name.clone(),
            mailbox: self.mailbox.clone(),
            host: self.host.clone(),
            state,
            reason: match trouble {
                Some(trouble) => Some(trouble.reason.clone()),
                None => throttled.map(|_| DAY_IS_USED_UP.to_owned()),
            },
            rule: known.map(|known| known.key().to_owned()),
            why: known.map(|known| known.why().to_owned()),
            remedy: known.map(|known| known.remedy().to_owned()),
            aadsts: number,
            link: number.map(aadsts::link),
            since,
            next_probe_at: trouble.map(|trouble| wall(trouble.next_probe)),
            probing: trouble.is_some_and(|trouble| trouble.is_probing),
            connections: delivery.connections as u32,
            pace: PaceReport {
                // When the trouble ends is not known.
                drained_at: pace.drained_at.filter(|_| trouble.is_none()),
                ..pace
            },
            token,
            credential_expires: view.end(&self.name),
            last_error: delivery.last_error,
            unknown_replies: delivery.unknown_replies.count,
            last_unknown_reply: delivery.unknown_replies.last,
            denied_senders: denied
                .iter()
                .filter(|one| one.account == self.name)
                .map(|one| DeniedSenderStatus {
                    address: one.address.clone(),
                    until: one.until,
                })
                .collect(),
        }
    }

    /// All accounts of the mailbox share it.
    fn pace(&self, shown: &Shown, counts: &States, throttled: Option<Instant>) -> PaceReport {
        let now = Instant::now();
        let pace = self.quota.pace(now);
        let sharing = shown
            .accounts
            .iter()
            .filter(|one| one.quota.is(&self.quota));
        let queued = sharing.map(|account| to_send(counts, &account.name)).sum();
        PaceReport {
            messages_last_minute: pace.messages_last_minute as u32,
            messages_per_minute: pace.messages_per_minute.unwrap_or_default() as u32,
            recipients_last_day: pace.recipients_last_day,
            recipients_per_day: pace.recipients_per_day.unwrap_or_default(),
            queued,
            waiting_until: throttled
                .or_else(|| pace.next_room.filter(|_| queued > 0))
                .map(wall),
            drained_at: self
                .quota
                .forecast(queued, now)
                .filter(|_| queued > 0)
                .map(wall),
        }
    }
}

fn to_send(counts: &States, account: &str) -> u64 {
    use MessageState::{Deferred, Ready, Sending};
    let states = counts.get(account);
    let of = |state: MessageState| states?.get(state.as_str()).copied();
    let found = [Ready, Sending, Deferred].into_iter().filter_map(of);
    found.sum()
}
