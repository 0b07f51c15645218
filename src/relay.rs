//! Builds every part, starts it, exchanges and drains it: the only module that knows them all.
//!
//! A reload goes over to new settings as a whole or not at all. Everything that can fail is done first,
//! beside the parts that are at work; what follows cannot fail. A start is a reload from nothing.

mod account;
mod expiry;
mod local_mail;
mod parts;
mod pulse;
mod reload;
mod reroute;
mod silence;
mod stray;
mod timeline;
mod view;

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Zoned;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::{Settings, SignInUrlError};
use crate::listener::{BindError, Inherited, PrepareError, Stop};
use crate::oauth;
use crate::queue::{OpenError, Queue};
use crate::tls::TlsError;
use crate::{admin, alert};

use parts::{Next, Parts};
use pulse::{Asks, Phase};
use reload::Request;

pub use account::Handle;
pub use expiry::Perishable;
pub use local_mail::LocalMail;
pub use pulse::Pulse;
pub use reload::{Changes, Refused, ReloadError, Reloader};
pub use view::{AccountView, Shown, View};

/// What transactions and attempts under way get once the relay is told to stop.
const GRACE: Duration = Duration::from_secs(20);

/// What tasks that were told to end at once get to say so.
const FAREWELL: Duration = Duration::from_secs(2);

/// Between two rounds of housekeeping in the queue.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(30);

