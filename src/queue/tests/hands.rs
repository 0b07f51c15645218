//! What operators do.

use super::*;

fn actor() -> Actor {
    Actor {
        name: "alice (uid 1000)".into(),
        through: Through::Socket,
    }
}

pub(super) async fn act(queue: &Queue, action: Action, selection: Selection) -> Tally {
    let mut change = queue.change(action, &selection, actor()).unwrap();
    while change.step().await.unwrap() {}
    change.tally().clone()
}

async fn act_on(queue: &Queue, action: Action, id: QueueId) -> Result<(), Skip> {
    let tally = act(queue, action, Selection::Ids(vec![id])).await;
    assert_eq!((tally.selected, tally.seen()), (1, 1));
    match tally.notes.as_slice() {
        [] => Ok(()),
        [(noted, skip)] => {
            assert_eq!((*noted, tally.touched), (id, 0));
            Err(*skip)
        }
        more => panic!("{more:?}"),
    }
}

fn state(queue: &Queue, id: QueueId) -> MessageState {
    queue.reader().show(id).unwrap().unwrap().message.state
}

pub(super) async fn settle_all(queue: &Queue, disposition: Disposition, retry: Retry) {
    let lease = lease_one(queue).await;
    let outcomes = lease.numbers.iter().copied();
    let outcomes = outcomes.map(|n| outcome(n, disposition, "550 5.1.1 reply"));
    let settlement = settlement(outcomes.collect(), retry);
    lease.settle(queue, settlement).await.unwrap();
}

/// Content files are removed by a thread of their own.
async fn until_no_content_file(folder: &TempDir) {
    while content_files(folder) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_deferred_message_is_retried_at_once() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let id = submit(&queue, b"x").await;
    assert_eq!(act_on(&queue, Action::Retry, id).await, Err(Skip::Already));
    settle_all(&queue, Disposition::Deferred, Retry::Scheduled).await;
    assert!(queue.lease("default", 1).await.unwrap().leases.is_empty());
    assert_eq!(act_on(&queue, Action::Retry, id).await, Ok(()));
    assert_eq!(state(&queue, id), MessageState::Ready);
    let lease = lease_one(&queue).await;
    assert_eq!(lease.attempts, 1, "a retry of what waits forgives nothing");
    for (action, skip) in [
        (Action::Retry, Skip::Sending),
        (Action::Hold, Skip::Sending),
        (Action::Delete, Skip::Sending),
        (Action::Release, Skip::NotHeld),
    ] {
        assert_eq!(act_on(&queue, action, id).await, Err(skip));
    }
}

#[tokio::test]
async fn a_failed_message_begins_anew_and_its_history_goes_on() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let id = submit(&queue, &vec![b'x'; 100_000]).await;
    let first = vec![
        outcome(0, Disposition::Delivered, "250 2.0.0 OK"),
        outcome(1, Disposition::Failed, "550 5.1.1 unknown"),
    ];
    let lease = lease_one(&queue).await;
    let first = settlement(first, Retry::Scheduled);
    lease.settle(&queue, first).await.unwrap();
    assert_eq!(queue.used(), (0, 0));
    assert_eq!(act_on(&queue, Action::Hold, id).await, Err(Skip::Failed));

    assert_eq!(act_on(&queue, Action::Retry, id).await, Ok(()));
    assert_eq!(queue.used(), (1, 100_000));
    let lease = lease_one(&queue).await;
    assert_eq!(lease.attempts, 0);
    assert_eq!(lease.numbers, [1], "who has it does not get it again");
    let second = vec![outcome(1, Disposition::Delivered, "250 2.0.0 OK")];
    let second = settlement(second, Retry::Scheduled);
    lease.settle(&queue, second).await.unwrap();
    assert_eq!(queue.used(), (0, 0));
    let detail = queue.reader().show(id).unwrap().unwrap();
    assert_eq!(detail.message.state, MessageState::Delivered);
    let numbers: Vec<_> = detail
        .history
        .iter()
        .map(|attempt| attempt.number)
        .collect();
    assert_eq!(numbers, [1, 2]);
    let [event] = detail.events.as_slice() else {
        panic!("{:?}", detail.events);
    };
    assert_eq!(
        (
            event.action.as_str(),
            event.actor.as_str(),
            event.through.as_str()
        ),
        ("retried", "alice (uid 1000)", "socket")
    );
    assert_eq!(
        act_on(&queue, Action::Delete, id).await,
        Err(Skip::Delivered)
    );
}

