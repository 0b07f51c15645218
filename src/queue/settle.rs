//! What an attempt led to, and storing it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, params};

use crate::queue::insert::STORED_FILE;
use crate::queue::query::{number, text};
use crate::queue::shares::Holder;
use crate::queue::store::Shared;
use crate::queue::{
    Actor, MessageState, QueueId, RecipientState, StorageError, event, notice, presented,
};

/// The result of one attempt.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// One for each recipient that was leased; a recipient not named stays pending.
    pub recipients: Vec<RecipientOutcome>,
    /// When pending recipients are tried again.
    pub retry: Retry,
    /// When the attempt began.
    pub started_at: SystemTime,
    /// The host that was spoken to, or would have been.
    pub remote: String,
    /// The number in the log of the connection that was used last, if there was one.
    pub connection: Option<u64>,
    /// Mail transactions in which the service has heard of the message.
    pub transactions: u32,
    /// The connection was lost between the final dot and the reply: perhaps it was delivered.
    pub uncertain: bool,
    /// The reply, or the failure, that decided the attempt: what an operator should read first.
    pub reply: String,
    /// What was done to the message on its way, for its events.
    pub note: Option<Note>,
}

/// Something that an attempt did to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// One word.
    pub action: &'static str,
    /// What, in a sentence.
    pub detail: String,
}

/// What became of one recipient.
#[derive(Clone, Debug)]
pub struct RecipientOutcome {
    /// Its number in the message.
    pub number: u32,
    /// How it was decided.
    pub disposition: Disposition,
    /// The reply that decided it.
    pub reply: String,
}

/// How a recipient was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The remote has taken the message over.
    Delivered,
    /// To be tried again.
    Deferred,
    /// Refused for good.
    Failed,
}

/// When pending recipients are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After the back-off of this message.
    Scheduled,
    /// After this long.
    After(Duration),
    /// As soon as the account can send; the attempt is no attempt (promise 4).
    WithoutCounting,
    /// At once, with the recipients from this number on: they did not go out with this part of the message.
    Rest {
        /// The first of them.
        from: u32,
    },
    /// Never: the message itself was refused, for those it was not presented for too.
    RefuseRest,
}

/// What a settlement made of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The message's state now.
    pub state: MessageState,
    /// Until the next attempt, for deferred ones and those that have a rest.
    pub retry_in: Option<Duration>,
    /// Whether it was given up because of its age.
    pub expired: bool,
    /// From acceptance until now.
    pub age: Duration,
    /// Of the message's origin.
    pub listener: String,
}

/// What the writer does once the settlement is on stable storage.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) outcome: Outcome,
    pub(super) account: String,
    /// Whose room it no longer takes, and how many bytes of it.
    pub(super) released: Option<(Holder, u64)>,
    /// The content file nobody needs any more.
    pub(super) content_file: Option<QueueId>,
}

impl Settlement {
    /// Worth a line in the history although the attempt does not count: account trouble alone, probed
    /// again and again, is told by the incident and would drown the rest.
    fn is_of_note(&self) -> bool {
        let decided = |one: &RecipientOutcome| one.disposition != Disposition::Deferred;
        let is_part = matches!(self.retry, Retry::Rest { .. }) && !self.recipients.is_empty();
        self.uncertain || is_part || self.recipients.iter().any(decided)
    }

    /// How many recipients the service counts, of what it took or may have taken.
    pub fn submitted(&self) -> u64 {
        let counts = |one: &&RecipientOutcome| match one.disposition {
            Disposition::Delivered => true,
            Disposition::Deferred => self.uncertain,
            Disposition::Failed => false,
        };
        self.recipients.iter().filter(counts).count() as u64
    }
}

struct Row {
    id: String,
    account: String,
    mailbox: String,
    attempts: u32,
    due_ms: i64,
    born_ms: i64,
    received_wall_ms: i64,
    size_bytes: i64,
    stored: i64,
    client: String,
    listener: String,
}

