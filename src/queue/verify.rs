//! Whether a queue's folder is whole.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::mail::dsn::{EnvelopeId, Notify, OriginalRecipient, Ret};
use crate::mail::{Mailbox, ReversePath};
use crate::queue::insert::{STORED_FILE, STORED_INLINE};
use crate::queue::lease::parameter;
use crate::queue::query::{number, text};
use crate::queue::{MessageState, Queue, QueueId, StorageError, content, schema};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Messages by state, history included.
    pub messages: BTreeMap<String, u64>,
    /// Messages that count against the bound.
    pub waiting: u64,
    /// Their content.
    pub waiting_bytes: u64,
    /// Content that was found, of failed messages too.
    pub content_bytes: u64,
    /// Content files that no message names while a daemon runs: of messages that are just coming in,
    /// or of sessions that broke off. The next start removes those.
    pub files_coming_in: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Problems beyond those told.
    pub more_problems: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The message, if it is one's.
    pub id: Option<String>,
    /// What.
    pub what: String,
}

/// Problems that are told one by one.
const PROBLEMS_MAX: usize = 1000;

/// Messages read in one transaction.
const PAGE: i64 = 500;

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, id: Option<&str>, what: impl Into<String>) {
        if self.problems.len() >= PROBLEMS_MAX {
            self.more_problems += 1;
            return;
        }
        self.problems.push(Problem {
            id: id.map(str::to_owned),
            what: what.into(),
        });
    }
}

