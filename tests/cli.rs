//! The program as people and scripts call it.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use exorelay::admin::{QueueStatus, Server, Status, StatusFuture, StatusSource};
use exorelay::mail::{BodyType, Envelope, Mailbox, Recipient, ReversePath};
use exorelay::queue::{
    Backoff, Disposition, Filter, Limits, Origin, Queue, RecipientOutcome, Retention, Retry,
    Settings, Settlement, Submission,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const SECRET: &str = "hunter2-hunter2-hunter2";

/// A folder with settings, and perhaps a queue.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
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

    fn config(&self) -> PathBuf {
        self.folder.path().join("exorelay.toml")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    fn append(&self, text: &str) {
        let before = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.config(), before + text).unwrap();
    }

    fn exorelay(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = exorelay(arguments);
        command.env("EXORELAY_CONFIG", self.config());
        command
    }

    fn queue(&self) -> Queue {
        open_queue(&self.folder.path().join("queue"))
    }
}

fn exorelay(arguments: &[&str]) -> Command {
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

fn open_queue(directory: &Path) -> Queue {
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

fn submission(account: &str) -> Submission {
    let recipients = ["desk@contoso.com", "archive@contoso.com"].map(|address| Recipient {
        forward_path: Mailbox::parse(address).unwrap(),
    });
    let reverse_path = ReversePath::parse("scanner@contoso.com").unwrap();
    let envelope = Envelope::new(reverse_path, recipients.to_vec(), BodyType::SevenBit, false);
    Submission {
        envelope: envelope.unwrap(),
        account: account.into(),
        origin: Origin {
            listener: "local".into(),
            client: "10.20.1.15".into(),
            helo: "scanner".into(),
        },
        subject: Some("Scan from the lobby".into()),
        message_id: Some("<1@scanner>".into()),
    }
}

async fn submit(queue: &Queue, account: &str) -> String {
    let mut draft = queue.draft(None).unwrap();
    draft.append(b"Subject: x\r\n\r\nx\r\n").await.unwrap();
    let receipt = draft.commit(submission(account)).await.unwrap();
    receipt.queue_id().to_string()
}

/// The oldest message of `account` is delivered to its first recipient and deferred for its second.
async fn defer_oldest(queue: &Queue, account: &str) {
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
        reply: "451 4.7.0 server busy".into(),
    };
    lease.settle(queue, settlement).await.unwrap();
}

async fn close(queue: Queue) {
    let closed = tokio::task::spawn_blocking(move || queue.close()).await;
    closed.unwrap();
}

/// A command, while this process's runtime goes on answering it.
async fn ask(bench: &Bench, arguments: &[&str]) -> Output {
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
                queue: QueueStatus::of(&self.0).await,
                accounts: Vec::new(),
            }
        })
    }
}

