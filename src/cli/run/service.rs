//! What the service manager is told: readiness, a line for `systemctl status`, and that the daemon lives.
//!
//! Without `NOTIFY_SOCKET` nobody is told anything.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, interval_at, sleep, timeout};

use super::manager;
use crate::cli::text::count;
use crate::delivery::State;
use crate::queue::Heard;
use crate::relay::{Pulse, View};

/// The line is brought up to date so often, if there is anything new to say.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

/// While it takes longer than usual to start or stop, the manager is asked for [`EXTENSION`] more so often.
const EXTENSION_INTERVAL: Duration = Duration::from_secs(10);
const EXTENSION: Duration = Duration::from_mins(1);

/// A schema that is brought up to date with years of history, on a slow disk: killed, it would begin anew.
const OPENING_MAX: Duration = Duration::from_hours(1);

/// The grace period, and the log of the queue onto a slow disk.
const ENDING_MAX: Duration = Duration::from_mins(5);

/// Whoever is found dead is looked at again this soon, should it only have been stopped for a while.
const DOUBT: Duration = Duration::from_secs(1);

/// A running daemon as its service manager sees it; clones are the same.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Service {
    view: Arc<View>,
    /// What else an operator should know.
    remark: Arc<Mutex<Option<String>>>,
    /// The manager has not heard yet that it is ready.
    owes_ready: Arc<AtomicBool>,
}

impl Service {
    pub(super) fn new(view: Arc<View>) -> Self {
        Self {
            view,
            remark: Arc::default(),
            owes_ready: Arc::default(),
        }
    }

    /// Every port is open. From here on the manager expects signs of life, if it ever does.
    pub(super) fn ready(&self) {
        self.report();
        if !manager::is_there() {
            return;
        }
        tokio::spawn(self.clone().keep_current());
        if let Some(patience) = sd_notify::watchdog_enabled() {
            tokio::spawn(feed(self.view.pulse.clone(), patience / 2));
        }
    }

    /// It is ready either way: the manager has no word for a reload that was refused, so `remark` says it, until
    /// there is a better one.
    pub(super) fn reloaded(&self, remark: Option<String>) {
        *self.remark.lock().unwrap_or_else(PoisonError::into_inner) = remark;
        self.report();
    }

    fn report(&self) {
        let told = manager::tell(&[NotifyState::Ready, NotifyState::Status(&self.line())]);
        self.owes_ready.store(!told, Ordering::Relaxed);
    }

    async fn keep_current(self) {
        let mut told = self.line();
        let mut ticks = interval_at(
            tokio::time::Instant::now() + STATUS_INTERVAL,
            STATUS_INTERVAL,
        );
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.view.is_serving() {
            let line = self.line();
            if self.owes_ready.load(Ordering::Relaxed) {
                self.report();
            } else if line != told && manager::tell(&[NotifyState::Status(&line)]) {
                told = line;
            }
            ticks.tick().await;
        }
    }

    /// `ready: 12 queued, 2 accounts, 1 blocked`.
    fn line(&self) -> String {
        let shown = self.view.now();
        let (queued, _) = self.view.queue.used();
        let mut parts = vec![
            format!("{queued} queued"),
            count(shown.accounts.len() as u64, "account"),
        ];
        for (state, word) in [
            (State::Blocked, "blocked"),
            (State::Paused, "paused"),
            (State::Throttled, "throttled"),
        ] {
            let accounts = shown.accounts.iter();
            let states = accounts.map(|account| account.delivery.borrow().state);
            let many = states.filter(|one| *one == state).count();
            if many > 0 {
                parts.push(format!("{many} {word}"));
            }
        }
        let heard = self.view.queue.heard();
        let silent = heard.iter().filter(|one| Heard::is_silent(one)).count();
        if silent > 0 {
            parts.push(format!("{} silent", count(silent as u64, "client")));
        }
        let line = format!("ready: {}", parts.join(", "));
        let remark = self.remark.lock().unwrap_or_else(PoisonError::into_inner);
        match &*remark {
            Some(remark) => format!("{line}; {remark}"),
            None => line,
        }
    }
}

/// A sign of life at each interval, for as long as there is life.
async fn feed(pulse: Pulse, every: Duration) {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_dead = false;
    loop {
        ticks.tick().await;
        while let Err(reason) = pulse.check().await {
            if !std::mem::replace(&mut is_dead, true) {
                tracing::error!(reason, "the daemon does not live: its watchdog is not fed");
            }
            sleep(DOUBT.min(every)).await;
        }
        if std::mem::take(&mut is_dead) {
            tracing::info!("the daemon lives again: its watchdog is fed");
        }
        manager::tell(&[NotifyState::Watchdog]);
    }
}

/// The settings are read again; [`Service::reloaded`] tells that this is over.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => {
            manager::tell(&[NotifyState::Reloading, now]);
        }
        Err(error) => tracing::debug!(%error, "the service manager was not told"),
    }
}

/// `opening`, which the manager gives more time while it goes on.
pub(super) async fn opening<T>(opening: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        opened = opening => opened,
        never = ask_for_time(OPENING_MAX) => match never {},
    }
}

/// Transactions and attempts under way are finished; the manager gives the end more time while it goes on.
pub(super) async fn stopping() {
    let words = "stopping: transactions and attempts under way are finished first";
    manager::tell(&[NotifyState::Stopping, NotifyState::Status(words)]);
    let _ = timeout(ENDING_MAX, ask_for_time(ENDING_MAX)).await;
}

/// Not for ever: what takes longer hangs.
async fn ask_for_time(max: Duration) -> std::convert::Infallible {
    let rounds = max.as_secs() / EXTENSION_INTERVAL.as_secs();
    for _ in 0..rounds {
        sleep(EXTENSION_INTERVAL).await;
        manager::tell(&[NotifyState::ExtendTimeoutUsec(EXTENSION.as_micros() as u32)]);
    }
    std::future::pending().await
}
