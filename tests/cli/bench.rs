//! A folder with settings and a queue, and what would be its daemon.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use exorelay::admin::{
    ClientStatus, QueueStatus, Reception, Server, Status, StatusFuture, StatusSource, Timeline,
};
use exorelay::mail::{BodyType, Envelope, Mailbox, Recipient, ReversePath};
use exorelay::queue::{
    Backoff, Disposition, Limits, Origin, Queue, RecipientOutcome, Retention, Retry, Settings,
    Settlement, Submission,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

pub(crate) const SECRET: &str = "hunter2-hunter2-hunter2";

/// A folder with settings, and perhaps a queue.
pub(crate) struct Bench {
    folder: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self {
            folder: TempDir::new().unwrap(),
        };
        let text = format!(
            "[queue]\ndirectory = \"{0}/queue\"\n[admin]\nsocket = \"{0}/admin.sock\"\n\
             [account.default]\nmailbox = \"relay@contoso.com\"\n\
             tenant_id = \"11111111-2222-3333-4444-555555555555\"\n\
             client_id = \"66666666-7777-8888-9999-000000000000\"\nclient_secret = \"{SECRET}\"\n",
            bench.folder.path().display()
        );
        std::fs::write(bench.config(), text).unwrap();
        bench
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("exorelay.toml")
    }

    /// Settings of an account that a person signs in for.
    pub(crate) fn delegated(token_url: &str) -> Self {
        let bench = Self::new();
        let before = std::fs::read_to_string(bench.config()).unwrap();
        let secret = format!("client_secret = \"{SECRET}\"\n");
        let access = format!("access = \"delegated\"\noauth.token_url = \"{token_url}\"\n");
        std::fs::write(bench.config(), before.replace(&secret, &access)).unwrap();
        bench
    }

    /// What the folder keeps of an account's sign-in.
    pub(crate) fn sign_in_file(&self) -> PathBuf {
        self.folder.path().join("queue/tokens/default.json")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    pub(crate) fn append(&self, text: &str) {
        let before = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.config(), before + text).unwrap();
    }

    pub(crate) fn exorelay(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = exorelay(arguments);
        command.env("EXORELAY_CONFIG", self.config());
        command
    }

    /// What nobody should do to a queue.
    pub(crate) fn sql(&self, statements: &str) {
        let database = self.folder.path().join("queue/queue.db");
        let connection = rusqlite::Connection::open(database).unwrap();
        connection.execute_batch(statements).unwrap();
    }

    pub(crate) fn queue(&self) -> Queue {
        open_queue(&self.folder.path().join("queue"))
    }
}

pub(crate) fn exorelay(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exorelay"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EXORELAY_") {
            command.env_remove(name);
        }
    }
    command
        .env("TZ", "UTC")
        .args(arguments)
        .stdin(Stdio::null());
    command
}

pub(crate) fn open_queue(directory: &Path) -> Queue {
    let settings = Settings {
        directory: directory.to_owned(),
        limits: Limits {
            messages_max: 100_000,
            bytes_max: 1 << 30,
            disk_free_min_bytes: 0,
        },
        backoff: Backoff {
            initial: Duration::from_mins(10),
            factor: 2.0,
            max: Duration::from_hours(1),
        },
        expire_after: Duration::from_hours(48),
        retention: Retention {
            delivered: Duration::from_hours(24),
            failed: Duration::from_hours(24),
        },
        record_subject: true,
    };
    Queue::open(settings).unwrap()
}

pub(crate) fn submission(account: &str) -> Submission {
    let recipients = ["desk@contoso.com", "archive@contoso.com"]
        .map(|address| Recipient::from(Mailbox::parse(address).unwrap()));
    let reverse_path = ReversePath::parse("scanner@contoso.com").unwrap();
    let envelope = Envelope::new(reverse_path, recipients.to_vec(), BodyType::SevenBit, false);
    Submission {
        envelope: envelope.unwrap(),
        account: account.into(),
        origin: Origin {
            listener: "local".into(),
            client: "10.20.1.15".into(),
            helo: "scanner".into(),
            ..Origin::default()
        },
        subject: Some("Scan from the lobby".into()),
        message_id: Some("<1@scanner>".into()),
    }
}

