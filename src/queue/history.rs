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
}

/// Rows read in one transaction: a slow reader must not keep the write-ahead log from being folded
/// back, nor may a month of history be held in memory.
const PAGE: usize = 500;

/// An id is made when a message begins to come in, up to a whole session before it is accepted.
const SESSION_MAX_MS: i64 = 24 * 60 * 60 * 1000;

impl Reader {
    /// Calls `each` for every message the filter takes, in the order of their ids, until it breaks.
    ///
    /// Ids are ordered by time, so the index of the ids leads to the beginning of any period.
    pub fn history(
        &self,
        filter: &HistoryFilter,
        mut each: impl FnMut(MessageDetail) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let connection = self.open()?;
        let since_ms = filter.since.map(Timestamp::as_millisecond);
        let mut after = filter.id.map_or_else(
            || {
                QueueId::first_at(since_ms.map_or(0, |ms| ms.saturating_sub(SESSION_MAX_MS)))
                    .to_string()
            },
            |id| id.to_string(),
        );
        let last = filter.id.map(|id| id.to_string());
        let mut page = connection.prepare(&format!(
            "SELECT {COLUMNS} FROM message
             WHERE id >= :after AND (:last IS NULL OR id <= :last)
                 AND (:since_ms IS NULL OR received_wall_ms >= :since_ms)
                 AND (:state IS NULL OR state = :state) AND {ADDRESSES}
             ORDER BY id LIMIT :page"
        ))?;
        loop {
            let rows = page.query_map(
                named_params! {
                    ":after": after,
                    ":last": last,
                    ":since_ms": since_ms,
                    ":state": filter.state.map(MessageState::number),
                    ":from": filter.from,
                    ":to": filter.to,
                    ":page": PAGE as i64,
                },
                |row| Ok((row.get::<_, i64>(0)?, self.detail(row)?)),
            )?;
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let is_last = rows.len() < PAGE;
            if let Some((_, detail)) = rows.last() {
                // The lowest text above it.
                after = format!("{}\0", detail.message.id);
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
