//! Many clients and one queue.

use super::hands::{act, settle_all};
use super::*;

async fn submit_from(queue: &Queue, client: &str) -> Result<QueueId, DraftError> {
    let mut draft = queue.draft_from(client, Some(1))?;
    draft.append(b"x").await?;
    let mut submission = submission(&["a@contoso.com"]);
    submission.origin.client = client.into();
    Ok(draft.commit(submission).await?.queue_id())
}

fn narrow(folder: &TempDir) -> Queue {
    let mut narrow = settings(folder.path());
    narrow.limits.messages_max = 10;
    Queue::open(narrow).unwrap()
}

/// As many messages of `client` as the queue takes, and why it takes no more.
async fn fill(queue: &Queue, client: &str) -> (usize, Full) {
    let mut taken = 0;
    loop {
        match submit_from(queue, client).await {
            Ok(_) => taken += 1,
            Err(DraftError::Full(full)) => return (taken, full),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn three_messages_do_not_wait_for_hundreds() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    for _ in 0..200 {
        submit_from(&queue, "10.0.0.1").await.unwrap();
    }
    let mut few = Vec::new();
    for _ in 0..3 {
        few.push(submit_from(&queue, "10.0.0.2").await.unwrap());
    }
    let first = queue.lease("default", 2).await.unwrap().leases;
    let next = queue.lease("default", 4).await.unwrap().leases;
    let ids: Vec<_> = first.iter().chain(&next).map(|lease| lease.id).collect();
    assert_eq!([ids[1], ids[3], ids[5]], few[..]);
    drop((first, next));
    close(queue).await;
    let queue = open(&folder);
    let leases = queue.lease("default", 6).await.unwrap().leases;
    let again: Vec<_> = leases.iter().map(|lease| lease.id).collect();
    assert_eq!(again, ids, "in the order in which they came, by turns");
}

#[tokio::test]
async fn a_client_whose_name_is_damaged_keeps_nobody_waiting() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    for n in 0..6 {
        submit_from(&queue, &format!("10.0.0.{n}")).await.unwrap();
    }
    close(queue).await;
    let database = folder.path().join("queue/queue.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection
        .execute_batch(
            "UPDATE message SET client = x'ff' WHERE seq = 1;
             UPDATE message SET client = CAST(x'31ff' AS TEXT) WHERE seq IN (2, 3);
             UPDATE message SET due_ms = 'soon' WHERE seq = 4;",
        )
        .unwrap();
    drop(connection);
    let queue = open(&folder);
    for _ in 0..6 {
        settle_all(&queue, Disposition::Delivered, Retry::Scheduled).await;
    }
    assert_eq!(queue.used(), (0, 0));
    assert_eq!(
        fill_alone(&folder, queue).await,
        10,
        "nothing of it is left"
    );
}

/// How much one client can have of a queue that should be empty.
async fn fill_alone(folder: &TempDir, queue: Queue) -> usize {
    let mut narrow = settings(folder.path());
    narrow.limits.messages_max = 10;
    queue.retune(&narrow);
    let (taken, full) = fill(&queue, "10.0.9.9").await;
    assert_eq!(full, Full::Messages);
    taken
}

#[tokio::test]
async fn who_fills_the_queue_leaves_the_last_of_it_to_others_even_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let queue = narrow(&folder);
    for _ in 0..9 {
        submit_from(&queue, "10.0.0.1").await.unwrap();
    }
    submit_from(&queue, "10.0.0.2").await.unwrap();
    assert_eq!(fill(&queue, "10.0.0.3").await, (0, Full::Messages));
    settle_all(&queue, Disposition::Delivered, Retry::Scheduled).await;
    assert_eq!(fill(&queue, "10.0.0.1").await, (0, Full::Share));
    close(queue).await;

    let queue = narrow(&folder);
    assert_eq!(queue.used().0, 9);
    assert_eq!(fill(&queue, "10.0.0.1").await, (0, Full::Share));
    assert!(queue.draft(None).is_ok(), "an operator needs no share");
    assert_eq!(fill(&queue, "10.0.0.3").await, (1, Full::Messages));
    for (left, expected) in [
        (9, (0, Full::Share)),
        (8, (0, Full::Share)),
        // Nobody else is there any more.
        (7, (3, Full::Messages)),
    ] {
        settle_all(&queue, Disposition::Delivered, Retry::Scheduled).await;
        assert_eq!(queue.used().0, left);
        assert_eq!(fill(&queue, "10.0.0.1").await, expected);
    }
}

#[tokio::test]
async fn what_has_ended_is_held_against_nobody() {
    let folder = TempDir::new().unwrap();
    let queue = narrow(&folder);
    for disposition in [Disposition::Delivered, Disposition::Failed] {
        submit_from(&queue, "10.0.0.1").await.unwrap();
        settle_all(&queue, disposition, Retry::Scheduled).await;
    }
    let failed = Selection::Filter(Filter {
        state: Some(MessageState::Failed),
        ..Filter::default()
    });
    assert_eq!(act(&queue, Action::Retry, failed).await.touched, 1);
    submit_from(&queue, "10.0.0.2").await.unwrap();
    // Reserved by nobody, and stored as somebody's.
    submit(&queue, b"a longer one").await;
    drop(queue.draft_from("10.0.0.3", Some(500)).unwrap());
    assert_eq!(queue.used(), (3, 14));
    assert_eq!(fill(&queue, "10.0.0.4").await, (5, Full::Share));
    assert_eq!(act(&queue, Action::Delete, Selection::All).await.touched, 8);
    assert_eq!(queue.used(), (0, 0));
    assert_eq!(fill(&queue, "10.0.0.4").await, (10, Full::Messages));
}

#[tokio::test]
async fn bytes_are_shared_as_messages_are() {
    let folder = TempDir::new().unwrap();
    let mut small = settings(folder.path());
    small.limits.bytes_max = 100_000;
    let queue = Queue::open(small).unwrap();
    let from = |client| queue.draft_from(client, Some(10_000));
    let mut flood = (0..8)
        .map(|_| from("10.0.0.1").unwrap())
        .collect::<Vec<_>>();
    let one = from("10.0.0.2").unwrap();
    assert!(matches!(
        from("10.0.0.1"),
        Err(DraftError::Full(Full::Share))
    ));
    let grown = flood[0].append(&[b'x'; 10_001]).await;
    assert!(matches!(grown, Err(DraftError::Full(Full::Share))));
    let other = from("10.0.0.2").unwrap();
    assert_eq!(queue.used(), (10, 100_000));
    drop((one, other));
    flood.push(from("10.0.0.1").unwrap());
    assert_eq!(queue.used(), (9, 90_000), "nobody else is there any more");
}
