//! What the daemon says of itself.
//!
//! The types are both ends of the wire, and what `--json` shows: keys may be added, never renamed.
//! All times are RFC 3339 in UTC.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::clients::ClientStatus;
use super::timeline::Timeline;
use crate::queue::{ImportRequest, QueueId, Sidecar, Tally};
use crate::telemetry::Bucket;

/// Knows what the parts of the daemon are doing, and reaches them.
pub trait StatusSource: Send + Sync + 'static {
    /// The state of everything, now. Answers soon: nothing of it may wait for a network.
    fn status(&self) -> StatusFuture<'_>;

    /// Whether mail is taken in. Answers at once.
    fn reception(&self) -> Reception;

    /// What the relay and its machine are called. Answers at once.
    fn names(&self) -> Vec<String>;

    /// How it did lately.
    fn timeline(&self) -> Arc<Timeline>;

    /// Has a new token of the account asked for; whether there is such an account. Does not wait for the
    /// token.
    fn renew(&self, account: &str) -> bool;
}

/// What decides, besides the queue, whether mail is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reception {
    /// Those that are open.
    pub listeners: usize,
    /// The daemon stops: sessions end with their transaction, and no new one begins.
    pub draining: bool,
}

/// The answer of a [`StatusSource`].
pub type StatusFuture<'a> = Pin<Box<dyn Future<Output = Status> + Send + 'a>>;

/// The daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// As in greetings.
    pub hostname: String,
    /// The process.
    pub pid: u32,
    /// When it was ready.
    pub started_at: Timestamp,
    /// Where clients connect.
    pub listeners: Vec<ListenerStatus>,
    /// Where `admin.http` answers, with the port the system chose; none where it is off.
    #[serde(default)]
    pub admin_http: Option<String>,
    /// Sessions of clients at the moment.
    #[serde(default)]
    pub sessions: u64,
    /// Sessions of clients that a defect of the program broke off.
    #[serde(default)]
    pub session_panics: u64,
    /// What waits.
    pub queue: QueueStatus,
    /// In the order of their names.
    pub accounts: Vec<AccountStatus>,
    /// What is wrong at the moment, oldest first.
    #[serde(default)]
    pub incidents: Vec<IncidentStatus>,
    /// The sections `[client.NAME]`, in the order of their names.
    #[serde(default)]
    pub clients: Vec<ClientStatus>,
}

/// Something that keeps mail from flowing, or soon will.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentStatus {
    /// As in the log and in alarms.
    pub id: String,
    /// `account`, `credential` for one that runs out, `client` for one that has fallen silent, or `queue_messages`,
    /// `queue_bytes`, `queue_disk` for a bound that comes near.
    pub kind: String,
    /// The account, if it is one.
    pub account: Option<String>,
    /// The NAME of `[client.NAME]`, if it is one.
    #[serde(default)]
    pub client: Option<String>,
    /// `blocked`, `throttled`, `paused`; `warning` for a bound; `warning` or `expired` for a credential; `silent`
    /// for a client.
    pub state: String,
    /// The key of what is known of it, as in [`AccountStatus::rule`].
    pub rule: Option<String>,
    /// What it means.
    #[serde(default)]
    pub why: Option<String>,
    /// How it is mended.
    #[serde(default)]
    pub remedy: Option<String>,
    /// As in [`AccountStatus::aadsts`].
    #[serde(default)]
    pub aadsts: Option<u32>,
    /// As in [`AccountStatus::link`].
    #[serde(default)]
    pub link: Option<String>,
    /// In the words of the service or the network.
    pub reason: String,
    /// Failures so far.
    pub count: u64,
    /// Since when.
    pub opened_at: Timestamp,
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// The name in `[listener.NAME]`.
    pub name: String,
    /// What it is bound to, with the port the system chose.
    pub address: String,
}

