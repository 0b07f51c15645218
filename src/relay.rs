//! Builds every part, starts it, and drains it: the only module that knows them all.

mod view;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::admin;
use crate::config::{Account, PartError, Settings};
use crate::delivery::Dispatcher;
use crate::listener::{BindError, Listener};
use crate::oauth::{self, TokenSource};
use crate::queue::{OpenError, Queue};
use crate::tls::{self, TlsError};

pub use view::{AccountView, View};

/// What transactions and attempts under way get once the relay is told to stop.
const GRACE: Duration = Duration::from_secs(20);

/// Between two rounds of housekeeping in the queue.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(30);

/// Why the relay cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings that cannot be carried out.
    #[error(transparent)]
    Settings(#[from] PartError),
    /// The queue folder.
    #[error("{0}")]
    Queue(#[from] OpenError),
    /// A port.
    #[error(transparent)]
    Listener(#[from] BindError),
    /// The admin socket.
    #[error(transparent)]
    Admin(#[from] admin::BindError),
    /// Certificates of an account.
    #[error("account.{account}.smtp.ca_file: {source}")]
    Tls {
        /// The account's name.
        account: String,
        /// What is wrong with them.
        source: TlsError,
    },
    /// The token source of an account.
    #[error("account.{account}: {source}")]
    Token {
        /// The account's name.
        account: String,
        /// What is wrong with it.
        source: oauth::SettingsError,
    },
    /// A task of the start itself broke.
    #[error("the start was interrupted: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Why the relay ended although nobody told it to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Only a new start can tell what is on the disk.
    #[error("the queue's storage failed, see the log; restart once the disk is sound")]
    Latched,
}

/// A relay whose ports are open and whose queue is locked, not yet serving.
#[derive(Debug)]
pub struct Relay {
    view: Arc<View>,
    admin: admin::Server,
    listeners: Vec<Listener>,
    dispatchers: Vec<Dispatcher>,
    tokens: Vec<(String, TokenSource)>,
}

impl Relay {
    /// Opens queue and ports. Nothing is asked of the network: Entra and Exchange may be away.
    pub async fn open(settings: &Settings) -> Result<Self, StartError> {
        let listener_parts = settings.listener_parts()?;
        let queue_part = settings.queue_part();
        let queue = tokio::task::spawn_blocking(move || Queue::open(queue_part)).await??;
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for part in listener_parts {
            let (name, wanted) = (part.name.clone(), part.address);
            let listener = Listener::bind(part).await?;
            addresses.push((name, listener.local_address().unwrap_or(wanted)));
            listeners.push(listener);
        }
        let (mut dispatchers, mut tokens, mut accounts) = (Vec::new(), Vec::new(), Vec::new());
        for account in settings.accounts.values() {
            let (dispatcher, source) = open_account(settings, account, &queue).await?;
            accounts.push(AccountView {
                name: account.name.clone(),
                mailbox: account.mailbox.to_string(),
                host: account.smtp.host.clone(),
                delivery: dispatcher.status(),
                token: source.status(),
            });
            dispatchers.push(dispatcher);
            tokens.push((account.name.clone(), source));
        }
        let socket = settings.admin.socket.clone();
        let admin = tokio::task::spawn_blocking(move || admin::Server::bind(&socket)).await??;
        Ok(Self {
            admin,
            view: Arc::new(View {
                hostname: settings.hostname.clone(),
                started_at: Timestamp::now(),
                listeners: addresses,
                accounts,
                queue,
            }),
            listeners,
            dispatchers,
            tokens,
        })
    }

    /// What to show of it, now and while it runs.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }

    /// Serves until `stop`, then drains: sessions end with their transaction, attempts with their
    /// message, both within a grace period; then the queue is closed.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let queue = self.view.queue.clone();
        let sessions = TaskTracker::new();
        // What takes mail in and what sends it stop together; tokens are needed until both have.
        let intake = CancellationToken::new();
        let renewal = CancellationToken::new();
        let mut busy = JoinSet::new();
        for listener in self.listeners {
            busy.spawn(listener.run(queue.clone(), intake.clone(), sessions.clone()));
        }
        for dispatcher in self.dispatchers {
            busy.spawn(dispatcher.run(intake.clone()));
        }
        let mut renewals = JoinSet::new();
        for (account, source) in self.tokens {
            let (renewal, span) = (renewal.clone(), tracing::info_span!("token", account));
            renewals.spawn(async move { source.run(renewal).await }.instrument(span));
        }
        let answers = CancellationToken::new();
        let admin = self.admin.run(queue.clone(), self.view, answers.clone());
        let admin = tokio::spawn(admin);
        let housekeeping = tokio::spawn(keep_house(queue.clone()));
        let latched = tokio::select! {
            () = stop.cancelled() => false,
            () = queue.latched() => true,
        };
        intake.cancel();
        sessions.close();
        let drained = timeout(GRACE, async {
            while busy.join_next().await.is_some() {}
            sessions.wait().await;
        });
        if drained.await.is_err() {
            tracing::warn!(
                grace_s = GRACE.as_secs(),
                "gave up waiting; what was not acknowledged stays with its client, what was not delivered is tried again"
            );
        }
        busy.shutdown().await;
        renewal.cancel();
        renewals.shutdown().await;
        housekeeping.abort();
        answers.cancel();
        if let Ok(Err(error)) = admin.await {
            tracing::warn!(%error, "the admin socket broke");
        }
        let closed = tokio::task::spawn_blocking(move || queue.close()).await;
        if let Err(error) = closed {
            tracing::error!(%error, "the queue did not close cleanly; it recovers at the next start");
        }
        if latched {
            Err(RunError::Latched)
        } else {
            Ok(())
        }
    }
}

async fn open_account(
    settings: &Settings,
    account: &Account,
    queue: &Queue,
) -> Result<(Dispatcher, TokenSource), StartError> {
    let name = || account.name.clone();
    let ca_file = account.smtp.ca_file.clone();
    let oauth_part = account.oauth_part()?;
    let (config, source) = tokio::task::spawn_blocking(move || {
        (
            tls::client_config(ca_file.as_deref()),
            TokenSource::new(oauth_part),
        )
    })
    .await?;
    let config = config.map_err(|source| StartError::Tls {
        account: name(),
        source,
    })?;
    let source = source.map_err(|source| StartError::Token {
        account: name(),
        source,
    })?;
    let part = settings.delivery_part(account);
    let dispatcher = Dispatcher::new(part, queue.clone(), source.clone(), config);
    Ok((dispatcher, source))
}

async fn keep_house(queue: Queue) {
    loop {
        tokio::time::sleep(MAINTENANCE_INTERVAL).await;
        if let Err(error) = queue.maintain().await {
            tracing::warn!(%error, "housekeeping in the queue failed");
        }
    }
}
