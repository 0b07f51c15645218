//! The tables of `queue.db`, and the way from an older version to this one.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::queue::{OpenError, StorageError};

/// `PRAGMA user_version` of the newest schema this program knows.
const VERSION: i64 = 2;

/// Each step brings the schema from its index to the next version.
const MIGRATIONS: [&str; VERSION as usize] =
    [include_str!("schema_1.sql"), include_str!("schema_2.sql")];

/// `exrq`, so that `file` and this program can tell our database from another.
const APPLICATION_ID: i64 = 0x6578_7271;

/// The one connection that writes.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    make_private(path).map_err(|source| OpenError::Folder {
        path: path.to_owned(),
        source,
    })?;
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    // Only of use before the first table: pages can then be handed back without a full VACUUM.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(OpenError::NoWal { mode });
    }
    // FULL: every commit is synced to the disk before it returns. Promise 1 rests on this line.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "OFF")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -8192)?;
    // The log is folded back by the writer between batches.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_prepared_statement_cache_capacity(64);
    migrate(&connection)?;
    Ok(connection)
}

/// SQLite gives the log beside the database the database's own mode.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// A connection for listings, which never holds the writer up.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StorageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "cache_size", -2048)?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found != VERSION {
        return Err(StorageError::Schema {
            found,
            known: VERSION,
        });
    }
    Ok(connection)
}

fn migrate(connection: &Connection) -> Result<(), OpenError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let foreign = if found == 0 {
        let table: Option<String> = connection
            .query_row("SELECT name FROM sqlite_schema LIMIT 1", [], |row| {
                row.get(0)
            })
            .optional()?;
        table.is_some()
    } else {
        application != APPLICATION_ID
    };
    if foreign {
        return Err(OpenError::NotAQueue);
    }
    if found > VERSION {
        return Err(OpenError::NewerSchema {
            found,
            known: VERSION,
        });
    }
    for (from, step) in (0_i64..).zip(MIGRATIONS).skip(found.max(0) as usize) {
        // One transaction for each step: a crash leaves one version or the other.
        connection.execute_batch(&format!(
            "BEGIN EXCLUSIVE;\n{step}\nPRAGMA application_id = {APPLICATION_ID};\n\
             PRAGMA user_version = {};\nCOMMIT;",
            from + 1
        ))?;
    }
    Ok(())
}
