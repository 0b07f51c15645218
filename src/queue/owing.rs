//! Messages that somebody is to be told of, and all there is to be told.

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::mail::NoticeKind;
use crate::mail::dsn::EnvelopeId;
use crate::queue::insert::{STORED_FILE, STORED_INLINE};
use crate::queue::query::{number, text, timestamp};
use crate::queue::{
    QueueId, Reader, RecipientRecord, RecipientState, StorageError, clock, content,
};

/// A message that somebody is to be told of.
#[derive(Clone, Copy, Debug)]
pub struct Owing {
    pub(super) seq: i64,
    /// Its name.
    pub id: QueueId,
    /// What there is to tell.
    pub kind: NoticeKind,
}

/// Messages of one account and one reverse-path that somebody is to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debt {
    /// Empty for the null path.
    pub reverse_path: String,
    /// How many.
    pub messages: u64,
}

/// All that a notice can tell of one message.
#[derive(Clone, Debug)]
pub struct Case {
    /// Which message, and what of it.
    pub owing: Owing,
    /// Empty for the null path.
    pub reverse_path: String,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// The client's address.
    pub client: String,
    /// What the client called itself.
    pub helo: String,
    /// With its angle brackets.
    pub message_id: Option<String>,
    /// `ENVID=`, if the client gave one.
    pub envelope_id: Option<EnvelopeId>,
    /// Those that are told of: failed ones, or those still waited for. The first of them, if there are
    /// very many.
    pub recipients: Vec<RecipientRecord>,
    /// How many are told of.
    pub concerned: u64,
    /// How many have it.
    pub delivered: u64,
    /// Attempts that counted.
    pub attempts: u32,
    /// The host of the last attempt, and when it ended.
    pub last_attempt: Option<(String, Timestamp)>,
    /// When it is given up, as things stand; only of delayed ones.
    pub given_up_at: Option<Timestamp>,
    /// The beginning of the content: the header section, unless it is a very long one. Empty when the
    /// content is damaged.
    pub head: Vec<u8>,
}

/// Of the content, to find its header section in.
const HEAD_MAX_BYTES: u64 = 64 * 1024;

/// What is owed: a delay only while the message waits for its turn.
const OWING: &str = "tell > 0 AND (tell = 2 OR state IN (0, 2))";

