//! The queue's disk and bounds fail under it: clients keep what is not stored, and it heals by itself.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use exorelay::sandbox::{Sandbox, TokenFault};
use support::daemon::Daemon;
use support::folder::{assert_sound, content_files, rows};
use support::{Bench, Client, Running, settings_text, until, within};
use tempfile::TempDir;

fn content(message_id: &str, size: usize) -> String {
    let line = format!("{}\r\n", "x".repeat(898));
    let text = line.repeat(size / 900 + 1);
    format!("From: a@contoso.com\r\nDate: d\r\nMessage-ID: {message_id}\r\n\r\n{text}")
}

/// One transaction on a session that goes on whatever the reply; the reply that decided it.
async fn offer(client: &mut Client, message_id: &str, size: usize) -> String {
    let mut reply = client.command("MAIL FROM:<a@contoso.com>").await;
    if !reply.starts_with("250") {
        return reply;
    }
    client.expect("RCPT TO:<b@contoso.com>", "250").await;
    reply = client.command("DATA").await;
    if !reply.starts_with("354") {
        return reply;
    }
    let wire = format!("{}.\r\n", content(message_id, size));
    client.write(wire.as_bytes()).await;
    client.reply().await
}

/// What each of many clients at once was told, by Message-ID.
async fn offer_together(
    address: SocketAddr,
    clients: usize,
    each: usize,
    size: impl Fn(usize) -> usize,
) -> BTreeMap<String, String> {
    let mut tasks = Vec::new();
    for client in 0..clients {
        let sizes: Vec<_> = (0..each).map(|n| size(client * each + n)).collect();
        tasks.push(tokio::spawn(async move {
            let mut session = Client::connect(address).await;
            session.expect("EHLO device", "250").await;
            let mut told = Vec::new();
            for (n, size) in sizes.into_iter().enumerate() {
                let id = format!("<{client}-{n}@device>");
                told.push((id.clone(), offer(&mut session, &id, size).await));
            }
            told
        }));
    }
    let mut told = BTreeMap::new();
    for task in tasks {
        told.extend(within("a client", task).await.unwrap());
    }
    told
}

fn accepted(told: &BTreeMap<String, String>) -> BTreeSet<String> {
    told.iter()
        .filter(|(_, reply)| reply.starts_with("250 "))
        .map(|(id, _)| id.clone())
        .collect()
}

fn assert_held(queue: &Path, accepted: &BTreeSet<String>) {
    let held: BTreeSet<_> = rows(queue).into_iter().map(|row| row.message_id).collect();
    assert_eq!(held, *accepted);
}

