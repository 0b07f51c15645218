//! What operators read: the log with the one vocabulary of a message's life, and counts.
//!
//! Every life event is written by one function here, so that a queue id alone retrieves the whole
//! story and scripts can rely on the words: `received`, `attempt`, `delivered`, `deferred`,
//! `failed`, `expired`, `notice`, `incident`.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Duration;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, reload};

mod histogram;
mod silence;

pub use histogram::{Bucket, Distribution, Histogram};
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

/// What is logged.
#[derive(Clone, Debug)]
pub struct Filter(Targets);

impl Filter {
    /// `LEVEL`, or `LEVEL,PART=LEVEL` for more, or less, of some parts. What is neither is left out: the
    /// settings have been checked.
    pub fn parse(text: &str) -> Self {
        let (mut own, mut parts) = (LevelFilter::INFO, Vec::new());
        for directive in text.split(',') {
            match directive.split_once('=') {
                Some((part, level)) => {
                    let level = level.trim().parse::<LevelFilter>();
                    parts.extend(level.map(|level| (part.trim().to_owned(), level)));
                }
                None => own = directive.trim().parse().unwrap_or(own),
            }
        }
        // Chatter of the libraries is of use only to those who ask for it.
        let others = if own >= LevelFilter::DEBUG {
            own
        } else {
            own.min(LevelFilter::WARN)
        };
        let targets = Targets::new()
            .with_default(others)
            .with_target("exorelay", own);
        Self(targets.with_targets(parts))
    }
}

/// A message was accepted and is on stable storage.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The queue id.
    pub queue_id: &'a str,
    /// The listener's name.
    pub listener: &'a str,
    /// The client's address.
    pub client: &'a str,
    /// What the client called itself.
    pub helo: &'a str,
    /// Empty for the null path.
    pub reverse_path: &'a str,
    /// How many.
    pub recipients: usize,
    /// Of the content.
    pub size_bytes: u64,
    /// As the client or the relay wrote it.
    pub message_id: &'a str,
    /// The account that will send it.
    pub account: &'a str,
}

impl Received<'_> {
    /// Writes the event.
    pub fn log(&self) {
        tracing::info!(
            queue_id = self.queue_id,
            listener = self.listener,
            client = self.client,
            helo = self.helo,
            reverse_path = self.reverse_path,
            recipients = self.recipients,
            size_bytes = self.size_bytes,
            message_id = self.message_id,
            account = self.account,
            "received"
        );
    }
}

/// What an attempt led to, for the recipients it concerned.
#[derive(Clone, Copy, Debug)]
pub struct Attempted<'a> {
    /// The queue id.
    pub queue_id: &'a str,
    /// The account it was sent with.
    pub account: &'a str,
    /// The host.
    pub remote: &'a str,
    /// How many recipients this event is about.
    pub recipients: usize,
    /// 1 is the first.
    pub attempt: u32,
    /// The remote's reply, or the failure.
    pub reply: &'a str,
    /// What the reply means, where one is known.
    pub why: Option<&'a str>,
    /// How it is mended.
    pub remedy: Option<&'a str>,
    /// What was changed in the message on its way.
    pub changes: Option<&'a str>,
}

impl Attempted<'_> {
    /// The remote has taken the message over.
    pub fn log_delivered(&self, age: Duration) {
        tracing::info!(
            queue_id = self.queue_id,
            account = self.account,
            remote = self.remote,
            recipients = self.recipients,
            attempt = self.attempt,
            age_ms = age.as_millis() as u64,
            reply = self.reply,
            changes = self.changes,
            "delivered"
        );
    }

    /// It will be tried again.
    pub fn log_deferred(&self, retry_in: Option<Duration>) {
        tracing::warn!(
            queue_id = self.queue_id,
            account = self.account,
            remote = self.remote,
            recipients = self.recipients,
            attempt = self.attempt,
            retry_in_s = retry_in.unwrap_or_default().as_secs(),
            reply = self.reply,
            why = self.why,
            remedy = self.remedy,
            changes = self.changes,
            "deferred"
        );
    }

    /// Refused for good; the content is kept for an operator.
    pub fn log_failed(&self) {
        tracing::error!(
            queue_id = self.queue_id,
            account = self.account,
            remote = self.remote,
            recipients = self.recipients,
            attempt = self.attempt,
            reply = self.reply,
            why = self.why,
            remedy = self.remedy,
            changes = self.changes,
            "failed"
        );
    }

    /// Too old to be tried again; the content is kept for an operator.
    pub fn log_expired(&self) {
        tracing::error!(
            queue_id = self.queue_id,
            account = self.account,
            remote = self.remote,
            recipients = self.recipients,
            attempt = self.attempt,
            reply = self.reply,
            why = self.why,
            remedy = self.remedy,
            changes = self.changes,
            "expired"
        );
    }
}

