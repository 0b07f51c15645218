//! The real daemon and its signals: SIGHUP reloads, SIGTERM drains, a second one hurries.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use exorelay::queue::{Filter, MessageState, QueueId, Reader};
use exorelay::sandbox::{Fault, Sandbox, Step};
use rustix::process::Signal;
use support::daemon::{Daemon, exorelay, finish};
use support::{Client, settings_text, until, within};
use tempfile::TempDir;

const CONTENT: &str = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\nbody\r\n";

/// Clients that send at once.
const CLIENTS: usize = 20;

struct Bench {
    folder: TempDir,
    sandbox: Sandbox,
    config: PathBuf,
}

impl Bench {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let sandbox = support::sandbox(folder.path()).await;
        let config = folder.path().join("exorelay.toml");
        let bench = Self {
            folder,
            sandbox,
            config,
        };
        bench.write(&bench.text(""));
        bench
    }

    fn text(&self, more: &str) -> String {
        settings_text(self.folder.path(), &self.sandbox, more)
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.config, text).unwrap();
    }

    fn queue(&self) -> PathBuf {
        self.folder.path().join("queue")
    }
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_a_good_one_takes_effect() {
    let bench = Bench::new().await;
    let mut daemon = Daemon::start(&bench.config);
    let mut client = daemon.client().await;
    client.expect("HELO device", "250").await;

    let misspelt =
        bench.text("[listener.local]\nmax_mesage_size = \"10KiB\"\n[lgo]\nlevel = \"debug\"\n");
    bench.write(&misspelt.replacen("[listener.local]\naddress = \"127.0.0.1:0\"\n", "", 1));
    daemon.signal(Signal::HUP);
    for key in ["max_mesage_size", "lgo"] {
        let line = daemon.wait_for(key);
        assert!(line.contains("ERROR settings not reloaded"), "{line}");
    }
    client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;

    let small = "address = \"127.0.0.1:0\"\nmax_message_size = \"10KiB\"";
    let good = bench.text("[log]\nlevel = \"debug\"\n");
    bench.write(&good.replace("address = \"127.0.0.1:0\"", small));
    daemon.signal(Signal::HUP);
    let line = daemon.wait_for("settings reloaded");
    assert!(
        line.contains("changes=\"listener local changed, log level changed\""),
        "{line}"
    );
    let mut new = daemon.client().await;
    let offer = new.expect("EHLO device", "250").await;
    assert!(offer.contains("250-SIZE 10240\n"), "{offer}");
    new.expect("QUIT", "221").await;
    daemon.wait_for("DEBUG session ended");
    client.expect("NOOP", "250").await;
    within("delivery", bench.sandbox.control().wait_for_messages(1)).await;
    assert!(daemon.terminate().success());
}

#[tokio::test]
async fn mail_of_an_account_that_is_gone_is_named_at_the_start_and_after_a_reload() {
    let bench = Bench::new().await;
    let refusal = Fault::Reply("535 5.7.3 Authentication unsuccessful".into());
    bench
        .sandbox
        .control()
        .smtp_fault(Step::Auth, refusal, None);
    let mut daemon = Daemon::start(&bench.config);
    let mut client = daemon.client().await;
    client.expect("HELO device", "250").await;
    client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    // With its listener gone too, nobody knows whether the other account may send it.
    let other = bench.text("").replace("account.default", "account.main");
    bench.write(&other.replace("listener.local", "listener.main"));
    daemon.signal(Signal::HUP);
    let expected = "bring [account.default] back, or add a [[route]] that takes them";
    let line = daemon.wait_for(expected);
    assert!(line.contains("waiting=1"), "{line}");
    let (code, status, _) = finish(exorelay(&bench.config).arg("status"));
    assert_eq!(code, Some(0), "{status}");
    assert!(
        status.contains("1 message for account default, which the settings do not name"),
        "{status}"
    );
    assert!(daemon.terminate().success());

    bench.sandbox.control().clear_faults();
    let mut daemon = Daemon::start(&bench.config);
    daemon.wait_for(expected);
    bench.write(&bench.text(""));
    daemon.signal(Signal::HUP);
    within("delivery", bench.sandbox.control().wait_for_messages(1)).await;
    assert!(daemon.terminate().success());
}

