//! One session in memory, on a clock that the test turns.

mod hostile;
mod logins;
mod routes;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::advance;
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::peer::Peer;
use super::session::{Ended, Session};
use super::transport::Transport;
use super::visit::Visit;
use super::{Current, Limits, Prepared, Routing, Sessions, Settings, Stop, Table, Timeouts};
use crate::queue::{self, Queue};

fn routing(account: &str) -> Arc<Routing> {
    Arc::new(Routing::new(Table {
        listeners: [("local".into(), None)].into(),
        default: Some(account.into()),
        mailboxes: [(account.into(), "relay@contoso.com".into())].into(),
        ..Table::default()
    }))
}

pub(super) fn settings() -> Settings {
    Settings {
        name: "local".into(),
        address: super::Address::Tcp(([127, 0, 0, 1], 0).into()),
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        hostname: "relay.test".into(),
        routing: routing("default"),
        hours: Arc::default(),
        allow_recipients: Vec::new(),
        login: None,
        encryption: None,
        bare_newline: crate::smtp::BareNewline::Normalize,
        limits: Limits {
            connections_max: 10,
            connections_per_client_max: 10,
            connections_per_client_per_minute: 0,
            message_size_max_bytes: 1 << 20,
            recipients_max: 10,
            errors_max: 10,
        },
        timeouts: Timeouts {
            command: Duration::from_mins(5),
            data: Duration::from_mins(3),
            session: Duration::from_mins(30),
        },
    }
}

fn queue(folder: &TempDir) -> Queue {
    let mut settings = queue::tests::settings(folder.path());
    settings.limits.messages_max = 10;
    Queue::open(settings).unwrap()
}

fn current(settings: Settings) -> Arc<Current> {
    Prepared::read(settings).unwrap().current()
}

fn visit(
    settings: &watch::Sender<Arc<Current>>,
    queue: &Queue,
    stop: &Stop,
    sessions: &Sessions,
) -> Visit {
    let peer = Peer::Network(IpAddr::from([127, 0, 0, 1]));
    let latest = settings.subscribe();
    let current = latest.borrow().for_client(peer);
    let access = Access::new(sessions.clone());
    Visit {
        peer,
        _admission: access.admit(peer, &current.settings).unwrap(),
        current,
        latest,
        queue: queue.clone(),
        stop: stop.clone(),
        sessions: sessions.clone(),
    }
}

struct Bench {
    client: DuplexStream,
    queue: Queue,
    settings: watch::Sender<Arc<Current>>,
    stop: Stop,
    session: JoinHandle<std::io::Result<Ended>>,
    _folder: TempDir,
}

impl Bench {
    fn start() -> Self {
        Self::start_with(settings())
    }

    fn start_with(settings: Settings) -> Self {
        let folder = TempDir::new().unwrap();
        let queue = queue(&folder);
        let (client, server) = duplex(4096);
        let settings = watch::Sender::new(current(settings));
        let stop = Stop {
            drain: CancellationToken::new(),
            cut: CancellationToken::new(),
            grace: Duration::from_secs(20),
        };
        let visit = visit(&settings, &queue, &stop, &Sessions::with_descriptors(10));
        let session =
            tokio::spawn(async move { Session::new(Transport::Plain(server), &visit).run().await });
        Self {
            client,
            queue,
            settings,
            stop,
            session,
            _folder: folder,
        }
    }

    async fn reply(&mut self) -> String {
        let mut octets = vec![0; 4096];
        let read = self.client.read(&mut octets).await.unwrap();
        String::from_utf8_lossy(octets.get(..read).unwrap()).into_owned()
    }

