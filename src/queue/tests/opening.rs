//! Folders that are not ours to open.

use tempfile::TempDir;

use super::{close, open, settings};
use crate::queue::{OpenError, Queue};

#[tokio::test]
async fn a_second_daemon_is_refused_and_told_who_holds_the_folder() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let error = Queue::open(settings(folder.path())).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&format!("process {}", std::process::id())),
        "{text}"
    );
    close(queue).await;
    open(&folder);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    close(open(&folder)).await;
    let database = folder.path().join("queue/queue.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = Queue::open(settings(folder.path())).unwrap_err();
    assert!(
        matches!(error, OpenError::NewerSchema { found: 99, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_foreign_database_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("queue")).unwrap();
    let database = folder.path().join("queue/queue.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection
        .execute_batch("CREATE TABLE photos (name TEXT)")
        .unwrap();
    drop(connection);
    let error = Queue::open(settings(folder.path())).unwrap_err();
    assert!(matches!(error, OpenError::NotAQueue), "{error}");
}
