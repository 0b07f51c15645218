//! Server and client over a socket in a folder of their own.

mod hands;

use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::connect_info::MockConnectInfo;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::peer::Peer;
use super::routes::{self, Answers};
use super::*;
use crate::mail::{BodyType, Envelope, Mailbox, Recipient, ReversePath};
use crate::queue::{
    Action, Filter, MessageRecord, MessageState, Origin, Queue, QueueId, Selection, Submission,
};
use crate::unix_socket::UnixSocketError;

struct Bench {
    folder: TempDir,
    queue: Queue,
    stop: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

struct Fixed(Queue);

impl StatusSource for Fixed {
    fn status(&self) -> StatusFuture<'_> {
        Box::pin(async { sample_status(QueueStatus::of(&self.0).await) })
    }

    fn reception(&self) -> Reception {
        Reception {
            listeners: 1,
            draining: false,
        }
    }

    fn names(&self) -> Vec<String> {
        vec!["relay.contoso.local".into()]
    }

    fn timeline(&self) -> Arc<Timeline> {
        Arc::default()
    }

    fn renew(&self, account: &str) -> bool {
        account == "default"
    }
}

pub(super) fn sample_status(queue: QueueStatus) -> Status {
    Status {
        version: "0.1.0".into(),
        hostname: "relay.contoso.local".into(),
        pid: 4711,
        started_at: Timestamp::UNIX_EPOCH,
        listeners: vec![ListenerStatus {
            name: "local".into(),
            address: "127.0.0.1:2525".into(),
        }],
        admin_http: None,
        sessions: 3,
        session_panics: 0,
        queue,
        clients: Vec::new(),
        incidents: vec![IncidentStatus {
            client: None,
            id: "01KA0000000000AB".into(),
            kind: "account".into(),
            account: Some("default".into()),
            state: "blocked".into(),
            rule: None,
            why: None,
            remedy: None,
            aadsts: None,
            link: None,
            reason: "AADSTS7000222".into(),
            count: 20,
            opened_at: Timestamp::UNIX_EPOCH,
        }],
        accounts: vec![AccountStatus {
            name: "default".into(),
            mailbox: "relay@contoso.com".into(),
            host: "smtp.office365.com".into(),
            state: AccountState::Paused,
            reason: Some("535 5.7.3 Authentication unsuccessful".into()),
            rule: None,
            why: None,
            remedy: None,
            aadsts: None,
            link: None,
            since: Timestamp::UNIX_EPOCH,
            next_probe_at: Some(Timestamp::MAX),
            probing: false,
            connections: 0,
            pace: PaceReport::default(),
            token: TokenReport::of(&crate::oauth::TokenStatus::Starting, "default"),
            credential_expires: None,
            last_error: None,
            unknown_replies: 0,
            last_unknown_reply: None,
            denied_senders: Vec::new(),
        }],
    }
}

