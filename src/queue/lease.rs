//! A message given to one attempt.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::oneshot;

use crate::mail::dsn::{EnvelopeId, Notify, OriginalRecipient, Ret};
use crate::mail::{BodyType, Envelope, Mailbox, MailboxError, Recipient, ReversePath};
use crate::queue::content::{self, Content};
use crate::queue::insert::STORED_FILE;
use crate::queue::op::Op;
use crate::queue::store::Shared;
use crate::queue::turn::{Pick, Turns};
use crate::queue::{
    Actor, MessageState, Outcome, Queue, QueueId, RecipientState, Settlement, StorageError, change,
    event, presented,
};
use crate::telemetry::life::log_quarantined;

/// One message, leased to the holder until it is settled or released.
///
/// Dropped, it is released: the message is ready again and no attempt is counted.
#[derive(Debug)]
pub struct Lease {
    pub(super) seq: i64,
    message: LeasedMessage,
    is_presented: bool,
    shared: Arc<Shared>,
    /// Whether the message is still the holder's.
    open: bool,
}

/// What an attempt needs to know of a message.
#[derive(Debug)]
pub struct LeasedMessage {
    /// Its name.
    pub id: QueueId,
    /// The account it is sent with: the one that has leased it.
    pub account: String,
    /// With the recipients that are still to be decided.
    pub envelope: Envelope,
    /// The numbers in the message of the envelope's recipients, in the same order.
    pub numbers: Vec<u32>,
    /// There are more recipients than go out at once, from this number on: settle with [`Retry::Rest`] to
    /// go on with them.
    pub rest: Option<u32>,
    /// Of the content.
    pub size_bytes: u64,
    /// Attempts before this one.
    pub attempts: u32,
    /// What is sent.
    pub content: Content,
}

/// What [`Queue::lease`] found.
#[derive(Debug)]
pub struct Leased {
    /// In the order in which they are to be sent: clients take turns, and so do the account's own mail and
    /// that of its pools.
    pub leases: Vec<Lease>,
    /// How long until there is more to lease, if that is known: nothing when there may be already.
    pub next_due: Option<Duration>,
}

impl std::ops::Deref for Lease {
    type Target = LeasedMessage;

    fn deref(&self) -> &LeasedMessage {
        &self.message
    }
}

/// A lease that ended without a settlement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dropped {
    pub(super) seq: i64,
    /// The service may have heard of the message.
    pub(super) is_presented: bool,
}

impl Lease {
    /// From here on the service may hear of the message, and count it, whatever becomes of the holder.
    pub fn present(&mut self) {
        self.is_presented = true;
    }

