//! The daemon is killed; what it acknowledged is delivered all the same.
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use exorelay::sandbox::Sandbox;
use support::daemon::{Daemon, exorelay, finish};
use support::folder::{Row, assert_sound, rows};
use support::{settings_text, within};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Clients that send at once.
const CLIENTS: usize = 20;

/// More by `EXORELAY_TEST_ROUNDS`, for a long trial.
fn rounds() -> usize {
    let rounds = std::env::var("EXORELAY_TEST_ROUNDS").ok();
    rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(5)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_messages_survive_kill_9_under_load() {
    let folder = TempDir::new().unwrap();
    let sandbox = support::sandbox(folder.path()).await;
    let config = folder.path().join("exorelay.toml");
    std::fs::write(&config, settings_text(folder.path(), &sandbox, "")).unwrap();

    let mut acknowledged = BTreeSet::new();
    let mut arrived = Arrived::default();
    // By message: kills that fell while an attempt was under way.
    let mut interrupted: BTreeMap<String, usize> = BTreeMap::new();
    let queue = folder.path().join("queue");
    for round in 0..rounds() {
        let daemon = Daemon::start(&config);
        let address = daemon.address;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| tokio::spawn(send_until_dead(address, format!("{round}-{client}"))))
            .collect();
        // A different moment in each round, counted in what the sandbox has got.
        let before = sandbox.control().stats().messages;
        let moment = before + fastrand::u64(0..200);
        within(
            "the moment to kill",
            sandbox.control().wait_for_messages(moment.max(1)),
        )
        .await;
        daemon.kill();
        for client in clients {
            acknowledged.extend(within("a client", client).await.unwrap());
        }
        arrived.note(&sandbox);
        for row in rows(&queue).into_iter().filter(Row::is_leased) {
            *interrupted.entry(row.message_id).or_default() += 1;
        }
    }
    assert!(!acknowledged.is_empty());
    let daemon = Daemon::start(&config);
    within("every acknowledged message", async {
        while acknowledged
            .iter()
            .any(|id| !arrived.copies.contains_key(id))
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
            arrived.note(&sandbox);
        }
    })
    .await;
    // One more copy for each kill between the upstream's 250 and the settlement, and no other.
    let mut copies = 0;
    for (message_id, count) in &arrived.copies {
        let excused = interrupted.get(message_id).copied().unwrap_or_default();
        assert!(
            *count <= 1 + excused,
            "{message_id} arrived {count} times, and {excused} kills fell on its attempts"
        );
        copies += count - 1;
    }
    assert!(daemon.terminate().success());
    assert_sound(&queue);
    let violations = sandbox.control().violations();
    assert!(violations.is_empty(), "{violations:?}");
    eprintln!(
        "{} acknowledged, {} arrived, {copies} more than once",
        acknowledged.len(),
        arrived.copies.len()
    );
}

/// How often each message arrived, gathered as the sandbox remembers only the latest ones.
#[derive(Default)]
struct Arrived {
    copies: BTreeMap<String, usize>,
    /// Numbers are given out at the beginning of a message, so they do not arrive in order.
    seen: BTreeSet<u64>,
}

impl Arrived {
    fn note(&mut self, sandbox: &Sandbox) {
        for message in sandbox.control().messages() {
            if self.seen.insert(message.number)
                && let Some(id) = &message.message_id
            {
                *self.copies.entry(id.clone()).or_default() += 1;
            }
        }
    }
}

/// Sends message after message until the connection breaks; what was answered with 250.
async fn send_until_dead(address: SocketAddr, name: String) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let _: io::Result<()> = async {
        let mut stream = BufReader::new(TcpStream::connect(address).await?);
        reply(&mut stream).await?;
        say(&mut stream, "HELO device\r\n").await?;
        for number in 0.. {
            let id = format!("<{name}-{number}@device>");
            // Every tenth is too large for the database and takes the way through a file.
            let size = if number % 10 == 9 { 100_000 } else { 1_000 };
            say(&mut stream, "MAIL FROM:<a@contoso.com>\r\n").await?;
            say(&mut stream, "RCPT TO:<b@contoso.com>\r\n").await?;
            say(&mut stream, "DATA\r\n").await?;
            let head = format!("From: a@contoso.com\r\nMessage-ID: {id}\r\n\r\n");
            let line = format!("{}\r\n", "x".repeat(898));
            let text = line.repeat(size / 900 + 1);
            say(&mut stream, &format!("{head}{text}.\r\n")).await?;
            acknowledged.push(id);
        }
        Ok(())
    }
    .await;
    acknowledged
}

async fn say(stream: &mut BufReader<TcpStream>, octets: &str) -> io::Result<()> {
    stream.get_mut().write_all(octets.as_bytes()).await?;
    reply(stream).await
}

/// Only a whole reply of success counts.
async fn reply(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    if line.ends_with('\n') && (line.starts_with('2') || line.starts_with('3')) {
        Ok(())
    } else {
        Err(io::ErrorKind::ConnectionAborted.into())
    }
}

#[tokio::test]
async fn a_second_daemon_on_the_same_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    let sandbox = support::sandbox(folder.path()).await;
    let config = folder.path().join("exorelay.toml");
    std::fs::write(&config, settings_text(folder.path(), &sandbox, "")).unwrap();
    let daemon = Daemon::start(&config);
    let (code, _, stderr) = finish(exorelay(&config).arg("run"));
    assert_eq!(code, Some(75), "{stderr}");
    assert!(
        stderr.contains(&format!("in use by process {}", daemon.id())),
        "{stderr}"
    );
    assert!(daemon.terminate().success());
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let folder = TempDir::new().unwrap();
    let sandbox = support::sandbox(folder.path()).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = folder.path().join("exorelay.toml");
    let text =
        settings_text(folder.path(), &sandbox, "").replace("127.0.0.1:0", &address.to_string());
    std::fs::write(&config, text).unwrap();
    let (code, _, stderr) = finish(exorelay(&config).arg("run"));
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains(&format!("cannot listen on {address}")),
        "{stderr}"
    );
    assert!(
        stderr.contains("another program uses this port"),
        "{stderr}"
    );
}
