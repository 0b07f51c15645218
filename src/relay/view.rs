//! What the running relay shows of itself.

use std::net::SocketAddr;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::admin::{
    AccountState, AccountStatus, ListenerStatus, QueueStatus, Status, StatusFuture, StatusSource,
    TokenReport, TokenState, wall,
};
use crate::delivery;
use crate::oauth::TokenStatus;
use crate::queue::Queue;

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
            Status {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                hostname: self.hostname.clone(),
                pid: std::process::id(),
                started_at: self.started_at,
                listeners: self.listeners.iter().map(listener).collect(),
                queue: QueueStatus::of(&self.queue).await,
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

impl AccountView {
    fn status(&self, view: &View) -> AccountStatus {
        let delivery = self.delivery.borrow().clone();
        let token = TokenReport::of(&self.token.borrow());
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