#[tokio::test]
async fn what_finds_no_room_stays_failed() {
    let folder = TempDir::new().unwrap();
    let mut narrow = settings(folder.path());
    narrow.limits.messages_max = 2;
    let queue = Queue::open(narrow).unwrap();
    for _ in 0..2 {
        submit(&queue, b"x").await;
        settle_all(&queue, Disposition::Failed, Retry::Scheduled).await;
    }
    let waiting = submit(&queue, b"y").await;
    let tally = act(&queue, Action::Retry, Selection::All).await;
    assert_eq!((tally.selected, tally.touched), (3, 1));
    assert_eq!(tally.skipped[&Skip::NoRoom], 1);
    assert_eq!(tally.skipped[&Skip::Already], 1);
    assert_eq!(tally.notes, [], "only ids are told one by one");
    assert_eq!(tally.full, Some(Full::Messages.to_string()));
    assert_eq!(queue.used(), (2, 2));
    assert_eq!(state(&queue, waiting), MessageState::Ready);
    close(queue).await;
    let queue = open(&folder);
    assert_eq!(queue.used(), (2, 2), "what is counted is what is on disk");
}

#[tokio::test]
async fn held_mail_stays_until_released_and_does_not_age_meanwhile() {
    let folder = TempDir::new().unwrap();
    let mut brief = settings(folder.path());
    brief.expire_after = Duration::from_millis(200);
    let queue = Queue::open(brief).unwrap();
    let id = submit(&queue, b"x").await;
    assert_eq!(act_on(&queue, Action::Hold, id).await, Ok(()));
    assert_eq!(act_on(&queue, Action::Hold, id).await, Err(Skip::Already));
    assert_eq!(act_on(&queue, Action::Retry, id).await, Err(Skip::Held));
    assert!(queue.lease("default", 1).await.unwrap().leases.is_empty());
    queue.set_active("default", true);
    while queue.shared.clock.active_ms("default") < 250 {
        tokio::task::yield_now().await;
    }
    queue.set_active("default", false);
    assert_eq!(act_on(&queue, Action::Release, id).await, Ok(()));
    assert_eq!(
        act_on(&queue, Action::Release, id).await,
        Err(Skip::NotHeld)
    );
    settle_all(&queue, Disposition::Deferred, Retry::Scheduled).await;
    assert_eq!(
        state(&queue, id),
        MessageState::Deferred,
        "it has not expired"
    );
}

#[tokio::test]
async fn deleted_mail_leaves_its_story_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let large = submit(&queue, &vec![b'x'; 100_000]).await;
    let small = submit(&queue, b"x").await;
    let tally = act(&queue, Action::Delete, Selection::All).await;
    assert_eq!((tally.selected, tally.touched), (2, 2));
    assert_eq!(queue.used(), (0, 0));
    until_no_content_file(&folder).await;
    for id in [large, small] {
        let detail = queue.reader().show(id).unwrap().unwrap();
        assert_eq!(detail.message.state, MessageState::Deleted);
        assert_eq!(detail.message.subject.as_deref(), Some("Scan"));
        assert!(detail.ended_at.is_some());
        assert_eq!(detail.events[0].action, "deleted");
    }
    assert_eq!(
        act_on(&queue, Action::Delete, small).await,
        Err(Skip::Already)
    );
    assert_eq!(
        act_on(&queue, Action::Retry, small).await,
        Err(Skip::Deleted)
    );
    let unknown = QueueId::parse("0000000000000000").unwrap();
    assert_eq!(
        act_on(&queue, Action::Hold, unknown).await,
        Err(Skip::Unknown)
    );
    let listed = queue
        .reader()
        .list(&Filter::default(), |record| panic!("{record:?}"));
    listed.unwrap();
    close(queue).await;
    let mut forgetful = settings(folder.path());
    forgetful.retention.delivered = Duration::ZERO;
    let queue = Queue::open(forgetful).unwrap();
    while queue.reader().show(large).unwrap().is_some() {
        queue.maintain().await.unwrap();
    }
    close(queue).await;
    let connection = rusqlite::Connection::open(folder.path().join("queue/queue.db")).unwrap();
    let events: i64 = connection
        .query_row("SELECT count(*) FROM event", [], |row| row.get(0))
        .unwrap();
    assert_eq!(
        events, 0,
        "what was done to forgotten mail is forgotten too"
    );
}

