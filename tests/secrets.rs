//! No secret and no token ever shows: not in a log at its finest level, not in anything a command prints,
//! not in a bundle, a process list or a file of the queue.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

mod support;

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use exorelay::sandbox::{Fault, Sandbox, Step, TokenFault};
use support::daemon::{exorelay, finish};
use support::{sandbox, settings_text, until};
use tempfile::TempDir;

/// Tried before the right one, and refused.
const WRONG: &str = "planted-wrong~secret+1";
const HOOK: &str = "planted-hook-key";
const ARGUMENT: &str = "planted-argument";

/// What must be nowhere, each with a name for it.
fn needles(sandbox: &Sandbox) -> Vec<(&'static str, String)> {
    let secret = sandbox.client_secret().reveal();
    let sent: String = oauth2::url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let token = sandbox.control().issue_token().unwrap();
    // All tokens of the sandbox begin alike, and no other text does.
    let header = token.reveal().split('.').next().unwrap().to_owned();
    let response = BASE64_STANDARD.encode("user=relay@contoso.com\u{1}auth=Bearer ");
    vec![
        ("the client secret", secret.to_owned()),
        ("the client secret as it is sent", sent),
        ("the secret that is refused", WRONG.to_owned()),
        ("an access token", header[..24].to_owned()),
        ("an XOAUTH2 response", response[..40].to_owned()),
        ("the key of a web hook", HOOK.to_owned()),
    ]
}

#[track_caller]
fn assert_clean(needles: &[(&str, String)], place: &str, octets: &[u8]) {
    for (name, needle) in needles {
        let found = memchr::memmem::find(octets, needle.as_bytes());
        let around = found.map(|at| {
            let from = at.saturating_sub(200);
            String::from_utf8_lossy(&octets[from..octets.len().min(at + 100)]).into_owned()
        });
        assert_eq!(around, None, "{name} in {place}");
    }
}

fn assert_clean_folder(needles: &[(&str, String)], folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += assert_clean_folder(needles, &path);
        } else {
            let octets = std::fs::read(&path).unwrap();
            assert_clean(needles, &path.display().to_string(), &octets);
            files += 1;
        }
    }
    files
}

/// The command, while this process's sandbox goes on answering.
async fn run(config: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = exorelay(config);
    command.args(arguments);
    let ended = tokio::task::spawn_blocking(move || finish(&mut command)).await;
    let (code, stdout, stderr) = ended.unwrap();
    (code, stdout + &stderr)
}

/// The daemon, and its log in a file.
fn start(config: &Path, log: &Path) -> std::process::Child {
    let mut command: Command = exorelay(config);
    command
        .arg("run")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(log).unwrap());
    command.spawn().unwrap()
}

#[tokio::test]
async fn secrets_and_tokens_are_nowhere() {
    let folder = TempDir::new().unwrap();
    let sandbox = sandbox(folder.path()).await;
    let (config, log) = (folder.path().join("relay.toml"), folder.path().join("log"));
    let bundle = folder.path().join("bundle.json");
    let more = format!(
        "[alert]\ncommand = [\"/bin/true\", \"{ARGUMENT}\"]\nwebhook = \"http://127.0.0.1:9/{HOOK}\"\n\
         [admin]\nsocket = \"{}/admin.sock\"\n[log]\nlevel = \"trace\"\n",
        folder.path().display()
    );
    let secret = sandbox.client_secret().reveal();
    let text = settings_text(folder.path(), &sandbox, &more);
    let list = format!("client_secret = [\"{WRONG}\", \"{secret}\"]");
    let text = text.replace(&format!("client_secret = \"{secret}\""), &list);
    std::fs::write(&config, &text).unwrap();
    let needles = needles(&sandbox);
    assert!(text.contains(secret) && text.contains(WRONG) && text.contains(HOOK));

    let mut daemon = start(&config, &log);
    let is_ready = || std::fs::read_to_string(&log).unwrap().contains(" ready ");
    until("the daemon", is_ready).await;
    let name = bundle.to_str().unwrap();
    let to = "desk@fabrikam.com";
    for (arguments, code) in [
        (&["send-test", "--to", to][..], 0),
        (&["send-test", "--to", to, "--json"], 0),
        (&["send-test", "--to", "fault+5.2.252@fabrikam.com"], 1),
        (&["check"], 0),
        (&["check", "--json", "--send", to, "--bundle", name], 0),
        (&["check", "--send", "fault+5.2.252@fabrikam.com"], 77),
        (&["config", "check"], 0),
        (&["config", "show"], 0),
        (&["config", "show", "--json"], 0),
        (&["status"], 0),
        (&["status", "--json"], 0),
        (&["history", "--json"], 0),
        (&["queue", "list", "--json"], 0),
    ] {
        let (ended, said) = run(&config, arguments).await;
        assert_eq!(ended, Some(code), "{arguments:?}: {said}");
        assert_clean(&needles, &format!("{arguments:?}"), said.as_bytes());
    }
    // And when it goes wrong: the server may repeat what it was sent, and 535 quotes nobody.
    let control = sandbox.control();
    control.token_fault(Some(TokenFault::RefuseSecret), None);
    let (ended, said) = run(&config, &["check", "--json"]).await;
    assert_eq!(ended, Some(77), "{said}");
    assert_clean(&needles, "a check that fails", said.as_bytes());
    control.token_fault(None, None);
    // A new connection, and a 535 to the token there is.
    control.revoke_tokens();
    let drains = Fault::Reply("421 4.3.2 Service not active".into());
    control.smtp_fault(Step::Mail, drains, Some(1));
    let refused = control.stats().token_requests;
    let (ended, said) = run(&config, &["send-test", "--to", to]).await;
    assert_eq!(
        ended,
        Some(0),
        "a token that is refused is replaced: {said}"
    );
    assert_clean(&needles, "a message with a new token", said.as_bytes());
    assert!(control.stats().token_requests > refused);

    for file in ["cmdline", "comm", "status"] {
        let path = format!("/proc/{}/{file}", daemon.id());
        assert_clean(&needles, &path, &std::fs::read(&path).unwrap());
    }
    let written = std::fs::read_to_string(&bundle).unwrap();
    assert_clean(&needles, "the bundle", written.as_bytes());
    // Nor whom mail is from and to, and what it is about.
    for named in [
        ARGUMENT,
        "relay@",
        "desk@",
        "fault+",
        "exorelay send-test\"",
    ] {
        assert!(!written.contains(named), "{named} in {written}");
    }
    let content: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(
        content["status"]["accounts"][0]["mailbox"],
        "r***@contoso.com"
    );
    let history = content["history"].as_array().unwrap();
    assert_eq!(history.len(), 3, "{history:#?}");
    assert_eq!(history[0]["recipients"][0]["address"], "d***@fabrikam.com");

    let id = rustix::process::Pid::from_child(&daemon);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    daemon.wait().unwrap();
    let log = std::fs::read(&log).unwrap();
    let finest = memchr::memmem::find(&log, b"TRACE").is_some();
    assert!(
        finest && log.len() > 10_000,
        "{}",
        String::from_utf8_lossy(&log)
    );
    assert_clean(&needles, "the log", &log);
    let files = assert_clean_folder(&needles, &folder.path().join("queue"));
    assert!(files > 0);
}