/// The queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStatus {
    /// Messages that count against the bound: those waiting and those being taken in.
    pub messages: u64,
    /// Their content.
    pub bytes: u64,
    /// `queue.max_messages`.
    pub limit_messages: u64,
    /// `queue.max_bytes`.
    pub limit_bytes: u64,
    /// By account and state, what waits and what failed; delivered messages are history.
    pub counts: BTreeMap<String, BTreeMap<String, u64>>,
    /// How many messages wait for each account that the settings do not name: nobody sends them.
    #[serde(default)]
    pub unknown_accounts: BTreeMap<String, u64>,
    /// When the oldest waiting message was accepted.
    pub oldest_received_at: Option<Timestamp>,
    /// How many of those held are damaged and were set aside.
    #[serde(default)]
    pub quarantined: u64,
    /// Why nothing more is accepted at the moment, if so.
    pub full: Option<String>,
    /// A storage failure has stopped the queue until a restart.
    pub latched: bool,
    /// Why `counts` are missing, if they are.
    pub error: Option<String>,
    /// How mail was written to the disk since the start.
    #[serde(default)]
    pub commits: CommitStatus,
}

/// The transactions that changed the queue; each is one sync, however many messages share it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitStatus {
    /// How many.
    pub count: u64,
    /// Taken in by all of them.
    pub messages: u64,
    /// Transactions by the messages that each took in; 0: it only leased or settled.
    pub by_messages: Vec<Bucket>,
    /// That all of them took, from the beginning of each until it was on stable storage.
    pub microseconds: u64,
    /// Transactions by the microseconds that each took.
    pub by_microseconds: Vec<Bucket>,
}

/// One account and its way to the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// The name in `[account.NAME]`.
    pub name: String,
    /// The XOAUTH2 user.
    pub mailbox: String,
    /// The submission service.
    pub host: String,
    /// Whether it sends.
    pub state: AccountState,
    /// Why it is in this state, in the words of the service or the network; none while all is well.
    pub reason: Option<String>,
    /// The key of what is known of the reason (docs/errors.md): of a reply, or `aadsts7000215` and the like
    /// of a sign-in that is refused. None where it is in nobody's words but the network's.
    #[serde(default)]
    pub rule: Option<String>,
    /// What the reason means.
    #[serde(default)]
    pub why: Option<String>,
    /// How it is mended.
    #[serde(default)]
    pub remedy: Option<String>,
    /// Microsoft's number, of a sign-in that is refused.
    #[serde(default)]
    pub aadsts: Option<u32>,
    /// Where Microsoft tells more of that number.
    #[serde(default)]
    pub link: Option<String>,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// When a paused account is tried again.
    pub next_probe_at: Option<Timestamp>,
    /// That it is being tried just now.
    #[serde(default)]
    pub probing: bool,
    /// Open now.
    pub connections: u32,
    /// What its mailbox has used of what it may, and how long what waits will take.
    pub pace: PaceReport,
    /// Its access token.
    pub token: TokenReport,
    /// The day on which its secret or certificate runs out, where it is known.
    #[serde(default)]
    pub credential_expires: Option<Date>,
    /// The last failure of any attempt, even if mail flows again.
    pub last_error: Option<String>,
    /// Replies that no rule knows, since the account was opened.
    #[serde(default)]
    pub unknown_replies: u64,
    /// The last of them.
    #[serde(default)]
    pub last_unknown_reply: Option<String>,
    /// Senders that the service has refused and that are rewritten until then.
    #[serde(default)]
    pub denied_senders: Vec<DeniedSenderStatus>,
}

/// A sender that an account was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeniedSenderStatus {
    /// In lower case.
    pub address: String,
    /// Until when this is remembered.
    pub until: Timestamp,
}

/// What a mailbox has used of what it may; accounts that name the same one share it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaceReport {
    /// That count against the rate.
    pub messages_last_minute: u32,
    /// The rate; 0: no pacing.
    pub messages_per_minute: u32,
    /// In the last 24 hours, repeats included.
    pub recipients_last_day: u64,
    /// 0: no limit.
    pub recipients_per_day: u64,
    /// Messages that wait to be sent from this mailbox.
    pub queued: u64,
    /// When the next of them can go, if minute or day have no room.
    pub waiting_until: Option<Timestamp>,
    /// When about the last of them will have gone, if all goes well; none without a rate.
    pub drained_at: Option<Timestamp>,
}

