//! Messages that go out in parts, and what is remembered of what was presented.

use super::*;

fn in_parts_of(queue: &Queue, recipients_max: usize) {
    let mailbox = "Relay@Contoso.com".to_owned();
    let sender = Sender {
        mailbox,
        recipients_max,
    };
    queue.set_sender("default", &sender);
}

async fn submit_to(queue: &Queue, recipients: &[&str]) -> QueueId {
    let draft = queue.draft(None).unwrap();
    let receipt = draft.commit(submission(recipients)).await.unwrap();
    receipt.queue_id()
}

fn numbers(lease: &Lease) -> (Vec<u32>, bool) {
    (lease.numbers.clone(), lease.rest.is_some())
}

/// Settles the part, each recipient as told.
async fn part(queue: &Queue, lease: Lease, told: &[Disposition]) -> Outcome {
    let retry = match lease.rest {
        Some(from) => Retry::Rest { from },
        None => Retry::Scheduled,
    };
    let recipients = lease.numbers.iter().zip(told);
    let recipients = recipients.map(|(number, told)| outcome(*number, *told, "so"));
    let settlement = settlement(recipients.collect(), retry);
    lease.settle(queue, settlement).await.unwrap()
}

#[tokio::test]
async fn a_round_goes_through_all_recipients_before_any_is_tried_again() {
    use Disposition::{Deferred, Delivered};
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    in_parts_of(&queue, 2);
    let many = ["a@x.com", "b@x.com", "c@x.com", "d@x.com", "e@x.com"];
    let id = submit_to(&queue, &many).await;
    let later = submit_to(&queue, &["z@x.com"]).await;

    let lease = lease_one(&queue).await;
    assert_eq!(numbers(&lease), (vec![0, 1], true));
    let settled = part(&queue, lease, &[Deferred, Delivered]).await;
    assert_eq!(settled.state, MessageState::Ready);
    // It keeps its place before what came in later, over a restart too.
    close(queue).await;
    let queue = open(&folder);
    in_parts_of(&queue, 2);
    let lease = lease_one(&queue).await;
    assert_eq!((lease.id, numbers(&lease)), (id, (vec![2, 3], true)));
    assert_eq!(lease.attempts, 0, "the round has not ended");
    part(&queue, lease, &[Delivered, Delivered]).await;
    let lease = lease_one(&queue).await;
    assert_eq!(numbers(&lease), (vec![4], false), "the last of the round");
    let settled = part(&queue, lease, &[Delivered]).await;
    assert_eq!(settled.state, MessageState::Deferred);
    assert!(settled.retry_in > Some(Duration::from_secs(10)));
    assert_eq!(lease_one(&queue).await.id, later);
    let detail = queue.reader().show(id).unwrap().unwrap();
    assert_eq!((detail.message.attempts, detail.history.len()), (1, 3));
    let retried = queue.change(Action::Retry, &Selection::Ids(vec![id]), Actor::daemon());
    retried.unwrap().step().await.unwrap();
    let leased = queue.lease("default", 2).await.unwrap().leases;
    let next = leased.iter().find(|lease| lease.id == id).unwrap();
    assert_eq!(numbers(next), (vec![0], false), "the next round");
}

#[tokio::test]
async fn trouble_of_the_account_leaves_a_round_where_it_is() {
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    in_parts_of(&queue, 1);
    submit_to(&queue, &["a@x.com", "b@x.com", "c@x.com"]).await;
    let lease = lease_one(&queue).await;
    part(&queue, lease, &[Disposition::Delivered]).await;
    let lease = lease_one(&queue).await;
    assert_eq!(numbers(&lease), (vec![1], true));
    let paused = settlement(Vec::new(), Retry::WithoutCounting);
    lease.settle(&queue, paused).await.unwrap();
    assert_eq!(numbers(&lease_one(&queue).await), (vec![1], true));
}

#[tokio::test]
async fn what_was_presented_is_remembered_by_mailbox_and_over_a_restart() {
    use Disposition::{Deferred, Delivered, Failed};
    let folder = TempDir::new().unwrap();
    let queue = open(&folder);
    in_parts_of(&queue, 500);
    for _ in 0..4 {
        submit_to(&queue, &["a@x.com", "b@x.com", "c@x.com"]).await;
    }
    // What the service took counts; what it refused is a message presented all the same.
    let lease = lease_one(&queue).await;
    part(&queue, lease, &[Delivered, Delivered, Failed]).await;
    let lease = lease_one(&queue).await;
    let mut lost = settlement(vec![outcome(0, Deferred, "lost")], Retry::Scheduled);
    lost.uncertain = true;
    lease.settle(&queue, lost).await.unwrap();
    let lease = lease_one(&queue).await;
    let mut unheard = settlement(vec![outcome(0, Deferred, "no route")], Retry::Scheduled);
    unheard.transactions = 0;
    lease.settle(&queue, unheard).await.unwrap();
    // One attempt was given up when the service may have heard of it, and one before.
    let mut given_up = lease_one(&queue).await;
    given_up.present();
    drop(given_up);
    drop(lease_one(&queue).await);
    close(queue).await;

    let queue = open(&folder);
    let count = |mailbox: &str| {
        let found = queue.presented(mailbox).unwrap();
        assert!(found.iter().all(|one| one.age < Duration::from_mins(1)));
        let messages: u32 = found.iter().map(|one| one.messages).sum();
        (
            messages,
            found.iter().map(|one| one.recipients).sum::<u64>(),
        )
    };
    assert_eq!(count("relay@CONTOSO.com"), (3, 6));
    assert_eq!(count("default"), (0, 0));
}
