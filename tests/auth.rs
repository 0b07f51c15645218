//! Who gets in: AUTH towards clients, whom mail may go to, how often a client may connect.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exorelay::queue::HistoryFilter;
use support::daemon::{Daemon, exorelay, finish};
use support::{Bench, Client, sandbox, settings_text};
use tempfile::TempDir;

const CONTENT: &str = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\nbody\r\n";

/// What the program makes for its users, in a folder.
struct Files {
    folder: TempDir,
}

impl Files {
    /// A certificate for `localhost` that is good for so many days, and a file of users.
    fn new(days: &str) -> Self {
        let files = Self {
            folder: TempDir::new().unwrap(),
        };
        let (code, shown, errors) = finish(
            exorelay(Path::new("/nonexistent"))
                .args(["tls", "self-signed", "--name", "localhost", "--days", days])
                .arg("--certificate")
                .arg(files.path("cert.pem"))
                .arg("--key")
                .arg(files.path("key.pem")),
        );
        assert_eq!(code, Some(0), "{shown}{errors}");
        files.set_users(&format!(
            "# devices\n{}",
            hash("lobby printer", "correct horse")
        ));
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn set_users(&self, text: &str) {
        std::fs::write(self.path("users"), text).unwrap();
    }

    /// Lines of a listener.
    fn auth(&self, word: &str) -> String {
        let users = self.path("users");
        format!("auth = \"{word}\"\nusers = \"{}\"\n", users.display())
    }

    fn tls(&self, word: &str) -> String {
        format!(
            "tls = \"{word}\"\ncertificate = \"{}\"\nprivate_key = \"{}\"\n",
            self.path("cert.pem").display(),
            self.path("key.pem").display()
        )
    }

    /// A listener of its own.
    async fn bench(&self, lines: &[&str]) -> Bench {
        Bench::start(&listener(lines)).await
    }
}

fn listener(lines: &[&str]) -> String {
    let lines = lines.concat();
    format!("[listener.devices]\naddress = \"127.0.0.1:0\"\n{lines}")
}

/// A line of the file, as the program prints it.
fn hash(user: &str, password: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_exorelay"))
        .args(["hash-password", "--user", user])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{password}").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn plain(name: &str, password: &str) -> String {
    let response = STANDARD.encode(format!("\0{name}\0{password}"));
    format!("AUTH PLAIN {response}")
}

async fn connect(bench: &Bench) -> Client {
    Client::connect(bench.relay.address_of("devices")).await
}

/// Protocol and user of each message, in the order of their arrival.
async fn seen(bench: &Bench, count: u64) -> Vec<(String, Option<String>)> {
    let delivered = bench.delivered(count).await;
    let mut protocols: Vec<_> = delivered
        .iter()
        .map(|content| {
            let text = String::from_utf8_lossy(content).into_owned();
            let (_, rest) = text.split_once(" with ").unwrap();
            rest.split_whitespace().next().unwrap().to_owned()
        })
        .collect();
    protocols.sort();
    let mut users = Vec::new();
    let reader = bench.relay.view.queue.reader();
    reader
        .history(&HistoryFilter::default(), |message| {
            users.push(message.auth_name);
            ControlFlow::Continue(())
        })
        .unwrap();
    users.sort();
    protocols.into_iter().zip(users).collect()
}

#[tokio::test]
async fn devices_log_in_on_this_machine_without_tls() {
    let files = Files::new("30");
    let bench = files.bench(&[&files.auth("optional")]).await;
    let mut device = connect(&bench).await;
    let offered = device.expect("EHLO device", "250").await;
    assert!(offered.contains("\n250-AUTH PLAIN LOGIN"), "{offered}");
    device
        .expect(&plain("lobby printer", "correct horse"), "235 2.7.0")
        .await;
    device
        .expect(&plain("lobby printer", "correct horse"), "503")
        .await;
    device
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;

    let mut device = connect(&bench).await;
    device.expect("EHLO device", "250").await;
    assert_eq!(device.command("AUTH LOGIN").await, "334 VXNlcm5hbWU6");
    assert_eq!(
        device.command(&STANDARD.encode("lobby printer")).await,
        "334 UGFzc3dvcmQ6"
    );
    device
        .expect(&STANDARD.encode("correct horse"), "235 2.7.0")
        .await;
    device
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;

    // Nobody has to.
    let mut device = connect(&bench).await;
    device.expect("EHLO device", "250").await;
    device
        .expect(&plain("lobby printer", "wrong"), "535 5.7.8")
        .await;
    device
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    let user = Some("lobby printer".to_owned());
    assert_eq!(
        seen(&bench, 3).await,
        [
            ("ESMTP".to_owned(), None),
            ("ESMTPA".to_owned(), user.clone()),
            ("ESMTPA".to_owned(), user)
        ]
    );
    bench.assert_clean();
    bench.relay.stop().await;
}

#[tokio::test]
async fn a_pair_that_the_program_made_serves_logins_that_are_required() {
    let files = Files::new("30");
    let bench = files
        .bench(&[&files.auth("required"), &files.tls("optional")])
        .await;
    let mut device = connect(&bench).await;
    device.expect("EHLO device", "250").await;
    let mut device = device.start_tls(&files.path("cert.pem"), b"").await;
    device.expect("EHLO device", "250").await;
    device
        .expect("MAIL FROM:<a@contoso.com>", "530 5.7.0")
        .await;
    device
        .expect(&plain("lobby printer", "correct horse"), "235 2.7.0")
        .await;
    device
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    let user = Some("lobby printer".to_owned());
    assert_eq!(seen(&bench, 1).await, [("ESMTPSA".to_owned(), user)]);
    bench.relay.stop().await;
}

#[tokio::test]
async fn a_reload_takes_over_other_users_and_refuses_bad_ones() {
    let files = Files::new("30");
    let lines = listener(&[&files.auth("required")]);
    let bench = Bench::start(&lines).await;
    let text = settings_text(bench.folder.path(), &bench.sandbox, &lines);
    let lobby = plain("lobby printer", "correct horse");
    let mut device = connect(&bench).await;
    device.expect("EHLO device", "250").await;

    files.set_users("hall:hunter2\n");
    let problem = bench.relay.reload(&text).await.unwrap_err().to_string();
    assert!(
        problem.contains("listener.devices: ") && problem.contains("users:1: "),
        "{problem}"
    );
    assert!(!problem.contains("hunter2"), "{problem}");
    let mut other = connect(&bench).await;
    other.expect("EHLO device", "250").await;
    other.expect(&lobby, "235").await;

    files.set_users(&hash("hall", "hunter2"));
    bench.relay.reload(&text).await.unwrap();
    // Also for a session that was there before.
    device.expect(&lobby, "535").await;
    device.expect(&plain("hall", "hunter2"), "235").await;
    bench.relay.stop().await;
}

#[tokio::test]
async fn mail_goes_only_where_it_is_allowed_to() {
    let files = Files::new("30");
    let allowed = "allow_recipients = [\"*@contoso.com\", \"desk@fabrikam.com\"]\n";
    let bench = files.bench(&[allowed]).await;
    let mut device = connect(&bench).await;
    device.expect("MAIL FROM:<a@contoso.com>", "250").await;
    device.expect("RCPT TO:<x@fabrikam.com>", "550 5.7.1").await;
    device.expect("RCPT TO:<desk@fabrikam.com>", "250").await;
    device.expect("RSET", "250").await;
    device
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    bench.delivered(1).await;
    bench.relay.stop().await;
}

#[tokio::test]
async fn a_client_that_connects_too_often_is_told() {
    let files = Files::new("30");
    let bench = files
        .bench(&["connections_per_client_per_minute = 2\n"])
        .await;
    for _ in 0..2 {
        assert!(connect(&bench).await.greeting.starts_with("220 "));
    }
    let refused = connect(&bench).await.greeting;
    assert_eq!(
        refused,
        "421 4.7.0 Too many connections in a minute; try again later"
    );
    bench.relay.stop().await;
}

#[tokio::test]
async fn the_log_names_who_logs_in_and_never_a_password() {
    let files = Files::new("10");
    let folder = TempDir::new().unwrap();
    let sandbox = sandbox(folder.path()).await;
    let lines = files.auth("required") + &files.tls("optional");
    let text = settings_text(folder.path(), &sandbox, "").replace(
        "address = \"127.0.0.1:0\"\n",
        &format!("address = \"127.0.0.1:0\"\n{lines}"),
    );
    let config = folder.path().join("exorelay.toml");
    std::fs::write(&config, text).unwrap();
    let mut daemon = Daemon::start(&config);
    let warning = daemon.wait_for("the certificate runs out on ");
    assert!(
        warning.contains("WARN") && warning.contains("listener=local"),
        "{warning}"
    );
    let mut device = daemon.client().await;
    device.expect("EHLO device", "250").await;
    device
        .expect(&plain("lobby\nprinter", "hunter2"), "535")
        .await;
    let failed = daemon.wait_for("login failed");
    assert!(
        failed.contains("name=\"lobby\\nprinter\" listener=local client=127.0.0.1")
            && !failed.contains("hunter2"),
        "{failed}"
    );
    device
        .expect(&plain("lobby printer", "correct horse"), "235")
        .await;
    let done = daemon.wait_for("logged in");
    assert!(
        done.contains("name=\"lobby printer\" listener=local client=127.0.0.1"),
        "{done}"
    );
    assert!(daemon.terminate().success());
}

#[tokio::test]
async fn a_daemon_that_would_let_anybody_in_does_not_start() {
    let folder = TempDir::new().unwrap();
    let sandbox = sandbox(folder.path()).await;
    let config = folder.path().join("exorelay.toml");
    let missing = folder.path().join("users");
    let no_users = format!(
        "address = \"127.0.0.1:0\"\nauth = \"required\"\nusers = \"{}\"",
        missing.display()
    );
    for (lines, words) in [
        (
            "address = \"0.0.0.0:0\"",
            "listener.local: would be an open relay on 0.0.0.0:0",
        ),
        (
            "address = \"0.0.0.0:0\"\nallow = [\"0.0.0.0/0\"]",
            "listener.local: would be an open relay on 0.0.0.0:0",
        ),
        (no_users.as_str(), "listener.local: cannot read "),
    ] {
        let text = settings_text(folder.path(), &sandbox, "");
        std::fs::write(&config, text.replace("address = \"127.0.0.1:0\"", lines)).unwrap();
        let (code, _, errors) = finish(exorelay(&config).arg("run"));
        assert_eq!(code, Some(78), "{errors}");
        assert!(errors.contains(words), "{errors}");
    }
}
