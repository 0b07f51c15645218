//! Storing a new message.

use rusqlite::{Connection, params};

use crate::mail::{BodyType, Envelope};
use crate::queue::bounds::Reservation;
use crate::queue::content::StoredFile;
use crate::queue::import::Imported;
use crate::queue::notice::NoticeOf;
use crate::queue::store::Shared;
use crate::queue::{MessageState, QueueId, RecipientState, change, event, notice};

/// Everything about a message but its content.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What MAIL and RCPT said.
    pub envelope: Envelope,
    /// The account that is to send it.
    pub account: String,
    /// Where it came from.
    pub origin: Origin,
    /// Decoded, for listings; not stored where `record_subject` is off.
    pub subject: Option<String>,
    /// With its angle brackets.
    pub message_id: Option<String>,
}

/// Where a message came from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The listener's name.
    pub listener: String,
    /// The client's address, without port.
    pub client: String,
    /// What it called itself.
    pub helo: String,
}

#[derive(Debug)]
pub(super) struct NewMessage {
    pub(super) id: QueueId,
    pub(super) submission: Submission,
    pub(super) content: NewContent,
    pub(super) size_bytes: u64,
    pub(super) reservation: Reservation,
    /// How it came, if not from a client.
    pub(super) made_by: Maker,
}

/// How a message came to the queue.
#[derive(Debug)]
pub(super) enum Maker {
    Client,
    Operator(Box<Imported>),
    /// The daemon itself, to tell of others.
    Daemon(Box<NoticeOf>),
}

#[derive(Debug)]
pub(super) enum NewContent {
    Inline(Vec<u8>),
    File(StoredFile),
}

impl NewContent {
    pub(super) fn inline_bytes(&self) -> usize {
        match self {
            Self::Inline(octets) => octets.len(),
            Self::File(_) => 0,
        }
    }
}

/// `message.stored`.
pub(super) const STORED_INLINE: i64 = 1;
pub(super) const STORED_FILE: i64 = 2;

/// Inside the writer's transaction.
pub(super) fn insert(
    connection: &Connection,
    shared: &Shared,
    message: &NewMessage,
) -> rusqlite::Result<()> {
    let submission = &message.submission;
    let envelope = &submission.envelope;
    let stored = match message.content {
        NewContent::Inline(_) => STORED_INLINE,
        NewContent::File(_) => STORED_FILE,
    };
    let subject = submission
        .subject
        .as_deref()
        .filter(|_| shared.tuning().record_subject);
    connection
        .prepare_cached(
            "INSERT INTO message (id, state, account, due_ms, born_ms, received_wall_ms, attempts,
                 size_bytes, stored, reverse_path, eight_bit, smtputf8, listener, client, helo,
                 subject, message_id, ret, envelope_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
                 ?17, ?18)",
        )?
        .execute(params![
            message.id.as_str(),
            MessageState::Ready.number(),
            submission.account,
            shared.clock.now_ms(),
            shared.clock.active_ms(&submission.account),
            shared.clock.wall_ms(),
            message.size_bytes as i64,
            stored,
            envelope
                .reverse_path()
                .mailbox()
                .map_or("", |mailbox| mailbox.as_str()),
            envelope.body_type() == BodyType::EightBitMime,
            envelope.smtputf8(),
            submission.origin.listener,
            submission.origin.client,
            submission.origin.helo,
            subject,
            submission.message_id,
            envelope.ret().map(|ret| ret.to_string()),
            envelope.envelope_id().map(ToString::to_string),
        ])?;
    let seq = connection.last_insert_rowid();
    let mut recipient = connection.prepare_cached(
        "INSERT INTO recipient (seq, n, address, state, notify, original_recipient)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (n, to) in (0_i64..).zip(envelope.recipients()) {
        recipient.execute(params![
            seq,
            n,
            to.forward_path.as_str(),
            RecipientState::Pending.number(),
            to.notify.map(|notify| notify.to_string()),
            to.original_recipient.as_ref().map(ToString::to_string),
        ])?;
    }
    if let NewContent::Inline(octets) = &message.content {
        connection
            .prepare_cached("INSERT INTO content (seq, data) VALUES (?1, ?2)")?
            .execute(params![seq, octets])?;
    }
    match &message.made_by {
        Maker::Client => Ok(()),
        Maker::Operator(imported) => {
            connection
                .prepare_cached("UPDATE message SET last_reply = ?2 WHERE seq = ?1")?
                .execute(params![seq, imported.last_reply])?;
            if imported.held {
                change::hold(connection, shared, seq, &submission.account, None)?;
            }
            let detail = imported.detail.as_deref();
            event::record(connection, seq, "imported", &imported.actor, detail)
        }
        Maker::Daemon(about) => notice::store(connection, seq, message.id, about),
    }
}
