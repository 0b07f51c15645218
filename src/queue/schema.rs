//! The tables of `queue.db`, and the way from an older version to this one.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use rustix::fs::Advice;

use crate::owner;
use crate::queue::{OpenError, StorageError, error};

/// Each step brings the schema from its index to the next version.
const MIGRATIONS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
    include_str!("schema_8.sql"),
    include_str!("schema_9.sql"),
    include_str!("schema_10.sql"),
];

/// `PRAGMA user_version` of the newest schema this program knows.
const VERSION: i64 = MIGRATIONS.len() as i64;

/// `exrq`, so that `file` and this program can tell our database from another.
const APPLICATION_ID: i64 = 0x6578_7271;

/// `PRAGMA auto_vacuum`.
const INCREMENTAL: i64 = 2;

/// The one connection that writes.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    make_private(path).map_err(|source| OpenError::Folder {
        path: path.to_owned(),
        source,
    })?;
    forget_unsynced(&log_of(path))?;
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    // Only of use before the first table: pages can then be handed back without a full VACUUM. Said
    // again it would be a write, and a full disk would keep the daemon from starting.
    let auto_vacuum: i64 = connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
    if auto_vacuum != INCREMENTAL {
        connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    }
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
    fold_back(&connection)?;
    migrate(&connection)?;
    Ok(connection)
}

fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// What a daemon that died has left of its log is read from the disk, not from memory: after a sync
/// that failed, the kernel shows octets which the disk may never have got.
fn forget_unsynced(log: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Folder {
        path: log.to_owned(),
        source,
    };
    match OpenOptions::new().read(true).write(true).open(log) {
        Ok(file) => {
            file.sync_all().map_err(failed)?;
            let advised = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
            advised.map_err(|errno| failed(errno.into()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Nothing new is appended to what another daemon has left: once all of the log is in the database,
/// it is written from its beginning.
fn fold_back(connection: &Connection) -> Result<(), OpenError> {
    match connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        // A full disk, say: the log is sound, and is folded back later.
        Err(error) if error::changed_nothing(&error) => {
            tracing::warn!(%error, "the log of queue.db cannot be folded back for now");
            Ok(())
        }
        folded => Ok(folded?),
    }
}

/// SQLite gives the log beside the database the database's own mode.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(0o600).open(path)?;
    // SQLite gives its log to whoever owns the database, and so does the daemon that comes after root.
    owner::adopt(&file, path.parent().unwrap_or(path))
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

pub(super) fn migrate(connection: &Connection) -> Result<(), OpenError> {
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_queue_that_root_makes_first_belongs_to_the_owner_of_its_folder() {
        let folder = TempDir::new().unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(folder.path(), Some(65_534), Some(65_534)).unwrap();
        }
        let path = folder.path().join("queue.db");
        let connection = open_writer(&path).unwrap();
        let owner = |path: &Path| std::fs::metadata(path).unwrap().uid();
        for made in [path.clone(), log_of(&path)] {
            assert_eq!(owner(&made), owner(folder.path()), "{}", made.display());
        }
        drop(connection);
    }

    #[test]
    fn opening_what_is_up_to_date_writes_nothing() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("queue.db");
        drop(open_writer(&path).unwrap());
        let before = std::fs::read(&path).unwrap();
        let connection = open_writer(&path).unwrap();
        let log = std::fs::metadata(log_of(&path)).map_or(0, |metadata| metadata.len());
        assert_eq!(log, 0);
        drop(connection);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_log_left_by_a_crash_is_folded_back_before_anything_is_added() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("queue.db");
        let crashed = open_writer(&path).unwrap();
        let insert = "INSERT INTO meta (key, value) VALUES ('x', zeroblob(100000))";
        crashed.execute(insert, []).unwrap();
        let copy = folder.path().join("copy.db");
        std::fs::copy(&path, &copy).unwrap();
        std::fs::copy(log_of(&path), log_of(&copy)).unwrap();
        let size_before = std::fs::metadata(log_of(&copy)).unwrap().len();
        let connection = open_writer(&copy).unwrap();
        connection
            .execute("DELETE FROM meta WHERE key = 'y'", [])
            .unwrap();
        connection
            .execute("INSERT INTO meta (key, value) VALUES ('y', 1)", [])
            .unwrap();
        assert_eq!(
            std::fs::metadata(log_of(&copy)).unwrap().len(),
            size_before,
            "begun anew"
        );
        let sum: i64 = connection
            .query_row(
                "SELECT sum(length(value)) FROM meta WHERE key IN ('x', 'y')",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(sum, 100_001);
    }
}
