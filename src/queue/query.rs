//! Looking at the queue without touching it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use crate::queue::store::Shared;
use crate::queue::{MessageState, QueueId, RecipientState, StorageError, schema};

/// Opens a read-only connection for each question; blocking, so to be called off the runtime.
#[derive(Clone, Debug)]
pub struct Reader {
    database: PathBuf,
    /// Inside the daemon: turns queue time into what the wall clock will show.
    shared: Option<Arc<Shared>>,
}

/// Which messages to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// None: everything that is not delivered.
    pub state: Option<MessageState>,
    /// None: every account.
    pub account: Option<String>,
}

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
    /// When it was delivered or given up.
    pub ended_at: Option<Timestamp>,
    /// Each attempt, oldest first.
    pub history: Vec<AttemptRecord>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// 1 is the first.
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
}

/// How many messages there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// By account and state, waiting and failed ones; delivered ones are history.
    pub accounts: BTreeMap<String, BTreeMap<String, u64>>,
    /// When the oldest waiting message was accepted.
    pub oldest_received_at: Option<Timestamp>,
}

const COLUMNS: &str = "seq, id, state, account, reverse_path, size_bytes, received_wall_ms, due_ms,
    attempts, last_reply, subject, message_id, listener, client, helo, ended_wall_ms";

impl Reader {
    /// For a folder whose daemon is not running.
    pub fn new(directory: &Path) -> Self {
        Self {
            database: directory.join("queue.db"),
            shared: None,
        }
    }

    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Some(Arc::clone(shared)),
            ..Self::new(&shared.directory)
        }
    }

    fn open(&self) -> Result<Connection, StorageError> {
        Ok(schema::open_reader(&self.database)?)
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
        for seq in sequence_numbers(&connection, filter)? {
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
        Ok(Some(detail))
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
        let oldest_ms: Option<i64> = connection
            .query_row(
                "SELECT received_wall_ms FROM message
             WHERE seq = (SELECT min(seq) FROM message INDEXED BY message_waiting WHERE state < 4)",
                [],
                |row| row.get(0),
            )
            .optional()?;
        counts.oldest_received_at = oldest_ms.map(timestamp);
        Ok(counts)
    }

    fn detail(&self, row: &Row<'_>) -> rusqlite::Result<MessageDetail> {
        let state = MessageState::from_number(row.get(2)?).unwrap_or(MessageState::Held);
        let due_ms: i64 = row.get(7)?;
        let due_wall_ms = match &self.shared {
            Some(shared) => shared.clock.wall_at(due_ms),
            None => due_ms,
        };
        Ok(MessageDetail {
            message: MessageRecord {
                id: row.get(1)?,
                state,
                account: row.get(3)?,
                reverse_path: row.get(4)?,
                recipients: Vec::new(),
                size_bytes: row.get::<_, i64>(5)? as u64,
                received_at: timestamp(row.get(6)?),
                next_attempt_at: (state == MessageState::Deferred).then(|| timestamp(due_wall_ms)),
                attempts: row.get(8)?,
                last_reply: row.get(9)?,
                subject: row.get(10)?,
                message_id: row.get(11)?,
            },
            listener: row.get(12)?,
            client: row.get(13)?,
            helo: row.get(14)?,
            ended_at: row.get::<_, Option<i64>>(15)?.map(timestamp),
            history: Vec::new(),
        })
    }
}

/// Eight bytes for each message are all that a listing holds at once.
fn sequence_numbers(connection: &Connection, filter: &Filter) -> Result<Vec<i64>, StorageError> {
    let condition = match filter.state {
        None => "(state < 4 OR (state = 4 AND state >= 4))".to_owned(),
        Some(state @ (MessageState::Failed | MessageState::Delivered)) => {
            format!("state = {} AND state >= 4", state.number())
        }
        Some(state) => format!("state = {} AND state < 4", state.number()),
    };
    let sql = format!(
        "SELECT seq FROM message WHERE {condition} AND (?1 IS NULL OR account = ?1) ORDER BY seq"
    );
    let mut statement = connection.prepare(&sql)?;
    let numbers = statement.query_map([&filter.account], |row| row.get(0))?;
    Ok(numbers.collect::<rusqlite::Result<_>>()?)
}

fn recipients(connection: &Connection, seq: i64) -> Result<Vec<RecipientRecord>, StorageError> {
    let mut statement = connection
        .prepare_cached("SELECT address, state, reply FROM recipient WHERE seq = ?1 ORDER BY n")?;
    let rows = statement.query_map([seq], |row| {
        Ok(RecipientRecord {
            address: row.get(0)?,
            state: RecipientState::from_number(row.get(1)?),
            reply: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn attempts(connection: &Connection, seq: i64) -> Result<Vec<AttemptRecord>, StorageError> {
    let mut statement = connection.prepare(
        "SELECT n, started_wall_ms, ended_wall_ms, account, remote, result, reply
         FROM attempt WHERE seq = ?1 ORDER BY n",
    )?;
    let rows = statement.query_map([seq], |row| {
        Ok(AttemptRecord {
            number: row.get(0)?,
            started_at: timestamp(row.get(1)?),
            ended_at: timestamp(row.get(2)?),
            account: row.get(3)?,
            remote: row.get(4)?,
            result: row.get(5)?,
            reply: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn timestamp(wall_ms: i64) -> Timestamp {
    Timestamp::from_millisecond(wall_ms).unwrap_or(Timestamp::UNIX_EPOCH)
}
