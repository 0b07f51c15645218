//! Going over to other settings, and what there is to say about it.

use std::fmt;

use tokio::sync::{mpsc, oneshot};

use super::StartError;
use crate::config::Settings;

/// Hands new settings to a running relay; clones speak to the same one.
#[derive(Clone, Debug)]
pub struct Reloader {
    requests: mpsc::Sender<Request>,
}

/// New settings, and who wants to know what became of them.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) settings: Box<Settings>,
    pub(super) answer: oneshot::Sender<Result<Changes, ReloadError>>,
}

/// The relay goes on with the settings it had; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// They cannot be carried out.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is nothing to go over any more.
    #[error("the relay is stopping")]
    Stopping,
}

/// Settings that cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines(.reasons))]
pub struct Refused {
    /// At least one, each to be told on a line of its own.
    pub reasons: Vec<StartError>,
}

impl From<StartError> for Refused {
    fn from(reason: StartError) -> Self {
        let reasons = vec![reason];
        Self { reasons }
    }
}

fn lines(reasons: &[StartError]) -> String {
    let lines: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// What a reload has changed, in the operator's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(pub(super) Vec<String>);

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing has changed");
        }
        f.write_str(&self.0.join(", "))
    }
}

impl Reloader {
    pub(super) fn new() -> (Self, mpsc::Receiver<Request>) {
        // One is being carried out; whoever comes meanwhile waits.
        let (requests, inbox) = mpsc::channel(1);
        (Self { requests }, inbox)
    }

    /// Goes over to `settings` as a whole, or not at all.
    ///
    /// Waits until the relay runs.
    pub async fn reload(&self, settings: Settings) -> Result<Changes, ReloadError> {
        let (answer, answered) = oneshot::channel();
        let settings = Box::new(settings);
        let request = Request { settings, answer };
        if self.requests.send(request).await.is_err() {
            return Err(ReloadError::Stopping);
        }
        answered.await.unwrap_or(Err(ReloadError::Stopping))
    }
}
