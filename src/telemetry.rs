//! What operators read: the log with the one vocabulary of a message's life, and counts.
//!
//! Every life event is written by one function here, so that a queue id alone retrieves the whole
//! story and scripts can rely on the words: `received`, `attempt`, `delivered`, `deferred`,
//! `failed`, `expired`, `notice`, `incident`.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, reload};

mod counters;
mod filter;
mod histogram;
mod incident;
mod life;

pub use counters::{Codes, Counters, Fate, OTHERS, Series, counters};
pub use filter::Filter;
pub use histogram::{Bucket, Distribution, Histogram};
pub use incident::Incident;
pub use life::{Attempted, Notice, Received};

/// An error with its causes, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// How the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The filter in force; there is one log in a process.
static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Sends the log to standard error. A second call changes nothing.
pub fn init(filter: &Filter, format: Format) {
    let (filter, handle) = reload::Layer::new(filter.0.clone());
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    let begun = match format {
        Format::Text => registry.with(layer).try_init(),
        Format::Json => registry.with(layer.json()).try_init(),
    };
    if begun.is_ok() {
        let _ = FILTER.set(handle);
        std::panic::set_hook(Box::new(log_panic));
    }
}

/// A defect, in the form of all other lines: the program may well go on.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    let text = panic.payload_as_str().unwrap_or_default();
    tracing::error!(location, panic = ?text, "the program has a defect, please report it");
}

/// Logs from now on what `filter` lets through. Nothing happens where [`init`] was not called: the log
/// is somebody else's.
pub fn set_filter(filter: &Filter) {
    if let Some(handle) = FILTER.get() {
        // Fails only when the subscriber is gone, and with it the log.
        let _ = handle.reload(filter.0.clone());
    }
}
