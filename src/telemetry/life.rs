//! The life of a message: one function for each event.
//!
//! Each line carries `queue_id` and `event`, and its text begins with that word:
//!
//! | word | when |
//! |---|---|
//! | `received` | it is on stable storage and the client has its 250: received and queued are one thing here |
//! | `imported` | the same, brought by an operator |
//! | `attempt` | an attempt has ended without a word about the message (at `debug` also each that begins) |
//! | `delivered`, `deferred`, `failed`, `expired` | what an attempt came to, for some recipients or for all |
//! | `notice` | the message is a notice, which is in the queue (`about`), or is told of by one (`notice`) |
//! | `held`, `released`, `retried`, `flushed`, `deleted` | an operator did it |
//! | `quarantined` | it is damaged and waits for an operator |
//! | `rerouted` | it goes by another account, because routes have changed |
//!
//! Of an attempt the outcome is said, with its number: a line for the beginning of each would double the log
//! and tell nothing more. [`Incident`](super::Incident)s have an id of their own.

use std::time::Duration;

use super::{Fate, counters};

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
        counters().received.add([self.account, self.listener]);
        tracing::info!(
            event = "received",
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
    /// The listener that took it in, or `notice`.
    pub listener: &'a str,
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
    /// What became of the message, if this is the event of its attempt that tells.
    pub fate: Option<Fate>,
}

impl Attempted<'_> {
    /// The remote has taken the message over.
    pub fn log_delivered(&self, age: Duration) {
        self.count();
        tracing::info!(
            event = "delivered",
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
        self.count();
        tracing::warn!(
            event = "deferred",
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

    /// The account is in trouble, which is not the message's fault: it is as if it had not been tried.
    pub fn log_undecided(&self) {
        tracing::info!(
            event = "attempt",
            queue_id = self.queue_id,
            account = self.account,
            remote = self.remote,
            reply = self.reply,
            changes = self.changes,
            "attempt not counted: the message waits until the account can send"
        );
    }

    /// Refused for good; the content is kept for an operator.
    pub fn log_failed(&self) {
        self.count();
        tracing::error!(
            event = "failed",
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
        self.count();
        tracing::error!(
            event = "expired",
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

/// An attempt begins, which the log says only to those who look closely.
pub fn log_attempt(queue_id: &str, account: &str) {
    tracing::debug!(event = "attempt", queue_id, account, "attempt");
}

/// A damaged message was put aside.
pub fn log_quarantined(queue_id: &str, what: &str) {
    tracing::error!(
        event = "quarantined",
        queue_id,
        what,
        "quarantined: the message is damaged; see exorelay queue verify"
    );
}

/// Something that an operator did to a message, on stable storage by now.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// The word: that of the history.
    pub event: &'a str,
    /// The queue id.
    pub queue_id: &'a str,
    /// Who.
    pub actor: &'a str,
    /// How the operator got at the queue.
    pub through: &'a str,
    /// The account that sends it.
    pub account: &'a str,
}

impl Act<'_> {
    /// Writes the event.
    pub fn log(&self) {
        let word = self.event;
        tracing::info!(
            event = word,
            queue_id = self.queue_id,
            actor = self.actor,
            through = self.through,
            account = self.account,
            "{word} by an operator"
        );
    }
}

/// A message goes another way than when it came, as the settings have changed.
pub fn log_rerouted(queue_id: &str, from: &str, to: &str) {
    tracing::info!(event = "rerouted", queue_id, from, account = to, "rerouted");
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
    /// In the story of a message that it tells of.
    pub fn log_told(&self, about: &str) {
        tracing::info!(
            event = "notice",
            queue_id = about,
            kind = self.kind,
            notice = self.queue_id,
            to = self.to,
            "notice of this message is in the queue"
        );
    }

    /// It is in the queue.
    pub fn log(&self) {
        counters().notices.add([self.kind]);
        tracing::info!(
            event = "notice",
            queue_id = self.queue_id,
            kind = self.kind,
            about = self.about,
            to = self.to,
            account = self.account,
            "notice"
        );
    }
}
