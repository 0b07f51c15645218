//! What a queue folder holds, looked at in a copy: opening the original would recover it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: String,
    pub message_id: String,
    pub attempts: i64,
    /// As on disk: 0 ready, 1 sending, 2 deferred, 4 failed, 5 delivered.
    pub state: i64,
    /// 0 none, 1 in the database, 2 in a file.
    pub stored: i64,
}

impl Row {
    /// An attempt was under way.
    pub fn is_leased(&self) -> bool {
        self.state == 1
    }

    /// Still to be sent.
    pub fn is_waiting(&self) -> bool {
        self.state < 3
    }
}

/// Every row of the queue in `directory`, oldest first.
pub fn rows(directory: &Path) -> Vec<Row> {
    let copy = copy(directory);
    let connection = rusqlite::Connection::open(copy.path().join("queue.db")).unwrap();
    let mut statement = connection
        .prepare("SELECT id, message_id, attempts, state, stored FROM message ORDER BY seq")
        .unwrap();
    let rows = statement.query_map([], |row| {
        Ok(Row {
            id: row.get(0)?,
            message_id: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
            attempts: row.get(2)?,
            state: row.get(3)?,
            stored: row.get(4)?,
        })
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// The names in `content/`.
pub fn content_files(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory.join("content"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The database is whole, each content file has its row, and each row its file.
pub fn assert_sound(directory: &Path) {
    let copy = copy(directory);
    let connection = rusqlite::Connection::open(copy.path().join("queue.db")).unwrap();
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
    let mut named: Vec<_> = rows(directory)
        .into_iter()
        .filter(|row| row.stored == 2)
        .map(|row| row.id)
        .collect();
    named.sort();
    assert_eq!(content_files(directory), named);
}

/// Of the database alone.
fn copy(directory: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for name in ["queue.db", "queue.db-wal"] {
        let from: PathBuf = directory.join(name);
        if from.exists() {
            std::fs::copy(&from, copy.path().join(name)).unwrap();
        }
    }
    copy
}
