//! Sections on the disk.

use rusqlite::{Connection, OptionalExtension, params};

use super::ledger::{Entry, Last, Ledger, Messages, Stored};
use crate::queue::query::{number, text};
use crate::queue::store::Shared;

/// More sections than anybody has: a damaged table must not fill the memory.
const SECTIONS_MAX: i64 = 100_000;

/// What a crash has taken back of open time, messages are not ahead of.
pub(in crate::queue) fn load(connection: &Connection) -> rusqlite::Result<Ledger> {
    let now_ms = open_ms(connection)?;
    let mut rows = connection.prepare(
        "SELECT section, network, client, watched_open_ms, heard_open_ms, heard_wall_ms
         FROM heard ORDER BY section LIMIT ?1",
    )?;
    let rows = rows.query_map([SECTIONS_MAX], |row| {
        // What makes no sense must not keep the daemon from starting.
        let ms = |index| {
            let value = row.get_ref(index)?;
            Ok::<_, rusqlite::Error>(value.as_i64().ok())
        };
        let last = match (ms(4)?, ms(5)?) {
            (Some(open_ms), Some(wall_ms)) => Some(Last {
                open_ms: open_ms.min(now_ms),
                wall_ms,
                client: text(row, 2)?,
            }),
            _ => None,
        };
        let entry = Entry {
            network: text(row, 1)?,
            watched_ms: ms(3)?.map(|ms| ms.min(now_ms)),
            silent_after: None,
            is_unsaved: false,
            stored_ms: last.as_ref().map(|last| last.open_ms),
            last,
        };
        Ok((text(row, 0)?, entry))
    })?;
    Ok(Ledger::loaded(rows.collect::<rusqlite::Result<Vec<_>>>()?))
}

/// As it was stored last.
pub(super) fn open_ms(connection: &Connection) -> rusqlite::Result<i64> {
    let mut statement = connection.prepare("SELECT value FROM meta WHERE key = 'open_ms'")?;
    let found = statement.query_row([], |row| number(row, 0)).optional()?;
    Ok(found.unwrap_or(0).max(0))
}

/// Stores of which sections a transaction takes messages in, with them: a crash after the receipt must not make
/// a device look silent. Inside the writer's transaction.
pub(in crate::queue) fn save_messages(
    connection: &Connection,
    shared: &Shared,
    messages: &Messages,
) -> rusqlite::Result<Stored> {
    let (open_ms, wall_ms) = (shared.clock.open_ms(), shared.clock.wall_ms());
    let due = shared.heard.due(messages, open_ms, wall_ms);
    write(connection, &due)?;
    Ok(due)
}

/// Stores what a reload has changed. Inside the writer's transaction; what it returns holds once that is on
/// stable storage.
pub(in crate::queue) fn save(connection: &Connection, shared: &Shared) -> rusqlite::Result<Stored> {
    let unsaved = shared.heard.unsaved();
    write(connection, &unsaved)?;
    Ok(unsaved)
}

fn write(connection: &Connection, stored: &Stored) -> rusqlite::Result<()> {
    for section in &stored.removed {
        connection
            .prepare_cached("DELETE FROM heard WHERE section = ?1")?
            .execute([section])?;
    }
    for (section, entry) in &stored.entries {
        let last = entry.last.as_ref();
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO heard
                     (section, network, watched_open_ms, heard_open_ms, heard_wall_ms, client)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                section,
                entry.network,
                entry.watched_ms,
                last.map(|last| last.open_ms),
                last.map(|last| last.wall_ms),
                last.map_or("", |last| &last.client),
            ])?;
    }
    Ok(())
}
