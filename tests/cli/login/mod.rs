//! `login`: the test is the person, and the browser.

mod server;

use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use exorelay::oauth::{Origin, StoredToken, TokenStore};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::bench::{Bench, SECRET, assert_complains, assert_exit, stderr};
use server::{ACCESS, REFRESH, Server, browse};

/// A sign-in under way.
struct Login {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    told: String,
}

impl Login {
    fn start(bench: &Bench, arguments: &[&str]) -> Self {
        let mut command = Command::from(bench.command(&[&["login"], arguments].concat()));
        let mut child = command
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take().unwrap(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            told: String::new(),
            child,
        }
    }

    /// The first line that begins so.
    async fn line(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.stdout.read_line(&mut line).await.unwrap();
            assert!(read > 0, "no {start} in {}", self.told);
            self.told.push_str(&line);
            if line.starts_with(start) {
                return line.trim_end().to_owned();
            }
        }
    }

    /// The address to be opened, and where the server sends the browser after it.
    async fn sign_in(&mut self) -> String {
        let url = self.line("http://").await;
        let (status, location, _) = browse(&url).await;
        assert_eq!(status, 302);
        location
    }

    async fn paste(&mut self, text: &str) {
        let line = format!("{text}\n");
        self.stdin.write_all(line.as_bytes()).await.unwrap();
    }

    fn interrupt(&self) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::INT).unwrap();
    }

    /// Everything it has said; no secret is among it.
    async fn end(mut self) -> Output {
        drop(self.stdin);
        while self.stdout.read_line(&mut self.told).await.unwrap() > 0 {}
        let mut output = self.child.wait_with_output().await.unwrap();
        output.stdout = self.told.into_bytes();
        let said = format!("{output:?}{}", String::from_utf8_lossy(&output.stdout));
        for secret in [REFRESH, ACCESS, SECRET, "d3v1ce"] {
            assert!(!said.contains(secret), "{said}");
        }
        output
    }
}

fn stored(bench: &Bench) -> Option<StoredToken> {
    let queue = bench.config().with_file_name("queue");
    TokenStore::new(&queue).load("default").unwrap()
}

fn told(output: &Output, parts: &[&str]) {
    let said = std::str::from_utf8(&output.stdout).unwrap();
    for part in parts {
        assert!(said.contains(part), "{part:?} in {said}");
    }
}

/// Ended with `code`, the words `parts` on one line, and nothing kept.
#[track_caller]
fn assert_not_kept(bench: &Bench, output: &Output, code: i32, parts: &[&str]) {
    assert_exit(output, code);
    assert_eq!(stderr(output).lines().count(), 1, "{}", stderr(output));
    for part in parts {
        assert!(
            stderr(output).contains(part),
            "{part:?} in {}",
            stderr(output)
        );
    }
    assert_eq!(stored(bench), None);
}