fn arrived(sandbox: &Sandbox) -> Vec<String> {
    let messages = sandbox.control().messages();
    let ids = messages.iter().map(|one| one.message_id.clone());
    ids.map(Option::unwrap_or_default).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_under_50_clients_loses_nothing_and_heals_without_a_restart() {
    let folder = TempDir::new().unwrap();
    let sandbox = support::sandbox(folder.path()).await;
    sandbox.control().token_fault(Some(TokenFault::Off), None);
    let config = folder.path().join("exorelay.toml");
    std::fs::write(&config, settings_text(folder.path(), &sandbox, "")).unwrap();
    let queue = folder.path().join("queue");
    let mut daemon = Daemon::start(&config);
    daemon.limit_files(Some(1_000_000));
    // Some go into the database, whose log fills up; some into files, the last kind too large.
    let sizes = [1_000, 30_000, 200_000, 1_500_000];
    let told = offer_together(daemon.address, 50, 4, |n| sizes[n % 4]).await;
    let stored = accepted(&told);
    let refused: Vec<_> = told
        .values()
        .filter(|reply| !reply.starts_with("250 "))
        .collect();
    assert!(
        !stored.is_empty() && refused.len() >= 50,
        "{}",
        stored.len()
    );
    for reply in refused {
        let later = reply.starts_with("452 4.3.1") || reply.starts_with("451 4.3.0");
        assert!(later, "{reply}");
    }
    assert_held(&queue, &stored);
    assert_sound(&queue);
    daemon.wait_for("nothing can be stored for now");

    daemon.limit_files(None);
    let told = offer_together(daemon.address, 1, 4, |n| sizes[n % 4]).await;
    assert_eq!(accepted(&told).len(), 4, "{told:?}");
    daemon.wait_for("the queue can store again");
    sandbox.control().clear_faults();
    let count = stored.len() + 4;
    within(
        "delivery",
        sandbox.control().wait_for_messages(count as u64),
    )
    .await;
    assert!(daemon.terminate().success());
    assert_sound(&queue);
    let arrived = arrived(&sandbox);
    assert_eq!(arrived.len(), count, "no copies");
    let arrived: BTreeSet<_> = arrived.into_iter().collect();
    assert!(stored.is_subset(&arrived));
    assert_eq!(content_files(&queue), [""; 0], "delivered content is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_never_get_one_message_more_than_the_bound_into_the_queue() {
    let folder = TempDir::new().unwrap();
    let sandbox = support::sandbox(folder.path()).await;
    sandbox.control().token_fault(Some(TokenFault::Off), None);
    let text = settings_text(folder.path(), &sandbox, "")
        .replace("[queue]", "[queue]\nmax_messages = 1000")
        .replace(
            "[listener.local]",
            "[listener.local]\nmax_connections = 300\nmax_connections_per_client = 300",
        );
    let config = folder.path().join("exorelay.toml");
    std::fs::write(&config, text).unwrap();
    let queue = folder.path().join("queue");
    let mut daemon = Daemon::start(&config);
    let told = offer_together(daemon.address, 200, 6, |_| 100).await;
    let stored = accepted(&told);
    assert_eq!(stored.len(), 1_000);
    for reply in told.values().filter(|reply| !reply.starts_with("250 ")) {
        assert!(reply.starts_with("452 4.3.1"), "{reply}");
    }
    assert_held(&queue, &stored);
    daemon.wait_for("the queue is at 80 % of queue.max_messages");

    sandbox.control().clear_faults();
    within("draining", sandbox.control().wait_for_messages(1_000)).await;
    daemon.wait_for("incident recovered");
    let mut client = daemon.client().await;
    client.expect("EHLO device", "250").await;
    // The last attempts may not be settled yet.
    let reply = offer(&mut client, "<late@device>", 100).await;
    assert!(reply.starts_with("250 "), "{reply}");
    within("the late one", sandbox.control().wait_for_messages(1_001)).await;
    assert!(daemon.terminate().success());
    assert_sound(&queue);
}

#[tokio::test]
async fn damaged_messages_are_set_aside_and_never_in_the_way() {
    let bench = Bench::start("").await;
    bench.relay.stop().await;
    let text = settings_text(bench.folder.path(), &bench.sandbox, "");
    let control = bench.sandbox.control();
    control.token_fault(Some(TokenFault::Off), None);
    let relay = Running::start(&text).await;
    let mut client = relay.client().await;
    client.expect("EHLO device", "250").await;
    let mut ids = Vec::new();
    for (n, size) in [100, 100, 100, 200_000, 200_000, 200_000]
        .into_iter()
        .enumerate()
    {
        let content = content(&format!("<{n}@device>"), size);
        ids.push(
            client
                .send("a@contoso.com", &["b@contoso.com"], &content)
                .await,
        );
    }
    drop(client);
    relay.stop().await;
    let queue = bench.folder.path().join("queue");
    // Two of three rows, and two of three files; the first ones, which are due before the others.
    let connection = rusqlite::Connection::open(queue.join("queue.db")).unwrap();
    connection
        .execute_batch(
            "DELETE FROM content WHERE seq = 1;
             UPDATE recipient SET address = 'no address' WHERE seq = 2;",
        )
        .unwrap();
    drop(connection);
    std::fs::write(queue.join("content").join(&ids[3]), "half a mess").unwrap();
    std::fs::remove_file(queue.join("content").join(&ids[4])).unwrap();

    control.clear_faults();
    let relay = Running::start(&text).await;
    within("the sound ones", control.wait_for_messages(2)).await;
    until("settlement", || {
        rows(&queue).iter().filter(|row| row.is_waiting()).count() == 0
    })
    .await;
    relay.stop().await;
    let arrived: BTreeSet<_> = arrived(&bench.sandbox).into_iter().collect();
    assert_eq!(
        arrived.into_iter().collect::<Vec<_>>(),
        ["<2@device>", "<5@device>"]
    );
    let connection = rusqlite::Connection::open(queue.join("queue.db")).unwrap();
    let mut statement = connection
        .prepare("SELECT id FROM message WHERE last_reply LIKE '%damaged%' ORDER BY seq")
        .unwrap();
    let damaged: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(damaged, [0, 1, 3, 4].map(|n: usize| ids[n].clone()));
}
