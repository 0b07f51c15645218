//! The parts that are at work, and their exchange for others: a start is a reload from nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::StartError;
use super::account::{self, Opened, Running, Shares, Trusted};
use super::local_mail::Published;
use super::pulse::Pulse;
use super::reload::{Changes, Refused};
use super::view::{Shown, View};
use crate::admin;
use crate::alert::Hooks;
use crate::config::{Account, Settings};
use crate::delivery::{NoticesHandle, Quota, Tenant};
use crate::listener::{
    self, Address, Hours, Inherited, Listener, Prepared, Routing, Sessions, Stop,
};
use crate::queue::Queue;

mod http;
mod switch;

/// Everything that a reload can exchange.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) queue: Queue,
    pub(super) view: Arc<View>,
    /// What ends listeners and, by its first part, dispatchers.
    pub(super) stop: Stop,
    /// Listeners and the sessions they wait for.
    pub(super) taking: JoinSet<()>,
    /// Dispatchers and the attempts they wait for.
    pub(super) sending: JoinSet<()>,
    /// Admin servers and the answers they wait for.
    pub(super) answering: JoinSet<io::Result<()>>,
    pub(super) answers: CancellationToken,
    /// Of all listeners.
    sessions: Sessions,
    /// How much single clients have sent.
    hours: Arc<Hours>,
    /// None before the start.
    settings: Option<Settings>,
    /// From systemd.
    inherited: Inherited,
    listeners: BTreeMap<String, Door>,
    accounts: BTreeMap<String, Running>,
    /// Quotas of mailboxes that no account uses any more, until a minute has passed.
    lingering: Vec<Lingering>,
    admin: Option<(PathBuf, CancellationToken)>,
    /// The port of `admin.http`.
    http: Option<http::AtWork>,
    /// For programs on this machine; none where it cannot be written.
    published: Option<Published>,
    /// Whoever tells senders; nobody before the start.
    notices: Option<NoticesHandle>,
    /// Whom to call for help.
    pub(super) hooks: watch::Sender<Arc<Hooks>>,
}

/// A listener at work.
#[derive(Debug)]
struct Door {
    settings: listener::Settings,
    local_address: Address,
    handle: listener::Handle,
    drain: CancellationToken,
}

/// What a mailbox may use of its service.
#[derive(Clone, Debug)]
struct Lingering {
    mailbox: String,
    quota: Quota,
}

/// Parts that are ready to take over: everything that can fail has been done.
#[derive(Debug)]
pub(super) struct Next {
    settings: Settings,
    routing: Arc<Routing>,
    listeners: Vec<NextListener>,
    /// None: stays as it is.
    accounts: BTreeMap<String, Option<Opened>>,
    admin: Option<admin::Server>,
    http: http::Next,
    /// None: stays as it is.
    hooks: Option<Hooks>,
    pub(super) changes: Changes,
}

#[derive(Debug)]
enum NextListener {
    /// The port of the listener that is called so now.
    Kept(String, Prepared),
    Bound(listener::Settings, Listener),
}

/// Whether mail may go another way, but for listeners and accounts that come and go.
fn routes_differ(now: &Settings, next: &Settings) -> bool {
    let mut pins = now.listeners.values().filter_map(|one| {
        let other = next.listeners.get(&one.name)?;
        Some(one.account != other.account)
    });
    now.routes != next.routes || pins.any(|differs| differs)
}

impl Door {
    /// Routes are those of all listeners, and told by themselves.
    fn is_changed_by(&self, next: &listener::Settings) -> bool {
        let routed = listener::Settings {
            routing: Arc::clone(&next.routing),
            ..self.settings.clone()
        };
        routed != *next
    }
}

impl Parts {
    pub(super) fn new(queue: Queue, stop: Stop, inherited: Inherited, pulse: Pulse) -> Self {
        let sessions = Sessions::within_limits();
        Self {
            view: Arc::new(View::new(
                queue.clone(),
                sessions.clone(),
                stop.drain.clone(),
                pulse,
            )),
            sessions,
            queue,
            stop,
            taking: JoinSet::new(),
            sending: JoinSet::new(),
            answering: JoinSet::new(),
            answers: CancellationToken::new(),
            hours: Arc::default(),
            inherited,
            settings: None,
            listeners: BTreeMap::new(),
            accounts: BTreeMap::new(),
            lingering: Vec::new(),
            admin: None,
            http: None,
            published: None,
            notices: None,
            hooks: watch::Sender::default(),
        }
    }