/// Inside the writer's transaction.
pub(super) fn settle(
    connection: &Connection,
    shared: &Shared,
    seq: i64,
    account: &str,
    settlement: &Settlement,
) -> Result<Settled, StorageError> {
    let row = connection
        .prepare_cached(
            "SELECT id, account, attempts, born_ms, received_wall_ms, size_bytes, stored,
                 client, due_ms, coalesce(mailbox, account), listener
             FROM message WHERE seq = ?1",
        )?
        .query_row([seq], |row| {
            Ok(Row {
                id: row.get(0)?,
                account: row.get(1)?,
                attempts: row.get(2)?,
                born_ms: row.get(3)?,
                received_wall_ms: row.get(4)?,
                size_bytes: row.get(5)?,
                stored: row.get(6)?,
                client: text(row, 7)?,
                due_ms: number(row, 8)?,
                mailbox: text(row, 9)?,
                listener: text(row, 10)?,
            })
        })?;
    for recipient in &settlement.recipients {
        let state = match recipient.disposition {
            Disposition::Delivered => RecipientState::Delivered,
            Disposition::Deferred => RecipientState::Pending,
            Disposition::Failed => RecipientState::Failed,
        };
        set_recipient(connection, seq, recipient.number, state, &recipient.reply)?;
    }
    let wall_ms = shared.clock.wall_ms();
    if settlement.transactions > 0 {
        let (messages, recipients) = (settlement.transactions, settlement.submitted());
        let now_ms = shared.clock.now_ms();
        presented::record(connection, &row.mailbox, messages, recipients, now_ms)?;
    }
    let counts = !matches!(
        settlement.retry,
        Retry::WithoutCounting | Retry::Rest { .. }
    );
    if settlement.retry == Retry::RefuseRest {
        refuse_rest(connection, seq, &settlement.reply)?;
    }
    let attempts = row.attempts + u32::from(counts);
    if counts || settlement.is_of_note() {
        record_attempt(connection, seq, account, settlement, wall_ms)?;
    }
    if let Some(note) = &settlement.note {
        event::record_once(connection, seq, note.action, &Actor::daemon(), &note.detail)?;
    }
    let (mut pending, mut failed) = census(connection, seq)?;
    let age_ms = shared.clock.active_ms(&row.account) - row.born_ms;
    let expired = counts
        && pending > 0
        && age_ms >= i64::try_from(shared.tuning().expire_after.as_millis()).unwrap_or(i64::MAX);
    if expired {
        give_up(connection, seq)?;
        (pending, failed) = (0, failed + pending);
    }
    let now_ms = shared.clock.now_ms();
    let (state, due_ms) = match (pending, failed) {
        (0, 0) => (MessageState::Delivered, now_ms),
        (0, _) => (MessageState::Failed, now_ms),
        _ => match settlement.retry {
            Retry::WithoutCounting if attempts == 0 => (MessageState::Ready, now_ms),
            Retry::WithoutCounting => (MessageState::Deferred, now_ms),
            // It keeps its place among the others.
            Retry::Rest { .. } if attempts == 0 => (MessageState::Ready, row.due_ms),
            Retry::Rest { .. } => (MessageState::Deferred, row.due_ms),
            Retry::After(wait) => (MessageState::Deferred, now_ms + wait.as_millis() as i64),
            Retry::Scheduled | Retry::RefuseRest => {
                let wait = shared.tuning().backoff.delay(attempts, fastrand::f64());
                (MessageState::Deferred, now_ms + wait.as_millis() as i64)
            }
        },
    };
    let next_recipient = match settlement.retry {
        Retry::Rest { from } => Some(from),
        Retry::WithoutCounting => None,
        Retry::Scheduled | Retry::After(_) | Retry::RefuseRest => Some(0),
    };
    let ended = pending == 0;
    let content_goes = state == MessageState::Delivered;
    connection
        .prepare_cached(
            "UPDATE message SET state = ?2, due_ms = ?3, attempts = ?4, last_reply = ?5,
                 ended_wall_ms = ?6, stored = iif(?7, 0, stored), tell = iif(?6 IS NULL, tell, 0),
                 next_recipient = coalesce(?8, next_recipient)
             WHERE seq = ?1",
        )?
        .execute(params![
            seq,
            state.number(),
            due_ms,
            attempts,
            settlement.reply,
            ended.then_some(wall_ms),
            content_goes,
            next_recipient,
        ])?;
    if state == MessageState::Failed {
        // The last part may have been delivered: what a listing shows is why the message has failed.
        connection
            .prepare_cached(
                "UPDATE message SET last_reply = coalesce((SELECT reply FROM recipient
                     WHERE seq = ?1 AND state = 2 ORDER BY n DESC LIMIT 1), last_reply)
                 WHERE seq = ?1",
            )?
            .execute([seq])?;
        notice::owe(connection, seq)?;
    }
    if content_goes && row.stored != STORED_FILE {
        connection
            .prepare_cached("DELETE FROM content WHERE seq = ?1")?
            .execute([seq])?;
    }
    let retry_in = (state == MessageState::Deferred
        || matches!(settlement.retry, Retry::Rest { .. }))
    .then(|| Duration::from_millis((due_ms - now_ms).max(0) as u64));
    Ok(Settled {
        outcome: Outcome {
            state,
            retry_in,
            expired,
            age: Duration::from_millis((wall_ms - row.received_wall_ms).max(0) as u64),
            listener: row.listener,
        },
        account: row.account,
        released: ended.then(|| (shared.room.holder(&row.client), row.size_bytes as u64)),
        content_file: (content_goes && row.stored == STORED_FILE)
            .then(|| QueueId::parse(&row.id).ok())
            .flatten(),
    })
}