/// Somebody is told that mail has failed or is late.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// The queue id of the notice.
    pub queue_id: &'a str,
    /// `failed`, `delayed` or `digest`.
    pub kind: &'a str,
    /// The queue id of the message it tells of; how many messages, if it is a digest.
    pub about: &'a str,
    /// The address it goes to.
    pub to: &'a str,
    /// The account that sends it.
    pub account: &'a str,
}

impl Notice<'_> {
    /// It is in the queue.
    pub fn log(&self) {
        tracing::info!(
            queue_id = self.queue_id,
            kind = self.kind,
            about = self.about,
            to = self.to,
            account = self.account,
            "notice"
        );
    }
}

/// Mail does not flow, or will not for long, or does again.
#[derive(Clone, Copy, Debug)]
pub struct Incident<'a> {
    /// The same from its opening to its end, also across restarts.
    pub id: &'a str,
    /// What is in trouble.
    pub kind: &'a str,
    /// The account, if it is one.
    pub account: Option<&'a str>,
    /// What happened, in the words of the service or of the network.
    pub reason: &'a str,
    /// The rule that knows it.
    pub rule: Option<&'a str>,
    /// What it means.
    pub why: Option<&'a str>,
    /// How it is mended.
    pub remedy: Option<&'a str>,
}

impl Incident<'_> {
    /// Mail waits; none of it is lost.
    pub fn log_opened(&self, retry_in: Duration) {
        tracing::error!(
            incident = self.id,
            kind = self.kind,
            account = self.account,
            retry_in_s = retry_in.as_secs(),
            reason = self.reason,
            rule = self.rule,
            why = self.why,
            remedy = self.remedy,
            "incident opened: mail is kept until the account can send again"
        );
    }

    /// Something else keeps it waiting now.
    pub fn log_changed(&self, retry_in: Duration) {
        tracing::error!(
            incident = self.id,
            kind = self.kind,
            account = self.account,
            retry_in_s = retry_in.as_secs(),
            reason = self.reason,
            rule = self.rule,
            why = self.why,
            remedy = self.remedy,
            "incident changed: mail is still kept"
        );
    }

    /// A bound of the queue comes near; mail is still taken in.
    pub fn log_near(&self) {
        tracing::warn!(
            incident = self.id,
            kind = self.kind,
            reason = self.reason,
            why = self.why,
            remedy = self.remedy,
            "incident opened: the queue has little room left"
        );
    }

    /// What an account gets tokens with runs out; it still sends.
    pub fn log_expiry_opened(&self) {
        tracing::warn!(
            incident = self.id,
            kind = self.kind,
            account = self.account,
            reason = self.reason,
            why = self.why,
            remedy = self.remedy,
            "incident opened: a credential runs out"
        );
    }

    /// A day later it still does.
    pub fn log_expiry(&self) {
        tracing::warn!(
            incident = self.id,
            kind = self.kind,
            account = self.account,
            reason = self.reason,
            why = self.why,
            remedy = self.remedy,
            "incident goes on: a credential runs out"
        );
    }

    /// All is well again.
    pub fn log_recovered(&self, lasted: Duration) {
        tracing::info!(
            incident = self.id,
            kind = self.kind,
            account = self.account,
            lasted_s = lasted.as_secs(),
            reason = self.reason,
            rule = self.rule,
            "incident recovered"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn one_part_is_shown_more_closely_and_another_less() {
        let Filter(targets) = Filter::parse("info, exorelay::smtp=debug,exorelay::queue=off");
        for (target, level, enabled) in [
            ("exorelay::relay", Level::INFO, true),
            ("exorelay::relay", Level::DEBUG, false),
            ("exorelay::smtp::server", Level::DEBUG, true),
            ("exorelay::queue", Level::ERROR, false),
            ("rustls", Level::WARN, true),
            ("rustls", Level::INFO, false),
        ] {
            assert_eq!(targets.would_enable(target, &level), enabled, "{target}");
        }
        let Filter(silent) = Filter::parse("off");
        assert!(!silent.would_enable("exorelay", &Level::ERROR));
        assert!(!silent.would_enable("rustls", &Level::ERROR));
    }
}