impl Reader {
    /// Who is to be told of mail of `account`, in the order of their addresses, the first `max` of them
    /// after `after`.
    pub fn debts(
        &self,
        account: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<Debt>, StorageError> {
        let connection = self.open()?;
        let mut statement = connection.prepare(&format!(
            "SELECT reverse_path, count(*) FROM message
             WHERE account = ?1 AND {OWING} AND (?2 IS NULL OR reverse_path > ?2)
             GROUP BY reverse_path ORDER BY reverse_path LIMIT ?3"
        ))?;
        let rows = statement.query_map(params![account, after, max as i64], |row| {
            Ok(Debt {
                reverse_path: row.get(0)?,
                messages: number(row, 1)? as u64,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The messages of `account` that somebody is to be told of, failed ones first, then by age; those
    /// of `reverse_path` only, if one is given.
    pub fn owing(
        &self,
        account: &str,
        reverse_path: Option<&str>,
        max: usize,
    ) -> Result<Vec<Owing>, StorageError> {
        let connection = self.open()?;
        let mut statement = connection.prepare(&format!(
            "SELECT seq, id, tell FROM message
             WHERE account = ?1 AND {OWING} AND (?2 IS NULL OR reverse_path = ?2)
             ORDER BY tell DESC, seq LIMIT ?3"
        ))?;
        let rows = statement.query_map(params![account, reverse_path, max as i64], |row| {
            let kind = match row.get(2)? {
                1 => NoticeKind::Delayed,
                _ => NoticeKind::Failed,
            };
            owing(row, kind)
        })?;
        Ok(found(rows)?)
    }

    /// Messages of `account` that have waited for `age` of its active time and were not found before.
    /// Notices are not among them.
    ///
    /// Only inside the daemon is there active time.
    pub fn overdue(
        &self,
        account: &str,
        age: Duration,
        max: usize,
    ) -> Result<Vec<Owing>, StorageError> {
        let Some(shared) = &self.shared else {
            return Ok(Vec::new());
        };
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let born_ms = shared.clock.active_ms(account).saturating_sub(age_ms);
        let connection = self.open()?;
        let mut statement = connection.prepare(
            "SELECT seq, id FROM message
             WHERE account = ?1 AND state IN (0, 2) AND state < 4 AND born_ms <= ?2
                 AND tell = 0 AND notice_to IS NULL
             LIMIT ?3",
        )?;
        let rows = statement.query_map(params![account, born_ms, max as i64], |row| {
            owing(row, NoticeKind::Delayed)
        })?;
        Ok(found(rows)?)
    }

    /// How many notices to `destination` were made from `since` to `until`, and when the first of them
    /// was.
    pub fn notices_to(
        &self,
        destination: &str,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<(usize, Option<Timestamp>), StorageError> {
        let (count, first): (i64, Option<i64>) = self
            .open()?
            .prepare(
                "SELECT count(*), min(received_wall_ms) FROM message
                 WHERE notice_to = ?1 AND received_wall_ms BETWEEN ?2 AND ?3",
            )?
            .query_row(
                params![destination, since.as_millisecond(), until.as_millisecond()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
        Ok((count as usize, first.map(timestamp)))
    }

    /// Calls `each` with what there is to tell of each of `messages`, with up to `recipients_max`
    /// recipients, until it breaks. Those that nobody is to be told of any more are left out. With
    /// `as_asked` only recipients count for whom `NOTIFY=` (RFC 3461 section 4.1) asks for it, or says
    /// nothing; there may be none.
    pub fn cases(
        &self,
        messages: &[Owing],
        recipients_max: usize,
        as_asked: bool,
        mut each: impl FnMut(Case) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let connection = self.open()?;
        for message in messages {
            let transaction = connection.unchecked_transaction()?;
            let case = self.case(&connection, *message, recipients_max, as_asked)?;
            drop(transaction);
            if let Some(case) = case
                && each(case).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn case(
        &self,
        connection: &Connection,
        owing: Owing,
        recipients_max: usize,
        as_asked: bool,
    ) -> Result<Option<Case>, StorageError> {
        let (tell, state, asked) = match owing.kind {
            NoticeKind::Delayed => (1, RecipientState::Pending, "%DELAY%"),
            NoticeKind::Failed => (2, RecipientState::Failed, "%FAILURE%"),
        };
        let asked = if as_asked { asked } else { "%" };
        let optional = |text: String| Some(text).filter(|text| !text.is_empty());
        let row = connection
            .prepare_cached(
                "SELECT reverse_path, received_wall_ms, client, helo, message_id, attempts, stored,
                     account, born_ms, envelope_id
                 FROM message WHERE seq = ?1 AND id = ?2 AND tell = ?3",
            )?
            .query_row(params![owing.seq, owing.id.as_str(), tell], |row| {
                let case = Case {
                    owing,
                    reverse_path: text(row, 0)?,
                    received_at: timestamp(number(row, 1)?),
                    client: text(row, 2)?,
                    helo: text(row, 3)?,
                    message_id: optional(text(row, 4)?),
                    envelope_id: optional(text(row, 9)?).and_then(|id| EnvelopeId::parse(&id)),
                    recipients: Vec::new(),
                    concerned: 0,
                    delivered: 0,
                    attempts: number(row, 5)? as u32,
                    last_attempt: None,
                    given_up_at: None,
                    head: Vec::new(),
                };
                Ok((case, number(row, 6)?, text(row, 7)?, number(row, 8)?))
            })
            .optional()?;
        let Some((mut case, stored, account, born_ms)) = row else {
            return Ok(None);
        };
        case.recipients = in_state(connection, owing.seq, state, asked, recipients_max)?;
        (case.concerned, case.delivered) = connection
            .prepare_cached(
                "SELECT coalesce(sum(state = ?2 AND coalesce(notify, ?3) LIKE ?3), 0),
                     coalesce(sum(state = 1), 0)
                 FROM recipient WHERE seq = ?1",
            )?
            .query_row(params![owing.seq, state.number(), asked], |row| {
                Ok((number(row, 0)? as u64, number(row, 1)? as u64))
            })?;
        case.last_attempt = connection
            .prepare_cached(
                "SELECT remote, ended_wall_ms FROM attempt WHERE seq = ?1 ORDER BY n DESC LIMIT 1",
            )?
            .query_row([owing.seq], |row| {
                Ok((text(row, 0)?, timestamp(number(row, 1)?)))
            })
            .optional()?;
        if let (NoticeKind::Delayed, Some(shared)) = (owing.kind, &self.shared) {
            let age_ms = shared.clock.active_ms(&account).saturating_sub(born_ms);
            let life_ms = i64::try_from(shared.tuning().expire_after.as_millis());
            let left_ms = life_ms.unwrap_or(i64::MAX).saturating_sub(age_ms).max(0);
            case.given_up_at = Some(timestamp(clock::wall_ms().saturating_add(left_ms)));
        }
        case.head = self.head(connection, owing, stored)?;
        Ok(Some(case))
    }

    fn head(
        &self,
        connection: &Connection,
        owing: Owing,
        stored: i64,
    ) -> Result<Vec<u8>, StorageError> {
        match stored {
            STORED_INLINE => Ok(connection
                .prepare_cached("SELECT substr(data, 1, ?2) FROM content WHERE seq = ?1")?
                .query_row(params![owing.seq, HEAD_MAX_BYTES as i64], |row| row.get(0))
                .optional()?
                .unwrap_or_default()),
            STORED_FILE => {
                let mut head = Vec::new();
                let path = content::path_of(&self.directory, owing.id);
                let read = File::open(path)
                    .and_then(|file| file.take(HEAD_MAX_BYTES).read_to_end(&mut head));
                if let Err(error) = read {
                    tracing::warn!(queue_id = %owing.id, %error, "its notice goes without its headers");
                }
                Ok(head)
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// None for a row whose id is damaged: it cannot be named, and `verify` tells of it.
fn owing(row: &Row<'_>, kind: NoticeKind) -> rusqlite::Result<Option<Owing>> {
    let id = QueueId::parse(&text(row, 1)?).ok();
    let seq = row.get(0)?;
    Ok(id.map(|id| Owing { seq, id, kind }))
}

fn found(
    rows: impl Iterator<Item = rusqlite::Result<Option<Owing>>>,
) -> rusqlite::Result<Vec<Owing>> {
    rows.filter_map(Result::transpose).collect()
}

fn in_state(
    connection: &Connection,
    seq: i64,
    state: RecipientState,
    asked: &str,
    max: usize,
) -> Result<Vec<RecipientRecord>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT address, reply, notify, original_recipient FROM recipient
         WHERE seq = ?1 AND state = ?2 AND coalesce(notify, ?3) LIKE ?3 ORDER BY n LIMIT ?4",
    )?;
    let parameters = params![seq, state.number(), asked, max as i64];
    let rows = statement.query_map(parameters, |row| {
        let some_text =
            |index| text(row, index).map(|text| Some(text).filter(|text| !text.is_empty()));
        Ok(RecipientRecord {
            address: text(row, 0)?,
            state,
            reply: some_text(1)?,
            notify: some_text(2)?,
            original_recipient: some_text(3)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
