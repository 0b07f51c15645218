//! Whether damage is found, and nothing else.

use super::*;

fn problems(folder: &TempDir) -> Vec<String> {
    let verdict = verify(&folder.path().join("queue"), |_, _| {}).unwrap();
    assert_eq!(verdict.is_good(), verdict.problems.is_empty());
    let problems = verdict.problems.into_iter();
    problems.map(|problem| problem.what).collect()
}

fn damage(folder: &TempDir, sql: &str) {
    let connection = rusqlite::Connection::open(folder.path().join("queue/queue.db")).unwrap();
    connection.execute_batch(sql).unwrap();
}

#[tokio::test]
async fn a_sound_queue_is_whole_whether_a_daemon_runs_or_not() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    submit(&queue, b"x").await;
    submit(&queue, &vec![b'x'; 100_000]).await;
    for disposition in [Disposition::Delivered, Disposition::Failed] {
        submit(&queue, &vec![b'x'; 100_000]).await;
        let all = (0..2).map(|n| outcome(n, disposition, "reply")).collect();
        let lease = lease_one(&queue).await;
        lease
            .settle(&queue, settlement(all, Retry::Scheduled))
            .await
            .unwrap();
    }
    let mut coming = queue.draft(None).unwrap();
    coming.append(&vec![b'x'; 200_000]).await.unwrap();
    let mut told = Vec::new();
    let directory = folder.path().join("queue");
    let verdict = verify(&directory, |done, total| told.push((done, total))).unwrap();
    assert_eq!(verdict.problems, []);
    assert_eq!((verdict.waiting, verdict.files_coming_in), (2, 1));
    assert_eq!(told, [(4, 4)]);
    drop(coming);
    close(queue).await;
    assert_eq!(problems(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn every_damage_is_told() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let mut ids = Vec::new();
    for size in [1, 1, 1, 1, 100_000, 100_000] {
        ids.push(submit(&queue, &vec![b'x'; size]).await);
    }
    close(queue).await;
    let path = |id| content::path_of(&folder.path().join("queue"), id);
    std::fs::remove_file(path(ids[4])).unwrap();
    std::fs::write(path(ids[5]), "half").unwrap();
    std::fs::write(path(QueueId::parse("01ARZ3NDEKTSV4RR").unwrap()), "orphan").unwrap();
    damage(
        &folder,
        "DELETE FROM content WHERE seq = 1;
         DELETE FROM recipient WHERE seq = 2;
         UPDATE message SET state = 42 WHERE seq = 3;
         UPDATE message SET reverse_path = 'no address', account = '' WHERE seq = 4;
         INSERT INTO content VALUES (99, x'00');",
    );
    let found = problems(&folder);
    for expected in [
        "its content is missing",
        "it has no recipients",
        "its state 42 has no meaning",
        "its reverse-path is no address",
        "it has no account",
        "its content file: No such file or directory (os error 2)",
        "its content has 4 bytes and should have 100000",
        "a content file that no message names; the daemon removes it when it starts",
        "queue.db: 1 rows of table content belong to no message",
    ] {
        assert!(
            found.iter().any(|what| what == expected),
            "{expected} in {found:#?}"
        );
    }
    assert_eq!(found.len(), 9, "{found:#?}");
}

#[tokio::test]
async fn a_quarantined_message_is_told_until_it_is_released_or_deleted() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let id = submit(&queue, &vec![b'x'; 100_000]).await;
    let path = content::path_of(&folder.path().join("queue"), id);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, "half").unwrap();
    assert!(queue.lease("default", 1).await.unwrap().leases.is_empty());
    let found = problems(&folder);
    assert!(
        found[0].starts_with("quarantined: its content file"),
        "{found:?}"
    );

    std::fs::write(&path, &whole).unwrap();
    let root = Actor {
        name: "root (uid 0)".into(),
        through: Through::Folder,
    };
    let mut change = queue
        .change(Action::Release, &Selection::Ids(vec![id]), root)
        .unwrap();
    while change.step().await.unwrap() {}
    assert_eq!(problems(&folder), Vec::<String>::new());
    assert_eq!(read(&lease_one(&queue).await.content), whole);
}

#[tokio::test]
async fn a_torn_database_is_said_to_be_one() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    for _ in 0..50 {
        submit(&queue, &vec![b'x'; 5_000]).await;
    }
    close(queue).await;
    let path = folder.path().join("queue/queue.db");
    let mut octets = std::fs::read(&path).unwrap();
    let page = 4096;
    for octet in octets.iter_mut().skip(3 * page).take(8 * page) {
        *octet = 0x5a;
    }
    std::fs::write(&path, octets).unwrap();
    match verify(&folder.path().join("queue"), |_, _| {}) {
        Ok(verdict) => assert!(!verdict.is_good()),
        Err(error) => assert!(error.to_string().contains("malformed"), "{error}"),
    }
}
