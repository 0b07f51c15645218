//! Storing a new message.

use rusqlite::{Connection, params};

use crate::mail::{BodyType, Envelope};
use crate::queue::bounds::{Reservation, Room};
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
    /// The account that is to send it, or the key of a pool of accounts ([`crate::queue::pool_key`]).
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
    /// The protocol version of its TLS; none: plain text.
    pub tls: Option<String>,
    /// Whom it authenticated as.
    pub auth_name: Option<String>,
    /// The NAME of the `[client.NAME]` that it falls in; not stored with the message.
    pub section: Option<String>,
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
    /// The same content for other recipients, by other ways: stored together or not at all.
    pub(super) copies: Vec<NewCopy>,
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
pub(super) struct NewCopy {
    pub(super) id: QueueId,
    pub(super) submission: Submission,
    /// Its own name for the content, where that is a file.
    pub(super) file: Option<StoredFile>,
    pub(super) reservation: Reservation,
}

impl NewMessage {
    /// It is stored, with its copies; returns the keys under which they wait.
    pub(super) fn keep(self, room: &Room) -> Vec<String> {
        // One client brought all of them.
        let holder = room.holder(&self.submission.origin.client);
        let mut keys = vec![self.submission.account];
        self.reservation.keep(holder, self.size_bytes);
        if let NewContent::File(file) = self.content {
            file.keep();
        }
        for copy in self.copies {
            copy.reservation.keep(holder, self.size_bytes);
            if let Some(file) = copy.file {
                file.keep();
            }
            keys.push(copy.submission.account);
        }
        keys
    }

    /// Nobody knows whether it is stored: if there is a row at the next start, the file belongs to it.
    pub(super) fn keep_files(self) {
        if let NewContent::File(file) = self.content {
            file.keep();
        }
        for file in self.copies.into_iter().filter_map(|copy| copy.file) {
            file.keep();
        }
    }
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
    let seq = insert_row(connection, shared, message.id, &message.submission, message)?;
    match &message.made_by {
        Maker::Client => {}
        Maker::Operator(imported) => {
            connection
                .prepare_cached("UPDATE message SET last_reply = ?2 WHERE seq = ?1")?
                .execute(params![seq, imported.last_reply])?;
            if imported.held {
                let key = &message.submission.account;
                change::hold(connection, shared, seq, key, None)?;
            }
            let detail = imported.detail.as_deref();
            event::record(connection, seq, "imported", &imported.actor, detail)?;
        }
        Maker::Daemon(about) => notice::store(connection, seq, message.id, about)?,
    }
    for copy in &message.copies {
        insert_row(connection, shared, copy.id, &copy.submission, message)?;
    }
    Ok(())
}

/// With recipients and content; returns its number.
fn insert_row(
    connection: &Connection,
    shared: &Shared,
    id: QueueId,
    submission: &Submission,
    message: &NewMessage,
) -> rusqlite::Result<i64> {
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
                 subject, message_id, ret, envelope_id, tls, auth_name)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
                 ?17, ?18, ?19, ?20)",
        )?
        .execute(params![
            id.as_str(),
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
            submission.origin.tls,
            submission.origin.auth_name,
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
    Ok(seq)
}
