//! The life of every message.

use jiff::Timestamp;

use super::*;

fn history(queue: &Queue, filter: &HistoryFilter) -> Vec<MessageDetail> {
    let mut found = Vec::new();
    let each = |detail| {
        found.push(detail);
        std::ops::ControlFlow::Continue(())
    };
    queue.reader().history(filter, each).unwrap();
    found
}

#[tokio::test]
async fn history_is_paged_in_the_order_of_ids() {
    let folder = TempDir::new().unwrap();
    let mut wide = settings(folder.path());
    wide.limits.messages_max = 10_000;
    let queue = Queue::open(wide).unwrap();
    let mut drafts = tokio::task::JoinSet::new();
    for _ in 0..1_003 {
        let queue = queue.clone();
        drafts.spawn(async move { submit(&queue, b"x").await });
    }
    let mut ids = drafts.join_all().await;
    ids.sort();
    let found = history(&queue, &HistoryFilter::default());
    let found: Vec<_> = found
        .iter()
        .map(|detail| detail.message.id.as_str())
        .collect();
    assert_eq!(found, ids.iter().map(QueueId::as_str).collect::<Vec<_>>());
    let mut first = 0;
    let stop = |_| {
        first += 1;
        std::ops::ControlFlow::Break(())
    };
    queue
        .reader()
        .history(&HistoryFilter::default(), stop)
        .unwrap();
    assert_eq!(first, 1);
}

