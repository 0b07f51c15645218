//! `exorelay run`: the daemon.

use std::time::Duration;

use rustix::process::Signal;
use sd_notify::NotifyState;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::context::Context;
use crate::cli::{CliError, Exit};
use crate::config::Loaded;
use crate::queue::OpenError;
use crate::relay::{Relay, RunError, StartError};
use crate::telemetry;

/// Run the daemon in the foreground: for systemd, or a terminal
///
/// SIGTERM or Ctrl-C lets transactions and attempts under way end (20 s at most) and stops.
#[derive(clap::Args, Debug)]
pub(super) struct Args {}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let Self {} = self;
        let loaded = context.load()?;
        daemon(&loaded)
    }
}

fn daemon(loaded: &Loaded) -> Result<(), CliError> {
    let (level, format) = loaded.settings.log.telemetry_part();
    telemetry::init(level, format);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    runtime()?.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        // A limit on file sizes (LimitFSIZE=) is then a write that fails, as on a full disk, and
        // not the end of the daemon. Once registered, the handler stays.
        if let Err(error) = signal(SignalKind::from_raw(Signal::XFSZ.as_raw())) {
            tracing::warn!(%error, "a limit on file sizes would end the daemon");
        }
        serve(loaded, stop, |_| {}).await
    })
}

/// The queue has a thread of its own, which wants a core; more than a few threads only cost memory.
pub(super) fn runtime() -> Result<Runtime, CliError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Builder::new_multi_thread()
        .worker_threads(cores.saturating_sub(1).clamp(1, 4))
        .max_blocking_threads(64)
        .thread_keep_alive(Duration::from_secs(10))
        .enable_all()
        .build()
        .map_err(|error| CliError::new(Exit::Failed, format!("cannot start threads: {error}")))
}

/// The daemon itself; `ready` is called once every port is open.
pub(super) async fn serve(
    loaded: &Loaded,
    stop: CancellationToken,
    ready: impl FnOnce(&Relay),
) -> Result<(), CliError> {
    let relay = Relay::open(&loaded.settings)
        .await
        .map_err(|error| cannot_start(&error))?;
    let view = relay.view();
    for (name, address) in &view.listeners {
        tracing::info!(listener = name, %address, "listening");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        queued = view.queue.used().0,
        accounts = view.accounts.len(),
        "ready"
    );
    notify(&[NotifyState::Ready]);
    ready(&relay);
    drop(view);
    tokio::spawn({
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            tracing::info!("stopping: transactions and attempts under way are finished first");
            notify(&[NotifyState::Stopping]);
        }
    });
    let ended = relay.run(stop).await;
    match ended {
        Ok(()) => {
            tracing::info!("stopped");
            Ok(())
        }
        Err(error @ RunError::Latched) => Err(CliError::new(Exit::Failed, error.to_string())),
    }
}

fn cannot_start(error: &StartError) -> CliError {
    let exit = match error {
        StartError::Queue(OpenError::Held { .. }) => Exit::TryAgain,
        StartError::Queue(OpenError::Folder { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Exit::NotPermitted
        }
        StartError::Settings(_) | StartError::Tls { .. } | StartError::Token { .. } => {
            Exit::Configuration
        }
        StartError::Queue(_)
        | StartError::Listener(_)
        | StartError::Admin(_)
        | StartError::Interrupted(_) => Exit::Failed,
    };
    CliError::new(exit, error.to_string())
}

/// SIGTERM and SIGINT end the daemon; a second one does not hurry it.
pub(super) async fn stop_on_signal(stop: CancellationToken) {
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    );
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = signals else {
        tracing::error!(
            "signals cannot be received; stop the daemon with SIGKILL, no mail is lost"
        );
        return;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                tracing::warn!("SIGHUP: settings are not reloaded by this version yet; restart instead");
            }
        }
    }
    stop.cancel();
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
