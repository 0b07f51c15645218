//! Mail that several accounts may send, content that goes several ways, and mail that is sent another way.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::time::TestTime;
use super::*;

fn by(account: &str, recipients: &[&str]) -> Submission {
    Submission {
        account: account.into(),
        ..submission(recipients)
    }
}

async fn queued(queue: &Queue, account: &str) -> QueueId {
    let draft = queue.draft(None).unwrap();
    let receipt = draft.commit(by(account, &["a@contoso.com"])).await.unwrap();
    receipt.queue_id()
}

async fn leased(queue: &Queue, account: &str, max: usize) -> Vec<Lease> {
    queue.lease(account, max).await.unwrap().leases
}

fn accounts(queue: &Queue) -> Vec<(String, u64)> {
    let counts = queue.reader().counts().unwrap();
    let accounts = counts.accounts.into_iter();
    accounts
        .map(|(account, states)| (account, states.values().sum()))
        .collect()
}

#[tokio::test]
async fn every_account_of_a_pool_leases_its_mail_and_no_other_does() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    for key in ["a+b", "a+b", "a", "b"] {
        queued(&queue, key).await;
    }
    assert!(leased(&queue, "c", 10).await.is_empty());
    let mut of_a = leased(&queue, "a", 10).await;
    assert_eq!(of_a.len(), 3);
    assert!(of_a.iter().all(|lease| lease.account == "a"));
    assert_eq!(leased(&queue, "b", 10).await.len(), 1);
    // What one gives back, the other may have.
    of_a.clear();
    assert_eq!(leased(&queue, "b", 10).await.len(), 3);
}

#[tokio::test]
async fn a_pool_and_the_account_itself_share_what_the_pace_allows() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    for _ in 0..30 {
        queued(&queue, "a").await;
    }
    for _ in 0..30 {
        queued(&queue, "a+b").await;
    }
    assert_eq!(leased(&queue, "a", 10).await.len(), 10);
    let of_b = leased(&queue, "b", 60).await;
    assert_eq!(of_b.len(), 30, "those of `a` have been given back");
    let batch = leased(&queue, "a", 20).await;
    assert!(!batch.is_empty(), "its own mail is left");
    drop((of_b, batch));
    let batch = leased(&queue, "a", 20).await;
    assert_eq!(batch.len(), 20);
    let rest = leased(&queue, "b", 60).await;
    assert_eq!(rest.len(), 20, "ten of the pool's are among the twenty");
}

#[tokio::test]
async fn everybody_who_may_send_a_message_is_told_of_it() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let wakers = [queue.waker("a"), queue.waker("b")];
    queued(&queue, "a+b").await;
    for waker in wakers {
        waker.notified().await;
    }
}

#[tokio::test]
async fn the_history_names_the_account_that_sent_it_and_the_pool_keeps_its_mail_over_a_restart() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    let (first, second) = (queued(&queue, "a+b").await, queued(&queue, "a+b").await);
    let lease = leased(&queue, "b", 1).await.remove(0);
    let decided = settlement(
        vec![outcome(0, Disposition::Delivered, "250 Ok")],
        Retry::Scheduled,
    );
    lease.settle(&queue, decided).await.unwrap();
    let detail = queue.reader().show(first).unwrap().unwrap();
    assert_eq!(detail.message.account, "a+b");
    assert_eq!(detail.history[0].account, "b");
    close(queue).await;

    let queue = open(&folder);
    assert_eq!(leased(&queue, "a", 10).await[0].id, second);
}

#[tokio::test]
async fn mail_of_a_pool_grows_older_while_any_of_its_accounts_can_send() {
    let folder = TempDir::new().unwrap();
    let time = TestTime::at(1_780_272_000_000);
    let queue = time.open(settings(folder.path()));
    let clock = &queue.shared.clock;
    let runs = |key: &str| {
        let before = clock.active_ms(key);
        time.pass(Duration::from_millis(5));
        clock.active_ms(key) == before + 5
    };
    assert!(!runs("a+b"));
    queue.set_active("a", true);
    queue.set_active("b", true);
    assert!(runs("a+b") && runs("a") && runs("b"));
    queue.set_active("a", false);
    assert!(runs("a+b") && !runs("a"));
    assert!(runs("b+c"), "a pool that is new");
    queue.set_active("b", false);
    assert!(!runs("a+b") && !runs("b+c"));
}

#[tokio::test]
async fn an_account_takes_its_pools_mail_along_in_a_filter() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    for key in ["a", "a+b", "b", "aa"] {
        queued(&queue, key).await;
    }
    let found = |account: &str| {
        let filter = Filter {
            account: Some(account.into()),
            ..Filter::default()
        };
        let mut keys = Vec::new();
        let listed = queue.reader().list(&filter, |message| {
            keys.push(message.account);
            std::ops::ControlFlow::Continue(())
        });
        listed.unwrap();
        keys
    };
    assert_eq!(found("a"), ["a", "a+b"]);
    assert_eq!(found("b"), ["a+b", "b"]);
    assert_eq!(found("a+b"), ["a+b"]);
    assert!(found("+").is_empty());
}

