//! What is known of one incident.

use std::time::Duration;

use jiff::Timestamp;

use crate::queue::QueueId;

/// What can be in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentKind {
    /// An account cannot send.
    Account,
    /// What an account gets tokens with runs out.
    Credential,
    /// `queue.max_messages` comes near.
    QueueMessages,
    /// `queue.max_bytes` comes near.
    QueueBytes,
    /// `queue.min_free_disk` comes near.
    QueueDisk,
    /// A `[client.NAME]` sends nothing any more.
    Client,
}

/// When somebody is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// At once: it does not pass by itself.
    Urgent,
    /// When it has lasted for five minutes.
    Lasting,
    /// Never: another incident says so already.
    Silent,
}

/// What is wrong, as it was found. The words of states and causes are the finder's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is in trouble.
    pub kind: IncidentKind,
    /// Which account, or the NAME of which `[client.NAME]`; empty for what is nobody's.
    pub account: String,
    /// `blocked`, `throttled`, `paused`; `warning` for a bound; `warning` or `expired` for a credential; `silent`
    /// for a client.
    pub state: String,
    /// What kind of trouble.
    pub cause: String,
    /// The rule that knows the service's reply.
    pub rule: Option<String>,
    /// What it means.
    pub why: Option<String>,
    /// How it is mended.
    pub remedy: Option<String>,
    /// In the words of the service, or of the network.
    pub reason: String,
    /// When somebody is to be told.
    pub urgency: Urgency,
    /// How an account goes on after a restart.
    pub probe: Option<ProbePlan>,
}

/// How an account that cannot send goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePlan {
    /// Whose trouble it is: the account may be given another mailbox.
    pub mailbox: String,
    /// Probes that have failed in a row.
    pub failures: u32,
    /// From now to the next one.
    pub next_in: Duration,
}

/// One incident, open or over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Made as queue ids are, and never a message's.
    pub id: QueueId,
    /// As it was found last.
    pub finding: Finding,
    /// Failures so far.
    pub count: u64,
    /// By the wall clock.
    pub opened_at: Timestamp,
    /// When something was last heard of it, by the wall clock.
    pub last_at: Timestamp,
    /// By the wall clock; none while it is open.
    pub recovered_at: Option<Timestamp>,
    /// In queue time, as the following.
    pub(super) recovered_ms: Option<i64>,
    pub(super) next_probe_ms: Option<i64>,
    /// When it is worth an alarm.
    pub(super) alarm_ms: Option<i64>,
    /// It has been urgent since somebody was told last.
    pub(super) was_urgent: bool,
    pub(super) told_command: Told,
    pub(super) told_webhook: Told,
}

/// By what somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `alert.command`.
    Command,
    /// `alert.webhook`.
    Webhook,
}

/// What somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// It has begun, or become worse.
    Opened,
    /// It is over.
    Recovered,
}

/// What a hook has passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing yet.
    Nothing,
    /// That it opened.
    Opened,
    /// That it recovered too.
    Recovered,
    /// There was nobody to tell, or nobody who could be reached.
    Nobody,
}

/// An alarm that a hook has not passed on yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// About this one.
    pub incident: Incident,
    /// What is to be told.
    pub alarm: Alarm,
    /// In queue time.
    pub(super) due_ms: i64,
    /// From now on, zero if it is due.
    pub due_in: Duration,
    /// For how long it has been due.
    pub overdue: Duration,
}

impl IncidentKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Account,
        Self::Credential,
        Self::QueueMessages,
        Self::QueueBytes,
        Self::QueueDisk,
        Self::Client,
    ];

    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Credential => "credential",
            Self::QueueMessages => "queue_messages",
            Self::QueueBytes => "queue_bytes",
            Self::QueueDisk => "queue_disk",
            Self::Client => "client",
        }
    }

    pub(super) fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl Alarm {
    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Recovered => "recovered",
        }
    }
}

impl Told {
    pub(super) fn number(self) -> i64 {
        self as i64
    }

    pub(super) fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Opened,
            2 => Self::Recovered,
            3 => Self::Nobody,
            _ => Self::Nothing,
        }
    }
}

impl Owed {
    /// The same for as long as it is the same alarm.
    pub fn key(&self) -> (QueueId, Alarm, i64) {
        (self.incident.id, self.alarm, self.due_ms)
    }
}

impl Finding {
    /// The account that it is about.
    pub fn of_account(&self) -> Option<&str> {
        let is_one = self.kind != IncidentKind::Client && !self.account.is_empty();
        is_one.then_some(&self.account)
    }

    /// The NAME of the `[client.NAME]` that it is about.
    pub fn of_client(&self) -> Option<&str> {
        (self.kind == IncidentKind::Client).then_some(&self.account)
    }
}

impl Incident {
    /// Whether it is not over.
    pub fn is_open(&self) -> bool {
        self.recovered_ms.is_none()
    }

    /// Until it was over, by the wall clock.
    pub(crate) fn lasted(&self) -> Duration {
        let until = self.recovered_at.unwrap_or(self.last_at);
        Duration::try_from(until.duration_since(self.opened_at)).unwrap_or_default()
    }

    pub(super) fn told(&self, hook: Hook) -> Told {
        match hook {
            Hook::Command => self.told_command,
            Hook::Webhook => self.told_webhook,
        }
    }

    pub(super) fn told_mut(&mut self, hook: Hook) -> &mut Told {
        match hook {
            Hook::Command => &mut self.told_command,
            Hook::Webhook => &mut self.told_webhook,
        }
    }

    /// What `hook` has to pass on next, and when in queue time. What was over before it was worth an
    /// alarm is worth none.
    pub(super) fn owed(&self, hook: Hook) -> Option<(Alarm, i64)> {
        match self.told(hook) {
            Told::Nothing => {
                let due_ms = self.alarm_ms?;
                let lasted = self.recovered_ms.is_none_or(|over_ms| due_ms <= over_ms);
                lasted.then_some((Alarm::Opened, due_ms))
            }
            Told::Opened => self.recovered_ms.map(|over_ms| (Alarm::Recovered, over_ms)),
            Told::Recovered | Told::Nobody => None,
        }
    }
}