/// Whether an account sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountState {
    /// Not yet: it waits for its first token.
    Starting,
    /// It does, whenever there is mail.
    Ready,
    /// In a moment: a new token is asked for.
    Refreshing,
    /// Not now, because of a limit of the service that passes by itself, or of `recipients_per_day`; its
    /// messages are kept and do not age.
    Throttled,
    /// Not now, because of trouble that usually passes by itself.
    Paused,
    /// Not before somebody has changed something; its messages are kept and do not age.
    Blocked,
    /// Not any more: the daemon stops.
    Stopped,
    /// A word of a later version.
    #[serde(other)]
    Unknown,
}

/// An account's access token; never the token itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenReport {
    /// What the last request for one came to.
    pub state: TokenState,
    /// Until when the present one serves; none without one.
    pub expires_at: Option<Timestamp>,
    /// When a valid one is renewed.
    pub renew_at: Option<Timestamp>,
    /// Why there is no new one, in the words of the service or the network.
    pub error: Option<String>,
    /// The key of what is known of the error, as in [`AccountStatus::rule`].
    #[serde(default)]
    pub rule: Option<String>,
    /// What the error means.
    #[serde(default)]
    pub why: Option<String>,
    /// How it is mended.
    #[serde(default)]
    pub remedy: Option<String>,
    /// As in [`AccountStatus::aadsts`].
    #[serde(default)]
    pub aadsts: Option<u32>,
    /// As in [`AccountStatus::link`].
    #[serde(default)]
    pub link: Option<String>,
    /// When it is asked for again after a failure.
    pub next_try_at: Option<Timestamp>,
    /// Whose sign-in it comes from; none where nobody has to sign in, or nobody has.
    #[serde(default)]
    pub sign_in: Option<SignInReport>,
}

/// A person's sign-in; never the token that it left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInReport {
    /// The person, as far as the sign-in told.
    pub user: Option<String>,
    /// `browser`, `device` or `import`.
    pub origin: String,
    /// The application it was for.
    pub client_id: String,
    /// When it happened.
    pub obtained_at: Timestamp,
    /// When it was last renewed.
    pub renewed_at: Timestamp,
}

/// What the last request for a token came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    /// None has ended yet.
    Starting,
    /// A token.
    Valid,
    /// A failure; an earlier token may still serve.
    Failing,
    /// Nobody asks any more.
    Stopped,
    /// A word of a later version.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for AccountState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Refreshing => "refreshing",
            Self::Throttled => "throttled",
            Self::Paused => "paused",
            Self::Blocked => "blocked",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        })
    }
}

/// What an action has done so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Whether this is all.
    pub(super) done: bool,
    #[serde(flatten)]
    pub(super) tally: Tally,
}

/// A line of an export; after a message its content follows.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ExportLine {
    /// How many messages are meant.
    Total(u64),
    Message(Box<Sidecar>),
    /// A message that cannot be had.
    Skipped {
        id: QueueId,
        why: String,
    },
}

/// The line before the content of a message to be imported.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ImportHeader {
    /// Of the content as it is sent.
    pub(super) size_bytes: u64,
    #[serde(flatten)]
    pub(super) request: ImportRequest,
}

impl ImportHeader {
    /// A hundred thousand recipients.
    pub(super) const MAX_BYTES: usize = 32 * 1024 * 1024;
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Imported {
    pub(super) id: QueueId,
}

/// Which refused senders are to be forgotten; a part that is missing is any.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForgetRequest {
    pub(super) account: Option<String>,
    pub(super) address: Option<String>,
}

/// How many were.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Forgotten {
    pub(super) senders: u64,
}

/// The account whose token is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Renewing {
    pub(super) account: String,
}

/// Every answer that is not the one asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ErrorBody {
    pub(super) error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_later_version_are_understood_as_unknown() {
        let state: AccountState = serde_json::from_str("\"hibernating\"").unwrap();
        assert_eq!(state, AccountState::Unknown);
        let state: TokenState = serde_json::from_str("\"borrowed\"").unwrap();
        assert_eq!(state, TokenState::Unknown);
    }

    #[test]
    fn states_are_shown_as_they_are_sent() {
        for state in [
            AccountState::Starting,
            AccountState::Ready,
            AccountState::Refreshing,
            AccountState::Throttled,
            AccountState::Paused,
            AccountState::Blocked,
            AccountState::Stopped,
        ] {
            let sent = serde_json::to_value(state).unwrap();
            assert_eq!(sent, state.to_string());
        }
    }
}
