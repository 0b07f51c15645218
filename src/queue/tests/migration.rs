//! From version 1 to this one.

use super::*;

/// As version 1 has left it: a row of each kind.
fn version_1(folder: &TempDir) -> [QueueId; 4] {
    let directory = folder.path().join("queue");
    std::fs::create_dir_all(directory.join("content")).unwrap();
    let connection = rusqlite::Connection::open(directory.join("queue.db")).unwrap();
    connection
        .execute_batch(concat!(
            "PRAGMA journal_mode = WAL; PRAGMA auto_vacuum = INCREMENTAL;",
            include_str!("../schema_1.sql"),
            "PRAGMA application_id = 1702392433; PRAGMA user_version = 1;",
            "INSERT INTO meta VALUES ('node', 77); INSERT INTO account VALUES ('default', 5000);"
        ))
        .unwrap();
    let ids = ["1", "2", "3", "4"].map(|n| QueueId::parse(&format!("01K9Z3X4T5ABCDE{n}")).unwrap());
    for (seq, (id, state, stored, last_reply)) in (1..).zip([
        (ids[0], 0, 1, None),
        (ids[1], 2, 2, Some("451 4.7.0 busy")),
        (
            ids[2],
            3,
            2,
            Some("damaged: its content file has another size"),
        ),
        (ids[3], 5, 0, Some("250 2.0.0 OK")),
    ]) {
        connection
            .execute(
                "INSERT INTO message VALUES (?1, ?2, ?3, 'default', 0, 100, 1780000000000, NULL, 1, 5,
                     ?4, 'scanner@contoso.com', 0, 0, 'local', '127.0.0.1', 'scanner', 'Scan', '<1@x>', ?5)",
                rusqlite::params![seq, id.as_str(), state, stored, last_reply],
            )
            .unwrap();
        let recipient = "INSERT INTO recipient VALUES (?1, 0, 'desk@contoso.com', ?2, NULL)";
        let decided = i64::from(state == 5);
        connection.execute(recipient, [seq, decided]).unwrap();
        connection
            .execute(
                "INSERT INTO attempt VALUES (?1, 1, 1780000000000, 1780000001000, 'default',
                     'smtp.office365.com', 'deferred', '451 4.7.0 busy')",
                [seq],
            )
            .unwrap();
    }
    connection
        .execute("INSERT INTO content VALUES (1, x'68656c6c6f')", [])
        .unwrap();
    std::fs::write(content::path_of(&directory, ids[1]), "hello").unwrap();
    std::fs::write(content::path_of(&directory, ids[2]), "hel").unwrap();
    ids
}

#[tokio::test]
async fn a_queue_of_version_1_is_brought_up_to_date_with_all_its_mail() {
    let folder = TempDir::new().unwrap();
    let ids = version_1(&folder);
    let directory = folder.path().join("queue");
    let early = Reader::new(&directory).counts().unwrap_err();
    assert!(
        matches!(early, StorageError::Schema { found: 1, known: 3 }),
        "{early}"
    );

    let queue = open(&folder);
    assert_eq!(queue.used(), (3, 15));
    let shown = ids.map(|id| queue.reader().show(id).unwrap().unwrap());
    let states = shown.each_ref().map(|detail| detail.message.state);
    assert_eq!(
        states,
        [
            MessageState::Ready,
            MessageState::Deferred,
            MessageState::Held,
            MessageState::Delivered
        ]
    );
    assert_eq!(
        shown[2].message.quarantined.as_deref(),
        Some("its content file has another size")
    );
    assert!(shown[0].message.quarantined.is_none() && shown[0].tls.is_none());
    for detail in &shown {
        assert_eq!(detail.history.len(), 1);
        assert!(!detail.history[0].uncertain && detail.history[0].connection.is_none());
        assert_eq!(detail.events, []);
    }
    let leased = queue.lease("default", 10).await.unwrap().leases;
    let contents = leased.iter().map(|lease| read(&lease.content));
    assert_eq!(contents.collect::<Vec<_>>(), [b"hello", b"hello"]);
    assert!(submit(&queue, b"new").await > ids[3]);
    drop(leased);
    close(queue).await;
    let queue = open(&folder);
    assert_eq!(queue.used().0, 4, "the second start finds nothing to do");
    close(queue).await;
    let verdict = verify(&directory, |_, _| {}).unwrap();
    let wrong: Vec<_> = verdict.problems.iter().map(|one| one.id.clone()).collect();
    assert!(
        wrong.iter().all(|id| *id == Some(ids[2].to_string())),
        "{verdict:?}"
    );
}
