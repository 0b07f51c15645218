//! What is told of messages: both ends of the admin socket, and what `--json` shows. Keys may be added,
//! never renamed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::queue::{MessageState, RecipientState};

/// One message, as `queue list --json` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRecord {
    /// Its queue id.
    pub id: String,
    /// Where it stands.
    pub state: MessageState,
    /// The account that sends it.
    pub account: String,
    /// Empty for the null path.
    pub reverse_path: String,
    /// In the order of the RCPT commands.
    pub recipients: Vec<RecipientRecord>,
    /// Of the content.
    pub size_bytes: u64,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// When it is tried again; only while deferred.
    pub next_attempt_at: Option<Timestamp>,
    /// Attempts so far.
    pub attempts: u32,
    /// The reply, or failure, of the last attempt.
    pub last_reply: Option<String>,
    /// Decoded.
    pub subject: Option<String>,
    /// With its angle brackets.
    pub message_id: Option<String>,
    /// Why it was set aside, if it was: something of it is damaged, and an operator must look. Such
    /// messages are held.
    #[serde(default)]
    pub quarantined: Option<String>,
}

/// One recipient of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientRecord {
    /// The forward-path.
    pub address: String,
    /// Where it stands.
    pub state: RecipientState,
    /// The reply it last got.
    pub reply: Option<String>,
    /// `NOTIFY=` of RFC 3461, as in the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<String>,
    /// `ORCPT=` of RFC 3461, as in the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_recipient: Option<String>,
}

/// One message with everything that happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageDetail {
    /// As in a listing.
    #[serde(flatten)]
    pub message: MessageRecord,
    /// The listener that took it in.
    pub listener: String,
    /// The client's address.
    pub client: String,
    /// What the client called itself.
    pub helo: String,
    /// The protocol version of the client's TLS; none: plain text.
    #[serde(default)]
    pub tls: Option<String>,
    /// Whom the client authenticated as.
    #[serde(default)]
    pub auth_name: Option<String>,
    /// `RET=` of RFC 3461: `FULL` or `HDRS`.
    #[serde(default)]
    pub ret: Option<String>,
    /// `ENVID=` of RFC 3461, as in the command.
    #[serde(default)]
    pub envelope_id: Option<String>,
    /// When it was delivered, given up or deleted.
    pub ended_at: Option<Timestamp>,
    /// Each attempt, oldest first.
    pub history: Vec<AttemptRecord>,
    /// What was done to it besides, oldest first.
    #[serde(default)]
    pub events: Vec<EventRecord>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// 1 is the first ever; an operator's retry counts on.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was decided.
    pub ended_at: Timestamp,
    /// The account it was made with.
    pub account: String,
    /// The host.
    pub remote: String,
    /// `delivered`, `deferred`, `failed`, or several.
    pub result: String,
    /// The reply, or failure, that decided it.
    pub reply: String,
    /// The connection was lost between the final dot and the reply: perhaps it was delivered.
    #[serde(default)]
    pub uncertain: bool,
    /// The number of the connection in the log.
    #[serde(default)]
    pub connection: Option<u64>,
}

/// Something that was done to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// When.
    pub at: Timestamp,
    /// `retried`, `flushed`, `held`, `released`, `deleted`, `imported`, `quarantined`, `rerouted` or `notice`;
    /// of an attempt `rewritten` or `left_alone`.
    pub action: String,
    /// By whom: `alice (uid 1000)`.
    pub actor: String,
    /// `socket`, `folder`, or `daemon` for what it did by itself.
    pub through: String,
    /// What else is to be known.
    pub detail: Option<String>,
}

/// How many messages there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// By account and state, waiting and failed ones; delivered ones are history.
    pub accounts: BTreeMap<String, BTreeMap<String, u64>>,
    /// When the oldest waiting message was accepted.
    pub oldest_received_at: Option<Timestamp>,
    /// How many of those held are damaged and were set aside.
    #[serde(default)]
    pub quarantined: u64,
}
