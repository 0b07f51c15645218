//! Forgetting what has ended long ago.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use crate::queue::insert::STORED_FILE;
use crate::queue::store::Shared;
use crate::queue::{MessageState, QueueId, clients, heard, presented};

/// Messages forgotten in one transaction.
const STEP_MAX: usize = 100;

/// After this long a step ends early, with one message at least: the writer must not be away for long,
/// however slow the disk or long the content.
const STEP_TIME: Duration = Duration::from_millis(5);

/// Pages handed back to the filesystem in one transaction.
const VACUUM_PAGES: i64 = 64;

/// 64 MiB: room that a queue of some size needs again soon enough.
const FREE_PAGES_KEPT: i64 = 16 * 1024;

/// What a sweep found.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Content files to remove once the transaction is committed.
    pub(super) content_files: Vec<QueueId>,
    /// Whether there may be more to do.
    pub(super) more: bool,
    pub(super) clients: clients::Saved,
    pub(super) heard: heard::Stored,
}

/// Stores the clocks and what clients needed, and forgets some of what is old, or else hands free pages back. Inside the writer's
/// transaction.
pub(super) fn sweep(connection: &Connection, shared: &Shared) -> rusqlite::Result<Swept> {
    let begun_at = Instant::now();
    shared.clock.store(connection)?;
    presented::prune(connection, shared.clock.now_ms())?;
    let mut swept = Swept {
        clients: clients::save(connection, shared)?,
        heard: heard::save(connection, shared)?,
        ..Swept::default()
    };
    let old = old(connection, shared)?;
    swept.more = swept.clients.is_partial() || !old.is_empty() || vacuum(connection)?;
    for (seq, id, stored) in old {
        for table in ["message", "recipient", "attempt", "event", "content"] {
            connection
                .prepare_cached(&format!("DELETE FROM {table} WHERE seq = ?1"))?
                .execute([seq])?;
        }
        if let (STORED_FILE, Ok(id)) = (stored, QueueId::parse(&id)) {
            swept.content_files.push(id);
        }
        if begun_at.elapsed() >= STEP_TIME {
            break;
        }
    }
    Ok(swept)
}

/// Number, id and `stored` of messages that ended too long ago, by queue time: a wall clock that leaps
/// must neither forget failed mail nor keep it for ever.
fn old(connection: &Connection, shared: &Shared) -> rusqlite::Result<Vec<(i64, String, i64)>> {
    let retention = shared.tuning().retention;
    let now_ms = shared.clock.now_ms();
    let mut found = Vec::new();
    for (state, keep) in [
        (MessageState::Failed, retention.failed),
        (MessageState::Delivered, retention.delivered),
        (MessageState::Deleted, retention.delivered),
    ] {
        let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        let left = (STEP_MAX - found.len()) as i64;
        let mut statement = connection.prepare_cached(
            "SELECT seq, CAST(id AS TEXT), stored FROM message
             WHERE state = ?1 AND state >= 4 AND due_ms < ?2
             ORDER BY due_ms LIMIT ?3",
        )?;
        let rows = statement.query_map(
            params![state.number(), now_ms.saturating_sub(keep_ms), left],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        for row in rows {
            found.push(row?);
        }
    }
    Ok(found)
}

/// A few free pages at a time go back to the filesystem; most are used again by new mail. True when
/// there are many more: a large queue has been emptied.
fn vacuum(connection: &Connection) -> rusqlite::Result<bool> {
    let mut vacuum =
        connection.prepare_cached(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
    let mut pages = vacuum.query([])?;
    // Each step hands back one page.
    while pages.next()?.is_some() {}
    let free: i64 = connection
        .prepare_cached("PRAGMA freelist_count")?
        .query_row([], |row| row.get(0))?;
    Ok(free > FREE_PAGES_KEPT)
}
