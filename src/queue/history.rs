//! What became of every message that is still remembered.

use std::ops::ControlFlow;

use jiff::Timestamp;
use rusqlite::named_params;
use serde::{Deserialize, Serialize};

use crate::queue::filter::ADDRESSES;
use crate::queue::query::{COLUMNS, attempts, events, recipients};
use crate::queue::{AddressPattern, MessageDetail, MessageState, QueueId, Reader, StorageError};

/// Conditions, all of which must hold; without any, every message that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistoryFilter {
    /// Only this message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<QueueId>,
    /// Where it stands now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<MessageState>,
    /// The reverse-path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<AddressPattern>,
    /// Any recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<AddressPattern>,
    /// Accepted at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// A part of the id, the reverse-path, a recipient, the subject, the Message-ID or the client; upper and
    /// lower case of US-ASCII are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Only so many, the latest, and these first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u32>,
}

/// Rows read in one transaction: a slow reader must not keep the write-ahead log from being folded
/// back, nor may a month of history be held in memory.
const PAGE: usize = 500;

/// An id is made when a message begins to come in, up to a whole session before it is accepted.
const SESSION_MAX_MS: i64 = 24 * 60 * 60 * 1000;

/// Above every id, and part of none.
const ABOVE_ALL: &str = "~";

const TEXT: &str = "(:text IS NULL OR instr(lower(id || char(10) || reverse_path || char(10)
            || coalesce(subject, '') || char(10) || coalesce(message_id, '') || char(10) || client), lower(:text))
        OR EXISTS (SELECT 1 FROM recipient
            WHERE recipient.seq = message.seq AND instr(lower(recipient.address), lower(:text))))";

impl Reader {
    /// Calls `each` for every message the filter takes, in the order of their ids, until it breaks; in the
    /// opposite order if only the last are asked for.
    ///
    /// Ids are ordered by time, so the index of the ids leads to the beginning of any period.
    pub fn history(
        &self,
        filter: &HistoryFilter,
        mut each: impl FnMut(MessageDetail) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let connection = self.open()?;
        let since_ms = filter.since.map(Timestamp::as_millisecond);
        let earliest = since_ms.map_or(0, |ms| ms.saturating_sub(SESSION_MAX_MS));
        let first = filter.id.unwrap_or_else(|| QueueId::first_at(earliest));
        let mut first = first.to_string();
        let mut end = filter
            .id
            .map_or_else(|| ABOVE_ALL.to_owned(), |id| above(id.as_str()));
        let mut left = filter.last.map_or(usize::MAX, |last| last as usize);
        let order = if filter.last.is_some() { "DESC" } else { "ASC" };
        let mut page = connection.prepare(&format!(
            "SELECT {COLUMNS} FROM message
             WHERE id >= :first AND id < :end
                 AND (:since_ms IS NULL OR received_wall_ms >= :since_ms)
                 AND (:state IS NULL OR state = :state) AND {ADDRESSES} AND {TEXT}
             ORDER BY id {order} LIMIT :page"
        ))?;
        loop {
            let size = left.min(PAGE);
            let rows = page.query_map(
                named_params! {
                    ":first": first,
                    ":end": end,
                    ":since_ms": since_ms,
                    ":state": filter.state.map(MessageState::number),
                    ":from": filter.from,
                    ":to": filter.to,
                    ":text": filter.text,
                    ":page": size as i64,
                },
                |row| Ok((row.get::<_, i64>(0)?, self.detail(row)?)),
            )?;
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            left -= rows.len();
            let is_last = rows.len() < PAGE || left == 0;
            match rows.last() {
                Some((_, detail)) if filter.last.is_some() => end.clone_from(&detail.message.id),
                Some((_, detail)) => first = above(&detail.message.id),
                None => {}
            }
            for (seq, mut detail) in rows {
                detail.message.recipients = recipients(&connection, seq)?;
                detail.history = attempts(&connection, seq)?;
                detail.events = events(&connection, seq)?;
                if each(detail).is_break() {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }
}

/// The lowest text above an id.
fn above(id: &str) -> String {
    format!("{id}\0")
}
