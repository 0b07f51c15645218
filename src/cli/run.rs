//! `exorelay run`: the daemon.

mod manager;
mod service;

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use crate::admin::one_line;
use crate::cli::context::Context;
use crate::cli::signals::{Signal, Signals};
use crate::cli::{CliError, Exit};
use crate::config::Loaded;
use crate::listener::Inherited;
use crate::queue::OpenError;
use crate::relay::{Changes, Refused, Relay, ReloadError, Reloader, RunError, StartError};
use crate::telemetry;

use service::Service;

/// Run the daemon in the foreground: for systemd, or a terminal
///
/// SIGTERM or Ctrl-C lets transactions and attempts under way end (20 s at most) and stops; a second one
/// stops at once. SIGHUP reads the settings again and goes over to them without dropping a session; settings
/// with a mistake change nothing and are told in the log.
#[derive(clap::Args, Debug)]
pub(super) struct Args {}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let Self {} = self;
        let loaded = context.load()?;
        daemon(context, &loaded)
    }
}

fn daemon(context: &Context, loaded: &Loaded) -> Result<(), CliError> {
    let (filter, format) = loaded.settings.log.telemetry_part();
    telemetry::init(&filter, format);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    raise_descriptor_limit();
    // It changes the environment, so before there are threads that read that; the log's does not.
    let inherited = Inherited::take();
    runtime()?.block_on(async {
        // Before anything else: a signal that nobody catches yet would end the daemon.
        let signals = Signals::catch()?;
        let stop = CancellationToken::new();
        serve(loaded, inherited, stop.clone(), |relay, service| {
            let obedience = Obedience {
                service: service.clone(),
                context: context.clone(),
                stop,
                hurry: relay.hurry(),
                reloader: relay.reloader(),
            };
            tokio::spawn(obedience.obey(signals));
        })
        .await
    })
}

/// The soft limit is low for the sake of programs that use select(2); the hard one is what the administrator
/// allows.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, limit = limit.current, "cannot raise the limit of open files (RLIMIT_NOFILE)");
    }
}

/// What signals lead to.
struct Obedience {
    service: Service,
    context: Context,
    stop: CancellationToken,
    hurry: CancellationToken,
    reloader: Reloader,
}

impl Obedience {
    async fn obey(self, mut signals: Signals) {
        while signals.next().await == Signal::Reload {
            // Those that arrive meanwhile are one more reload, as the file may have changed again.
            tokio::select! {
                () = self.reload() => {}
                () = signals.stop_signal() => break,
            }
        }
        self.stop.cancel();
        signals.stop_signal().await;
        tracing::warn!("told to stop again: transactions and attempts under way are given up");
        self.hurry.cancel();
    }

    async fn reload(&self) {
        tracing::info!("reading the settings again");
        service::reloading();
        let remark = match self.go_over().await {
            Ok(changes) => {
                tracing::info!(%changes, "settings reloaded");
                None
            }
            Err(error) => {
                for line in error.lines() {
                    // One line each, however it is laid out for a terminal.
                    let problem = line.split_whitespace().collect::<Vec<_>>().join(" ");
                    tracing::error!(
                        problem,
                        "settings not reloaded, those from before stay in force"
                    );
                }
                Some(format!(
                    "settings not reloaded ({} to correct, see the log), those from before stay in force",
                    error.lines().count()
                ))
            }
        };
        self.service.reloaded(remark);
    }

    async fn go_over(&self) -> Result<Changes, CliError> {
        let context = self.context.clone();
        let loaded = tokio::task::spawn_blocking(move || context.load()).await;
        let loaded = loaded.map_err(|error| {
            CliError::new(
                Exit::Failed,
                format!("reading them was interrupted: {error}"),
            )
        })??;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let changes = self.reloader.reload(loaded.settings).await;
        changes.map_err(|error| match error {
            ReloadError::Refused(refused) => cannot_start(&refused),
            ReloadError::Stopping => CliError::new(Exit::Failed, error),
        })
    }
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
    inherited: Inherited,
    stop: CancellationToken,
    ready: impl FnOnce(&Relay, &Service),
) -> Result<(), CliError> {
    let relay = service::opening(Relay::open(&loaded.settings, inherited)).await;
    let relay = relay.map_err(|error| cannot_start(&error))?;
    let view = relay.view();
    let shown = view.now();
    for (name, address) in &shown.listeners {
        tracing::info!(listener = name, %address, "listening");
    }
    if let Some(address) = shown.admin_http {
        tracing::info!(admin = "http", %address, "listening");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        queued = view.queue.used().0,
        accounts = shown.accounts.len(),
        "ready"
    );
    let service = Service::new(view);
    service.ready();
    ready(&relay, &service);
    drop((service, shown));
    tokio::spawn({
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            tracing::info!("stopping: transactions and attempts under way are finished first");
            service::stopping().await;
        }
    });
    let ended = relay.run(stop).await;
    match ended {
        Ok(()) => {
            tracing::info!("stopped");
            Ok(())
        }
        Err(error @ (RunError::Latched | RunError::Broken)) => {
            Err(CliError::new(Exit::Failed, error.to_string()))
        }
    }
}

fn cannot_start(refused: &Refused) -> CliError {
    let exit = refused.reasons.first().map_or(Exit::Failed, exit_of);
    let lines = refused.reasons.iter().map(|reason| one_line(reason));
    CliError::several(exit, lines.collect())
}

fn exit_of(reason: &StartError) -> Exit {
    match reason {
        StartError::Queue(OpenError::Held { .. }) => Exit::TryAgain,
        StartError::Queue(OpenError::Folder { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Exit::NotPermitted
        }
        StartError::SignInUrl(_)
        | StartError::Prepare(_)
        | StartError::Tls { .. }
        | StartError::Token { .. }
        | StartError::Alert(_)
        | StartError::NeedsRestart { .. } => Exit::Configuration,
        StartError::Queue(_)
        | StartError::Listener(_)
        | StartError::Admin(_)
        | StartError::Http(_)
        | StartError::Interrupted(_) => Exit::Failed,
    }
}
