//! What the running relay shows of itself.

use std::net::SocketAddr;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admin::{
    AccountState, AccountStatus, ListenerStatus, QueueStatus, Status, StatusFuture, StatusSource,
    TokenReport, TokenState,
};
use crate::delivery;
use crate::oauth::TokenStatus;
use crate::queue::{Counts, Queue};

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
    /// Its token.
    pub token: watch::Receiver<TokenStatus>,
}

/// What to show of the relay while it runs.
#[derive(Clone, Debug)]
pub struct View {
    /// The name in greetings.
    pub hostname: String,
    /// When it was started.
    pub started_at: Timestamp,
    /// Each listener's name and address.
    pub listeners: Vec<(String, SocketAddr)>,
    /// Every account.
    pub accounts: Vec<AccountView>,
    /// The queue.
    pub queue: Queue,
}

impl StatusSource for View {
    fn status(&self) -> StatusFuture<'_> {
        Box::pin(async {
            let reader = self.queue.reader();
            let counted = tokio::task::spawn_blocking(move || reader.counts()).await;
            let (counts, error) = match counted {
                Ok(Ok(counts)) => (counts, None),
                Ok(Err(error)) => (Counts::default(), Some(error.to_string())),
                Err(error) => (Counts::default(), Some(error.to_string())),
            };
            Status {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                hostname: self.hostname.clone(),
                pid: std::process::id(),
                started_at: self.started_at,
                listeners: self.listeners.iter().map(listener).collect(),
                queue: self.queue_status(counts, error),
                accounts: self
                    .accounts
                    .iter()
                    .map(|account| account.status(self))
                    .collect(),
            }
        })
    }
}

fn listener((name, address): &(String, SocketAddr)) -> ListenerStatus {
    ListenerStatus {
        name: name.clone(),
        address: address.to_string(),
    }
}

impl View {
    fn queue_status(&self, counts: Counts, error: Option<String>) -> QueueStatus {
        let (messages, bytes) = self.queue.used();
        let limits = self.queue.limits();
        QueueStatus {
            messages,
            bytes,
            limit_messages: limits.messages_max,
            limit_bytes: limits.bytes_max,
            counts: counts.accounts,
            oldest_received_at: counts.oldest_received_at,
            full: self.queue.is_full().map(|full| full.to_string()),
            latched: self.queue.is_latched(),
            error,
        }
    }
}

impl AccountView {
    fn status(&self, view: &View) -> AccountStatus {
        let delivery = self.delivery.borrow().clone();
        let token = token(&self.token.borrow());
        let (state, reason, since, next_probe_at) = match delivery.trouble {
            Some(trouble) => (
                if trouble.is_probing {
                    AccountState::Probing
                } else {
                    AccountState::Paused
                },
                Some(trouble.reason),
                wall(trouble.since),
                Some(wall(trouble.next_probe)),
            ),
            None if token.state == TokenState::Starting => {
                (AccountState::Starting, None, view.started_at, None)
            }
            None => (
                AccountState::Ready,
                None,
                delivery.ready_since.map_or(view.started_at, wall),
                None,
            ),
        };
        AccountStatus {
            name: self.name.clone(),
            mailbox: self.mailbox.clone(),
            host: self.host.clone(),
            state,
            reason,
            since,
            next_probe_at,
            connections: delivery.connections as u32,
            sent_last_minute: delivery.sent_last_minute as u32,
            messages_per_minute: delivery.messages_per_minute.unwrap_or(0) as u32,
            token,
            last_error: delivery.last_error,
        }
    }
}

fn token(status: &TokenStatus) -> TokenReport {
    let mut report = TokenReport {
        state: TokenState::Starting,
        expires_at: None,
        renew_at: None,
        error: None,
        next_try_at: None,
    };
    match status {
        TokenStatus::Starting => {}
        TokenStatus::Valid {
            expires_at,
            renew_at,
            ..
        } => {
            report.state = TokenState::Valid;
            report.expires_at = Some(wall(*expires_at));
            report.renew_at = Some(wall(*renew_at));
        }
        TokenStatus::Failing {
            error,
            next_try,
            usable_until,
            ..
        } => {
            report.state = TokenState::Failing;
            report.expires_at = usable_until.map(wall);
            report.error = Some(error.report());
            report.next_try_at = Some(wall(*next_try));
        }
        TokenStatus::Stopped => report.state = TokenState::Stopped,
    }
    report
}

/// What the wall clock showed, or will show, at a moment of the monotonic clock.
fn wall(at: Instant) -> Timestamp {
    let now = Instant::now();
    let offset = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    let shown = if at >= now {
        Timestamp::now().checked_add(offset(at - now))
    } else {
        Timestamp::now().checked_sub(offset(now - at))
    };
    shown.unwrap_or_else(|_| Timestamp::now())
}
