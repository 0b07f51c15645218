//! What is done once, when the queue is opened.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use crate::queue::{OpenError, QueueId, content, query};

pub(super) fn make_folder(path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Folder {
        path: path.to_owned(),
        source,
    };
    if path.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed)?;
    // What is stored in it is worth nothing if the folder itself does not outlive a power cut.
    match path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        Some(parent) => File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(failed),
        None => Ok(()),
    }
}

/// The folder's own number, part of every id.
pub(super) fn node_of(connection: &Connection) -> rusqlite::Result<u32> {
    connection.execute(
        "INSERT OR IGNORE INTO meta (key, value) VALUES ('node', ?1)",
        [i64::from(fastrand::u32(..))],
    )?;
    let node: i64 =
        connection.query_row("SELECT value FROM meta WHERE key = 'node'", [], |row| {
            row.get(0)
        })?;
    Ok(node as u32)
}

pub(super) fn newest_id(connection: &Connection) -> rusqlite::Result<Option<QueueId>> {
    let newest: Option<String> = connection.query_row(
        "SELECT max(id) FROM (SELECT max(id) AS id FROM message UNION ALL SELECT max(id) FROM incident)",
        [],
        |row| row.get(0),
    )?;
    Ok(newest.and_then(|id| QueueId::parse(&id).ok()))
}

/// Content files that no row names are of messages that were never accepted.
pub(super) fn sweep_content(connection: &Connection, directory: &Path) -> Result<(), OpenError> {
    let mut known = connection.prepare("SELECT 1 FROM message WHERE id = ?1 AND stored = 2")?;
    let swept = content::sweep_orphans(directory, |id| {
        known
            .query_row([id.as_str()], |_| Ok(()))
            .optional()
            .map(|row| row.is_some())
    });
    match swept {
        Ok(0) => {}
        Ok(files) => tracing::info!(
            files,
            "removed content files of messages that were never accepted"
        ),
        // They take room but harm nothing; mail flows on.
        Err(error) => tracing::warn!(%error, "could not look for orphaned content files"),
    }
    Ok(())
}

/// Messages and bytes that wait, by client; a client may be there more than once.
pub(super) fn waiting(connection: &Connection) -> rusqlite::Result<Vec<(String, u64, u64)>> {
    // Grouped as the index is sorted, so that nothing is sorted again.
    let mut groups = connection.prepare(
        "SELECT client, count(*), sum(size_bytes) FROM message INDEXED BY message_waiting
         WHERE state < 4 GROUP BY account, state, client",
    )?;
    let counted = groups.query_map([], |row| {
        Ok((
            query::text(row, 0)?,
            query::number(row, 1)?.max(0) as u64,
            query::number(row, 2)?.max(0) as u64,
        ))
    })?;
    counted.collect()
}
