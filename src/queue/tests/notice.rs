//! What is owed to senders, and storing that they were told.

use jiff::Timestamp;

use super::*;
use crate::mail::NoticeKind;

async fn settle(queue: &Queue, outcomes: [Disposition; 2], retry: Retry) {
    let outcomes = (0..).zip(outcomes);
    let outcomes = outcomes.map(|(n, one)| outcome(n, one, "550 5.1.1 no"));
    let settlement = settlement(outcomes.collect(), retry);
    lease_one(queue)
        .await
        .settle(queue, settlement)
        .await
        .unwrap();
}

/// As [`settle`], of this message among all that wait.
async fn settle_one(queue: &Queue, id: QueueId, outcomes: [Disposition; 2], retry: Retry) {
    let outcomes = (0..).zip(outcomes);
    let outcomes = outcomes.map(|(n, one)| outcome(n, one, "550 5.1.1 no"));
    let settlement = settlement(outcomes.collect(), retry);
    let leased = queue.lease("default", 10).await.unwrap().leases;
    let mut of_it = leased.into_iter().filter(|lease| lease.id == id);
    of_it
        .next()
        .unwrap()
        .settle(queue, settlement)
        .await
        .unwrap();
}

fn owing(queue: &Queue) -> Vec<Owing> {
    queue.reader().owing("default", None, 100).unwrap()
}

async fn tell(queue: &Queue, messages: Vec<Owing>) -> Result<QueueId, NoticeError> {
    let mut draft = queue.draft(None).unwrap();
    draft.append(b"Subject: notice\r\n\r\n").await.unwrap();
    let about = NoticeOf {
        destination: "scanner@contoso.com".into(),
        messages,
    };
    let notice = submission(&["scanner@contoso.com"]);
    let receipt = draft.commit_notice(notice, about).await?;
    Ok(receipt.queue_id())
}

fn details(queue: &Queue, id: QueueId) -> Vec<String> {
    let detail = queue.reader().show(id).unwrap().unwrap();
    let told = detail
        .events
        .into_iter()
        .filter(|event| event.action == "notice");
    told.filter_map(|event| event.detail).collect()
}

#[tokio::test]
async fn a_failure_is_owed_once_all_recipients_are_decided_until_it_is_told() {
    use Disposition::{Deferred, Delivered, Failed};
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let waker = queue.owing_waker();
    let id = submit(&queue, b"Subject: x\r\n\r\nbody").await;
    settle(&queue, [Failed, Deferred], Retry::After(Duration::ZERO)).await;
    assert!(owing(&queue).is_empty(), "one recipient may still get it");
    settle(&queue, [Failed, Delivered], Retry::Scheduled).await;
    waker.notified().await;
    close(queue).await;

    // Nothing but the disk remembers it.
    let queue = open(&folder);
    let debts = queue.reader().debts("default", None, 10).unwrap();
    let reverse_path = "scanner@contoso.com".to_owned();
    assert_eq!(
        debts,
        [Debt {
            reverse_path,
            messages: 1
        }]
    );
    assert_eq!(queue.reader().debts("other", None, 10).unwrap(), []);
    let after = Some("scanner@contoso.com");
    assert_eq!(queue.reader().debts("default", after, 10).unwrap(), []);
    let messages = owing(&queue);
    let mut cases = Vec::new();
    let reader = queue.reader();
    let each = |case| {
        cases.push(case);
        std::ops::ControlFlow::Continue(())
    };
    reader.cases(&messages, 10, true, each).unwrap();
    let [case] = &cases[..] else {
        panic!("one is owed: {cases:?}")
    };
    assert_eq!((case.owing.id, case.owing.kind), (id, NoticeKind::Failed));
    assert_eq!((case.concerned, case.delivered, case.attempts), (1, 1, 2));
    assert_eq!(case.recipients[0].address, "a@contoso.com");
    assert_eq!(case.last_attempt.as_ref().unwrap().0, "smtp.office365.com");
    assert_eq!(case.head, b"Subject: x\r\n\r\nbody");
    assert_eq!(case.given_up_at, None);

    let notice = tell(&queue, messages.clone()).await.unwrap();
    assert!(owing(&queue).is_empty());
    let told = format!("of its failure, sent as {notice} to scanner@contoso.com");
    assert_eq!(details(&queue, id), [told]);
    assert_eq!(details(&queue, notice), [format!("of the failure of {id}")]);
    let minute = Duration::from_mins(1);
    let now = Timestamp::now();
    let around = |to| queue.reader().notices_to(to, now - minute, now + minute);
    assert_eq!(around("scanner@contoso.com").unwrap().0, 1);
    assert_eq!(around("other@contoso.com").unwrap(), (0, None));

    // Told twice is not possible, not even by two who have looked before.
    let overtaken = tell(&queue, messages).await.unwrap_err();
    assert!(matches!(overtaken, NoticeError::Overtaken), "{overtaken}");
    assert_eq!(queue.used().0, 1, "nothing of the second is left");
    assert_eq!(
        queue.reader().counts().unwrap().accounts["default"]["ready"],
        1
    );
}

#[tokio::test]
async fn nobody_is_owed_anything_of_a_notice() {
    use Disposition::Failed;
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    submit(&queue, b"x").await;
    settle(&queue, [Failed, Failed], Retry::Scheduled).await;
    tell(&queue, owing(&queue)).await.unwrap();
    settle(&queue, [Failed, Failed], Retry::Scheduled).await;
    assert_eq!(
        queue.reader().counts().unwrap().accounts["default"]["failed"],
        2
    );
    assert!(owing(&queue).is_empty());
}