#[tokio::test]
async fn content_that_goes_two_ways_is_two_messages_or_none() {
    for octets in [10_usize, 200_000] {
        let folder = TempDir::new().unwrap();
        let queue = open(&folder);
        let content = vec![b'x'; octets];
        let mut draft = queue.draft(None).unwrap();
        draft.append(&content).await.unwrap();
        let first = draft.queue_id();
        let ways = (by("a", &["a@contoso.com"]), by("b", &["b@contoso.com"]));
        let (receipt, others) = draft.commit_split(ways.0, vec![ways.1]).await.unwrap();
        assert_eq!(receipt.queue_id(), first);
        assert_eq!(queue.used(), (2, 2 * octets as u64));
        for (account, receipt) in [("a", receipt), ("b", others[0])] {
            let lease = leased(&queue, account, 10).await.remove(0);
            assert_eq!(lease.id, receipt.queue_id());
            assert_eq!(lease.envelope.recipients().len(), 1);
            assert_eq!(read(&lease.content), content);
            let decided = settlement(
                vec![outcome(0, Disposition::Delivered, "250 Ok")],
                Retry::Scheduled,
            );
            lease.settle(&queue, decided).await.unwrap();
        }
        assert_eq!(queue.used(), (0, 0));
        assert_eq!(content_files(&folder), 0);
        let verdict = verify(&folder.path().join("queue"), |_, _| {}).unwrap();
        assert!(verdict.problems.is_empty(), "{:?}", verdict.problems);

        // Room for one of two is none.
        let mut tight = settings(folder.path());
        tight.limits.messages_max = 1;
        queue.retune(&tight);
        let mut draft = queue.draft(None).unwrap();
        draft.append(&content).await.unwrap();
        let ways = (by("a", &["a@contoso.com"]), by("b", &["b@contoso.com"]));
        let full = draft.commit_split(ways.0, vec![ways.1]).await.unwrap_err();
        assert!(matches!(full, DraftError::Full(Full::Messages)), "{full}");
        assert_eq!(queue.used(), (0, 0));
        assert_eq!(content_files(&folder), 0);
    }
}

/// All of it, as `way` tells.
async fn reroute(
    queue: &Queue,
    mark: Option<i64>,
    way: impl Fn(&Facts) -> Option<String> + Send + Sync + 'static,
) -> u64 {
    let mut reroute = queue.reroute(&Selection::All, Arc::new(way), mark).unwrap();
    while reroute.step().await.unwrap() {}
    reroute.moved()
}

#[tokio::test]
async fn waiting_mail_is_moved_with_its_age_and_ended_mail_is_not() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    for _ in 0..250 {
        queued(&queue, "old").await;
    }
    let mut leases = leased(&queue, "old", 32).await;
    let decided =
        |disposition| settlement(vec![outcome(0, disposition, "as it is")], Retry::Scheduled);
    let delivered = leases.remove(0);
    delivered
        .settle(&queue, decided(Disposition::Delivered))
        .await
        .unwrap();
    let failed = leases.remove(0);
    failed
        .settle(&queue, decided(Disposition::Failed))
        .await
        .unwrap();
    let under_way = leases.remove(0);
    leases.clear();

    assert_eq!(queue.routes_mark().unwrap(), None);
    let moved = reroute(&queue, Some(7), |facts: &Facts| {
        assert_eq!(facts.listener, "local");
        assert_eq!(facts.client, "127.0.0.1");
        assert_eq!(facts.reverse_path, "scanner@contoso.com");
        assert_eq!(facts.recipients, ["a@contoso.com"]);
        assert!(!facts.imported);
        Some("new".into())
    });
    assert_eq!(moved.await, 249);
    assert_eq!(queue.routes_mark().unwrap(), Some(7));
    assert_eq!(accounts(&queue), [("new".to_owned(), 249)]);

    // Its attempt was made by the old account, its next one will be by the new.
    let id = under_way.id;
    let outcome = under_way
        .settle(&queue, decided(Disposition::Deferred))
        .await
        .unwrap()
        .state;
    assert_eq!(outcome, MessageState::Deferred);
    let detail = queue.reader().show(id).unwrap().unwrap();
    assert_eq!(detail.message.account, "new");
    assert_eq!(detail.history[0].account, "old");
    assert_eq!(detail.events[0].action, "rerouted");
    assert_eq!(detail.events[0].detail.as_deref(), Some("from old to new"));
    assert!(leased(&queue, "old", 32).await.is_empty());
    let of_new = leased(&queue, "new", 32).await;
    let ids: BTreeSet<QueueId> = of_new.iter().map(|lease| lease.id).collect();
    assert_eq!(ids.len(), 32);
    assert_eq!(reroute(&queue, None, |_| None).await, 0);
    assert_eq!(queue.routes_mark().unwrap(), Some(7));
}

#[tokio::test]
async fn a_message_is_as_old_as_it_was_wherever_it_goes() {
    let folder = TempDir::new().unwrap();
    let time = TestTime::at(1_780_272_000_000);
    let queue = time.open(settings(folder.path()));
    let clock = &queue.shared.clock;
    queue.set_active("young", true);
    queued(&queue, "young").await;
    time.pass(Duration::from_secs(7));
    queue.set_active("young", false);
    queue.set_active("old", true);
    time.pass(Duration::from_secs(100));
    queue.set_active("old", false);
    let born_ms = || -> i64 {
        let database = folder.path().join("queue/queue.db");
        let connection = rusqlite::Connection::open(database).unwrap();
        let born = connection.query_row("SELECT born_ms FROM message", [], |row| row.get(0));
        born.unwrap()
    };
    assert_eq!(clock.active_ms("young") - born_ms(), 7_000);
    let moved = reroute(&queue, None, |_| Some("old".into()));
    assert_eq!(moved.await, 1);
    assert_eq!(clock.active_ms("old") - born_ms(), 7_000);
}