    /// Stores what became of the attempt; on stable storage when it returns.
    ///
    /// # Errors
    /// The lease is given back so that settling can be tried again: a message that was delivered
    /// must not be sent twice because the disk was full for a moment.
    pub async fn settle(
        mut self,
        queue: &Queue,
        settlement: Settlement,
    ) -> Result<Outcome, (Self, StorageError)> {
        let (answer, answered) = oneshot::channel();
        let op = Op::Settle {
            seq: self.seq,
            account: self.message.account.clone(),
            settlement: Box::new(settlement),
            answer,
        };
        if let Err(error) = queue.send(op).await {
            return Err((self, error));
        }
        match answered.await {
            Ok(Ok(outcome)) => {
                self.open = false;
                Ok(outcome)
            }
            Ok(Err(error)) => Err((self, error)),
            Err(_) => Err((self, StorageError::Closed)),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.open {
            self.shared.give_back(Dropped {
                seq: self.seq,
                is_presented: self.is_presented,
            });
        }
    }
}

/// Inline content of one key after which a leasing ends.
const LEASE_MAX_BYTES: u64 = 1024 * 1024;

/// Inside the writer's transaction: mail of the account's own and of its pools, in equal shares.
pub(super) fn lease(
    connection: &Connection,
    shared: &Arc<Shared>,
    turns: &mut Turns,
    account: &str,
    max: usize,
) -> Result<Leased, StorageError> {
    let mut keys = shared.clock.keys_of(account);
    // A pool's mail and the account's own take turns, also where one message at a time is all that the
    // pace allows: by chance, which needs no memory.
    let first = fastrand::usize(..keys.len().max(1));
    keys.rotate_left(first);
    let mut leased = Leased {
        leases: Vec::new(),
        next_due: None,
    };
    for (index, key) in keys.iter().enumerate() {
        // What one leaves goes to those after it.
        let left = max.saturating_sub(leased.leases.len());
        let share = left.div_ceil(keys.len() - index);
        let of_key = lease_of(connection, shared, turns, account, key, share)?;
        leased.leases.extend(of_key.leases);
        leased.next_due = match (leased.next_due, of_key.next_due) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    Ok(leased)
}

/// Mail under one key, for `account`.
fn lease_of(
    connection: &Connection,
    shared: &Arc<Shared>,
    turns: &mut Turns,
    account: &str,
    key: &str,
    max: usize,
) -> Result<Leased, StorageError> {
    let now_ms = shared.clock.now_ms();
    let sender = shared.sender(account);
    let mut round = turns.round(connection, key, now_ms);
    let mut leases = Vec::new();
    let mut bytes = 0;
    // Whoever asks again only when told to must be told of what this leasing leaves behind.
    let mut more = true;
    for _ in 0..max {
        if bytes >= LEASE_MAX_BYTES {
            break;
        }
        let Some(Pick { seq, id, .. }) = round.next()? else {
            more = false;
            break;
        };
        match load(connection, shared, account, seq, &id, sender.recipients_max) {
            Ok(message) => {
                if matches!(message.content, Content::Inline(_)) {
                    bytes += message.size_bytes;
                }
                take(connection, seq, &sender.mailbox, message.numbers.len())?;
                leases.push(Lease {
                    seq,
                    message,
                    is_presented: false,
                    shared: Arc::clone(shared),
                    open: true,
                });
            }
            Err(StorageError::Damaged { id, what }) => {
                set_aside(connection, shared, key, seq, &id, &what)?;
            }
            Err(StorageError::Database(error)) if is_of_a_value(&error) => {
                let what = format!("its row: {error}");
                set_aside(connection, shared, key, seq, &id, &what)?;
            }
            Err(error) => return Err(error),
        }
    }
    let next_due = round
        .next_due_ms()?
        .map(|due_ms| Duration::from_millis((due_ms - now_ms).max(0) as u64));
    Ok(Leased {
        leases,
        next_due: if more { Some(Duration::ZERO) } else { next_due },
    })
}

/// The database is sound, and a value in the row makes no sense.
fn is_of_a_value(error: &rusqlite::Error) -> bool {
    use rusqlite::Error;
    matches!(
        error,
        Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..)
    )
}

fn load(
    connection: &Connection,
    shared: &Shared,
    account: &str,
    seq: i64,
    id: &str,
    recipients_max: usize,
) -> Result<LeasedMessage, StorageError> {
    let damaged = |what: &str| StorageError::Damaged {
        id: id.to_owned(),
        what: what.to_owned(),
    };
    let bad_address = |error: MailboxError| damaged(&format!("an address in it: {error}"));
    let queue_id = QueueId::parse(id).map_err(|error| damaged(&error.to_string()))?;
    let (mut numbers, mut recipients) = (Vec::new(), Vec::new());
    let mut rest = None;
    // What is left of this round, or else all that is pending: the next round.
    for this_round in [true, false] {
        let mut statement = connection.prepare_cached(
            "SELECT n, address, notify, original_recipient FROM recipient
             WHERE seq = ?1 AND state = ?2
                 AND n >= ?3 * (SELECT next_recipient FROM message WHERE seq = ?1) ORDER BY n",
        )?;
        let pending = RecipientState::Pending.number();
        let mut rows = statement.query(params![seq, pending, this_round])?;
        while let Some(row) = rows.next()? {
            if recipients.len() >= recipients_max {
                rest = Some(row.get(0)?);
                break;
            }
            let mailbox = Mailbox::parse(row.get_ref(1)?.as_str().unwrap_or_default());
            numbers.push(row.get::<_, u32>(0)?);
            recipients.push(Recipient {
                forward_path: mailbox.map_err(bad_address)?,
                notify: parameter(row, 2, Notify::parse)
                    .map_err(|_| damaged("a NOTIFY in it is malformed"))?,
                original_recipient: parameter(row, 3, OriginalRecipient::parse)
                    .map_err(|_| damaged("an ORCPT in it is malformed"))?,
            });
        }
        if !recipients.is_empty() {
            break;
        }
    }
    let mut statement = connection.prepare_cached(
        "SELECT reverse_path, eight_bit, smtputf8, size_bytes, attempts, stored, ret, envelope_id
         FROM message WHERE seq = ?1",
    )?;
    let mut rows = statement.query([seq])?;
    let row = rows.next()?.ok_or_else(|| damaged("its row is gone"))?;
    let reverse_path = ReversePath::parse(row.get_ref(0)?.as_str().unwrap_or_default());
    let body_type = if row.get(1)? {
        BodyType::EightBitMime
    } else {
        BodyType::SevenBit
    };
    let envelope = Envelope::new(
        reverse_path.map_err(bad_address)?,
        recipients,
        body_type,
        row.get(2)?,
    )
    .map_err(|_| damaged("no recipient is left to be decided"))?
    .with_dsn(
        parameter(row, 6, Ret::parse).map_err(|_| damaged("its RET is malformed"))?,
        parameter(row, 7, EnvelopeId::parse).map_err(|_| damaged("its ENVID is malformed"))?,
    );
    let stored: i64 = row.get(5)?;
    let mut message = LeasedMessage {
        id: queue_id,
        account: account.to_owned(),
        envelope,
        numbers,
        rest,
        size_bytes: row.get::<_, i64>(3)? as u64,
        attempts: row.get(4)?,
        content: Content::Inline(Bytes::new()),
    };
    message.content = if stored == STORED_FILE {
        let path = content::path_of(&shared.directory, queue_id);
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.len() == message.size_bytes => Content::File {
                path,
                size_bytes: message.size_bytes,
            },
            Ok(_) => return Err(damaged("its content file has another size")),
            Err(error) => return Err(damaged(&format!("its content file: {error}"))),
        }
    } else {
        let octets: Option<Vec<u8>> = connection
            .prepare_cached("SELECT data FROM content WHERE seq = ?1")?
            .query_row([seq], |row| row.get(0))
            .optional()?;
        match octets {
            Some(octets) if octets.len() as u64 == message.size_bytes => {
                Content::Inline(octets.into())
            }
            Some(_) => return Err(damaged("its content has another size")),
            None => return Err(damaged("its content is missing")),
        }
    };
    Ok(message)
}

