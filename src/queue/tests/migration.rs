//! From older versions to this one.

use super::time::TestTime;
use super::*;

/// As an earlier version has left it: a row of each kind.
fn left_by(version: i64, folder: &TempDir) -> [QueueId; 4] {
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
    let steps = [
        include_str!("../schema_2.sql"),
        include_str!("../schema_3.sql"),
    ];
    for (step, version) in steps.iter().zip(2..=version) {
        let step = format!("{step} PRAGMA user_version = {version};");
        connection.execute_batch(&step).unwrap();
    }
    std::fs::write(content::path_of(&directory, ids[1]), "hello").unwrap();
    std::fs::write(content::path_of(&directory, ids[2]), "hel").unwrap();
    ids
}

#[tokio::test]
async fn a_queue_of_an_earlier_version_is_brought_up_to_date_with_all_its_mail() {
    for version in [1, 2, 3] {
        is_brought_up_to_date(version).await;
    }
}

async fn is_brought_up_to_date(version: i64) {
    let folder = TempDir::new().unwrap();
    let ids = left_by(version, &folder);
    let directory = folder.path().join("queue");
    let early = Reader::new(&directory).counts().unwrap_err();
    assert!(
        matches!(early, StorageError::Schema { found, known: 10 } if found == version),
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

/// As version 2 has left it at `queue_ms`, if it got so far: (state, `due_ms`, `ended_wall_ms`) of each
/// message, the last of them received at `received_wall_ms`.
fn version_2(
    folder: &TempDir,
    queue_ms: Option<i64>,
    received_wall_ms: i64,
    messages: &[(MessageState, i64, Option<i64>)],
) {
    let directory = folder.path().join("queue");
    std::fs::create_dir_all(directory.join("content")).unwrap();
    let connection = rusqlite::Connection::open(directory.join("queue.db")).unwrap();
    connection
        .execute_batch(concat!(
            "PRAGMA journal_mode = WAL; PRAGMA auto_vacuum = INCREMENTAL;",
            include_str!("../schema_1.sql"),
            include_str!("../schema_2.sql"),
            "PRAGMA application_id = 1702392433; PRAGMA user_version = 2;",
        ))
        .unwrap();
    if let Some(queue_ms) = queue_ms {
        let insert = "INSERT INTO meta VALUES ('queue_ms', ?1)";
        connection.execute(insert, [queue_ms]).unwrap();
    }
    for (n, (state, due_ms, ended_wall_ms)) in messages.iter().enumerate() {
        connection
            .execute(
                "INSERT INTO message (id, state, account, due_ms, born_ms, received_wall_ms,
                     ended_wall_ms, attempts, size_bytes, stored, reverse_path, eight_bit, smtputf8,
                     listener, client, helo)
                 VALUES (?1, ?2, 'default', ?3, 0, ?4, ?5, 1, 0, 0, '', 0, 0, 'local', '', '')",
                rusqlite::params![
                    format!("01K9Z3X4T5ABCDE{n}"),
                    state.number(),
                    due_ms,
                    received_wall_ms,
                    ended_wall_ms
                ],
            )
            .unwrap();
    }
}

#[tokio::test]
async fn what_had_ended_under_version_2_is_as_old_as_the_clocks_agree_on() {
    use MessageState::{Deleted, Delivered, Failed, Held};
    const HOUR: i64 = 3_600_000;
    const NOW: i64 = 1_780_000_000_000;
    const FAR: i64 = 4_070_908_800_000;
    let ended = |state, hours| (state, NOW - hours * HOUR, Some(NOW - hours * HOUR));
    // Kept for 24 hours: which of these are left after each hour that the daemon runs?
    let ordinary = [
        ended(Failed, 22),
        ended(Delivered, 2),
        // Deferred for long when it was deleted; and accepted long before it was.
        (Deleted, NOW + 5 * HOUR, Some(NOW - 22 * HOUR)),
        (Deleted, NOW - 99 * HOUR, Some(NOW - 2 * HOUR)),
        (Delivered, 0, None),
        (Held, 0, None),
    ];
    let all = [0, 1, 2, 3, 4, 5];
    for (queue_ms, received_ms, wall_ms, messages, left_after_3_hours) in [
        (Some(NOW), NOW, NOW, &ordinary[..], &[1, 3, 4, 5][..]),
        // The wall clock is wrong now, or was wrong at some start: kept for longer, if anything.
        (Some(NOW), NOW, 0, &ordinary, &[1, 3, 4, 5]),
        (Some(FAR), NOW, NOW, &ordinary, &[1, 3, 4, 5]),
        (Some(NOW), FAR, NOW, &ordinary, &[1, 3, 4, 5]),
        (Some(NOW), NOW - 22 * HOUR, NOW, &ordinary, &all),
        (Some(FAR), FAR, FAR, &[(Failed, FAR, Some(FAR))], &[0]),
        // Killed before it had stored its clock: the rows tell of it.
        (None, NOW, 0, &[ended(Failed, 22), ended(Failed, 0)], &[1]),
    ] {
        let folder = TempDir::new().unwrap();
        version_2(&folder, queue_ms, received_ms, messages);
        let time = TestTime::at(wall_ms);
        let queue = time.open(settings(folder.path()));
        let left = || {
            let left = (0..messages.len()).filter(|n| {
                let id = QueueId::parse(&format!("01K9Z3X4T5ABCDE{n}")).unwrap();
                queue.reader().show(id).unwrap().is_some()
            });
            left.collect::<Vec<_>>()
        };
        queue.maintain().await.unwrap();
        assert_eq!(left(), all[..messages.len()]);
        time.pass(Duration::from_hours(3));
        queue.maintain().await.unwrap();
        assert_eq!(
            left(),
            left_after_3_hours,
            "{queue_ms:?} {received_ms} {wall_ms}"
        );
    }
}