    /// Makes ready what `settings` ask for and changes nothing that is at work. Nothing is asked of
    /// the network: Entra and Exchange may be away.
    ///
    /// # Cancel safety
    /// Dropping the future closes what it has opened.
    pub(super) async fn prepare(&self, settings: &Settings) -> Result<Next, Refused> {
        let mut problems = self.needs_restart(settings);
        let mut changes = Changes::default();
        let routing = Arc::new(settings.routing_part());
        let listeners = self.next_listeners(settings, &routing, &mut changes, &mut problems);
        let listeners = listeners.await;
        let accounts = self.next_accounts(settings, &mut changes, &mut problems);
        let accounts = accounts.await;
        let admin = match self.next_admin(settings).await {
            Ok(admin) => admin,
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        let http = match self.next_http(settings.admin.http, &mut changes).await {
            Ok(http) => http,
            Err(problem) => {
                problems.push(problem.into());
                http::Next::Kept
            }
        };
        let hooks = match self.next_hooks(settings).await {
            Ok(hooks) => hooks,
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        if !problems.is_empty() {
            return Err(Refused { reasons: problems });
        }
        if let Some(now) = &self.settings {
            let others = [
                ("sendmail changed", now.sendmail != settings.sendmail),
                ("routes changed", routes_differ(now, settings)),
                ("clients changed", now.clients != settings.clients),
                ("queue changed", now.queue != settings.queue),
                ("admin socket moved", admin.is_some()),
                ("alerts changed", now.alert != settings.alert),
                ("log level changed", now.log.level != settings.log.level),
                ("log format changed", now.log.format != settings.log.format),
                ("failure notices changed", now.bounce != settings.bounce),
            ];
            let others = others.into_iter().filter(|(_, differs)| *differs);
            changes.0.extend(others.map(|(what, _)| what.to_owned()));
        }
        Ok(Next {
            settings: settings.clone(),
            routing,
            listeners,
            accounts,
            admin,
            http,
            hooks,
            changes,
        })
    }

    /// What cannot change while the daemon runs.
    fn needs_restart(&self, settings: &Settings) -> Vec<StartError> {
        let Some(now) = &self.settings else {
            return Vec::new();
        };
        let differs = now.queue.directory != settings.queue.directory;
        let key = "queue.directory";
        Vec::from_iter(differs.then_some(StartError::NeedsRestart { key }))
    }

    async fn next_listeners(
        &self,
        settings: &Settings,
        routing: &Arc<Routing>,
        changes: &mut Changes,
        problems: &mut Vec<StartError>,
    ) -> Vec<NextListener> {
        let parts = settings.listener_parts(routing, &self.hours);
        let mut ready = Vec::new();
        for part in parts {
            match spawn_blocking(move || Prepared::read(part)).await {
                Ok(Ok(part)) => ready.push(part),
                Ok(Err(problem)) => problems.push(problem.into()),
                Err(problem) => problems.push(problem.into()),
            }
        }
        let mut free: BTreeMap<&String, &Door> = self.listeners.iter().collect();
        let mut next = Vec::new();
        // Those that keep name and port come first: only what is left is anybody's.
        let mut rest = Vec::new();
        for part in ready {
            let listener::Settings { name, address, .. } = part.settings();
            match free.get(name) {
                Some(door) if door.settings.address == *address => {
                    if door.is_changed_by(part.settings()) {
                        changes.0.push(format!("listener {name} changed"));
                    }
                    free.remove(name);
                    next.push(NextListener::Kept(name.clone(), part));
                }
                _ => rest.push(part),
            }
        }
        let mut unbound = Vec::new();
        for part in rest {
            let address = &part.settings().address;
            let same = free
                .iter()
                .find(|(_, door)| door.settings.address == *address && !address.is_any());
            match same.map(|(name, _)| (*name).clone()) {
                Some(name) => {
                    free.remove(&name);
                    let change =
                        format!("listener {name} is now listener {}", part.settings().name);
                    changes.0.push(change);
                    next.push(NextListener::Kept(name, part));
                }
                None => unbound.push(part),
            }
        }
        let leaving: Vec<&listener::Handle> = free.values().map(|door| &door.handle).collect();
        for ready in unbound {
            let part = ready.settings().clone();
            match Listener::bind(ready, &self.inherited, &leaving).await {
                Ok(listener) => {
                    let address = listener.local_address();
                    let change = format!("listener {} opened on {address}", part.name);
                    changes.0.push(change);
                    next.push(NextListener::Bound(part, listener));
                }
                Err(problem) => problems.push(problem.into()),
            }
        }
        for (name, door) in free {
            let change = format!("listener {name} on {} closed", door.local_address);
            changes.0.push(change);
        }
        next
    }

    async fn next_accounts(
        &self,
        settings: &Settings,
        changes: &mut Changes,
        problems: &mut Vec<StartError>,
    ) -> BTreeMap<String, Option<Opened>> {
        let mut next = BTreeMap::new();
        let mut to_open = Vec::new();
        for (name, section) in &settings.accounts {
            let trusted = Trusted::read(section).await;
            let now = self.accounts.get(name).map(Running::account);
            if now.is_some_and(|now| now.is_unchanged(settings, section, &trusted)) {
                next.insert(name.clone(), None);
                continue;
            }
            let word = if now.is_some() { "changed" } else { "added" };
            changes.0.push(format!("account {name} {word}"));
            to_open.push((section, trusted, now));
        }
        for name in self.accounts.keys() {
            if !settings.accounts.contains_key(name) {
                changes.0.push(format!("account {name} removed"));
            }
        }
        let mut quotas = self.quotas();
        for (section, trusted, before) in to_open {
            let shares = Shares {
                quota: quota_of(&mut quotas, section),
                tenant: self.tenant(section, &next),
            };
            let opened = Opened::open(settings, section, trusted, before, shares, &self.queue);
            match opened.await {
                Ok(opened) => {
                    next.insert(section.name.clone(), Some(opened));
                }
                Err(problem) => problems.push(problem),
            }
        }
        next
    }

    /// The one that other accounts of the same tenant hold, now or in a moment.
    fn tenant(&self, section: &Account, next: &BTreeMap<String, Option<Opened>>) -> Tenant {
        let coming = next.values().flatten().map(Opened::account);
        let now = self.accounts.values().map(Running::account);
        let found = coming.chain(now).find(|one| one.is_of_tenant(section));
        found.map_or_else(Tenant::default, |one| one.tenant().clone())
    }

    /// Those of accounts, and of earlier ones.
    fn quotas(&self) -> Vec<Lingering> {
        let accounts = self.accounts.values();
        let accounts = accounts.map(|running| Lingering::of(running.account()));
        accounts.chain(self.lingering.iter().cloned()).collect()
    }

    async fn next_admin(&self, settings: &Settings) -> Result<Option<admin::Server>, StartError> {
        let path = settings.admin.socket.clone();
        if self.admin.as_ref().is_some_and(|(now, _)| *now == path) {
            return Ok(None);
        }
        let now = self.settings.as_ref();
        if now.is_some_and(|now| now.queue.directory != settings.queue.directory) {
            // Refused already, and the socket may have moved with the queue.
            return Ok(None);
        }
        let server = spawn_blocking(move || admin::Server::bind(&path)).await??;
        Ok(Some(server))
    }

    async fn next_hooks(&self, settings: &Settings) -> Result<Option<Hooks>, StartError> {
        let part = settings.alert_part();
        let now = self.settings.as_ref().map(Settings::alert_part);
        if now.is_some_and(|now| now == part) {
            return Ok(None);
        }
        Ok(Some(spawn_blocking(move || Hooks::new(part)).await??))
    }

    /// What there will be to show once `next` has taken over.
    pub(super) fn shown(&self, next: &Next) -> Shown {
        let listeners = next.listeners.iter().filter_map(|listener| match listener {
            NextListener::Kept(before, part) => {
                let door = self.listeners.get(before)?;
                Some((part.settings().name.clone(), door.local_address.clone()))
            }
            NextListener::Bound(part, listener) => {
                let address = listener.local_address();
                Some((part.name.clone(), address))
            }
        });
        let mut listeners: Vec<_> = listeners.collect();
        listeners.sort();
        let accounts = next
            .accounts
            .iter()
            .filter_map(|(name, opened)| match opened {
                Some(opened) => Some(opened.account().view()),
                None => Some(self.accounts.get(name)?.account().view()),
            });
        Shown {
            hostname: next.settings.hostname.clone(),
            accounts: accounts.collect(),
            admin_http: self.http_address(&next.http),
            listeners,
            routing: Arc::clone(&next.routing),
        }
    }
}

impl Lingering {
    fn of(account: &account::Account) -> Self {
        Self {
            mailbox: account.mailbox(),
            quota: account.quota().clone(),
        }
    }
}

/// The one that the mailbox has, whoever else sends with it and through whichever host: services have
/// more names than one. A fresh one for a new mailbox.
fn quota_of(known: &mut Vec<Lingering>, section: &Account) -> Quota {
    let mailbox = account::mailbox_key(section);
    if let Some(one) = known.iter().find(|one| one.mailbox == mailbox) {
        return one.quota.clone();
    }
    let quota = Quota::default();
    // For accounts that are still to come.
    known.push(Lingering {
        mailbox,
        quota: quota.clone(),
    });
    quota
}
