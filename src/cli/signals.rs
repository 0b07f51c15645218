//! What the system, or somebody at a terminal, wants of a running command.

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::{CliError, Exit};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGTERM, or SIGINT from a terminal.
    Stop,
    /// SIGHUP.
    Reload,
}

/// From when it is made, signals are kept for [`Signals::next`] and no longer end the process.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hangup: Stream,
}

impl Signals {
    /// To be called within a runtime.
    pub(super) fn catch() -> Result<Self, CliError> {
        let caught = |kind| {
            signal(kind).map_err(|error| {
                CliError::new(Exit::Failed, format!("cannot catch signals: {error}"))
            })
        };
        // A limit on file sizes (LimitFSIZE=) is then a write that fails, as on a full disk, and not the
        // end of the process. Once registered, the handler stays.
        let _ = caught(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        Ok(Self {
            terminate: caught(SignalKind::terminate())?,
            interrupt: caught(SignalKind::interrupt())?,
            hangup: caught(SignalKind::hangup())?,
        })
    }

    /// Several of a kind that nobody asked for are one.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }

    /// Resolves at the next signal to stop and leaves others for later.
    pub(super) async fn stop_signal(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// For a command without settings to reload: whatever comes first ends it, be it that its terminal
    /// is gone.
    pub(super) async fn stop(mut self, stop: CancellationToken) {
        self.next().await;
        stop.cancel();
    }
}
