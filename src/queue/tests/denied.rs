//! Refused senders: remembered for a while, across restarts, and forgotten.

use std::sync::Arc;

use super::time::TestTime;
use super::*;

const DAY: Duration = Duration::from_hours(24);

fn addresses(queue: &Queue) -> Vec<(String, String)> {
    let all = queue.denied_senders().into_iter();
    all.map(|one| (one.account, one.address)).collect()
}

fn pair(account: &str, address: &str) -> (String, String) {
    (account.to_owned(), address.to_owned())
}

#[tokio::test]
async fn a_refused_sender_is_remembered_for_its_account_and_its_time() {
    let folder = TempDir::new().unwrap();
    let time = TestTime::at(1_790_000_000_000);
    let open = || Queue::open_at(settings(folder.path()), Arc::new(time.clone())).unwrap();
    let queue = open();
    assert!(!queue.has_denied("default"));
    let remembered = queue.remember_denied("default", "Scan@b.c", DAY).await;
    remembered.unwrap();
    time.pass(DAY / 2);
    queue.remember_denied("other", "x@b.c", DAY).await.unwrap();
    assert!(queue.has_denied("default") && queue.is_denied("default", "SCAN@b.c"));
    assert!(!queue.is_denied("other", "scan@b.c") && !queue.is_denied("default", "x@b.c"));
    let until = queue.denied_senders()[0].until;
    assert_eq!(until.as_millisecond(), 1_790_000_000_000 + 24 * 3_600_000);
    close(queue).await;

    let queue = open();
    let both = [pair("default", "scan@b.c"), pair("other", "x@b.c")];
    assert_eq!(addresses(&queue), both);
    time.pass(DAY / 2);
    assert!(!queue.is_denied("default", "scan@b.c"), "its time is over");
    assert_eq!(addresses(&queue), both[1..]);
    // What is over goes from the table with the next that comes.
    let remembered = queue.remember_denied("default", "y@b.c", DAY).await;
    remembered.unwrap();
    close(queue).await;
    let database = folder.path().join("queue/queue.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    let count = "SELECT count(*) FROM denied_sender";
    let rows: i64 = connection.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2);
}

#[tokio::test]
async fn senders_are_forgotten_by_account_and_address() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    for (account, address) in [
        ("a", "x@b.c"),
        ("a", "y@b.c"),
        ("b", "x@b.c"),
        ("c", "z@b.c"),
    ] {
        let remembered = queue.remember_denied(account, address, DAY).await;
        remembered.unwrap();
    }
    let forget = |account, address| queue.forget_denied(account, address);
    assert_eq!(forget(Some("a"), Some("z@b.c")).await.unwrap(), 0);
    assert_eq!(forget(Some("c"), None).await.unwrap(), 1);
    assert!(!queue.has_denied("c"));
    assert_eq!(forget(None, Some("X@b.c")).await.unwrap(), 2);
    assert_eq!(addresses(&queue), [pair("a", "y@b.c")]);
    // Beside a daemon, or without one, a reader sees the same.
    let seen = Reader::new(&folder.path().join("queue")).denied_senders();
    assert_eq!(seen.unwrap().len(), 1);
    assert_eq!(forget(None, None).await.unwrap(), 1);
    assert_eq!(addresses(&queue), []);
    close(queue).await;
}

#[tokio::test]
async fn no_more_senders_are_remembered_than_there_is_room_for() {
    let folder = TempDir::new().unwrap();
    close(open(&folder)).await;
    let database = folder.path().join("queue/queue.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
         INSERT INTO denied_sender SELECT 'a', 'n' || i || '@b.c', value + 1000000000 + i
         FROM n, meta WHERE key = 'queue_ms'";
    connection.execute(fill, []).unwrap();
    drop(connection);
    let queue = open(&folder);
    assert_eq!(queue.denied_senders().len(), 10_000);
    let remembered = queue.remember_denied("a", "new@b.c", DAY * 100).await;
    remembered.unwrap();
    assert_eq!(queue.denied_senders().len(), 10_000);
    assert!(queue.is_denied("a", "new@b.c") && queue.is_denied("a", "n2@b.c"));
    assert!(!queue.is_denied("a", "n1@b.c"), "it would have gone next");
    close(queue).await;
}