#[tokio::test]
async fn the_service_manager_is_told_of_each_step() {
    let bench = Bench::new().await;
    let path = bench.folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    let heard = || {
        let mut octets = [0; 4096];
        let length = socket.recv(&mut octets).unwrap();
        String::from_utf8_lossy(&octets[..length]).into_owned()
    };
    let mut command = exorelay(&bench.config);
    command.env("NOTIFY_SOCKET", &path);
    let daemon = Daemon::start_as(command, &bench.config);
    assert_eq!(heard(), "READY=1\n");
    for (text, outcome) in [
        (bench.text(""), "running with the settings reloaded last"),
        ("[queue\n".to_owned(), "settings not reloaded (1 to correct"),
    ] {
        bench.write(&text);
        daemon.signal(Signal::HUP);
        let reloading = heard();
        assert!(
            reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
            "{reloading}"
        );
        let ready = heard();
        assert!(ready.starts_with("READY=1\nSTATUS="), "{ready}");
        assert!(ready.contains(outcome), "{ready}");
    }
    daemon.signal(Signal::TERM);
    assert_eq!(heard(), "STOPPING=1\n");
    assert!(daemon.ended().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_loses_nothing_and_leaves_a_sound_queue() {
    let bench = Bench::new().await;
    let daemon = Daemon::start(&bench.config);
    let address = daemon.address;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(send_until_told(address, number)))
        .collect();
    within("load", bench.sandbox.control().wait_for_messages(100)).await;
    let ended = tokio::task::spawn_blocking(move || daemon.terminate());
    let mut acknowledged = BTreeSet::new();
    for client in clients {
        acknowledged.extend(within("a client", client).await.unwrap());
    }
    assert!(within("the end", ended).await.unwrap().success());

    // First of all: whoever looks into the database makes a log of it.
    assert_sound(&bench.queue());
    let mut kept: BTreeSet<String> = BTreeSet::new();
    for state in [
        MessageState::Ready,
        MessageState::Deferred,
        MessageState::Delivered,
    ] {
        let filter = Filter {
            state: Some(state),
            ..Filter::default()
        };
        let listed = Reader::new(&bench.queue()).list(&filter, |record| {
            kept.insert(record.id);
            std::ops::ControlFlow::Continue(())
        });
        listed.unwrap();
    }
    let lost: Vec<_> = acknowledged.difference(&kept).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(acknowledged.len() >= 100);
}

/// Nothing is left open: no log beside the database, no content file without its message.
fn assert_sound(queue: &Path) {
    assert!(!queue.join("queue.db-wal").exists());
    let database = rusqlite::Connection::open(queue.join("queue.db")).unwrap();
    let check: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    let leased: i64 = database
        .query_row("SELECT count(*) FROM message WHERE state = 1", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(leased, 0, "leases were given back");
    let files = std::fs::read_dir(queue.join("content")).unwrap();
    let files: BTreeSet<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut named = database
        .prepare("SELECT id FROM message WHERE stored = 2")
        .unwrap();
    let named = named.query_map([], |row| row.get(0)).unwrap();
    let named: BTreeSet<String> = named.map(Result::unwrap).collect();
    assert_eq!(files, named);
}

/// Message after message, every fifth through a content file, until the daemon says 421 or refuses; what was
/// answered with 250. Nobody is left without a word in the middle of a session.
async fn send_until_told(address: std::net::SocketAddr, number: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let large = format!("{CONTENT}{}", ("x".repeat(98) + "\r\n").repeat(1_000));
    let mut client = Client::connect(address).await;
    if client.greeting.is_empty() {
        return acknowledged;
    }
    for count in number.. {
        let content = if count % 5 == 0 { &large } else { CONTENT };
        let whole = format!("{content}.\r\n");
        for block in [
            "MAIL FROM:<a@contoso.com>\r\n",
            "RCPT TO:<b@contoso.com>\r\n",
            "DATA\r\n",
            &whole,
        ] {
            // A daemon that has said 421 listens no more.
            let _ = client.try_write(block.as_bytes()).await;
            let reply = client.reply().await;
            if reply.starts_with("421 4.3.2") {
                return acknowledged;
            }
            assert!(reply.starts_with(['2', '3']), "{reply:?}");
            if let Some(id) = reply.strip_prefix("250 2.0.0 Ok: queued as ") {
                acknowledged.push(id.to_owned());
            }
        }
    }
    acknowledged
}

#[tokio::test]
async fn a_second_signal_ends_the_drain_at_once() {
    let bench = Bench::new().await;
    bench
        .sandbox
        .control()
        .smtp_fault(Step::EndOfData, Fault::Hang, Some(1));
    let mut daemon = Daemon::start(&bench.config);
    let mut client = daemon.client().await;
    client.expect("HELO device", "250").await;
    let id = client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    client.expect("MAIL FROM:<a@contoso.com>", "250").await;
    until("the attempt", || {
        bench.sandbox.control().stats().authenticated == 1
    })
    .await;
    daemon.signal(Signal::TERM);
    daemon.wait_for("stopping");
    client.expect("RCPT TO:<b@contoso.com>", "250").await;
    let told = Instant::now();
    daemon.signal(Signal::INT);
    assert!(client.reply().await.starts_with("421 4.3.2"));
    assert!(daemon.ended().success());
    // The grace period would be twenty seconds.
    assert!(told.elapsed() < Duration::from_secs(15));
    assert_sound(&bench.queue());
    let kept = Reader::new(&bench.queue())
        .show(QueueId::parse(&id).unwrap())
        .unwrap();
    assert!(kept.is_some());
    bench.sandbox.control().clear_faults();
    let daemon = Daemon::start(&bench.config);
    within("delivery", bench.sandbox.control().wait_for_messages(1)).await;
    assert!(daemon.terminate().success());
}
