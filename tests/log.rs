//! The log of the real daemon, as operators and their scripts read it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail as tests do"
)]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use exorelay::sandbox::{Fault, Sandbox, Step};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::daemon::{Daemon, address_in, exorelay, finish};
use support::{Client, settings_text, until, within};
use tempfile::TempDir;

const CONTENT: &str = "From: a@contoso.com\r\nSubject: x\r\n\r\nx\r\n";

/// Where the journal of this machine would listen.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// A sandbox and the settings of a daemon that sends to it; only an operator has mail tried again.
struct Scene {
    sandbox: Sandbox,
    config: PathBuf,
    folder: TempDir,
}

impl Scene {
    async fn new(log: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let sandbox = support::sandbox(folder.path()).await;
        let config = folder.path().join("exorelay.toml");
        let scene = Self {
            sandbox,
            config,
            folder,
        };
        scene.write(&scene.text(log));
        scene
    }

    fn text(&self, log: &str) -> String {
        let socket = self.folder.path().join("admin.sock");
        let more = format!("[admin]\nsocket = \"{}\"\n[log]\n{log}\n", socket.display());
        let text = settings_text(self.folder.path(), &self.sandbox, &more);
        text.replace("retry_initial = \"1s\"", "retry_initial = \"1h\"")
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.config, text).unwrap();
    }

    fn refuse(&self, step: Step, reply: &str) {
        let refusal = Fault::Reply(reply.into());
        self.sandbox.control().smtp_fault(step, refusal, Some(1));
    }

    /// An operator's command, while the sandbox goes on answering.
    async fn command(&self, arguments: &[&str]) {
        let mut command = exorelay(&self.config);
        command.args(arguments);
        let ended = tokio::task::spawn_blocking(move || finish(&mut command)).await;
        let (code, _, complaint) = ended.unwrap();
        assert_eq!(code, Some(0), "{complaint}");
    }

    /// The daemon with standard error at `out`, which nobody reads for it.
    fn spawn(&self, out: impl Into<Stdio>, stream: Option<&str>) -> Child {
        let mut command = exorelay(&self.config);
        command.env_remove("JOURNAL_STREAM");
        command.envs(stream.map(|stream| ("JOURNAL_STREAM", stream)));
        command.arg("run").stdin(Stdio::null()).stderr(out);
        command.spawn().unwrap()
    }
}

async fn send(client: &mut Client, to: &str) -> String {
    client.send("a@contoso.com", &[to], CONTENT).await
}