#[tokio::test]
async fn what_is_tried_again_or_deleted_is_owed_no_more() {
    use Disposition::Failed;
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let ids = [submit(&queue, b"x").await, submit(&queue, b"y").await];
    for _ in 0..2 {
        settle(&queue, [Failed, Failed], Retry::Scheduled).await;
    }
    assert_eq!(owing(&queue).len(), 2);
    let actor = Actor {
        name: "alice".into(),
        through: Through::Folder,
    };
    for (action, id) in [(Action::Retry, ids[0]), (Action::Delete, ids[1])] {
        let selection = Selection::Ids(vec![id]);
        let mut change = queue.change(action, &selection, actor.clone()).unwrap();
        while change.step().await.unwrap() {}
    }
    assert!(owing(&queue).is_empty());
    settle(&queue, [Failed, Failed], Retry::Scheduled).await;
    let again: Vec<_> = owing(&queue).iter().map(|one| one.id).collect();
    assert_eq!(again, [ids[0]], "another try that fails is news");
    queue
        .tell_nobody(&owing(&queue), Some("because"))
        .await
        .unwrap();
    assert!(owing(&queue).is_empty());
    let told = ["nobody is told of its failure: because"];
    assert_eq!(details(&queue, ids[0]), told);
}

#[tokio::test]
async fn a_delay_is_owed_once_and_only_while_the_message_waits() {
    use Disposition::{Deferred, Delivered, Failed};
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let at_once = Retry::After(Duration::ZERO);
    let ids = [submit(&queue, b"x").await, submit(&queue, b"y").await];
    let age = Duration::from_millis(5);
    let late = || queue.reader().overdue("default", age, 10).unwrap();
    assert!(late().is_empty(), "the account could not send");
    queue.set_active("default", true);
    while late().len() < 2 {
        tokio::task::yield_now().await;
    }
    queue.owe_delay(&late()).await.unwrap();
    assert!(late().is_empty());
    let first = owing(&queue);
    let found: Vec<_> = first.iter().map(|one| (one.id, one.kind)).collect();
    assert_eq!(found, ids.map(|id| (id, NoticeKind::Delayed)));
    let mut given_up_at = None;
    let reader = queue.reader();
    let each = |case: Case| {
        given_up_at = case.given_up_at;
        std::ops::ControlFlow::Break(())
    };
    reader.cases(&first, 10, true, each).unwrap();
    let left = given_up_at.unwrap().duration_since(Timestamp::now());
    assert!((47..=48).contains(&left.as_hours()), "{left}");

    settle(&queue, [Delivered, Delivered], Retry::Scheduled).await;
    let left: Vec<_> = owing(&queue).iter().map(|one| one.id).collect();
    assert_eq!(left, [ids[1]], "who has it is not told that it is late");
    // A digest may be overtaken by mail that leaves.
    let notice = tell(&queue, first).await.unwrap();
    let told = format!("of its delay, sent as {notice} to scanner@contoso.com");
    assert_eq!(details(&queue, ids[1]), [told]);
    assert_eq!(details(&queue, ids[0]).len(), 0);
    let counted = format!("of 2 messages, the first of them {}", ids[0]);
    assert_eq!(details(&queue, notice), [counted]);

    settle_one(&queue, ids[1], [Deferred, Deferred], at_once).await;
    queue.owe_delay(&late()).await.unwrap();
    assert!(owing(&queue).is_empty(), "one notice of delay is enough");
    settle_one(&queue, notice, [Delivered, Delivered], Retry::Scheduled).await;
    settle_one(&queue, ids[1], [Failed, Failed], Retry::Scheduled).await;
    let failed: Vec<_> = owing(&queue).iter().map(|one| (one.id, one.kind)).collect();
    assert_eq!(
        failed,
        [(ids[1], NoticeKind::Failed)],
        "its failure is news"
    );
}

#[tokio::test]
async fn what_is_owed_is_found_through_its_index() {
    let folder = TempDir::new().unwrap();
    close(open(&folder)).await;
    let connection = rusqlite::Connection::open(folder.path().join("queue/queue.db")).unwrap();
    for (query, index) in [
        (
            "SELECT reverse_path, count(*) FROM message
             WHERE account = 'a' AND tell > 0 AND (tell = 2 OR state IN (0, 2))
                 AND (NULL IS NULL OR reverse_path > NULL)
             GROUP BY reverse_path ORDER BY reverse_path LIMIT 3",
            "message_owing",
        ),
        (
            "SELECT count(*), min(received_wall_ms) FROM message
             WHERE notice_to = 'a' AND received_wall_ms BETWEEN 1 AND 2",
            "message_notice",
        ),
        (
            "SELECT seq, id FROM message
             WHERE account = 'a' AND state IN (0, 2) AND state < 4 AND born_ms <= 5
                 AND tell = 0 AND notice_to IS NULL
             LIMIT 3",
            "message_waiting",
        ),
    ] {
        let plan: String = connection
            .query_row(&format!("EXPLAIN QUERY PLAN {query}"), [], |row| {
                row.get("detail")
            })
            .unwrap();
        assert!(plan.contains("SEARCH") && plan.contains(index), "{plan}");
    }
}
