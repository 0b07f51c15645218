//! What telling senders needs to know.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use crate::delivery::Status;
use crate::mail::Mailbox;

/// Settings of notices.
#[derive(Clone, Debug)]
pub struct NoticeSettings {
    /// Who is told.
    pub to: Destination,
    /// Age, in time that the account was able to send, at which waiting mail is late.
    pub delay_warning: Duration,
    /// This relay.
    pub hostname: String,
    /// What a reply means.
    pub explain: Explain,
    /// By name. Mail of others waits, and so does what there is to tell of it.
    pub accounts: BTreeMap<String, NoticeAccount>,
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The reverse-path of the message.
    Sender,
    /// Always this one.
    Mailbox(Mailbox),
    /// Nobody.
    Nobody,
}

/// An account that mail fails or waits in: its notices go out through it.
#[derive(Clone, Debug)]
pub struct NoticeAccount {
    /// Writes the notices.
    pub mailbox: Mailbox,
    /// Nobody is told of delays while it is in trouble: that is the operator's alarm, and every
    /// sender's notice would only wait with their mail.
    pub status: watch::Receiver<Status>,
}

/// What a reply means, if anything is known of it. `reply` is one line, as the history shows it.
pub type Explain = fn(reply: &str) -> Option<Explanation>;

/// What a reply means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// One plain sentence.
    pub sentence: String,
    /// What can be done, by whoever sent the message or runs the relay.
    pub remedy: Option<String>,
}