    async fn command(&mut self, line: &str) -> String {
        self.client
            .write_all(format!("{line}\r\n").as_bytes())
            .await
            .unwrap();
        self.reply().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_told_and_closed() {
    let mut bench = Bench::start();
    assert!(bench.reply().await.starts_with("220 "));
    advance(Duration::from_mins(5)).await;
    assert!(bench.reply().await.starts_with("421 4.4.2 "));
    assert_eq!(bench.session.await.unwrap().unwrap(), Ended::Timeout);
}

#[tokio::test(start_paused = true)]
async fn a_busy_session_ends_between_two_transactions_and_not_within_one() {
    let mut bench = Bench::start();
    assert!(bench.reply().await.starts_with("220 "));
    for _ in 0..9 {
        assert!(bench.command("NOOP").await.starts_with("250 "));
        advance(Duration::from_mins(3)).await;
    }
    assert!(bench.command("MAIL FROM:<a@b.c>").await.starts_with("250 "));
    advance(Duration::from_mins(4)).await;
    assert!(bench.command("RCPT TO:<a@b.c>").await.starts_with("250 "));
    assert!(bench.command("DATA").await.starts_with("354 "));
    advance(Duration::from_mins(2)).await;
    // Both replies may arrive at once.
    bench.client.write_all(b"x\r\n.\r\n").await.unwrap();
    let mut farewell = String::new();
    bench.client.read_to_string(&mut farewell).await.unwrap();
    let (accepted, closed) = farewell.split_once("\r\n").unwrap();
    assert!(
        accepted.starts_with("250 2.0.0 Ok: queued as "),
        "{farewell}"
    );
    assert!(closed.starts_with("421 4.4.2 "), "{farewell}");
    assert_eq!(bench.session.await.unwrap().unwrap(), Ended::Timeout);
    assert_eq!(bench.queue.used().0, 1);
}

#[tokio::test]
async fn a_drain_ends_a_session_between_transactions() {
    let mut bench = Bench::start();
    assert!(bench.reply().await.starts_with("220 "));
    assert!(bench.command("HELO x").await.starts_with("250 "));
    bench.stop.drain.cancel();
    assert!(bench.reply().await.starts_with("421 4.3.2 "));
    assert_eq!(bench.session.await.unwrap().unwrap(), Ended::Stopping);
}

#[tokio::test]
async fn a_drain_lets_the_transaction_end_and_begins_no_other() {
    let mut bench = Bench::start();
    assert!(bench.reply().await.starts_with("220 "));
    assert!(bench.command("MAIL FROM:<a@b.c>").await.starts_with("250 "));
    bench.stop.drain.cancel();
    assert!(bench.command("RCPT TO:<a@b.c>").await.starts_with("250 "));
    assert!(bench.command("DATA").await.starts_with("354 "));
    // The next transaction is in the pipe already.
    let rest = b"x\r\n.\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<a@b.c>\r\n";
    bench.client.write_all(rest).await.unwrap();
    let mut farewell = String::new();
    bench.client.read_to_string(&mut farewell).await.unwrap();
    let (accepted, closed) = farewell.split_once("\r\n").unwrap();
    assert!(accepted.starts_with("250 2.0.0 "), "{farewell}");
    assert!(closed.starts_with("421 4.3.2 "), "{farewell}");
    assert_eq!(closed.lines().count(), 1, "{farewell}");
    assert_eq!(bench.session.await.unwrap().unwrap(), Ended::Stopping);
    assert_eq!(bench.queue.used().0, 1);
}

#[tokio::test]
async fn a_cut_ends_a_transaction_and_leaves_nothing_of_it() {
    for within_content in [false, true] {
        let mut bench = Bench::start();
        assert!(bench.reply().await.starts_with("220 "));
        assert!(bench.command("MAIL FROM:<a@b.c>").await.starts_with("250 "));
        assert!(bench.command("RCPT TO:<a@b.c>").await.starts_with("250 "));
        if within_content {
            assert!(bench.command("DATA").await.starts_with("354 "));
            bench.client.write_all(b"Subject: half").await.unwrap();
        }
        bench.stop.drain.cancel();
        bench.stop.cut.cancel();
        assert!(bench.reply().await.starts_with("421 4.3.2 "));
        assert_eq!(bench.session.await.unwrap().unwrap(), Ended::Stopping);
        assert_eq!(bench.queue.used(), (0, 0));
    }
}

#[tokio::test]
async fn a_message_goes_to_the_account_of_the_settings_of_its_moment() {
    let mut bench = Bench::start();
    assert!(bench.reply().await.starts_with("220 "));
    bench.settings.send_replace(current(Settings {
        routing: routing("renamed"),
        limits: Limits {
            recipients_max: 1,
            ..settings().limits
        },
        ..settings()
    }));
    assert!(bench.command("MAIL FROM:<a@b.c>").await.starts_with("250 "));
    for _ in 0..2 {
        // The session's own limits are those it began with.
        assert!(bench.command("RCPT TO:<a@b.c>").await.starts_with("250 "));
    }
    assert!(bench.command("DATA").await.starts_with("354 "));
    assert!(bench.command("x\r\n.").await.starts_with("250 2.0.0 "));
    let counts = bench.queue.reader().counts().unwrap();
    assert_eq!(counts.accounts.keys().collect::<Vec<_>>(), ["renamed"]);
}

#[tokio::test]
async fn a_client_that_holds_most_of_a_queue_that_is_nearly_full_is_asked_to_wait() {
    let mut bench = Bench::start();
    assert!(bench.reply().await.starts_with("220 "));
    let from = |client| bench.queue.draft_from(client, None).unwrap();
    let held: Vec<_> = (0..8).map(|_| from("127.0.0.1")).collect();
    let other = from("127.0.0.2");
    let refused = bench.command("MAIL FROM:<a@b.c>").await;
    assert!(
        refused.starts_with("452 4.3.1 The queue is nearly full"),
        "{refused}"
    );
    drop(other);
    assert!(bench.command("MAIL FROM:<a@b.c>").await.starts_with("250 "));
    drop(held);
}