fn terminate(mut child: Child) {
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

/// The events of one message in the words of the log.
fn story(lines: &[String], id: &str, format: &str) -> Vec<String> {
    let word = |line: &String| {
        if format == "json" {
            let object: Value = serde_json::from_str(line).unwrap();
            let event = object["event"].as_str().unwrap_or_default();
            assert!(object["message"].as_str().unwrap().starts_with(event));
            return (object["queue_id"] == id).then(|| event.to_owned());
        }
        let is_its = line.contains(&format!(" queue_id={id}"));
        is_its.then(|| line.split_whitespace().nth(2).unwrap().to_owned())
    };
    lines.iter().filter_map(word).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_id_alone_tells_the_whole_story() {
    for format in ["text", "json"] {
        let scene = Scene::new(&format!("format = \"{format}\"")).await;
        scene.refuse(Step::Mail, "451 4.7.0 busy");
        let mut daemon = Daemon::start(&scene.config);
        let mut client = daemon.client().await;
        client.expect("EHLO device", "250").await;
        let late = send(&mut client, "b@contoso.com").await;
        let mut lines = daemon.lines_to("deferred");
        scene.command(&["queue", "retry", &late]).await;
        lines.extend(daemon.lines_to("delivered"));
        let failing = send(&mut client, "fault+5.1.10@contoso.com").await;
        lines.extend(daemon.lines_to("notice of this message"));
        lines.extend(daemon.lines_to("delivered"));
        scene.refuse(Step::Mail, "451 4.7.0 busy");
        let held = send(&mut client, "b@contoso.com").await;
        lines.extend(daemon.lines_to("deferred"));
        for act in ["hold", "release"] {
            scene.command(&["queue", act, &held]).await;
        }
        lines.extend(daemon.lines_to("delivered"));
        lines.extend(daemon.last_lines());

        let told = |id: &str| story(&lines, id, format);
        assert_eq!(
            told(&late),
            ["received", "deferred", "retried", "delivered"]
        );
        assert_eq!(told(&failing), ["received", "failed", "notice"]);
        assert_eq!(
            told(&held),
            ["received", "deferred", "held", "released", "delivered"]
        );
        let notice = lines.iter().find(|line| line.contains("about")).unwrap();
        assert!(notice.contains(&failing), "{notice}");
        let (_, id) = notice.split_once("queue_id").unwrap();
        let id = id.split(|c: char| !c.is_ascii_alphanumeric());
        let id = id.into_iter().find(|part| !part.is_empty()).unwrap();
        assert_eq!(told(id), ["notice", "delivered"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_say_makes_no_line_and_moves_no_cursor() {
    for format in ["text", "json"] {
        let scene = Scene::new(&format!("level = \"trace\"\nformat = \"{format}\"")).await;
        let mut daemon = Daemon::start(&scene.config);
        scene.refuse(
            Step::Mail,
            "451 4.7.0 busy\u{1b}[2J\u{9b}2J\u{202e} queue_id=FORGED",
        );
        let mut client = daemon.client().await;
        let _ = client
            .command("HELO x\u{1b}[2J\u{9b}2J queue_id=FORGED")
            .await;
        client.expect("HELO x", "250").await;
        let content = "Message-ID: <\u{1b}[2J\u{9b}2J\r\n\tqueue_id=FORGED@x>\r\nSubject: \u{1b}[2J\r\n\r\nx\r\n";
        client
            .send("a@contoso.com", &["b@contoso.com"], content)
            .await;
        let mut lines = daemon.lines_to("deferred");
        lines.extend(daemon.last_lines());
        for line in &lines {
            assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'));
            if format == "json" {
                let object: Value = serde_json::from_str(line).unwrap();
                assert_ne!(object["queue_id"], "FORGED", "{line}");
            } else {
                assert!(line.starts_with("20"), "{line}");
                let outside = line.split('"').step_by(2);
                assert!(
                    outside.into_iter().all(|part| !part.contains("FORGED")),
                    "{line}"
                );
            }
        }
        assert!(lines.iter().any(|line| line.contains("FORGED")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refused_clients_is_counted_and_mail_is_told_all_the_same() {
    let scene = Scene::new("").await;
    let few = "address = \"127.0.0.1:0\"\nmax_connections_per_client = 1";
    let text = scene.text("");
    scene.write(&text.replace("address = \"127.0.0.1:0\"", few));
    let daemon = Daemon::start(&scene.config);
    let mut client = daemon.client().await;
    for _ in 0..60 {
        let refused = daemon.client().await;
        assert!(refused.greeting.starts_with("421 4.7.0 "));
    }
    client.expect("EHLO device", "250").await;
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(send(&mut client, "b@contoso.com").await);
    }
    within("delivery", scene.sandbox.control().wait_for_messages(30)).await;
    let lines = daemon.last_lines();
    let refused: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("connection refused"))
        .collect();
    assert_eq!(refused.len(), 11, "{refused:?}");
    let ending = "WARN connection refused: 50 more like this within a minute listener=local \
                  client=127.0.0.1 reason=Client more=50";
    assert!(refused[10].ends_with(ending), "{refused:?}");
    for id in ids {
        assert_eq!(story(&lines, &id, "text"), ["received", "delivered"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_flows_while_nobody_reads_the_log() {
    let scene = Scene::new("level = \"trace\"").await;
    let (reader, writer) = std::io::pipe().unwrap();
    let child = scene.spawn(writer, None);
    let mut log = BufReader::new(reader);
    let address = loop {
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        if line.contains(" listening ") {
            break address_in(line.trim_end());
        }
    };
    // From here on the pipe fills.
    let mut client = Client::connect(address).await;
    client
        .expect(&format!("EHLO {}.test", "x".repeat(60)), "250")
        .await;
    for _ in 0..200 {
        send(&mut client, "b@contoso.com").await;
    }
    within("delivery", scene.sandbox.control().wait_for_messages(200)).await;
    let in_pipe = rustix::io::ioctl_fionread(log.get_ref()).unwrap();
    // Lines leave some of each page empty.
    assert!(in_pipe > 48 * 1024, "{in_pipe} octets do not fill a pipe");
    // Nor does it keep the daemon from its end.
    terminate(child);
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert!(rest.contains(" received queue_id="));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_at_the_end_is_written() {
    let scene = Scene::new("").await;
    let mut daemon = Daemon::start(&scene.config);
    daemon.signal(Signal::TERM);
    daemon.wait_for(" INFO stopped");
    assert!(daemon.ended().success());

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    scene.write(&scene.text("").replace("127.0.0.1:0", &address));
    let (code, _, log) = finish(exorelay(&scene.config).arg("run"));
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.lines().last().unwrap().starts_with("exorelay: "),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn to_the_journal_a_line_has_its_priority_and_no_time() {
    let scene = Scene::new("").await;
    let (ours, theirs) = UnixStream::pair().unwrap();
    let status = rustix::fs::fstat(&theirs).unwrap();
    let stream = format!("{}:{}", status.st_dev, status.st_ino);
    scene.refuse(Step::Mail, "451 4.7.0 busy");
    let child = scene.spawn(OwnedFd::from(theirs), Some(&stream));
    let mut lines = BufReader::new(ours).lines().map_while(Result::ok);
    let listening = lines.find(|line| line.contains("listening")).unwrap();
    assert!(listening.starts_with("<6>listening listener=local address="));
    let mut client = Client::connect(address_in(&listening)).await;
    client.expect("EHLO device", "250").await;
    let id = send(&mut client, "b@contoso.com").await;
    let deferred = format!("<4>deferred queue_id={id} ");
    let line = tokio::task::spawn_blocking(move || lines.find(|line| line.contains("deferred")));
    let line = line.await.unwrap().unwrap();
    assert!(line.starts_with(&deferred), "{line}");
    terminate(child);

    // The variable is inherited where the output is not.
    let (reader, writer) = std::io::pipe().unwrap();
    let child = scene.spawn(writer, Some(&stream));
    let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("ready")).unwrap();
    assert!(line.contains("Z  INFO ready "), "{line}");
    terminate(child);
}

#[tokio::test(flavor = "multi_thread")]
async fn level_and_format_change_without_a_restart() {
    let scene = Scene::new("level = \"warn,exorelay::cli=info\"").await;
    let mut daemon = Daemon::start(&scene.config);
    let mut client = daemon.client().await;
    client.expect("EHLO device", "250").await;
    send(&mut client, "b@contoso.com").await;
    within("delivery", scene.sandbox.control().wait_for_messages(1)).await;
    scene.write(&scene.text("level = \"info,exorelay::listener=debug\"\nformat = \"json\""));
    daemon.signal(Signal::HUP);
    let lines = daemon.lines_to("settings reloaded");
    assert!(
        !lines.iter().any(|line| line.contains("received")),
        "{lines:?}"
    );
    let told = lines.last().unwrap();
    assert!(
        told.contains("log level changed, log format changed"),
        "{told}"
    );
    send(&mut client, "b@contoso.com").await;
    client.expect("QUIT", "221").await;
    let lines = daemon.lines_to("session ended");
    let object: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    let told = ["level", "listener", "client", "target"].map(|name| object[name].as_str());
    let expected = ["DEBUG", "local", "127.0.0.1", "exorelay::listener::visit"];
    assert_eq!(told, expected.map(Some));
    daemon.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_level_may_come_from_the_environment() {
    let scene = Scene::new("level = \"off\"").await;
    let mut command = exorelay(&scene.config);
    command.env("EXORELAY_LOG__LEVEL", "warn,exorelay::cli=info");
    let daemon = Daemon::start_as(command, &scene.config);
    let mut client = daemon.client().await;
    client.expect("EHLO device", "250").await;
    send(&mut client, "b@contoso.com").await;
    let lines = daemon.last_lines();
    assert!(lines.iter().any(|line| line.ends_with(" INFO stopped")));
    assert!(
        !lines.iter().any(|line| line.contains("received")),
        "{lines:?}"
    );
}

/// On a machine with a journal it gets the lines; on others they are not lost.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_journal_the_daemon_starts_and_says_so() {
    let scene = Scene::new("format = \"journald\"").await;
    let door = scene.folder.path().join("smtp.sock");
    let address = format!("address = \"unix:{}\"", door.display());
    scene.write(
        &scene
            .text("format = \"journald\"")
            .replace("address = \"127.0.0.1:0\"", &address),
    );
    let (mut reader, writer) = std::io::pipe().unwrap();
    let child = scene.spawn(writer, None);
    until("the daemon", || UnixStream::connect(&door).is_ok()).await;
    terminate(child);
    let mut log = String::new();
    reader.read_to_string(&mut log).unwrap();
    if Path::new(JOURNAL).exists() {
        assert_eq!(log, "");
    } else {
        let first = log.lines().next().unwrap();
        assert!(first.contains(" WARN log.format is \"journald\""), "{log}");
        assert!(log.contains(" INFO ready version="), "{log}");
    }
}