#[tokio::test]
async fn browser_comes_back_to_a_free_port() {
    let bench = Bench::new();
    Server::start(&bench, "Relay@contoso.com").await;
    let mut login = Login::start(&bench, &[]);
    let location = login.sign_in().await;
    assert!(location.starts_with("http://localhost:"), "{location}");
    let (status, _, page) = browse(&location).await;
    assert_eq!(status, 200);
    assert!(
        page.contains("Signed in") && !page.contains(REFRESH),
        "{page}"
    );

    let output = login.end().await;
    assert_exit(&output, 0);
    told(
        &output,
        &[
            "account default: open this address in a browser on this machine and sign in as relay@contoso.com",
            "add the redirect URI http://localhost to the app registration",
            "the browser is back\nsigned in as Relay@contoso.com\nkept in /",
            "no daemon runs",
            "good until 2",
            "next: exorelay check default\n",
        ],
    );
    let token = stored(&bench).unwrap();
    assert_eq!(token.refresh_token.reveal(), REFRESH);
    assert_eq!(token.user.as_deref(), Some("Relay@contoso.com"));
    assert_eq!(token.origin, Origin::Browser);
    let file = bench.config().with_file_name("queue/tokens/default.json");
    let mode = std::fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn whole_address_or_only_the_code_is_pasted() {
    for only_the_code in [false, true] {
        let bench = Bench::new();
        Server::start(&bench, "relay@contoso.com").await;
        let mut login = Login::start(&bench, &["default", "--paste"]);
        let location = login.sign_in().await;
        assert!(
            location.starts_with("http://localhost/?code="),
            "{location}"
        );
        let text = if only_the_code {
            let rest = location.split_once("code=").unwrap().1;
            rest.split_once('&').unwrap().0.to_owned()
        } else {
            location
        };
        login.paste(&text).await;
        let output = login.end().await;
        assert_exit(&output, 0);
        assert_eq!(stored(&bench).unwrap().origin, Origin::Browser);
    }
}

#[tokio::test]
async fn pasted_state_of_another_sign_in_is_refused() {
    let bench = Bench::new();
    Server::start(&bench, "relay@contoso.com").await;
    let mut login = Login::start(&bench, &["--paste"]);
    let location = login.sign_in().await;
    let (before, _) = location.split_once("state=").unwrap();
    login.paste(&format!("{before}state=0ther")).await;
    let output = login.end().await;
    assert_not_kept(&bench, &output, 1, &["another sign-in", "nothing was kept"]);

    let login = Login::start(&bench, &["--paste"]);
    let output = login.end().await;
    assert_not_kept(&bench, &output, 1, &["nothing was pasted"]);
}

#[tokio::test]
async fn declined_consent_is_told_in_both_places() {
    let bench = Bench::new();
    Server::start(&bench, "relay@contoso.com").await;
    let mut login = Login::start(&bench, &[]);
    let location = login.sign_in().await;
    let declined = "error=access_denied&error_description=AADSTS65004%3a+User+declined+to+consent.";
    let (before, rest) = location.split_once("code=").unwrap();
    let (_, state) = rest.split_once('&').unwrap();
    let (status, _, page) = browse(&format!("{before}{declined}&{state}")).await;
    assert_eq!(status, 400);
    assert!(page.contains("User declined to consent"), "{page}");
    let output = login.end().await;
    assert_not_kept(
        &bench,
        &output,
        1,
        &["AADSTS65004", "sign in once more and accept"],
    );
}

#[tokio::test]
async fn other_user_is_kept_only_when_that_is_said() {
    let bench = Bench::new();
    Server::start(&bench, "bob@contoso.com").await;
    let mut login = Login::start(&bench, &[]);
    let location = login.sign_in().await;
    let (status, _, page) = browse(&location).await;
    assert_eq!(status, 200);
    assert!(page.contains("You are bob@contoso.com"), "{page}");
    let output = login.end().await;
    let parts = [
        "bob@contoso.com",
        "relay@contoso.com",
        "--shared",
        "FullAccess",
    ];
    assert_not_kept(&bench, &output, 1, &parts);

    let mut login = Login::start(&bench, &["--shared", "--paste"]);
    let location = login.sign_in().await;
    login.paste(&location).await;
    let output = login.end().await;
    assert_exit(&output, 0);
    told(
        &output,
        &["bob@contoso.com, who needs FullAccess and SendAs"],
    );
    let token = stored(&bench).unwrap();
    assert_eq!(token.user.as_deref(), Some("bob@contoso.com"));
}

#[tokio::test]
async fn device_shows_its_code() {
    let bench = Bench::new();
    Server::start(&bench, "relay@contoso.com").await;
    let output = Login::start(&bench, &["--device"]).end().await;
    assert_exit(&output, 0);
    told(
        &output,
        &[
            "open https://microsoft.com/devicelogin in any browser, type ABCD-EFGH and sign in as relay@contoso.com",
            "good for 15 minutes",
            "signed in as relay@contoso.com",
        ],
    );
    assert_eq!(stored(&bench).unwrap().origin, Origin::Device);
}

#[tokio::test]
async fn interrupt_leaves_nothing() {
    for arguments in [&[][..], &["--paste"]] {
        let bench = Bench::new();
        Server::start(&bench, "relay@contoso.com").await;
        let mut login = Login::start(&bench, arguments);
        login.sign_in().await;
        login.interrupt();
        // Its standard input stays open: a thread still reads from it.
        let status = login.child.wait().await.unwrap();
        assert_eq!(status.code(), Some(1), "{arguments:?}");
        let output = login.end().await;
        assert_not_kept(&bench, &output, 1, &["ended; nothing was kept"]);
        assert!(!bench.config().with_file_name("queue").exists());
    }
}

#[tokio::test]
async fn redirect_uri_of_another_machine_needs_paste() {
    let bench = Bench::new();
    Server::start(&bench, "relay@contoso.com").await;
    bench.append(
        "redirect_uri = \"https://login.microsoftonline.com/common/oauth2/nativeclient\"\n",
    );
    let output = bench.exorelay(&["login"]);
    assert_complains(&output, 78, &["oauth2/nativeclient", "use --paste"]);

    let mut login = Login::start(&bench, &["--paste"]);
    let location = login.sign_in().await;
    assert!(
        location.contains("/oauth2/nativeclient?code="),
        "{location}"
    );
    login.paste(&location).await;
    assert_exit(&login.end().await, 0);
}

#[test]
fn account_is_one_that_somebody_signs_in_for() {
    let bench = Bench::new();
    let output = bench.exorelay(&["login"]);
    assert_complains(
        &output,
        78,
        &["access = \"delegated\" into [account.default]"],
    );
    let output = bench.exorelay(&["login", "relay"]);
    assert_complains(&output, 2, &["no account relay", "default"]);
    let output = bench.exorelay(&["login", "--paste", "--device"]);
    assert_complains(&output, 2, &["--paste", "--device"]);

    let text = std::fs::read_to_string(bench.config()).unwrap();
    let text = text.replace("[account.default]", "[account.scanners]");
    let second = "[account.printers]\nmailbox = \"print@contoso.com\"\nclient_id = \"c\"\naccess = \"delegated\"\n\
                  [listener.local]\naccount = \"printers\"\n";
    std::fs::write(bench.config(), format!("{text}{second}")).unwrap();
    let output = bench.exorelay(&["login"]);
    assert_complains(&output, 2, &["several accounts", "printers, scanners"]);
}
