//! What operators read: the log with the one vocabulary of a message's life, and counts.
//!
//! Every life event is written by one function here, so that a queue id alone retrieves the whole
//! story and scripts can rely on the words ([`life`]). Any thread may say something and none of them waits
//! for whoever reads it: records go through an outbox to a thread that gives them their form and
//! writes them. docs/logging.md is the operator's side of it.

use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, reload};

mod counters;
mod filter;
mod histogram;
mod incident;
mod journal;
mod json;
mod layer;
pub mod life;
mod outbox;
mod record;
mod repetition;
mod silence;
mod sink;
mod text;

pub use counters::{Codes, Counters, Fate, OTHERS, Series, counters};
pub use filter::Filter;
pub use histogram::{Bucket, Distribution, Histogram};
pub use incident::Incident;
use layer::Layer;
pub use life::{Act, Attempted, Notice, Received};
use outbox::Outbox;
use sink::{Form, Sink};

/// A reader that hangs keeps the program from its end for no longer.
const FLUSH_MAX: Duration = Duration::from_secs(2);
pub use silence::Silence;

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
    /// Fields in systemd's journal.
    Journald,
}

/// There is one log in a process.
#[derive(Debug)]
struct Log {
    filter: reload::Handle<Targets, Registry>,
    form: Form,
    outbox: Arc<Outbox>,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Begins the log. A second call changes nothing.
///
/// Until [`flush`] the last lines may not be written.
pub fn init(filter: &Filter, format: Format) {
    let (filter, handle) = reload::Layer::new(filter.0.clone());
    let outbox = Arc::new(Outbox::default());
    let layer = Layer(Arc::clone(&outbox));
    let registry = tracing_subscriber::registry().with(filter);
    if registry.with(layer).try_init().is_err() {
        return;
    }
    let form = Form::new(format);
    let mut sink = Sink::standard_error(form.clone());
    let writer = Arc::clone(&outbox);
    let begun = std::thread::Builder::new()
        .name("log".into())
        .spawn(move || writer.write_all(|records| sink.write(records)));
    if let Err(error) = begun {
        // Nothing else will have a thread either, and says so at its end.
        eprintln!("exorelay: there is no log: {error}");
    }
    let log = Log {
        filter: handle,
        form,
        outbox,
    };
    if LOG.set(log).is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

/// Waits until what was said is written, unless its reader takes too long.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.outbox.flush(FLUSH_MAX);
    }
}

/// A defect, in the form of all other lines: the program may well go on, or may be at its end.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    let panic = panic.payload_as_str().unwrap_or_default();
    tracing::error!(
        location,
        panic,
        "the program has a defect, please report it"
    );
    flush();
}

/// From now on what `filter` lets through is logged, in this format. Nothing happens where [`init`] was not
/// called: the log is somebody else's.
pub fn change(filter: &Filter, format: Format) {
    if let Some(log) = LOG.get() {
        // Fails only when the subscriber is gone, and with it the log.
        let _ = log.filter.reload(filter.0.clone());
        log.form.set(format);
    }
}
