//! Forgetting what has ended long ago.

use rusqlite::{Connection, params};

use crate::queue::clock::wall_ms;
use crate::queue::insert::STORED_FILE;
use crate::queue::store::Shared;
use crate::queue::{MessageState, QueueId, presented};

/// Messages forgotten in one transaction: the writer must not be away for long.
const BATCH_MAX: i64 = 200;

/// Pages handed back to the filesystem in one transaction.
const VACUUM_PAGES: i64 = 64;

/// 64 MiB: room that a queue of some size needs again soon enough.
const FREE_PAGES_KEPT: i64 = 16 * 1024;

/// What a sweep found.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Content files to remove once the transaction is committed.
    pub(super) content_files: Vec<QueueId>,
    /// Whether there may be more to forget.
    pub(super) more: bool,
}

/// Stores the clocks and forgets one batch. Inside the writer's transaction.
pub(super) fn sweep(connection: &Connection, shared: &Shared) -> rusqlite::Result<Swept> {
    store_clock(connection, shared)?;
    presented::prune(connection, wall_ms())?;
    let retention = shared.tuning().retention;
    let mut swept = Swept::default();
    for (state, keep) in [
        (MessageState::Failed, retention.failed),
        (MessageState::Delivered, retention.delivered),
        (MessageState::Deleted, retention.delivered),
    ] {
        let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        let before_ms = wall_ms().saturating_sub(keep_ms);
        let rows = connection
            .prepare_cached(
                "SELECT seq, id, stored FROM message
                 WHERE state = ?1 AND state >= 4 AND ended_wall_ms < ?2
                 ORDER BY ended_wall_ms LIMIT ?3",
            )?
            .query_map(params![state.number(), before_ms, BATCH_MAX], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, i64>(2)?,
                ))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        swept.more |= rows.len() as i64 == BATCH_MAX;
        for (seq, id, stored) in rows {
            for table in ["message", "recipient", "attempt", "event", "content"] {
                connection
                    .prepare_cached(&format!("DELETE FROM {table} WHERE seq = ?1"))?
                    .execute([seq])?;
            }
            if let (STORED_FILE, Ok(id)) = (stored, QueueId::parse(&id)) {
                swept.content_files.push(id);
            }
        }
    }
    swept.more |= vacuum(connection)?;
    Ok(swept)
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

/// So that a restart neither resets back-off nor turns ages back.
pub(super) fn store_clock(connection: &Connection, shared: &Shared) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('queue_ms', ?1)")?
        .execute([shared.clock.now_ms()])?;
    let mut statement = connection
        .prepare_cached("INSERT OR REPLACE INTO account (name, active_ms) VALUES (?1, ?2)")?;
    for (account, active_ms) in shared.clock.snapshot() {
        statement.execute(params![account, active_ms])?;
    }
    Ok(())
}
