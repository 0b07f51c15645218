//! A mailbox among those who share it, on a paused clock.

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

fn limits(connections: usize, messages_per_minute: u32) -> Limits {
    Limits {
        connections,
        messages_per_minute,
        recipients_per_day: 0,
    }
}

fn go(tenure: &Tenure) -> Turn {
    match tenure.start(1, Instant::now()) {
        Leave::Go(turn) => turn,
        other => panic!("{other:?}"),
    }
}

fn waits(tenure: &Tenure) -> bool {
    matches!(tenure.start(1, Instant::now()), Leave::Later)
}

fn heard() -> Heard {
    Heard {
        counted_by: Instant::now(),
        recipients: 1,
    }
}

#[tokio::test(start_paused = true)]
async fn a_successor_inherits_the_minute_and_what_is_under_way() {
    let quota = Quota::default();
    let old = quota.begin(limits(3, 2));
    go(&old).end(Some(heard()));
    let under_way = go(&old);
    old.leave();
    let new = quota.begin(limits(3, 2));
    assert!(waits(&new));
    assert!(!quota.is_unused());
    under_way.end(None);
    let turn = go(&new);
    // Given up with its task: nobody knows whether the service has heard of it.
    drop(turn);
    assert!(waits(&new));
    new.leave();
    assert!(!quota.is_unused());
    tokio::time::advance(MINUTE).await;
    assert!(quota.is_unused());
}

#[tokio::test(start_paused = true)]
async fn a_connection_waits_for_an_idle_one_of_another_to_be_closed() {
    let quota = Quota::default();
    let (a, b) = (quota.begin(limits(1, 0)), quota.begin(limits(1, 0)));
    let (turn, idle) = (go(&a), a.slot().await);
    assert!(waits(&b), "the one connection is busy");
    turn.end(Some(heard()));
    let turn = go(&b);
    let giving_way = async {
        a.gives_way().await;
        drop(idle);
    };
    let (slot, ()) = tokio::join!(b.slot(), giving_way);
    assert_eq!(b.connections(), 1);
    drop((slot, turn));
    assert_eq!(a.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_told_of_every_change_that_lets_it_go() {
    let quota = Quota::default();
    let (a, b) = (quota.begin(limits(3, 0)), quota.begin(limits(3, 0)));
    a.want(true);
    b.want(true);
    go(&a).end(Some(heard()));
    let mut changes = a.changes();
    assert!(
        waits(&a) && !changes.has_changed().unwrap(),
        "asking is no change"
    );
    let turn = go(&b);
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    turn.end(Some(heard()));
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    b.want(true);
    assert!(!changes.has_changed().unwrap());
    b.want(false);
    assert!(changes.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_day_that_is_used_up_says_until_when() {
    let quota = Quota::default();
    let tenure = quota.begin(Limits {
        recipients_per_day: 10,
        ..limits(3, 30)
    });
    let Leave::Go(turn) = tenure.start(8, Instant::now()) else {
        panic!("there is room for eight");
    };
    assert!(matches!(tenure.start(3, Instant::now()), Leave::Later));
    turn.end(Some(Heard {
        counted_by: Instant::now(),
        recipients: 8,
    }));
    let Leave::NotToday(until) = tenure.start(3, Instant::now()) else {
        panic!("there is room for two");
    };
    assert!(until > Instant::now() + Duration::from_hours(24));
    let pace = quota.pace(Instant::now());
    assert_eq!(
        (pace.recipients_last_day, pace.recipients_per_day),
        (8, Some(10))
    );
    tokio::time::advance(until - Instant::now()).await;
    assert!(matches!(tenure.start(3, Instant::now()), Leave::Go(_)));
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_remembers_counts() {
    let quota = Quota::default();
    let tenure = quota.begin(Limits {
        recipients_per_day: 100,
        ..limits(3, 30)
    });
    let one = |age_s, messages, recipients| Presented {
        age: Duration::from_secs(age_s),
        messages,
        recipients,
    };
    quota.remember(&[one(7_200, 40, 60), one(50, 20, 20), one(0, 10, 10)]);
    let pace = quota.pace(Instant::now());
    assert_eq!(
        (pace.messages_last_minute, pace.recipients_last_day),
        (30, 90)
    );
    assert_eq!(
        pace.next_room,
        Some(Instant::now() + Duration::from_secs(11))
    );
    assert!(waits(&tenure));
    let forecast = quota.forecast(50, Instant::now()).unwrap();
    assert!(
        forecast > Instant::now() + Duration::from_hours(21),
        "the day decides"
    );
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(tenure.room(Instant::now()), 20);
}

/// Two accounts of one mailbox with all the mail there is, as dispatchers and workers do it.
#[tokio::test(start_paused = true)]
async fn accounts_of_one_mailbox_share_its_minute_evenly_and_keep_to_it() {
    let quota = Quota::default();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for name in ["a", "b"] {
        let (quota, sent) = (quota.clone(), Arc::clone(&sent));
        tasks.spawn(async move {
            let tenure = quota.begin(limits(3, 30));
            let mut changes = tenure.changes();
            let mut attempts = tokio::task::JoinSet::new();
            tenure.want(true);
            while begun.elapsed() < 10 * MINUTE {
                let now = Instant::now();
                while let Leave::Go(turn) = tenure.start(1, now) {
                    let (tenure, sent) = (tenure.clone(), Arc::clone(&sent));
                    attempts.spawn(async move {
                        let _slot = tenure.slot().await;
                        sleep(Duration::from_millis(200)).await;
                        sent.lock().unwrap().push((Instant::now(), name));
                        let counted_by = Instant::now() + Duration::from_secs(1);
                        sleep(Duration::from_secs(2)).await;
                        turn.end(Some(Heard {
                            counted_by,
                            recipients: 1,
                        }));
                    });
                }
                let next = tenure.next_room(now).unwrap_or(now + MINUTE);
                tokio::select! {
                    Ok(()) = changes.changed() => {}
                    Some(_) = attempts.join_next() => {}
                    () = tokio::time::sleep_until(next) => {}
                }
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    let sent = sent.lock().unwrap();
    for window in sent.windows(31) {
        assert!(window[30].0 - window[0].0 >= MINUTE);
    }
    assert!(sent.len() >= 29 * 10, "{} in ten minutes", sent.len());
    let of_a = sent.iter().filter(|(_, name)| *name == "a").count();
    assert!(
        of_a.abs_diff(sent.len() - of_a) <= sent.len() / 20,
        "{of_a}"
    );
}
