//! `sender list` and `sender forget`: through the daemon and on the folder.

use std::time::Duration;

use serde_json::Value;

use crate::bench::{Bench, answer, ask, assert_complains, assert_exit, close, stdout};

async fn three(bench: &Bench) {
    let queue = bench.queue();
    for (account, address) in [
        ("default", "scan@contoso.com"),
        ("default", "ups@contoso.com"),
        ("fabrikam", "scan@contoso.com"),
    ] {
        let day = Duration::from_hours(24);
        let remembered = queue.remember_denied(account, address, day).await;
        remembered.unwrap();
    }
    close(queue).await;
}

/// The same words, whichever way they reach the queue.
async fn work(bench: &Bench) {
    let output = ask(bench, &["sender", "list", "--json", "--account", "default"]).await;
    assert_exit(&output, 0);
    let listed: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let addresses: Vec<_> = listed.iter().map(|one| one["address"].as_str()).collect();
    assert_eq!(
        addresses,
        [Some("scan@contoso.com"), Some("ups@contoso.com")]
    );
    let until: jiff::Timestamp = listed[0]["until"].as_str().unwrap().parse().unwrap();
    assert!(until > jiff::Timestamp::now());

    let output = ask(bench, &["sender", "list"]).await;
    assert_eq!(stdout(&output).lines().count(), 3, "{output:?}");
    let line = "scan@contoso.com  account fabrikam  forgotten in ";
    assert!(stdout(&output).contains(line), "{output:?}");

    let output = ask(bench, &["sender", "forget", "nobody@contoso.com"]).await;
    assert_complains(&output, 1, &["nobody@contoso.com is not remembered"]);
    let output = ask(bench, &["sender", "forget"]).await;
    assert_exit(&output, 2);
    let output = ask(bench, &["sender", "forget", "Scan@contoso.com"]).await;
    assert_eq!(stdout(&output), "2 senders forgotten\n");
    let output = ask(bench, &["sender", "forget", "--all", "--account", "x"]).await;
    assert_eq!(stdout(&output), "0 senders forgotten\n");
    let output = ask(bench, &["sender", "forget", "--all"]).await;
    assert_eq!(stdout(&output), "1 sender forgotten\n");
    let output = ask(bench, &["sender", "list"]).await;
    assert_eq!(stdout(&output), "no refused sender is remembered\n");
}

#[tokio::test]
async fn senders_are_forgotten_through_the_daemon() {
    let bench = Bench::new();
    three(&bench).await;
    let queue = bench.queue();
    let stop = answer(&bench, &queue).await;
    work(&bench).await;
    stop.cancel();
    close(queue).await;
}

#[tokio::test]
async fn senders_are_forgotten_in_the_folder() {
    let bench = Bench::new();
    three(&bench).await;
    work(&bench).await;
}
