//! Looking at the queue without touching it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::queue::store::Shared;
use crate::queue::{
    AttemptRecord, Counts, EventRecord, Filter, MessageDetail, MessageRecord, MessageState,
    QueueId, RecipientRecord, RecipientState, Selection, StorageError, schema,
};

/// Opens a read-only connection for each question; blocking, so to be called off the runtime.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) directory: PathBuf,
    /// Inside the daemon: turns queue time into what the wall clock will show.
    pub(super) shared: Option<Arc<Shared>>,
}

/// What [`Reader::detail`] reads.
pub(super) const COLUMNS: &str = "seq, id, state, account, reverse_path, size_bytes,
    received_wall_ms, due_ms, attempts, last_reply, subject, message_id, listener, client, helo,
    ended_wall_ms, damage, tls, auth_name, ret, envelope_id,
    (SELECT value FROM meta WHERE key = 'wall_ahead_ms')";

/// What a selection means.
#[derive(Debug, Default)]
pub(super) struct Selected {
    /// Oldest first. The number of a row that is gone may be given again, the id never.
    pub(super) messages: Vec<(i64, QueueId)>,
    /// Ids of no message.
    pub(super) unknown: Vec<QueueId>,
}

impl Reader {
    /// For a folder whose daemon is not running.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            shared: None,
        }
    }

    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Some(Arc::clone(shared)),
            ..Self::new(&shared.directory)
        }
    }

    pub(super) fn open(&self) -> Result<Connection, StorageError> {
        schema::open_reader(&self.directory.join("queue.db"))
    }

    /// Calls `each` for every message the filter takes, oldest first, until it breaks.
    ///
    /// No transaction is held from one message to the next, so a slow reader of a long listing does
    /// not keep the write-ahead log from being folded back.
    pub fn list(
        &self,
        filter: &Filter,
        mut each: impl FnMut(MessageRecord) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let connection = self.open()?;
        let mut one =
            connection.prepare(&format!("SELECT {COLUMNS} FROM message WHERE seq = ?1"))?;
        for seq in filter.sequence_numbers(&connection)? {
            let row = one.query_row([seq], |row| self.detail(row)).optional()?;
            let Some(detail) = row else {
                continue;
            };
            let mut message = detail.message;
            message.recipients = recipients(&connection, seq)?;
            if each(message).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// One message with its attempts, or none of that id.
    pub fn show(&self, id: QueueId) -> Result<Option<MessageDetail>, StorageError> {
        let connection = self.open()?;
        let found = connection
            .prepare(&format!("SELECT {COLUMNS} FROM message WHERE id = ?1"))?
            .query_row([id.as_str()], |row| {
                Ok((row.get::<_, i64>(0)?, self.detail(row)?))
            })
            .optional()?;
        let Some((seq, mut detail)) = found else {
            return Ok(None);
        };
        detail.message.recipients = recipients(&connection, seq)?;
        detail.history = attempts(&connection, seq)?;
        detail.events = events(&connection, seq)?;
        Ok(Some(detail))
    }

    /// The messages that are meant.
    pub(super) fn select(&self, selection: &Selection) -> Result<Selected, StorageError> {
        let connection = self.open()?;
        let mut selected = Selected::default();
        let filter = match selection {
            Selection::Ids(ids) => {
                let mut by_id = connection.prepare("SELECT seq FROM message WHERE id = ?1")?;
                let mut named = std::collections::HashSet::new();
                for id in ids.iter().filter(|id| named.insert(**id)) {
                    let seq = by_id
                        .query_row([id.as_str()], |row| row.get(0))
                        .optional()?;
                    match seq {
                        Some(seq) => selected.messages.push((seq, *id)),
                        None => selected.unknown.push(*id),
                    }
                }
                return Ok(selected);
            }
            Selection::Filter(filter) => filter,
            Selection::All => &Filter::default(),
        };
        let mut one = connection.prepare("SELECT id FROM message WHERE seq = ?1")?;
        for seq in filter.sequence_numbers(&connection)? {
            let id = one.query_row([seq], |row| text(row, 0)).optional()?;
            // A row whose id is damaged cannot be named; `verify` tells of it.
            if let Some(id) = id.and_then(|id| QueueId::parse(&id).ok()) {
                selected.messages.push((seq, id));
            }
        }
        Ok(selected)
    }

    /// Totals for a status page.
    pub fn counts(&self) -> Result<Counts, StorageError> {
        let connection = self.open()?;
        let mut counts = Counts::default();
        for condition in ["state < 4", "state = 4 AND state >= 4"] {
            let mut statement = connection.prepare(&format!(
                "SELECT account, state, count(*) FROM message WHERE {condition} GROUP BY 1, 2"
            ))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let Some(state) = MessageState::from_number(row.get(1)?) else {
                    continue;
                };
                let states = counts.accounts.entry(row.get(0)?).or_default();
                states.insert(state.as_str().to_owned(), row.get::<_, i64>(2)? as u64);
            }
        }
        counts.oldest_received_at = oldest(&connection)?;
        counts.quarantined = connection.query_row(
            "SELECT count(*) FROM message INDEXED BY message_waiting
             WHERE state = 3 AND state < 4 AND damage IS NOT NULL",
            [],
            |row| row.get::<_, i64>(0).map(|n| n as u64),
        )?;
        Ok(counts)
    }

    /// When the oldest waiting message was accepted; far less work than [`Reader::counts`].
    pub fn oldest_received_at(&self) -> Result<Option<Timestamp>, StorageError> {
        oldest(&self.open()?)
    }

    /// A value of the wrong kind is shown as well as it goes: one damaged row must not hide the others.
    pub(super) fn detail(&self, row: &Row<'_>) -> rusqlite::Result<MessageDetail> {
        let state = MessageState::from_number(number(row, 2)?).unwrap_or(MessageState::Held);
        let due_ms = number(row, 7)?;
        let due_wall_ms = match &self.shared {
            Some(shared) => shared.clock.wall_at(due_ms),
            None => due_ms.saturating_add(number(row, 21)?),
        };
        let is_set = |index| Ok::<_, rusqlite::Error>(row.get_ref(index)? != ValueRef::Null);
        let some_text =
            |index| Ok::<_, rusqlite::Error>(is_set(index)?.then_some(text(row, index)?));
        Ok(MessageDetail {
            message: MessageRecord {
                id: text(row, 1)?,
                state,
                account: text(row, 3)?,
                reverse_path: text(row, 4)?,
                recipients: Vec::new(),
                size_bytes: number(row, 5)? as u64,
                received_at: timestamp(number(row, 6)?),
                next_attempt_at: (state == MessageState::Deferred).then(|| timestamp(due_wall_ms)),
                attempts: number(row, 8)? as u32,
                last_reply: some_text(9)?,
                subject: some_text(10)?,
                message_id: some_text(11)?,
                quarantined: some_text(16)?.filter(|_| state == MessageState::Held),
            },
            listener: text(row, 12)?,
            client: text(row, 13)?,
            helo: text(row, 14)?,
            ended_at: is_set(15)?.then_some(timestamp(number(row, 15)?)),
            tls: some_text(17)?,
            auth_name: some_text(18)?,
            ret: some_text(19)?,
            envelope_id: some_text(20)?,
            history: Vec::new(),
            events: Vec::new(),
        })
    }
}

