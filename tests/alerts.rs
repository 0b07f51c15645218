//! Somebody is called once when an account cannot send, and once when it can again, whatever happens in
//! between; and what kept it from sending does so still after a restart.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail as tests do"
)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use exorelay::admin::StatusSource as _;
use exorelay::delivery::{Cause, State};
use exorelay::oauth::TokenStatus;
use exorelay::queue::{Filter, Hook, MessageState};
use exorelay::sandbox::Sandbox;
use serde_json::Value;
use support::daemon::{Daemon, exorelay, finish};
use support::{Bench, Running, settings_text, until, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const CONTENT: &str = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\nbody\r\n";

async fn send(relay: &Running) {
    let mut client = relay.client().await;
    client.expect("EHLO device", "250").await;
    client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
}

/// How many messages are in a state, and what their attempts come to.
fn counted(relay: &Running, state: MessageState) -> (usize, u32) {
    let (mut messages, mut attempts) = (0, 0);
    let filter = Filter {
        state: Some(state),
        ..Filter::default()
    };
    let reader = relay.view.queue.reader();
    let each = |record: exorelay::queue::MessageRecord| {
        messages += 1;
        attempts += record.attempts;
        std::ops::ControlFlow::Continue(())
    };
    reader.list(&filter, each).unwrap();
    (messages, attempts)
}

/// A URL that remembers what was posted to it.
struct Pager {
    url: String,
    heard: Arc<Mutex<Vec<Value>>>,
    /// Answers that it cannot, so often.
    refuses: Arc<Mutex<usize>>,
}

impl Pager {
    async fn start(refuses: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pager = Self {
            url: format!("http://{}/key", listener.local_addr().unwrap()),
            heard: Arc::default(),
            refuses: Arc::new(Mutex::new(refuses)),
        };
        let (heard, refuses) = (Arc::clone(&pager.heard), Arc::clone(&pager.refuses));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                // The body is an object that ends with the request.
                let notice: Value = loop {
                    if stream.read_buf(&mut request).await.unwrap() == 0 {
                        break Value::Null;
                    }
                    let text = String::from_utf8_lossy(&request);
                    let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
                    if let Some(Ok(notice)) = body.map(serde_json::from_str) {
                        break notice;
                    }
                };
                let says_no = {
                    let mut refuses = refuses.lock().unwrap();
                    let says_no = *refuses > 0;
                    *refuses = refuses.saturating_sub(1);
                    says_no
                };
                let answer: &[u8] = if says_no {
                    b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                } else {
                    heard.lock().unwrap().push(notice);
                    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                };
                stream.write_all(answer).await.unwrap();
            }
        });
        pager
    }

    fn heard(&self) -> Vec<Value> {
        self.heard.lock().unwrap().clone()
    }
}

/// A program that writes down what it was told.
fn command(path: &Path) -> String {
    format!(
        r#"command = ["/bin/sh", "-c", "cat >> {}"]"#,
        path.display()
    )
}