/// Reads everything and changes nothing, beside a running daemon too. Blocking, for seconds with a
/// large queue; `progress` is told how many messages of how many have been looked at.
///
/// # Errors
/// When the folder cannot be read at all; whatever else is wrong is part of the verdict.
pub fn verify(
    directory: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<Verdict, StorageError> {
    let mut verdict = Verdict::default();
    let is_running = Queue::is_in_use(directory);
    // Before the rows: a file is there before its row is, and goes after it.
    let files = content_files(directory, &mut verdict)?;
    let connection = schema::open_reader(&directory.join("queue.db"))?;
    integrity(&connection, &mut verdict)?;
    let total: i64 = connection.query_row("SELECT count(*) FROM message", [], |row| row.get(0))?;
    let (mut after, mut seen) = (i64::MIN, 0);
    loop {
        let page = page(&connection, after)?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for row in &page {
            examine(&connection, directory, row, &mut verdict)?;
        }
        seen += page.len() as u64;
        progress(seen, total as u64);
    }
    strays(&connection, &mut verdict)?;
    let mut named = connection.prepare("SELECT stored FROM message WHERE id = ?1")?;
    for id in files {
        let stored: Option<i64> = named
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?;
        let is_gone = || !content::path_of(directory, id).exists();
        if stored == Some(STORED_FILE) || is_gone() {
            continue;
        }
        if is_running {
            verdict.files_coming_in += 1;
        } else {
            verdict.add(
                Some(id.as_str()),
                "a content file that no message names; the daemon removes it when it starts",
            );
        }
    }
    Ok(verdict)
}

struct Row {
    seq: i64,
    id: String,
    state: i64,
    account: String,
    size_bytes: i64,
    stored: i64,
    reverse_path: String,
    damage: Option<String>,
    /// Whether RET and ENVID, if there are any, can be sent.
    can_be_told: bool,
    /// Whether every value is of the kind it should be.
    is_well_formed: bool,
}

fn page(connection: &Connection, after: i64) -> Result<Vec<Row>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, id, state, account, size_bytes, stored, reverse_path, damage,
             typeof(id) || typeof(account) || typeof(reverse_path) = 'texttexttext'
                 AND typeof(state) || typeof(size_bytes) || typeof(stored) || typeof(attempts)
                     = 'integerintegerintegerinteger',
             ret, envelope_id
         FROM message WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let rows = statement.query_map(params![after, PAGE], |row| {
        Ok(Row {
            seq: row.get(0)?,
            id: text(row, 1)?,
            state: number(row, 2)?,
            account: text(row, 3)?,
            size_bytes: number(row, 4)?,
            stored: number(row, 5)?,
            reverse_path: text(row, 6)?,
            damage: row.get(7).unwrap_or_default(),
            is_well_formed: number(row, 8)? != 0,
            can_be_told: parameter(row, 9, Ret::parse).is_ok()
                && parameter(row, 10, EnvelopeId::parse).is_ok(),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn integrity(connection: &Connection, verdict: &mut Verdict) -> Result<(), StorageError> {
    let mut statement = connection.prepare("PRAGMA integrity_check(100)")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        if line != "ok" {
            verdict.add(None, format!("queue.db: {line}"));
        }
    }
    Ok(())
}

fn examine(
    connection: &Connection,
    directory: &Path,
    row: &Row,
    verdict: &mut Verdict,
) -> Result<(), StorageError> {
    let mut wrong = Vec::new();
    let state = MessageState::from_number(row.state);
    let word = state.map_or("unknown", MessageState::as_str);
    *verdict.messages.entry(word.to_owned()).or_default() += 1;
    let waits = row.state < 4;
    if waits {
        verdict.waiting += 1;
        verdict.waiting_bytes += row.size_bytes.max(0) as u64;
    }
    if !row.is_well_formed {
        wrong.push("a value in its row is of the wrong kind".to_owned());
    }
    if state.is_none() {
        wrong.push(format!("its state {} has no meaning", row.state));
    }
    if let Some(damage) = row
        .damage
        .as_ref()
        .filter(|_| state == Some(MessageState::Held))
    {
        wrong.push(format!("quarantined: {damage}"));
    }
    let id = QueueId::parse(&row.id)
        .ok()
        .filter(|id| id.as_str() == row.id);
    if id.is_none() {
        wrong.push("its id is none".to_owned());
    }
    if waits && row.account.is_empty() {
        wrong.push("it has no account".to_owned());
    }
    if waits && ReversePath::parse(&row.reverse_path).is_err() {
        wrong.push("its reverse-path is no address".to_owned());
    }
    if waits && !row.can_be_told {
        wrong.push("its RET or ENVID is malformed".to_owned());
    }
    examine_recipients(connection, row, waits, &mut wrong)?;
    match examine_content(connection, directory, row, id, waits)? {
        Ok(bytes) => verdict.content_bytes += bytes,
        Err(what) => wrong.push(what),
    }
    // What is wrong only because the message has moved on meanwhile is not wrong.
    if !wrong.is_empty() && has_changed(connection, row)? {
        return Ok(());
    }
    for what in wrong {
        verdict.add(Some(&row.id), what);
    }
    Ok(())
}

fn examine_recipients(
    connection: &Connection,
    row: &Row,
    waits: bool,
    wrong: &mut Vec<String>,
) -> Result<(), StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT address, state, notify, original_recipient FROM recipient
         WHERE seq = ?1 ORDER BY n",
    )?;
    let mut rows = statement.query([row.seq])?;
    let (mut recipients, mut pending) = (0_u64, 0_u64);
    while let Some(recipient) = rows.next()? {
        recipients += 1;
        let is_pending = recipient.get::<_, i64>(1)? == 0;
        pending += u64::from(is_pending);
        let address = recipient.get_ref(0)?.as_str().unwrap_or_default();
        if is_pending && Mailbox::parse(address).is_err() {
            wrong.push(format!("its recipient {recipients} is no address"));
        }
        let can_be_told = parameter(recipient, 2, Notify::parse).is_ok()
            && parameter(recipient, 3, OriginalRecipient::parse).is_ok();
        if is_pending && !can_be_told {
            wrong.push(format!(
                "NOTIFY or ORCPT of its recipient {recipients} is malformed"
            ));
        }
    }
    if recipients == 0 {
        wrong.push("it has no recipients".to_owned());
    } else if waits && pending == 0 {
        wrong.push("it waits although every recipient is decided".to_owned());
    }
    Ok(())
}

/// The size of the content, or what is wrong with it.
fn examine_content(
    connection: &Connection,
    directory: &Path,
    row: &Row,
    id: Option<QueueId>,
    waits: bool,
) -> Result<Result<u64, String>, StorageError> {
    let found = match (row.stored, id) {
        (STORED_INLINE, _) => {
            let length: Option<i64> = connection
                .prepare_cached("SELECT length(data) FROM content WHERE seq = ?1")?
                .query_row([row.seq], |found| found.get(0))
                .optional()?;
            length.ok_or_else(|| "its content is missing".to_owned())
        }
        (STORED_FILE, Some(id)) => match std::fs::metadata(content::path_of(directory, id)) {
            Ok(metadata) => Ok(metadata.len() as i64),
            Err(error) => Err(format!("its content file: {error}")),
        },
        (STORED_FILE, None) => Err("its content file cannot be told without an id".to_owned()),
        // Failed mail is kept with its content.
        _ if waits || row.state == MessageState::Failed.number() => {
            Err("its content is missing".to_owned())
        }
        _ => return Ok(Ok(0)),
    };
    Ok(found.and_then(|length| {
        if length == row.size_bytes {
            Ok(length as u64)
        } else {
            let expected = row.size_bytes;
            Err(format!(
                "its content has {length} bytes and should have {expected}"
            ))
        }
    }))
}

fn has_changed(connection: &Connection, row: &Row) -> Result<bool, StorageError> {
    let now: Option<(i64, i64)> = connection
        .prepare_cached("SELECT state, stored FROM message WHERE seq = ?1 AND id = ?2")?
        .query_row(params![row.seq, row.id], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(now != Some((row.state, row.stored)))
}

/// Rows of other tables that belong to no message.
fn strays(connection: &Connection, verdict: &mut Verdict) -> Result<(), StorageError> {
    for table in ["recipient", "attempt", "event", "content"] {
        let strays: i64 = connection.query_row(
            &format!(
                "SELECT count(*) FROM {table} WHERE NOT EXISTS
                     (SELECT 1 FROM message WHERE message.seq = {table}.seq)"
            ),
            [],
            |row| row.get(0),
        )?;
        if strays > 0 {
            verdict.add(
                None,
                format!("queue.db: {strays} rows of table {table} belong to no message"),
            );
        }
    }
    let leftovers: i64 = connection.query_row(
        "SELECT count(*) FROM content WHERE NOT EXISTS
             (SELECT 1 FROM message WHERE message.seq = content.seq AND stored = 1)
         AND EXISTS (SELECT 1 FROM message WHERE message.seq = content.seq)",
        [],
        |row| row.get(0),
    )?;
    if leftovers > 0 {
        verdict.add(
            None,
            format!("queue.db: {leftovers} contents of messages that should have none"),
        );
    }
    Ok(())
}

fn content_files(directory: &Path, verdict: &mut Verdict) -> Result<Vec<QueueId>, StorageError> {
    let folder = directory.join("content");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            verdict.add(None, "the folder content is missing");
            return Ok(Vec::new());
        }
        Err(error) => return Err(StorageError::content(folder, error)),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| StorageError::content(folder.clone(), error))?;
        let name = entry.file_name();
        // What this program did not name is somebody else's, and does no harm.
        ids.extend(name.to_str().and_then(|name| QueueId::parse(name).ok()));
    }
    Ok(ids)
}