impl Bench {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let queue = open_queue(folder.path());
        let stop = CancellationToken::new();
        let server = Server::bind(&folder.path().join("admin.sock")).unwrap();
        let source = Arc::new(Fixed(queue.clone()));
        let server = tokio::spawn(server.run(queue.clone(), source, stop.clone()));
        Self {
            folder,
            queue,
            stop,
            server,
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    fn client(&self) -> Client {
        Client::new(&self.socket()).unwrap()
    }

    async fn submit(&self, count: usize) -> Vec<QueueId> {
        let submissions = (0..count).map(|_| {
            let queue = self.queue.clone();
            tokio::spawn(async move {
                let mut draft = queue.draft(None).unwrap();
                draft.append(b"Subject: x\r\n\r\nx\r\n").await.unwrap();
                draft.commit(submission()).await.unwrap().queue_id()
            })
        });
        let mut ids = Vec::new();
        for task in submissions.collect::<Vec<_>>() {
            ids.push(task.await.unwrap());
        }
        ids
    }

    /// One question as anybody could write it; the connection is closed with the answer.
    async fn raw(&self, line: &str) -> String {
        let mut stream = UnixStream::connect(self.socket()).await.unwrap();
        let request = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

fn open_queue(folder: &Path) -> Queue {
    let mut settings = crate::queue::tests::settings(folder);
    settings.limits.messages_max = 100_000;
    Queue::open(settings).unwrap()
}

fn submission() -> Submission {
    let recipient = Recipient::from(Mailbox::parse("desk@contoso.com").unwrap());
    let envelope = Envelope::new(
        ReversePath::parse("scanner@contoso.com").unwrap(),
        vec![recipient],
        BodyType::SevenBit,
        false,
    );
    Submission {
        envelope: envelope.unwrap(),
        account: "default".into(),
        origin: Origin {
            listener: "local".into(),
            client: "127.0.0.1".into(),
            helo: "scanner".into(),
            ..Origin::default()
        },
        subject: Some("Scan from the lobby".into()),
        message_id: Some("<1@scanner>".into()),
    }
}

async fn ids(client: &Client, filter: &Filter) -> Result<Vec<String>, ClientError> {
    let mut ids = Vec::new();
    let each = |record: MessageRecord| {
        ids.push(record.id);
        ControlFlow::Continue(())
    };
    client.list(filter, each).await?;
    Ok(ids)
}

#[tokio::test]
async fn status_comes_across_whole() {
    let bench = Bench::start();
    bench.submit(2).await;
    let status = bench.client().status().await.unwrap();
    let expected = sample_status(QueueStatus::of(&bench.queue).await);
    assert_eq!(status, expected);
    assert_eq!(status.queue.counts["default"]["ready"], 2);
    assert_eq!(status.queue.messages, 2);
    assert_eq!(status.queue.limit_messages, 100_000);
    assert_eq!(status.queue.full, None);
    let answer = bench.raw("GET /v1/status").await;
    assert!(
        answer.contains(r#""next_probe_at":"9999-"#) && answer.contains(r#""state":"paused""#),
        "{answer}"
    );
}

#[tokio::test]
async fn long_listing_is_streamed_in_order() {
    let bench = Bench::start();
    let accepted = bench.submit(5_000).await;
    let listed = ids(&bench.client(), &Filter::default()).await.unwrap();
    let mut expected = Vec::new();
    let each = |record: MessageRecord| {
        expected.push(record.id);
        ControlFlow::Continue(())
    };
    bench.queue.reader().list(&Filter::default(), each).unwrap();
    assert_eq!(listed.len(), accepted.len());
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn filters_are_applied_and_unknown_ones_refused() {
    let bench = Bench::start();
    bench.submit(3).await;
    let count = async |state, account: Option<&str>| {
        let filter = Filter {
            state,
            account: account.map(str::to_owned),
            ..Filter::default()
        };
        ids(&bench.client(), &filter).await.unwrap().len()
    };
    assert_eq!(count(Some(MessageState::Ready), Some("default")).await, 3);
    assert_eq!(count(Some(MessageState::Deferred), None).await, 0);
    assert_eq!(count(None, Some("a b&state=ready")).await, 0);
    for question in ["GET /v1/queue?state=lost", "GET /v1/queue?older_than=3"] {
        let answer = bench.raw(question).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains(r#"{"error":""#), "{answer}");
    }
}

#[tokio::test]
async fn places_for_listings_come_back_when_readers_leave() {
    let bench = Bench::start();
    bench.submit(2_000).await;
    for _ in 0..20 {
        let read_one = async || {
            let mut count = 0;
            let each = |_| {
                count += 1;
                ControlFlow::Break(())
            };
            let listed = bench.client().list(&Filter::default(), each).await;
            listed.map(|()| count)
        };
        loop {
            match read_one().await {
                Ok(count) => break assert_eq!(count, 1),
                Err(ClientError::Busy { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test]
async fn listing_that_ends_early_is_not_taken_for_complete() {
    let bench = Bench::start();
    bench.submit(5_000).await;
    let mut count = 0;
    let each = |_| {
        count += 1;
        bench.stop.cancel();
        ControlFlow::Continue(())
    };
    let listed = bench.client().list(&Filter::default(), each).await;
    assert!(
        matches!(listed, Err(ClientError::BrokenOff { .. })),
        "{listed:?} after {count}"
    );
}

#[tokio::test]
async fn one_message_is_shown_with_its_story() {
    let bench = Bench::start();
    let id = bench.submit(1).await[0];
    let shown = bench.client().show(id).await.unwrap();
    assert_eq!(shown, bench.queue.reader().show(id).unwrap());
    assert_eq!(shown.unwrap().helo, "scanner");
}

#[tokio::test]
async fn what_is_not_there_is_404_in_json() {
    let bench = Bench::start();
    let id = QueueId::parse("0000000000000000").unwrap();
    assert_eq!(bench.client().show(id).await.unwrap(), None);
    for question in [
        "GET /v1/queue/0000000000000000",
        "GET /v1/queue/short",
        "GET /v1/queue/%ff",
        "GET /v1/",
        "GET /v2/status",
        "GET /",
    ] {
        let answer = bench.raw(question).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{question}: {answer}");
        assert!(answer.contains(r#"{"error":""#), "{question}: {answer}");
    }
    let answer = bench.raw("DELETE /v1/status").await;
    assert!(
        answer.starts_with("HTTP/1.1 405 ") && answer.contains("does not take DELETE"),
        "{answer}"
    );
}

#[tokio::test]
async fn strangers_are_refused() {
    let folder = TempDir::new().unwrap();
    let queue = open_queue(folder.path());
    let socket = folder.path().join("admin.sock");
    let answers = Answers::new(
        queue.clone(),
        Arc::new(Fixed(queue.clone())),
        CancellationToken::new(),
    );
    let stranger = Peer {
        uid: Some(65534),
        permitted: false,
    };
    let router = routes::admit(routes::router(answers)).layer(MockConnectInfo(stranger));
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let server = tokio::spawn(axum::serve(listener, router).into_future());
    let client = Client::new(&socket).unwrap();
    let id = QueueId::parse("0000000000000000").unwrap();
    for error in [
        client.status().await.unwrap_err(),
        client.show(id).await.unwrap_err(),
        ids(&client, &Filter::default()).await.unwrap_err(),
        client
            .act(Action::Delete, &Selection::All, |_| {})
            .await
            .unwrap_err(),
    ] {
        assert!(
            matches!(error, ClientError::NotPermitted { .. }),
            "{error:?}"
        );
    }
    server.abort();
}

#[tokio::test]
async fn socket_is_for_owner_and_group_and_goes_with_the_server() {
    let bench = Bench::start();
    let mode = std::fs::metadata(bench.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    bench.client().status().await.unwrap();
    let second = Server::bind(&bench.socket()).unwrap_err();
    assert!(
        matches!(second, BindError(UnixSocketError::InUse { .. })),
        "{second}"
    );
    bench.stop.cancel();
    bench.server.await.unwrap().unwrap();
    assert!(!bench.folder.path().join("admin.sock").exists());
}

#[tokio::test]
async fn stale_socket_is_replaced_and_another_file_is_not() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("admin.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "the file outlives its process");
    let client = Client::new(&path).unwrap();
    let refused = client.status().await.unwrap_err();
    assert!(
        matches!(refused, ClientError::NoDaemon { .. }),
        "{refused:?}"
    );
    drop(Server::bind(&path).unwrap());
    assert!(!path.exists());

    std::fs::write(&path, "an operator's notes").unwrap();
    let error = Server::bind(&path).unwrap_err();
    assert!(
        matches!(error, BindError(UnixSocketError::NotASocket { .. })),
        "{error}"
    );
    assert!(path.exists());
}

#[tokio::test]
async fn server_that_goes_leaves_another_ones_socket_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("admin.sock");
    let first = Server::bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let second = Server::bind(&path).unwrap();
    drop(first);
    assert!(path.exists());
    drop(second);
    assert!(!path.exists());
}

#[tokio::test]
async fn socket_needs_a_folder_and_may_have_any_name() {
    use std::os::unix::ffi::OsStrExt;
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("run/admin.sock");
    let error = Server::bind(&missing).unwrap_err();
    assert!(
        matches!(error, BindError(UnixSocketError::NoFolder { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("set another admin.socket"));
    let odd = folder
        .path()
        .join(std::ffi::OsStr::from_bytes(b"admin-\xff.sock"));
    drop(Server::bind(&odd).unwrap());
}

#[tokio::test]
async fn nobody_there_is_told_from_nothing_understood() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("admin.sock");
    let error = Client::new(&path).unwrap().status().await.unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon { .. }), "{error:?}");

    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let foreign = tokio::spawn(async move {
        for answer in ["HTTP/1.0 200 OK\r\n\r\nhello", "220 ready\r\n"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let client = Client::new(&path).unwrap();
    let error = client.status().await.unwrap_err();
    assert!(matches!(error, ClientError::Answer { .. }), "{error:?}");
    let error = client.status().await.unwrap_err();
    assert!(matches!(error, ClientError::BrokenOff { .. }), "{error:?}");
    foreign.await.unwrap();
}