/// What is stored as the value of a parameter of RFC 3461 is none.
#[derive(Debug)]
pub(super) struct Malformed;

/// The value of a parameter of RFC 3461, if one was given.
pub(super) fn parameter<T>(
    row: &Row<'_>,
    index: usize,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Malformed> {
    let value = row.get_ref(index).map_err(|_| Malformed)?;
    if value == ValueRef::Null {
        return Ok(None);
    }
    let text = value.as_str().map_err(|_| Malformed)?;
    parse(text).map(Some).ok_or(Malformed)
}

/// Begins an attempt for so many of its recipients.
pub(super) fn take(
    connection: &Connection,
    seq: i64,
    mailbox: &str,
    recipients: usize,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE message SET state = ?2, mailbox = ?3, presenting = ?4 WHERE seq = ?1",
        )?
        .execute(params![
            seq,
            MessageState::Sending.number(),
            mailbox,
            recipients as i64
        ])?;
    Ok(())
}

/// A damaged message waits for an operator, out of the way of the others.
fn set_aside(
    connection: &Connection,
    shared: &Shared,
    key: &str,
    seq: i64,
    id: &str,
    what: &str,
) -> rusqlite::Result<()> {
    log_quarantined(id, what);
    connection
        .prepare_cached("UPDATE message SET last_reply = ?2 WHERE seq = ?1")?
        .execute(params![seq, format!("damaged: {what}")])?;
    change::hold(connection, shared, seq, key, Some(what))?;
    event::record(connection, seq, "quarantined", &Actor::daemon(), Some(what))
}

/// Gives leases back without counting an attempt.
pub(super) fn release(
    connection: &Connection,
    shared: &Shared,
    dropped: &[Dropped],
) -> rusqlite::Result<Vec<String>> {
    let mut accounts = Vec::new();
    let mut statement = connection.prepare_cached(
        "UPDATE message SET state = iif(attempts = 0, 0, 2) WHERE seq = ?1 AND state = 1
         RETURNING account",
    )?;
    for Dropped { seq, is_presented } in dropped {
        if *is_presented {
            presented::record_dropped(connection, *seq, shared.clock.now_ms())?;
        }
        let account: Option<String> = statement.query_row([seq], |row| row.get(0)).optional()?;
        if let Some(account) = account.filter(|account| !accounts.contains(account)) {
            accounts.push(account);
        }
    }
    Ok(accounts)
}