fn oldest(connection: &Connection) -> Result<Option<Timestamp>, StorageError> {
    let oldest_ms: Option<i64> = connection
        .query_row(
            "SELECT received_wall_ms FROM message
             WHERE seq = (SELECT min(seq) FROM message INDEXED BY message_waiting WHERE state < 4)",
            [],
            |row| row.get(0),
        )
        .optional()?;
    Ok(oldest_ms.map(timestamp))
}

/// Whatever is stored there, as text.
pub(super) fn text(row: &Row<'_>, index: usize) -> rusqlite::Result<String> {
    Ok(match row.get_ref(index)? {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(octets) | ValueRef::Blob(octets) => {
            String::from_utf8_lossy(octets).into_owned()
        }
    })
}

/// What is stored there if it is a number, else 0.
pub(super) fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<i64> {
    Ok(row.get_ref(index)?.as_i64().unwrap_or(0))
}

pub(super) fn recipients(
    connection: &Connection,
    seq: i64,
) -> Result<Vec<RecipientRecord>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT address, state, reply, notify, original_recipient FROM recipient
         WHERE seq = ?1 ORDER BY n",
    )?;
    let rows = statement.query_map([seq], |row| {
        let some_text = |index| {
            let is_set = row.get_ref(index)? != ValueRef::Null;
            Ok::<_, rusqlite::Error>(is_set.then_some(text(row, index)?))
        };
        Ok(RecipientRecord {
            address: text(row, 0)?,
            state: RecipientState::from_number(number(row, 1)?),
            reply: some_text(2)?,
            notify: some_text(3)?,
            original_recipient: some_text(4)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn attempts(
    connection: &Connection,
    seq: i64,
) -> Result<Vec<AttemptRecord>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT n, started_wall_ms, ended_wall_ms, account, remote, result, reply, uncertain,
             connection
         FROM attempt WHERE seq = ?1 ORDER BY n",
    )?;
    let rows = statement.query_map([seq], |row| {
        Ok(AttemptRecord {
            number: number(row, 0)? as u32,
            started_at: timestamp(number(row, 1)?),
            ended_at: timestamp(number(row, 2)?),
            account: text(row, 3)?,
            remote: text(row, 4)?,
            result: text(row, 5)?,
            reply: text(row, 6)?,
            uncertain: number(row, 7)? != 0,
            connection: row.get::<_, Option<i64>>(8)?.map(|number| number as u64),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn events(connection: &Connection, seq: i64) -> Result<Vec<EventRecord>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT wall_ms, action, actor, through, detail FROM event WHERE seq = ?1 ORDER BY number",
    )?;
    let rows = statement.query_map([seq], |row| {
        Ok(EventRecord {
            at: timestamp(row.get(0)?),
            action: row.get(1)?,
            actor: row.get(2)?,
            through: row.get(3)?,
            detail: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn timestamp(wall_ms: i64) -> Timestamp {
    Timestamp::from_millisecond(wall_ms).unwrap_or(Timestamp::UNIX_EPOCH)
}