pub(crate) async fn submit(queue: &Queue, account: &str) -> String {
    let mut draft = queue.draft(None).unwrap();
    draft.append(b"Subject: x\r\n\r\nx\r\n").await.unwrap();
    let receipt = draft.commit(submission(account)).await.unwrap();
    receipt.queue_id().to_string()
}

/// The oldest message of `account` is delivered to its first recipient and deferred for its second.
pub(crate) async fn defer_oldest(queue: &Queue, account: &str) {
    let lease = queue.lease(account, 1).await.unwrap().leases.remove(0);
    let outcome = |number, disposition, reply: &str| RecipientOutcome {
        number,
        disposition,
        reply: reply.into(),
    };
    let settlement = Settlement {
        recipients: vec![
            outcome(0, Disposition::Delivered, "250 2.1.5 ok"),
            outcome(1, Disposition::Deferred, "451 4.7.0 server busy"),
        ],
        retry: Retry::Scheduled,
        started_at: std::time::SystemTime::now(),
        remote: "smtp.office365.com".into(),
        connection: Some(7),
        transactions: 1,
        uncertain: false,
        note: None,
        reply: "451 4.7.0 server busy".into(),
    };
    lease.settle(queue, settlement).await.unwrap();
}

pub(crate) async fn close(queue: Queue) {
    let closed = tokio::task::spawn_blocking(move || queue.close()).await;
    closed.unwrap();
}

/// A command, while this process's runtime goes on answering it.
pub(crate) async fn ask(bench: &Bench, arguments: &[&str]) -> Output {
    let mut command = bench.command(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    output.unwrap().unwrap()
}

struct Fixed(Queue);

impl StatusSource for Fixed {
    fn status(&self) -> StatusFuture<'_> {
        Box::pin(async {
            Status {
                version: "0.1.0".into(),
                hostname: "relay.contoso.local".into(),
                pid: 4711,
                started_at: jiff::Timestamp::now(),
                listeners: Vec::new(),
                admin_http: None,
                sessions: 0,
                session_panics: 0,
                queue: QueueStatus::of(&self.0).await,
                incidents: Vec::new(),
                clients: ClientStatus::all(&self.0),
                accounts: Vec::new(),
            }
        })
    }

    fn reception(&self) -> Reception {
        Reception {
            listeners: 0,
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

/// What a daemon does about questions.
pub(crate) async fn answer(bench: &Bench, queue: &Queue) -> CancellationToken {
    let stop = CancellationToken::new();
    let server = Server::bind(&bench.socket()).unwrap();
    let source = Arc::new(Fixed(queue.clone()));
    tokio::spawn(server.run(queue.clone(), source, stop.clone()));
    stop
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[track_caller]
pub(crate) fn assert_exit(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout: {}\nstderr: {}",
        stdout(output),
        stderr(output)
    );
}

/// Nothing on standard output, one line `exorelay: ...` on standard error with every one of `parts`.
#[track_caller]
pub(crate) fn assert_complains(output: &Output, code: i32, parts: &[&str]) {
    assert_exit(output, code);
    assert_eq!(stdout(output), "");
    let complaint = stderr(output);
    assert!(complaint.starts_with("exorelay: "), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    for part in parts {
        assert!(complaint.contains(part), "{part:?} in {complaint}");
    }
}

/// A daemon that lets nobody in.
pub(crate) async fn refuse(bench: &Bench) {
    let listener = tokio::net::UnixListener::bind(bench.socket()).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = "HTTP/1.1 403 Forbidden\r\ncontent-length: 15\r\nconnection: close\r\n\r\n\
                          {\"error\":\"no.\"}";
            // A caller that only looks whether somebody listens is gone before.
            let mut request = [0; 4096];
            if stream
                .read(&mut request)
                .await
                .is_ok_and(|octets| octets > 0)
            {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
}
