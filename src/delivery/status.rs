//! What to show of an account.

use tokio::time::Instant;

use crate::delivery::circuit::Circuit;
use crate::delivery::trouble::Trouble;
use crate::delivery::{Cause, Known, PausePolicy, Rule, State};

/// A snapshot of one account's delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether it sends.
    pub state: State,
    /// Why nothing is sent, if so.
    pub trouble: Option<TroubleStatus>,
    /// The recipients of the last day leave no room for the next message.
    pub throttled: Option<Throttled>,
    /// Connections at work.
    pub busy: usize,
    /// Connections open.
    pub connections: usize,
    /// Since when all is well, if it was not before.
    pub ready_since: Option<Instant>,
    /// The last failure of an attempt, even if mail flows again.
    pub last_error: Option<String>,
    /// Replies that no rule knows.
    pub unknown_replies: UnknownReplies,
}

/// Replies that were left to RFC 5321, since the dispatcher began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownReplies {
    /// How many.
    pub count: u64,
    /// The last one, cut to a line that can be read.
    pub last: Option<String>,
}

/// A mailbox that has used up its day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// Since when.
    pub since: Instant,
    /// When there will be room for the next message.
    pub until: Instant,
}

/// What a mailbox has used of what it may, whichever accounts send with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Messages that count against the rate at the moment.
    pub messages_last_minute: usize,
    /// The rate, if there is one.
    pub messages_per_minute: Option<usize>,
    /// Recipients that count against the limit of a day.
    pub recipients_last_day: u64,
    /// That limit, if there is one.
    pub recipients_per_day: Option<u64>,
    /// When the minute has room again, if it has none.
    pub next_room: Option<Instant>,
    /// Connections there may be: for a while fewer than in the settings when the service has refused one.
    pub connections_max: usize,
}

/// Why an account sends nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TroubleStatus {
    /// What kind of trouble.
    pub cause: Cause,
    /// What an operator makes of it.
    pub state: State,
    /// What it means, where one of the catalogues has it.
    pub known: Option<Known>,
    /// In the words of the service, or of the network.
    pub reason: String,
    /// Since when.
    pub since: Instant,
    /// When it is looked into next.
    pub next_probe: Instant,
    /// It is being looked into just now.
    pub is_probing: bool,
    pub(super) pause: PausePolicy,
    pub(super) whole_tenant: bool,
    /// Another account's incident tells of it.
    pub(super) is_adopted: bool,
}

/// Exchange's diagnostics can be several thousand octets long.
const UNKNOWN_TEXT_MAX: usize = 500;

impl UnknownReplies {
    pub(super) fn note(&mut self, text: &str) {
        self.count += 1;
        let end = text.floor_char_boundary(UNKNOWN_TEXT_MAX);
        self.last = text.get(..end).map(str::to_owned);
    }

    pub(super) fn note_trouble(&mut self, trouble: &Trouble) {
        let rule = trouble.known.as_ref().and_then(Known::rule);
        if rule.is_some_and(Rule::is_unknown) {
            self.note(&trouble.reason);
        }
    }

    pub(super) fn add(&mut self, more: Self) {
        self.count += more.count;
        if more.last.is_some() {
            self.last = more.last;
        }
    }
}

impl TroubleStatus {
    pub(super) fn of(circuit: &Circuit) -> Option<Self> {
        let incident = circuit.incident()?;
        Some(Self {
            cause: incident.trouble.pause.cause,
            state: circuit.state(),
            known: incident.trouble.known.clone(),
            reason: incident.trouble.reason.clone(),
            pause: incident.trouble.pause,
            whole_tenant: incident.trouble.whole_tenant,
            is_adopted: incident.is_adopted,
            since: incident.since,
            next_probe: incident.next_probe,
            is_probing: matches!(circuit, Circuit::Probing(_)),
        })
    }
}