#[tokio::test]
async fn space_of_deleted_mail_goes_back_in_small_steps() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    for _ in 0..40 {
        submit(&queue, &vec![b'x'; 60_000]).await;
    }
    act(&queue, Action::Delete, Selection::All).await;
    let free = || -> i64 {
        let path = folder.path().join("queue/queue.db");
        let connection = rusqlite::Connection::open(path).unwrap();
        let count = connection.pragma_query_value(None, "freelist_count", |row| row.get(0));
        count.unwrap()
    };
    let before = free();
    assert!(before > 200, "{before}");
    queue.maintain().await.unwrap();
    assert_eq!(free(), before - 64);
}

#[tokio::test]
async fn long_work_lets_mail_in_between_its_steps() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    for _ in 0..250 {
        submit(&queue, b"x").await;
    }
    let mut change = queue
        .change(Action::Hold, &Selection::All, actor())
        .unwrap();
    let mut seen = Vec::new();
    while change.step().await.unwrap() {
        seen.push(change.tally().seen());
        submit(&queue, b"y").await;
    }
    assert_eq!(seen, [100, 200, 250]);
    let counts = queue.reader().counts().unwrap();
    assert_eq!(counts.accounts["default"]["held"], 250);
    assert_eq!(counts.accounts["default"]["ready"], 3);
    let mut broken_off = queue
        .change(Action::Release, &Selection::All, actor())
        .unwrap();
    broken_off.step().await.unwrap();
    drop(broken_off);
    let counts = queue.reader().counts().unwrap();
    assert_eq!(counts.accounts["default"]["held"], 150);
}

#[tokio::test]
async fn flushed_mail_is_due_and_dispatchers_are_told() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let id = submit(&queue, b"x").await;
    settle_all(&queue, Disposition::Deferred, Retry::Scheduled).await;
    let waker = queue.waker("default");
    // Whatever told it before is forgotten.
    let _ = tokio::time::timeout(Duration::ZERO, waker.notified()).await;
    let deferred = Filter {
        state: Some(MessageState::Deferred),
        ..Filter::default()
    };
    let tally = act(&queue, Action::Flush, Selection::Filter(deferred)).await;
    assert_eq!(tally.touched, 1);
    waker.notified().await;
    assert_eq!(lease_one(&queue).await.id, id);
    let detail = queue.reader().show(id).unwrap().unwrap();
    assert_eq!(detail.events[0].action, "flushed");
}

#[tokio::test]
async fn filters_take_what_they_say() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    for to in ["a@contoso.com", "b@fabrikam.com", "B_1@Fabrikam.com"] {
        let draft = queue.draft(None).unwrap();
        let _ = draft
            .commit(submission(&["x@contoso.com", to]))
            .await
            .unwrap();
    }
    let count = |filter: Filter| {
        let mut count = 0;
        let each = |_| {
            count += 1;
            std::ops::ControlFlow::Continue(())
        };
        queue.reader().list(&filter, each).unwrap();
        count
    };
    let to = |pattern| Filter {
        to: Some(AddressPattern::parse(pattern).unwrap()),
        ..Filter::default()
    };
    let from = |pattern| Filter {
        from: Some(AddressPattern::parse(pattern).unwrap()),
        ..Filter::default()
    };
    assert_eq!(count(to("b@fabrikam.com")), 1);
    assert_eq!(count(to("*@FABRIKAM.com")), 2);
    assert_eq!(count(to("b_1@fabrikam.com")), 1);
    assert_eq!(count(to("bx1@fabrikam.com")), 0);
    assert_eq!(count(to("*@abrikam.com")), 0);
    assert_eq!(count(from("*@contoso.com")), 3);
    assert_eq!(count(from("<>")), 0);
    let older_than_s = |seconds| Filter {
        older_than_s: Some(seconds),
        ..Filter::default()
    };
    assert_eq!(count(older_than_s(60)), 0);
    assert_eq!(count(older_than_s(u64::MAX)), 0);
    let every = Filter {
        state: Some(MessageState::Ready),
        account: Some("default".into()),
        from: from("scanner@contoso.com").from,
        to: to("*@contoso.com").to,
        older_than_s: None,
    };
    assert_eq!(count(every), 3);
}