/// What a daemon does about questions.
async fn answer(bench: &Bench, queue: &Queue) -> CancellationToken {
    let stop = CancellationToken::new();
    let server = Server::bind(&bench.socket()).unwrap();
    let source = Arc::new(Fixed(queue.clone()));
    tokio::spawn(server.run(queue.reader(), source, stop.clone()));
    stop
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[track_caller]
fn assert_exit(output: &Output, code: i32) {
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
fn assert_complains(output: &Output, code: i32, parts: &[&str]) {
    assert_exit(output, code);
    assert_eq!(stdout(output), "");
    let complaint = stderr(output);
    assert!(complaint.starts_with("exorelay: "), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    for part in parts {
        assert!(complaint.contains(part), "{part:?} in {complaint}");
    }
}

#[test]
fn help_mentions_every_command() {
    for (arguments, commands) in [
        (
            &["--help"][..],
            &[
                "config",
                "queue",
                "status",
                "--config",
                "78 bad configuration",
            ][..],
        ),
        (&["config", "--help"], &["check", "show"]),
        (&["queue", "--help"], &["list", "show"]),
        (
            &["queue", "list", "--help"],
            &["--state", "--account", "--json", "deferred"],
        ),
        (&["status", "--help"], &["--json", "75"]),
    ] {
        let output = exorelay(arguments).output().unwrap();
        assert_exit(&output, 0);
        for command in commands {
            assert!(
                stdout(&output).contains(command),
                "{command} in {}",
                stdout(&output)
            );
        }
    }
    let version = exorelay(&["--version"]).output().unwrap();
    assert_eq!(
        stdout(&version),
        concat!("exorelay ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn wrong_usage_is_one_line_with_the_right_one() {
    for (arguments, parts) in [
        (
            &["quue"][..],
            &[
                "unrecognized subcommand 'quue'",
                "'queue'",
                "usage: exorelay",
            ][..],
        ),
        (&["queue", "show"], &["<ID>", "usage: exorelay queue show"]),
        (
            &["queue", "show", "42"],
            &["'42'", "sixteen letters and digits", "exorelay queue list"],
        ),
        (
            &["queue", "list", "--state", "lost"],
            &["'lost'", "deferred"],
        ),
        (&["status", "--jsn"], &["'--jsn'", "'--json'"]),
    ] {
        assert_complains(&exorelay(arguments).output().unwrap(), 2, parts);
    }
    let bare = exorelay(&[]).output().unwrap();
    assert_exit(&bare, 2);
    assert!(stderr(&bare).contains("Usage: exorelay"));
}

#[test]
fn good_settings_are_ok() {
    let bench = Bench::new();
    let output = bench.exorelay(&["config", "check"]);
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(
        text.starts_with(&format!("{}: ok\n", bench.config().display())),
        "{text}"
    );
    assert!(
        text.contains("listeners: local on 127.0.0.1:2525\n"),
        "{text}"
    );
    assert!(
        text.contains("accounts: default (relay@contoso.com through smtp.office365.com:587)\n"),
        "{text}"
    );
}

#[test]
fn option_wins_over_the_variable() {
    let bench = Bench::new();
    let config = bench.config();
    let mut command = exorelay(&["config", "check", "--config"]);
    let output = command
        .arg(&config)
        .env("EXORELAY_CONFIG", "/nonexistent")
        .output()
        .unwrap();
    assert_exit(&output, 0);
}

#[test]
fn bad_settings_are_told_one_by_one() {
    let bench = Bench::new();
    bench.append("conections = 3\n[queue.extra]\n[log]\nlevel = \"loud\"\n");
    let output = bench.exorelay(&["config", "check"]);
    assert_exit(&output, 78);
    let complaints: Vec<&str> = stderr(&output).lines().collect();
    assert!(complaints.len() >= 3, "{complaints:?}");
    assert!(
        complaints.iter().all(|line| line.starts_with("exorelay: ")),
        "{complaints:?}"
    );
    assert!(stderr(&output).contains("exorelay.toml:"), "{complaints:?}");
    for command in [&["config", "show"][..], &["queue", "list"], &["status"]] {
        assert_exit(&bench.exorelay(command), 78);
    }
}

#[test]
fn missing_files_are_bad_settings() {
    let output = exorelay(&["--config", "/nonexistent/exorelay.toml", "config", "check"])
        .output()
        .unwrap();
    assert_complains(&output, 78, &["/nonexistent/exorelay.toml", "--config"]);

    let bench = Bench::new();
    let text = std::fs::read_to_string(bench.config()).unwrap();
    let literal = format!("\"{SECRET}\"");
    let text = text.replace(&literal, "{ file = \"/nonexistent/secret\" }");
    std::fs::write(bench.config(), text).unwrap();
    let output = bench.exorelay(&["config", "check"]);
    assert_complains(&output, 78, &["client_secret", "/nonexistent/secret"]);
}

#[test]
fn settings_are_shown_with_their_layers_and_without_secrets() {
    let bench = Bench::new();
    let show = |arguments: &[&str]| {
        let mut command = bench.command(arguments);
        let output = command
            .env("EXORELAY_QUEUE__MAX_MESSAGES", "77")
            .output()
            .unwrap();
        assert_exit(&output, 0);
        assert!(!stdout(&output).contains("hunter2"), "{}", stdout(&output));
        stdout(&output).to_owned()
    };
    let text = show(&["config", "show"]);
    assert!(
        text.contains("max_messages = 77  # environment EXORELAY_QUEUE__MAX_MESSAGES\n"),
        "{text}"
    );
    assert!(text.contains("# default\n"), "{text}");
    let json: Value = serde_json::from_str(&show(&["config", "show", "--json"])).unwrap();
    assert_eq!(json["settings"]["queue"]["max_messages"], 77);
    assert_eq!(json["origins"]["queue.max_bytes"], "default");
}

#[test]
fn queue_that_never_was_is_said_to_be_none() {
    let bench = Bench::new();
    for command in [
        &["queue", "list"][..],
        &["queue", "list", "--json"],
        &["status"],
    ] {
        assert_complains(
            &bench.exorelay(command),
            1,
            &["no queue in", "no daemon has run"],
        );
    }
}

#[tokio::test]
async fn queue_is_listed_from_its_folder_and_through_the_daemon() {
    let bench = Bench::new();
    let queue = bench.queue();
    let mut ids = Vec::new();
    for account in ["default", "default", "fabrikam"] {
        ids.push(submit(&queue, account).await);
    }
    defer_oldest(&queue, "default").await;

    let stop = answer(&bench, &queue).await;
    check_listings(&bench, &ids).await;
    stop.cancel();
    close(queue).await;
    check_listings(&bench, &ids).await;
}

async fn check_listings(bench: &Bench, ids: &[String]) {
    let output = ask(bench, &["queue", "list"]).await;
    assert_exit(&output, 0);
    assert_eq!(stderr(&output), "");
    let text = stdout(&output);
    let mut lines = text.lines();
    assert!(
        lines.next().unwrap().starts_with("ID                STATE"),
        "{text}"
    );
    let first = lines.next().unwrap();
    assert!(
        first.starts_with(&ids[0]) && first.contains("  deferred  "),
        "{text}"
    );
    assert!(
        first.contains("scanner@contoso.com") && first.ends_with("desk@contoso.com +1"),
        "{text}"
    );
    let why = lines.next().unwrap();
    assert!(
        why.contains("next try in ") && why.ends_with("451 4.7.0 server busy"),
        "{text}"
    );
    assert!(
        text.ends_with("\n3 messages (2 ready, 1 deferred), 51 B\n"),
        "{text}"
    );

    let json = |output: Output| -> Vec<Value> {
        assert_exit(&output, 0);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let output = ask(bench, &["queue", "list", "--json"]).await;
    assert_eq!(
        stdout(&output).lines().count(),
        5,
        "a line for each, and the brackets"
    );
    let all = json(output);
    let listed: Vec<&str> = all.iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!(listed, ids);
    assert_eq!(all[0]["recipients"][1]["reply"], "451 4.7.0 server busy");
    assert_eq!(all[0]["attempts"], 1);
    assert!(all[0]["next_attempt_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(all[2]["next_attempt_at"], Value::Null);

    let of_account = json(ask(bench, &["queue", "list", "--json", "--account", "fabrikam"]).await);
    assert_eq!(of_account.len(), 1);
    let of_state = json(ask(bench, &["queue", "list", "--json", "--state", "deferred"]).await);
    assert_eq!(of_state[0]["id"], ids[0].as_str());
    let none = ask(bench, &["queue", "list", "--json", "--state", "held"]).await;
    assert_eq!(stdout(&none), "[]\n");
    let none = ask(bench, &["queue", "list", "--account", "nobody"]).await;
    assert_eq!(stdout(&none), "no such message in the queue\n");
}

#[tokio::test]
async fn one_message_is_shown_with_everything_that_happened() {
    let bench = Bench::new();
    let queue = bench.queue();
    let id = submit(&queue, "default").await;
    defer_oldest(&queue, "default").await;

    let check = async |why: &str| {
        let output = ask(&bench, &["queue", "show", &id.to_lowercase()]).await;
        assert_exit(&output, 0);
        for part in [
            &format!("ID          {id}\n"),
            "State       deferred\n",
            "From        scanner@contoso.com\n",
            "Subject     Scan from the lobby\n",
            "by listener local from 10.20.1.15 (scanner)\n",
            "2 recipients\n  delivered desk@contoso.com  250 2.1.5 ok\n",
            "  pending   archive@contoso.com  451 4.7.0 server busy\n1 attempt\n",
            "smtp.office365.com  delivered, deferred (account default)\n",
            why,
        ] {
            assert!(
                stdout(&output).contains(part),
                "{part:?} in\n{}",
                stdout(&output)
            );
        }
        let output = ask(&bench, &["queue", "show", "--json", &id]).await;
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["id"], id.as_str());
        assert_eq!(json["history"][0]["number"], 1);
        let output = ask(&bench, &["queue", "show", "0000000000000000"]).await;
        assert_complains(&output, 1, &["no message 0000000000000000", "queue list"]);
    };
    let stop = answer(&bench, &queue).await;
    check(": 451 4.7.0 server busy\n").await;
    stop.cancel();
    close(queue).await;
    check("no daemon runs, so nothing is sent\n").await;
}

#[tokio::test]
async fn status_tells_whether_a_daemon_runs() {
    let bench = Bench::new();
    let queue = bench.queue();
    submit(&queue, "default").await;

    let stop = answer(&bench, &queue).await;
    let output = ask(&bench, &["status"]).await;
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(
        text.starts_with("exorelay 0.1.0 on relay.contoso.local, process 4711, up "),
        "{text}"
    );
    assert!(
        text.contains("queue: 1 message waits (1 ready), the oldest for "),
        "{text}"
    );
    let output = ask(&bench, &["status", "--json"]).await;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["running"], true);
    assert_eq!(json["queue"]["counts"]["default"]["ready"], 1);
    stop.cancel();
    while bench.socket().exists() {
        tokio::task::yield_now().await;
    }

    let output = ask(&bench, &["status"]).await;
    assert_exit(&output, 75);
    assert!(
        stderr(&output).contains("a daemon holds "),
        "{}",
        stderr(&output)
    );
    close(queue).await;

    let output = ask(&bench, &["status"]).await;
    assert_exit(&output, 1);
    assert!(
        stdout(&output).starts_with("queue: 1 message waits"),
        "{}",
        stdout(&output)
    );
    assert!(
        stderr(&output).contains("no daemon runs"),
        "{}",
        stderr(&output)
    );
    let output = ask(&bench, &["status", "--json"]).await;
    assert_exit(&output, 1);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["running"], false);
    assert_eq!(json["queue"]["counts"]["default"]["ready"], 1);
}

#[tokio::test]
async fn reader_that_has_seen_enough_is_no_failure() {
    let bench = Bench::new();
    let queue = bench.queue();
    let tasks: Vec<_> = (0..3_000)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { submit(&queue, "default").await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stop = answer(&bench, &queue).await;
    for arguments in [&["queue", "list"][..], &["queue", "list", "--json"]] {
        let mut command = bench.command(arguments);
        let (status, complaint) = tokio::task::spawn_blocking(move || read_one_line(&mut command))
            .await
            .unwrap();
        assert_eq!((status, complaint.as_str()), (Some(0), ""));
    }
    stop.cancel();
    let mut counted = 0;
    let reader = queue.reader();
    let each = |_| {
        counted += 1;
        ControlFlow::Continue(())
    };
    reader.list(&Filter::default(), each).unwrap();
    assert_eq!(counted, 3_000);
}

/// As `| head -1` does.
fn read_one_line(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    drop(output);
    let mut complaint = String::new();
    let mut errors = child.stderr.take().unwrap();
    errors.read_to_string(&mut complaint).unwrap();
    (child.wait().unwrap().code(), complaint)
}

#[test]
fn full_disk_under_the_output_is_a_failure() {
    let bench = Bench::new();
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = bench
        .command(&["config", "show"])
        .stdout(full)
        .output()
        .unwrap();
    assert_complains(
        &output,
        1,
        &["cannot write to standard output", "No space left"],
    );
}
