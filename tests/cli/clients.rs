//! `clients`: through the daemon and on the folder.

use exorelay::queue::{Quirk, Quirks, SeenMessage, Sighting};
use serde_json::Value;

use crate::bench::{Bench, answer, ask, assert_exit, close, stdout};

async fn seen(bench: &Bench) {
    let queue = bench.queue();
    let mut quirks = Quirks::default();
    quirks.note(Quirk::UndeclaredEightBit, true);
    quirks.note(Quirk::HeloOnly, true);
    queue.saw_client(&Sighting {
        client: "127.0.0.7",
        listener: "local",
        helo: Some("lobby"),
        is_new_session: true,
        message: Some(SeenMessage {
            sender: "scan@contoso.com",
            size_bytes: 2048,
        }),
        quirks,
        refusals: &[("553 5.1.7 The sender has no domain".into(), 2)],
        ..Sighting::default()
    });
    close(queue).await;
}

/// The same words, whichever way they reach the queue.
async fn work(bench: &Bench) {
    let output = ask(bench, &["clients", "--json"]).await;
    assert_exit(&output, 0);
    let listed: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed.len(), 1);
    let client = &listed[0];
    assert_eq!(client["client"], "127.0.0.7");
    assert_eq!(client["messages"], 1);
    assert_eq!(client["quirks"]["helo_only"], 1);
    assert_eq!(client["quirks"]["undeclared_8bit"], 1);
    assert_eq!(client["refusals"][0]["count"], 2);
    let suggestion = "[client.lobby]\nnetwork = \"127.0.0.7\"\n\
                      sender = \"relay@contoso.com\"  # its own sender is no full address\n";
    assert_eq!(client["suggestion"], suggestion);
    let seen: jiff::Timestamp = client["last_seen"].as_str().unwrap().parse().unwrap();
    assert!(seen <= jiff::Timestamp::now());

    let output = ask(bench, &["clients"]).await;
    let text = stdout(&output);
    assert!(
        text.starts_with("127.0.0.7  1 message in 1 session, last seen "),
        "{text}"
    );
    for line in [
        "  listener local, calls itself lobby, plain text, sends from scan@contoso.com, largest 2.0 KiB\n",
        "  tolerated: HELO only (1), 8-bit undeclared (1)\n",
        "ago: 553 5.1.7 The sender has no domain\n",
        "  suggested:\n    [client.lobby]\n    network = \"127.0.0.7\"\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test]
async fn clients_are_told_of_by_the_daemon() {
    let bench = Bench::new();
    seen(&bench).await;
    let queue = bench.queue();
    let stop = answer(&bench, &queue).await;
    work(&bench).await;
    stop.cancel();
    close(queue).await;
}

#[tokio::test]
async fn clients_are_told_of_in_the_folder() {
    let bench = Bench::new();
    seen(&bench).await;
    work(&bench).await;
}

#[tokio::test]
async fn without_clients_that_is_said() {
    let bench = Bench::new();
    close(bench.queue()).await;
    let output = ask(&bench, &["clients"]).await;
    assert_eq!(stdout(&output), "no client has been seen yet\n");
    let output = ask(&bench, &["clients", "--json"]).await;
    assert_eq!(stdout(&output), "[]\n");
}
