//! What is damaged is set aside, out of the way of the others.

use super::*;

#[tokio::test]
async fn a_damaged_message_is_set_aside_and_others_flow_on() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let damaged = submit(&queue, &vec![b'x'; 100_000]).await;
    let whole = submit(&queue, b"x").await;
    std::fs::remove_file(content::path_of(&folder.path().join("queue"), damaged)).unwrap();
    let leased = queue.lease("default", 10).await.unwrap();
    assert_eq!(
        leased
            .leases
            .iter()
            .map(|lease| lease.id)
            .collect::<Vec<_>>(),
        [whole]
    );
    let detail = queue.reader().show(damaged).unwrap().unwrap();
    assert_eq!(detail.message.state, MessageState::Held);
    let why = detail.message.quarantined.unwrap();
    assert!(why.starts_with("its content file"), "{why}");
    assert_eq!(detail.events[0].action, "quarantined");
    assert_eq!(queue.reader().counts().unwrap().quarantined, 1);
}

#[tokio::test]
async fn a_damaged_row_is_set_aside_and_others_flow_on() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let ids = [submit(&queue, b"x").await, submit(&queue, b"y").await];
    close(queue).await;
    let database = folder.path().join("queue/queue.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    let damage = "UPDATE message SET eight_bit = 'maybe', subject = x'ff00' WHERE id = ?1";
    connection.execute(damage, [ids[0].as_str()]).unwrap();
    drop(connection);
    let queue = open(&folder);
    let leased = queue.lease("default", 10).await.unwrap().leases;
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].id, ids[1]);
    let detail = queue.reader().show(ids[0]).unwrap().unwrap();
    let why = detail.message.quarantined.unwrap();
    assert!(why.starts_with("its row: "), "{why}");
}
