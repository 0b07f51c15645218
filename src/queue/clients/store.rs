//! Clients on the disk.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::ledger::{CLIENTS_MAX, Clients, Saved};
use super::record::ClientRecord;
use crate::queue::query::{number, text};
use crate::queue::store::Shared;

/// A busy client is not written more often.
const PAUSE: Duration = Duration::from_mins(1);

/// Clients in one transaction: mail waits for it.
const STEP_MAX: usize = 100;

pub(in crate::queue) fn load(connection: &Connection) -> rusqlite::Result<Clients> {
    Ok(Clients::loaded(read(connection)?))
}

/// With the queue time each was last seen. What makes no sense is left out: it must not keep the daemon from
/// starting.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<(ClientRecord, i64)>> {
    let mut rows = connection
        .prepare("SELECT client, seen_ms, record FROM client ORDER BY seen_ms DESC LIMIT ?1")?;
    let rows = rows.query_map([CLIENTS_MAX as i64], |row| {
        Ok((text(row, 0)?, number(row, 1)?, text(row, 2)?))
    })?;
    let mut records = Vec::new();
    for row in rows {
        let (client, seen_ms, record) = row?;
        if let Ok(record) = serde_json::from_str::<ClientRecord>(&record)
            && record.client == client
        {
            records.push((record, seen_ms));
        }
    }
    Ok(records)
}

/// Stores some of what is due. Inside the writer's transaction; what it returns holds once that is on stable
/// storage.
pub(in crate::queue) fn save(connection: &Connection, shared: &Shared) -> rusqlite::Result<Saved> {
    save_some(connection, shared, PAUSE, STEP_MAX)
}

/// Stores everything, in a transaction of its own: nothing comes after it.
pub(in crate::queue) fn save_all(connection: &Connection, shared: &Shared) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    save_some(&transaction, shared, Duration::ZERO, CLIENTS_MAX)?;
    transaction.commit()
}

fn save_some(
    connection: &Connection,
    shared: &Shared,
    pause: Duration,
    max: usize,
) -> rusqlite::Result<Saved> {
    let now_ms = shared.clock.now_ms();
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let unseen_ms = now_ms.saturating_sub(millis(shared.tuning().retention.delivered));
    let (unsaved, saved) = shared
        .clients
        .unsaved(now_ms, unseen_ms, millis(pause), max);
    for client in saved.removed() {
        connection
            .prepare_cached("DELETE FROM client WHERE client = ?1")?
            .execute([client])?;
    }
    for one in unsaved {
        let record = serde_json::to_string(&one.record)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO client (client, seen_ms, record) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![one.record.client, one.seen_ms, record])?;
    }
    Ok(saved)
}
