//! What a reply of Exchange Online means, as a table.
//!
//! A [`Rule`] says which replies it is about, what is done, what is wrong in one sentence and how it is
//! mended. The first that takes a reply decides; the tables in [`table`] therefore go from the particular
//! to the general. Code, enhanced code and text count together (facts C.3), because the service uses one
//! code for several things: `554 5.2.0` is a quota that passes by itself, a spam verdict, or a message
//! that is too large. What no rule knows is left to RFC 5321 and counted.

mod matching;
mod table;
#[cfg(test)]
mod tests;

use self::matching::{Said, When};
use crate::delivery::PausePolicy;
use crate::smtp::{Reply, Step};

/// What is done about a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The service has taken the message over.
    Delivered,
    /// Not now: the recipients it concerns are tried again after the message's back-off.
    RetryMessage,
    /// The recipient is refused for good.
    FailRecipient,
    /// The message is refused for good, for every recipient it still has.
    FailMessage,
    /// Too many recipients at once: those accepted are served, the others come in a transaction of their own.
    Split,
    /// No fault of the message: the account sends nothing until a probe succeeds.
    PauseAccount(PausePolicy),
    /// The same for every account of the tenant.
    PauseTenant(PausePolicy),
    /// Perhaps only the token is old: a new one, one more try, and then this pause.
    RefreshToken(PausePolicy),
    /// The connection is of no further use: a new one at once. When it brings the same reply, this pause, or
    /// without one the message's back-off.
    NewConnection(Option<PausePolicy>),
    /// The mailbox may not send with this From: what the message's sender policy is about.
    SendAsDenied,
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// A name that stays, for scripts: words in lower case joined by `_`.
    pub key: &'static str,
    /// Replies it is about: one of these.
    when: &'static [When],
    /// What is done.
    pub verdict: Verdict,
    /// What is wrong, for people.
    pub sentence: &'static str,
    /// How it is mended.
    pub remedy: &'static str,
}

impl Verdict {
    /// How the account is paused, if it may come to that.
    pub(super) fn pause(&self) -> Option<PausePolicy> {
        match self {
            Self::PauseAccount(pause)
            | Self::PauseTenant(pause)
            | Self::RefreshToken(pause)
            | Self::NewConnection(Some(pause)) => Some(*pause),
            Self::Delivered
            | Self::RetryMessage
            | Self::FailRecipient
            | Self::FailMessage
            | Self::Split
            | Self::NewConnection(None)
            | Self::SendAsDenied => None,
        }
    }
}

impl Rule {
    /// Whether the reply was left to RFC 5321.
    pub fn is_unknown(&self) -> bool {
        self.key.starts_with("unknown_")
    }
}

/// The rule for a reply to `step`; with `None` for whatever step it may have answered.
pub fn classify(step: Option<Step>, reply: &Reply) -> &'static Rule {
    // Nearly every reply that comes here: it needs no search.
    if reply.code() < 300 && matches!(step, None | Some(Step::EndOfData)) {
        return &table::ACCEPTED;
    }
    find(&Said::of(step, reply))
}

/// The rule for a reply as queue and history keep it, where one knows it. Words around it, such as
/// `the server closes the connection: 421 4.3.2 ...`, do not hide it.
pub fn explain(text: &str) -> Option<&'static Rule> {
    let said = Said::parse(text).filter(Said::is_negative)?;
    Some(find(&said)).filter(|rule| !rule.is_unknown())
}

/// The rule of this name.
pub(super) fn named(key: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.key == key)
}

pub(super) fn all() -> impl Iterator<Item = &'static Rule> {
    table::rules().chain(table::FALLBACKS)
}

fn find(said: &Said) -> &'static Rule {
    table::rules()
        .find(|rule| rule.when.iter().any(|when| when.takes(said)))
        .unwrap_or_else(|| table::fallback(said))
}
