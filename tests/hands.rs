//! An operator's hands on a running relay.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

mod support;

use exorelay::queue::{Action, Actor, Filter, MessageState, QueueId, Selection, Tally, Through};
use exorelay::sandbox::{Fault, Step};
use support::{Bench, until};

const CONTENT: &str = "From: a@contoso.com\r\nSubject: x\r\n\r\nx\r\n";

async fn send(bench: &Bench) -> QueueId {
    let mut client = bench.relay.client().await;
    client.expect("EHLO device", "250").await;
    let id = client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    QueueId::parse(&id).unwrap()
}

async fn act(bench: &Bench, action: Action, selection: Selection) -> Tally {
    let queue = bench.relay.view.queue.clone();
    let actor = Actor {
        name: "alice (uid 1000)".into(),
        through: Through::Socket,
    };
    let begun = tokio::task::spawn_blocking(move || queue.change(action, &selection, actor));
    let mut change = begun.await.unwrap().unwrap();
    while change.step().await.unwrap() {}
    change.tally().clone()
}

fn state(bench: &Bench, id: QueueId) -> MessageState {
    let shown = bench.relay.view.queue.reader().show(id).unwrap();
    shown.unwrap().message.state
}

#[tokio::test]
async fn a_failed_message_is_delivered_after_a_retry() {
    let bench = Bench::start("").await;
    let refusal = Fault::Reply("550 5.1.1 no such user".into());
    bench
        .sandbox
        .control()
        .smtp_fault(Step::Rcpt, refusal, Some(1));
    let id = send(&bench).await;
    until("the refusal", || state(&bench, id) == MessageState::Failed).await;
    let tally = act(&bench, Action::Retry, Selection::Ids(vec![id])).await;
    assert_eq!(tally.touched, 1);
    bench.delivered(1).await;
    until("the settlement", || {
        state(&bench, id) == MessageState::Delivered
    })
    .await;
    let detail = bench.relay.view.queue.reader().show(id).unwrap().unwrap();
    assert_eq!(detail.history.len(), 2);
    assert!(
        detail
            .history
            .iter()
            .all(|attempt| attempt.connection.is_some())
    );
    bench.relay.stop().await;
}

#[tokio::test]
async fn a_flush_ends_the_wait_for_the_next_attempt() {
    let bench = Bench::start("").await;
    let busy = Fault::Reply("451 4.7.0 busy".into());
    bench.sandbox.control().smtp_fault(Step::Mail, busy, None);
    let id = send(&bench).await;
    until("the first attempt", || {
        state(&bench, id) == MessageState::Deferred
    })
    .await;
    bench.sandbox.control().clear_faults();
    let deferred = Filter {
        state: Some(MessageState::Deferred),
        ..Filter::default()
    };
    // On a slow machine the next attempt may be under way just now, and be the last that is refused.
    while act(&bench, Action::Flush, Selection::Filter(deferred.clone()))
        .await
        .touched
        == 0
        && state(&bench, id) != MessageState::Delivered
    {
        tokio::task::yield_now().await;
    }
    bench.delivered(1).await;
    bench.relay.stop().await;
}

#[tokio::test]
async fn a_reply_lost_after_the_final_dot_leaves_its_mark_in_the_history() {
    let bench = Bench::start("").await;
    let lost = Fault::DisconnectAfterAccept;
    bench
        .sandbox
        .control()
        .smtp_fault(Step::EndOfData, lost, Some(1));
    let id = send(&bench).await;
    bench.delivered(2).await;
    until("the settlement", || {
        state(&bench, id) == MessageState::Delivered
    })
    .await;
    let detail = bench.relay.view.queue.reader().show(id).unwrap().unwrap();
    let marks: Vec<_> = detail
        .history
        .iter()
        .map(|attempt| attempt.uncertain)
        .collect();
    assert_eq!(marks, [true, false]);
    assert_ne!(detail.history[0].connection, detail.history[1].connection);
    bench.relay.stop().await;
}