/// Why the relay cannot start, or cannot go over to new settings.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Where an account is to sign in.
    #[error(transparent)]
    SignInUrl(#[from] SignInUrlError),
    /// The queue folder.
    #[error("{0}")]
    Queue(#[from] OpenError),
    /// A port.
    #[error(transparent)]
    Listener(#[from] BindError),
    /// What a listener needs besides its port.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The admin socket.
    #[error(transparent)]
    Admin(#[from] admin::BindError),
    /// The port of `admin.http`.
    #[error(transparent)]
    Http(#[from] admin::HttpBindError),
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
    /// Of a reload only.
    #[error("{key}: cannot change while the daemon runs; restart it, or put the old value back")]
    NeedsRestart {
        /// What would have to change.
        key: &'static str,
    },
    /// The hooks for alarms.
    #[error(transparent)]
    Alert(#[from] alert::SettingsError),
    /// A task of the start itself broke.
    #[error("the start was interrupted: {0}")]
    Interrupted(#[from] JoinError),
}

/// Why the relay ended although nobody told it to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Only a new start can tell what is on the disk.
    #[error("the queue's storage failed, see the log; restart once the disk is sound")]
    Latched,
    /// A defect of the program.
    #[error("a part of the daemon broke, see the log; it recovers with a restart")]
    Broken,
}

/// A relay whose ports are open and whose queue is locked, not yet serving.
#[derive(Debug)]
pub struct Relay {
    parts: Parts,
    next: Next,
    reloader: Reloader,
    requests: mpsc::Receiver<Request>,
    asks: Asks,
}

impl Relay {
    /// Opens queue and ports; `inherited` are those that are open already. Nothing is asked of the network:
    /// Entra and Exchange may be away.
    pub async fn open(settings: &Settings, inherited: Inherited) -> Result<Self, Refused> {
        let queue = open_queue(settings).await?;
        let stop = Stop {
            drain: CancellationToken::new(),
            cut: CancellationToken::new(),
            grace: GRACE,
        };
        let (pulse, asks) = Pulse::new(queue.clone());
        let mut parts = Parts::new(queue, stop, inherited, pulse);
        let next = parts.prepare(settings).await?;
        let shown = parts.shown(&next);
        parts.publish(settings, &shown).await;
        parts.view.show(shown);
        let (reloader, requests) = Reloader::new();
        Ok(Self {
            parts,
            next,
            reloader,
            requests,
            asks,
        })
    }

    /// What to show of it, now and while it runs.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.parts.view)
    }

    /// For whoever has new settings for it while it runs.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// To be cancelled when a drain is to end at once: clients hear 421, attempts are given up and
    /// made again after the next start.
    pub fn hurry(&self) -> CancellationToken {
        self.parts.stop.cut.clone()
    }

    /// Serves until `stop`, then drains: sessions end with their transaction, attempts with their
    /// message, both within a grace period; then the queue is closed.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self {
            mut parts,
            next,
            reloader,
            mut requests,
            mut asks,
        } = self;
        // Its other holders decide how long there may be requests.
        drop(reloader);
        parts.switch(next).await;
        let queue = parts.queue.clone();
        let mut housekeeping = JoinSet::new();
        housekeeping.spawn(keep_house(queue.clone()));
        housekeeping.spawn(alert::run(queue.clone(), parts.hooks.subscribe()));
        housekeeping.spawn(stray::watch(Arc::clone(&parts.view)));
        housekeeping.spawn(timeline::keep(Arc::clone(&parts.view)));
        let view = Arc::clone(&parts.view);
        let end_of = |path: &Path| oauth::certificate_end(path).ok();
        housekeeping.spawn(expiry::watch(view, end_of, Zoned::now));
        housekeeping.spawn(silence::watch(Arc::clone(&parts.view)));
        let ended = serve(&mut parts, &mut requests, &mut asks, &stop).await;
        parts.view.pulse.enter(Phase::Ending(Instant::now()));
        drop((requests, asks));
        drain(&mut parts).await;
        housekeeping.shutdown().await;
        parts.answers.cancel();
        while let Some(answered) = parts.answering.join_next().await {
            if let Ok(Err(error)) = answered {
                tracing::warn!(%error, "an admin server broke");
            }
        }
        // The last holders of the queue but for tasks that were given up.
        drop(parts);
        let closed = tokio::task::spawn_blocking(move || queue.close()).await;
        if let Err(error) = closed {
            tracing::error!(%error, "the queue did not close cleanly; it recovers at the next start");
        }
        ended
    }
}

async fn open_queue(settings: &Settings) -> Result<Queue, StartError> {
    let part = settings.queue_part();
    Ok(tokio::task::spawn_blocking(move || Queue::open(part)).await??)
}

/// Until the relay is told to stop, or cannot go on.
async fn serve(
    parts: &mut Parts,
    requests: &mut mpsc::Receiver<Request>,
    asks: &mut Asks,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let queue = parts.queue.clone();
    let pulse = parts.view.pulse.clone();
    let mut latched = pin!(queue.latched());
    loop {
        pulse.enter(Phase::Serving);
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some(ask) = asks.recv() => drop(ask.send(())),
            () = &mut latched => return Err(RunError::Latched),
            Some(ended) = parts.taking.join_next() => is_sound(ended)?,
            Some(ended) = parts.sending.join_next() => is_sound(ended)?,
            Some(answered) = parts.answering.join_next() => {
                if let Err(error) = is_sound(answered)? {
                    tracing::error!(%error, "an admin server broke; status and queue commands, or the status page, need a restart");
                }
            }
            Some(request) = requests.recv() => {
                pulse.enter(Phase::Changing(Instant::now()));
                let prepared = tokio::select! {
                    biased;
                    () = stop.cancelled() => return Ok(()),
                    prepared = parts.prepare(&request.settings) => prepared,
                };
                let answer = match prepared {
                    Ok(next) => {
                        let changes = next.changes.clone();
                        parts.switch(next).await;
                        Ok(changes)
                    }
                    Err(refused) => Err(refused.into()),
                };
                // Whoever asked may have gone; the settings hold all the same.
                let _ = request.answer.send(answer);
            }
        }
    }
}

/// Parts that were replaced end by themselves; none may break.
fn is_sound<T>(ended: Result<T, JoinError>) -> Result<T, RunError> {
    ended.map_err(|error| {
        tracing::error!(%error, "a part of the daemon broke");
        RunError::Broken
    })
}

/// No new session, no new attempt; those under way get the grace period, unless somebody hurries.
async fn drain(parts: &mut Parts) {
    parts.queue.set_open(false);
    parts.stop.drain.cancel();
    let hurry = parts.stop.cut.clone();
    let (taking, sending) = (&mut parts.taking, &mut parts.sending);
    let patient = async {
        // Listeners keep to the grace period by themselves.
        let sent = async { timeout(GRACE, all(sending)).await.is_ok() };
        let ((), sent) = tokio::join!(all(taking), sent);
        sent
    };
    let sent = tokio::select! {
        sent = patient => sent,
        () = hurry.cancelled() => false,
    };
    if !sent {
        tracing::warn!(
            "attempts under way were given up: what was not delivered is tried again after the next start"
        );
    }
    hurry.cancel();
    parts.sending.shutdown().await;
    // Sessions are told and end; one that hangs in its socket is left behind.
    let _ = timeout(FAREWELL, all(&mut parts.taking)).await;
    parts.taking.shutdown().await;
}

async fn all(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

async fn keep_house(queue: Queue) {
    loop {
        tokio::time::sleep(MAINTENANCE_INTERVAL).await;
        if let Err(error) = queue.maintain().await {
            tracing::warn!(%error, "housekeeping in the queue failed");
        }
    }
}