fn written(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // A line may be under way.
    let lines = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn events(notices: &[Value]) -> Vec<&str> {
    let events = notices.iter().map(|notice| notice["event"].as_str());
    events.map(Option::unwrap).collect()
}

/// With its secret in a file, and `more`.
fn with_secret_file(folder: &Path, sandbox: &Sandbox, more: &str) -> (String, PathBuf) {
    let file = folder.join("secret");
    let literal = format!("\"{}\"", sandbox.client_secret().reveal());
    let place = format!("{{ file = \"{}\" }}", file.display());
    let text = settings_text(folder, sandbox, more).replace(&literal, &place);
    (text, file)
}

/// Jumps over one back-off step after the other. A jump in the middle of a request lets that time out, and
/// the step after it is another one to be jumped over.
async fn jump_until(what: &str, mut asked: impl FnMut() -> bool) {
    for _ in 0..100 {
        support::jump(Duration::from_mins(6)).await;
        for _ in 0..100 {
            if asked() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    panic!("waited in vain for {what}");
}

#[tokio::test]
async fn a_refused_secret_is_told_once_and_heals_with_its_file() {
    let folder = tempfile::TempDir::new().unwrap();
    let sandbox = support::sandbox(folder.path()).await;
    let pager = Pager::start(0).await;
    let notes = folder.path().join("notes");
    let alert = format!("[alert]\n{}\nwebhook = \"{}\"", command(&notes), pager.url);
    let (text, secret) = with_secret_file(folder.path(), &sandbox, &alert);
    std::fs::write(&secret, "expired\n").unwrap();
    let mut relay = Running::start(&text).await;
    send(&relay).await;
    until("the block", || relay.delivery().state == State::Blocked).await;
    until("the alarms", || {
        pager.heard().len() == 1 && written(&notes).len() == 1
    })
    .await;

    noted(&relay).await;

    // Twenty back-off steps of the token source, with a restart in their midst.
    for step in 0..20 {
        if step == 10 {
            relay.stop().await;
            relay = Running::start(&text).await;
            let trouble = relay.delivery().trouble;
            until("the trouble to be remembered", || {
                trouble.is_some() || cause(&relay) == Some(Cause::Token)
            })
            .await;
        }
        until("the answer", || is_failing(&relay)).await;
        let requests = sandbox.control().stats().token_requests;
        jump_until("the next step", || {
            sandbox.control().stats().token_requests > requests
        })
        .await;
    }
    assert_eq!(counted(&relay, MessageState::Ready), (1, 0));
    assert_eq!(counted(&relay, MessageState::Failed), (0, 0));
    let shown = relay.view.status().await.incidents;
    assert_eq!(shown.len(), 1);
    assert!(shown[0].count > 1, "{shown:?}");
    assert_eq!(shown[0].state, "blocked");
    assert_eq!(shown[0].aadsts, Some(7_000_215));
    let account = relay.view.status().await.accounts.remove(0);
    assert_eq!(account.rule.as_deref(), Some("aadsts7000215"));
    assert_eq!(
        (account.aadsts, account.token.aadsts),
        (shown[0].aadsts, shown[0].aadsts)
    );
    let remedy = account.remedy.unwrap();
    assert!(remedy.contains("not its Secret ID"), "{remedy}");
    let (reason, error) = (account.reason.unwrap(), account.token.error.unwrap());
    assert!(
        !reason.contains(&remedy) && !error.contains(&remedy),
        "{reason} {error}"
    );

    std::fs::write(&secret, sandbox.client_secret().reveal()).unwrap();
    jump_until("delivery", || !sandbox.control().messages().is_empty()).await;
    until("recovery", || relay.delivery().state == State::Ready).await;
    until("the alarms", || {
        pager.heard().len() == 2 && written(&notes).len() == 2
    })
    .await;
    assert!(relay.view.status().await.incidents.is_empty());

    // After another start there is nothing more to tell.
    noted(&relay).await;
    relay.stop().await;
    let relay = Running::start(&text).await;
    send(&relay).await;
    within("delivery", sandbox.control().wait_for_messages(2)).await;
    for notices in [pager.heard(), written(&notes)] {
        assert_eq!(events(&notices), ["opened", "recovered"]);
        let (opened, recovered) = (&notices[0], &notices[1]);
        assert_eq!(opened["id"], shown[0].id.as_str());
        assert_eq!(opened["id"], recovered["id"]);
        assert_eq!(opened["kind"], "account");
        assert_eq!(opened["account"], "default");
        assert_eq!(opened["state"], "blocked");
        assert_eq!(opened["cause"], "token");
        assert_eq!(opened["hostname"], "relay.test");
        assert_eq!(opened["queued_messages"], 1);
        assert!(opened["reason"].as_str().unwrap().contains("AADSTS7000215"));
        assert_eq!(opened["rule"], "aadsts7000215");
        assert_eq!(opened["aadsts"], 7_000_215);
        let link = "https://login.microsoftonline.com/error?code=7000215";
        assert_eq!(opened["link"], link);
        let text = opened["text"].as_str().unwrap();
        for key in ["why", "remedy", "link"] {
            let told = opened[key].as_str().unwrap();
            assert_eq!(text.matches(told).count(), 1, "{told} in {text}");
        }
        assert!(opened["recovered_at"].is_null());
        assert!(recovered["recovered_at"].is_string());
        // An answer may have come between the look and the mended file.
        assert!(recovered["count"].as_u64().unwrap() >= shown[0].count);
        let all = format!("{opened}{recovered}");
        assert!(!all.contains(sandbox.client_secret().reveal()));
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_credential_that_runs_out_is_told_until_it_is_replaced() {
    let folder = tempfile::TempDir::new().unwrap();
    let sandbox = support::sandbox(folder.path()).await;
    let pager = Pager::start(0).await;
    let alert = format!("[alert]\nwebhook = \"{}\"\n", pager.url);
    let text = settings_text(folder.path(), &sandbox, &alert);
    let expires = |days: i64| {
        let on = jiff::Zoned::now().date() + jiff::Span::new().days(days);
        let key = format!("credential_expires = \"{on}\"\nclient_id");
        (on, text.replacen("client_id", &key, 1))
    };
    let (soon, text) = expires(5);
    let relay = Running::start(&text).await;
    until("the alarm", || pager.heard().len() == 1).await;
    let opened = pager.heard().remove(0);
    assert_eq!(
        (&opened["kind"], &opened["state"]),
        (&"credential".into(), &"warning".into())
    );
    assert_eq!(
        (&opened["account"], &opened["cause"]),
        (&"default".into(), &"expiry".into())
    );
    let reason = opened["reason"].as_str().unwrap();
    assert!(reason.contains(&soon.to_string()), "{reason}");
    let status = relay.view.status().await;
    assert_eq!(status.accounts[0].credential_expires, Some(soon));
    assert_eq!(status.incidents[0].kind, "credential");
    until("a token", || {
        let token = relay.view.now().accounts[0].token.clone();
        matches!(*token.borrow(), TokenStatus::Valid { .. })
    })
    .await;
    let requests = sandbox.control().stats().token_requests;

    let (late, text) = expires(300);
    relay.reload(&text).await.unwrap();
    until("the recovery", || pager.heard().len() == 2).await;
    let recovered = pager.heard().remove(1);
    assert_eq!(
        (&recovered["event"], &recovered["id"]),
        (&"recovered".into(), &opened["id"])
    );
    let status = relay.view.status().await;
    assert_eq!(status.accounts[0].credential_expires, Some(late));
    assert!(status.incidents.is_empty());
    // A date is no reason for another token.
    assert_eq!(sandbox.control().stats().token_requests, requests);
    relay.stop().await;
}

/// What was told is known to have been: nothing that jumps in time can cut it short.
async fn noted(relay: &Running) {
    let incidents = relay.view.queue.incidents();
    until("the alarms to be noted", || {
        [Hook::Command, Hook::Webhook]
            .iter()
            .all(|hook| incidents.owed(*hook).is_empty())
    })
    .await;
}

fn is_failing(relay: &Running) -> bool {
    let token = relay.view.now().accounts[0].token.clone();
    matches!(*token.borrow(), TokenStatus::Failing { .. })
}

fn cause(relay: &Running) -> Option<Cause> {
    relay.delivery().trouble.map(|trouble| trouble.cause)
}

#[tokio::test]
async fn a_hook_that_is_away_is_told_after_a_restart_and_one_that_is_new_after_a_reload() {
    let folder = tempfile::TempDir::new().unwrap();
    let sandbox = support::sandbox(folder.path()).await;
    let pager = Pager::start(1).await;
    let alert = format!("[alert]\nwebhook = \"{}\"", pager.url);
    let (text, secret) = with_secret_file(folder.path(), &sandbox, &alert);
    std::fs::write(&secret, "expired").unwrap();
    let relay = Running::start(&text).await;
    send(&relay).await;
    until("the refusal", || *pager.refuses.lock().unwrap() == 0).await;
    assert!(pager.heard().is_empty());
    relay.stop().await;
    let relay = Running::start(&text).await;
    until("the alarm", || pager.heard().len() == 1).await;

    let notes = folder.path().join("notes");
    let with_command = text.clone() + "\n" + &command(&notes) + "\n";
    let changes = relay.reload(&with_command).await.unwrap();
    assert_eq!(changes.to_string(), "alerts changed");
    until("the other alarm", || written(&notes).len() == 1).await;
    assert_eq!(written(&notes)[0]["id"], pager.heard()[0]["id"]);
    std::fs::write(&secret, sandbox.client_secret().reveal()).unwrap();
    relay.reload(&with_command).await.unwrap();
    until("the end of it", || {
        pager.heard().len() == 2 && written(&notes).len() == 2
    })
    .await;
    relay.stop().await;
}

#[tokio::test]
async fn a_host_that_is_away_for_a_moment_is_no_alarm() {
    let bench = Bench::start("").await;
    bench.relay.stop().await;
    let pager = Pager::start(0).await;
    let alert = format!("[alert]\nwebhook = \"{}\"", pager.url);
    let sound = settings_text(bench.folder.path(), &bench.sandbox, &alert);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let smtp = bench.sandbox.smtp_address().port();
    let away = sound.replace(&format!("port = {smtp}"), &format!("port = {port}"));
    let relay = Running::start(&away).await;
    send(&relay).await;
    until("the pause", || cause(&relay) == Some(Cause::Network)).await;
    relay.reload(&sound).await.unwrap();
    until("recovery", || relay.delivery().state == State::Ready).await;
    within("delivery", bench.sandbox.control().wait_for_messages(1)).await;
    assert!(relay.view.queue.incidents().owed(Hook::Webhook).is_empty());

    // And one that stays away is.
    relay.reload(&away).await.unwrap();
    send(&relay).await;
    until("the pause", || cause(&relay) == Some(Cause::Network)).await;
    assert!(pager.heard().is_empty());
    support::jump(Duration::from_mins(6)).await;
    until("the alarm", || !pager.heard().is_empty()).await;
    assert_eq!(events(&pager.heard()), ["opened"]);
    assert_eq!(pager.heard()[0]["state"], "paused");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_throttled_is_so_after_a_kill() {
    let folder = tempfile::TempDir::new().unwrap();
    let sandbox = support::sandbox(folder.path()).await;
    let config = folder.path().join("exorelay.toml");
    std::fs::write(&config, settings_text(folder.path(), &sandbox, "")).unwrap();
    assert!(
        sandbox
            .control()
            .documented_fault("sender_throttled_send_as", None)
    );
    let mut daemon = Daemon::start(&config);
    offer(&daemon).await;
    let line = daemon.wait_for("incident opened");
    let before = status(&config);
    assert_eq!(before["accounts"][0]["state"], "throttled");
    let id = before["incidents"][0]["id"].as_str().unwrap().to_owned();
    assert!(line.contains(&id), "{line}");
    // The next transaction holds it.
    offer(&daemon).await;
    daemon.kill();

    sandbox.control().clear_faults();
    let refused = sandbox.control().stats().messages_refused;
    let daemon = Daemon::start(&config);
    offer(&daemon).await;
    let after = status(&config);
    let (was, is) = (&before["accounts"][0], &after["accounts"][0]);
    assert_eq!(is["state"], "throttled");
    assert_eq!(is["rule"], was["rule"]);
    assert_eq!(after["incidents"][0]["id"], id.as_str());
    let next = |account: &Value| -> jiff::Timestamp {
        account["next_probe_at"].as_str().unwrap().parse().unwrap()
    };
    let moved = (next(is).as_second() - next(was).as_second()).abs();
    assert!(moved < 120, "{before} {after}");
    let stats = sandbox.control().stats();
    assert_eq!((stats.messages, stats.messages_refused), (0, refused));
    assert!(daemon.terminate().success());
}

async fn offer(daemon: &Daemon) {
    let mut client = daemon.client().await;
    client.expect("EHLO device", "250").await;
    client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
}

fn status(config: &Path) -> Value {
    let (code, shown, error) = finish(exorelay(config).args(["status", "--json"]));
    assert_eq!(code, Some(0), "{error}");
    serde_json::from_str(&shown).unwrap()
}