#[tokio::test]
async fn the_last_come_first_and_no_more_than_were_asked_for() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(submit(&queue, b"x").await.to_string());
    }
    ids.reverse();
    let last = |last, state| {
        let filter = HistoryFilter {
            last: Some(last),
            state,
            ..HistoryFilter::default()
        };
        let found = history(&queue, &filter);
        found
            .into_iter()
            .map(|detail| detail.message.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(last(3, None), ids[..3]);
    assert_eq!(last(4, None), ids);
    assert_eq!(last(u32::MAX, None), ids);
    assert_eq!(last(0, None), [""; 0]);
    let lease = lease_one(&queue).await;
    assert_eq!(last(9, Some(MessageState::Sending)), ids[3..]);
    drop(lease);
}

#[tokio::test]
async fn the_last_are_paged_too() {
    let folder = TempDir::new().unwrap();
    let mut wide = settings(folder.path());
    wide.limits.messages_max = 10_000;
    let queue = Queue::open(wide).unwrap();
    let mut drafts = tokio::task::JoinSet::new();
    for _ in 0..1_003 {
        let queue = queue.clone();
        drafts.spawn(async move { submit(&queue, b"x").await });
    }
    let mut ids = drafts.join_all().await;
    ids.sort();
    let filter = HistoryFilter {
        last: Some(1_001),
        ..HistoryFilter::default()
    };
    let found = history(&queue, &filter);
    let found: Vec<_> = found
        .iter()
        .map(|detail| detail.message.id.as_str())
        .collect();
    let expected: Vec<_> = ids.iter().rev().take(1_001).map(QueueId::as_str).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn mail_is_found_by_a_part_of_what_is_known_of_it() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let id = submit(&queue, b"x").await.to_string();
    let mut other = submission(&["c@fabrikam.com"]);
    other.subject = Some("100% o'clock_".into());
    other.message_id = None;
    other.origin.client = "10.1.2.3".into();
    let draft = queue.draft(None).unwrap();
    let other = draft.commit(other).await.unwrap().queue_id().to_string();
    let found = |text: &str| {
        let filter = HistoryFilter {
            text: Some(text.into()),
            ..HistoryFilter::default()
        };
        let found = history(&queue, &filter);
        found
            .into_iter()
            .map(|detail| detail.message.id)
            .collect::<Vec<_>>()
    };
    let (first, second) = (id.as_str(), other.as_str());
    for (text, expected) in [
        ("SCANNER@", &[first, second][..]),
        ("b@contoso", &[first]),
        ("Fabrikam", &[second]),
        ("scan", &[first, second]),
        ("<1@", &[first]),
        ("0% O'CLOCK_", &[second]),
        ("_clock", &[]),
        ("10.1.", &[second]),
        (&first[4..], &[first]),
        (&first.to_lowercase(), &[first]),
        // One part's end and the next one's beginning are no text.
        ("comscan", &[]),
        ("", &[first, second]),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

#[tokio::test]
async fn delivered_mail_is_found_by_time_address_state_and_id() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let ids = [submit(&queue, b"x").await, submit(&queue, b"y").await];
    let lease = lease_one(&queue).await;
    let all = (0..2).map(|n| outcome(n, Disposition::Delivered, "250 2.0.0 OK"));
    let mut settled = settlement(all.collect(), Retry::Scheduled);
    settled.uncertain = true;
    lease.settle(&queue, settled).await.unwrap();

    let delivered = HistoryFilter {
        state: Some(MessageState::Delivered),
        to: Some(AddressPattern::parse("*@contoso.com").unwrap()),
        ..HistoryFilter::default()
    };
    let [detail] = &history(&queue, &delivered)[..] else {
        panic!("one was delivered");
    };
    assert_eq!(detail.message.id, ids[0].to_string());
    assert_eq!(detail.message.recipients.len(), 2);
    assert!(detail.history[0].uncertain);
    assert_eq!(detail.history[0].connection, Some(7));
    let received_at = detail.message.received_at;

    let since = |since: Timestamp| HistoryFilter {
        since: Some(since),
        ..HistoryFilter::default()
    };
    assert_eq!(history(&queue, &since(received_at)).len(), 2);
    assert_eq!(history(&queue, &since(Timestamp::UNIX_EPOCH)).len(), 2);
    assert_eq!(history(&queue, &since(Timestamp::MIN)).len(), 2);
    assert_eq!(history(&queue, &since(Timestamp::MAX)).len(), 0);
    let one = |id| HistoryFilter {
        id: Some(id),
        ..HistoryFilter::default()
    };
    assert_eq!(
        history(&queue, &one(ids[1]))[0].message.id,
        ids[1].to_string()
    );
    assert_eq!(
        history(&queue, &one(QueueId::parse("0000000000000000").unwrap())),
        []
    );
}

#[tokio::test]
async fn an_attempt_that_does_not_count_is_told_when_it_decided_something() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let id = submit(&queue, b"x").await;
    let trouble = vec![
        outcome(0, Disposition::Delivered, "250 2.0.0 OK"),
        outcome(1, Disposition::Deferred, "432 4.3.2 later"),
    ];
    let trouble = settlement(trouble, Retry::WithoutCounting);
    lease_one(&queue)
        .await
        .settle(&queue, trouble)
        .await
        .unwrap();
    let nothing = settlement(vec![], Retry::WithoutCounting);
    lease_one(&queue)
        .await
        .settle(&queue, nothing)
        .await
        .unwrap();
    let detail = queue.reader().show(id).unwrap().unwrap();
    assert_eq!(detail.message.attempts, 0);
    assert_eq!(detail.history.len(), 1);
    assert_eq!(detail.history[0].result, "delivered, deferred");
}

#[tokio::test]
async fn a_period_is_found_through_the_index_of_ids() {
    let folder = TempDir::new().unwrap();
    close(open(&folder)).await;
    let connection = rusqlite::Connection::open(folder.path().join("queue/queue.db")).unwrap();
    let plan: String = connection
        .query_row(
            "EXPLAIN QUERY PLAN SELECT seq FROM message
             WHERE id >= ?1 AND (?2 IS NULL OR id <= ?2) AND received_wall_ms >= 5
             ORDER BY id LIMIT 500",
            ["", ""],
            |row| row.get("detail"),
        )
        .unwrap();
    assert!(plan.contains("SEARCH") && plan.contains("(id>?)"), "{plan}");
}