fn set_recipient(
    connection: &Connection,
    seq: i64,
    number: u32,
    state: RecipientState,
    reply: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE recipient SET state = ?3, reply = ?4 WHERE seq = ?1 AND n = ?2 AND state = 0",
        )?
        .execute(params![seq, number, state.number(), reply])?;
    Ok(())
}

fn record_attempt(
    connection: &Connection,
    seq: i64,
    account: &str,
    settlement: &Settlement,
    wall_ms: i64,
) -> rusqlite::Result<()> {
    let mut words = Vec::new();
    for (disposition, word) in [
        (Disposition::Delivered, "delivered"),
        (Disposition::Deferred, "deferred"),
        (Disposition::Failed, "failed"),
    ] {
        if settlement
            .recipients
            .iter()
            .any(|recipient| recipient.disposition == disposition)
        {
            words.push(word);
        }
    }
    let started_wall_ms = settlement
        .started_at
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64);
    connection
        .prepare_cached(
            "INSERT INTO attempt (seq, n, started_wall_ms, ended_wall_ms, account, remote, result,
                 reply, uncertain, connection)
             VALUES (?1, (SELECT coalesce(max(n), 0) + 1 FROM attempt WHERE seq = ?1),
                 ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            seq,
            started_wall_ms,
            wall_ms,
            account,
            settlement.remote,
            words.join(", "),
            settlement.reply,
            settlement.uncertain,
            settlement.connection.map(|number| number as i64),
        ])?;
    Ok(())
}

/// How many recipients are pending and how many have failed.
fn census(connection: &Connection, seq: i64) -> rusqlite::Result<(u32, u32)> {
    connection
        .prepare_cached(
            "SELECT coalesce(sum(state = 0), 0), coalesce(sum(state = 2), 0)
             FROM recipient WHERE seq = ?1",
        )?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Pending recipients of a message that was refused as a whole fail with it.
fn refuse_rest(connection: &Connection, seq: i64, reply: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE recipient SET state = 2, reply = ?2 WHERE seq = ?1 AND state = 0")?
        .execute(params![seq, reply])?;
    Ok(())
}

/// Pending recipients of a message that is too old fail; each keeps the reply it last got.
fn give_up(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE recipient SET state = 2,
                 reply = 'expired in the queue; last: ' || coalesce(reply, 'never tried')
             WHERE seq = ?1 AND state = 0",
        )?
        .execute([seq])?;
    Ok(())
}
