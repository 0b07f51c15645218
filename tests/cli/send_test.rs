//! `send-test`, against a daemon of its own.

use exorelay::sandbox::{Fault, Step};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::bench::{Bench, ask, assert_complains, assert_exit, exorelay, stderr, stdout};
use crate::clinic::Clinic;

#[tokio::test]
async fn a_message_is_followed_until_it_is_delivered() {
    let clinic = Clinic::open().await;
    let _daemon = clinic.daemon().await;
    let output = clinic
        .ask(&["send-test", "--to", "desk@fabrikam.com"])
        .await;
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(text.starts_with("queued     as "), "{text}");
    assert!(text.contains("by listener local at 127.0.0.1:"), "{text}");
    let last = text.lines().last().unwrap();
    assert!(
        last.starts_with("delivered  after ") && last.contains(": 250 2.0.0 OK"),
        "{text}"
    );
    let messages = clinic.sandbox.control().messages();
    let content = String::from_utf8(messages[0].content().await.unwrap()).unwrap();
    assert!(
        content.contains("From: <relay@contoso.com>\r\nTo: <desk@fabrikam.com>\r\n"),
        "{content}"
    );
    assert!(clinic.sandbox.control().violations().is_empty());

    let output = clinic
        .ask(&[
            "send-test",
            "--to",
            "desk@fabrikam.com",
            "--from",
            "a@contoso.com",
            "--json",
        ])
        .await;
    assert_exit(&output, 0);
    let ending: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&ending["state"], &ending["account"]),
        (&"delivered".into(), &"default".into())
    );
    assert!(
        ending["reply"]
            .as_str()
            .unwrap()
            .starts_with("250 2.0.0 OK")
    );
    assert_eq!(ending["remedy"], Value::Null);
}

#[tokio::test]
async fn a_refusal_comes_with_its_remedy() {
    let clinic = Clinic::open().await;
    let _daemon = clinic.daemon().await;
    let to = "fault+recipient_unknown@contoso.com";
    let output = clinic.ask(&["send-test", "--to", to]).await;
    assert_exit(&output, 1);
    let text = stdout(&output);
    assert!(
        text.contains("failed     550 5.1.10 ") || text.contains("failed     550 5.1.1 "),
        "{text}"
    );
    assert!(
        text.contains("no such recipient. Remedy: Correct the address"),
        "{text}"
    );
    assert!(
        stderr(&output).contains("exorelay queue show "),
        "{}",
        stderr(&output)
    );
    let output = clinic.ask(&["send-test", "--to", to, "--json"]).await;
    assert_exit(&output, 1);
    assert_eq!(stderr(&output), "");
    let ending: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(ending["state"], "failed");
    assert!(
        ending["remedy"]
            .as_str()
            .unwrap()
            .contains("Correct the address")
    );
}

/// Starts it, waits for a line that begins with `told`, and interrupts it; that line, and the end.
async fn interrupt(clinic: &Clinic, told: &str) -> (String, std::process::Output) {
    let arguments = ["send-test", "--to", "desk@fabrikam.com"];
    let mut child = tokio::process::Command::from(exorelay(&arguments))
        .env("EXORELAY_CONFIG", clinic.config())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = String::new();
    while !line.starts_with(told) {
        line = lines.next_line().await.unwrap().unwrap();
    }
    let id = rustix::process::Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    (line, child.wait_with_output().await.unwrap())
}

#[tokio::test]
async fn what_waits_is_told_with_the_reason_and_stays() {
    let clinic = Clinic::open().await;
    let control = clinic.sandbox.control();
    assert!(control.documented_fault("smtp_auth_disabled_for_mailbox", None));
    let _daemon = clinic.daemon().await;
    let (line, output) = interrupt(&clinic, "waiting").await;
    assert_exit(&output, 75);
    assert!(
        line.starts_with("waiting    account default is blocked: 535 5.7.139"),
        "{line}"
    );
    assert!(line.contains("Set-CASMailbox"), "{line}");

    let arguments = ["send-test", "--to", "desk@fabrikam.com", "--timeout", "1s"];
    let output = clinic.ask(&arguments).await;
    assert_exit(&output, 75);
    let complaint = stderr(&output);
    assert!(
        complaint.contains("it still waits after ")
            && complaint.contains("the message stays queued"),
        "{complaint}"
    );
    let output = clinic.ask(&["queue", "list", "--json"]).await;
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_interrupt_ends_the_following_and_not_the_message() {
    let clinic = Clinic::open().await;
    let control = clinic.sandbox.control();
    control.smtp_fault(Step::EndOfData, Fault::Hang, None);
    let _daemon = clinic.daemon().await;
    let (_, output) = interrupt(&clinic, "sending").await;
    assert_exit(&output, 75);
    let complaint = stderr(&output);
    assert!(
        complaint.contains("interrupted after ") && complaint.contains("stays queued"),
        "{complaint}"
    );
}

#[tokio::test]
async fn without_a_daemon_or_a_way_nothing_is_sent() {
    let bench = Bench::new();
    let output = ask(&bench, &["send-test", "--to", "desk@fabrikam.com"]).await;
    assert_complains(&output, 69, &["no daemon runs", "admin.sock"]);
    let output = ask(&bench, &["send-test", "--to", "nobody"]).await;
    assert_exit(&output, 2);

    let clinic = Clinic::open().await;
    let _daemon = clinic.daemon().await;
    let arguments = [
        "send-test",
        "--to",
        "desk@fabrikam.com",
        "--account",
        "other",
    ];
    let output = clinic.ask(&arguments).await;
    assert_complains(&output, 1, &["no such account", "default"]);
    let from = ["--from", "a@contoso.com"];
    let output = clinic.ask(&[&arguments[..], &from[..]].concat()).await;
    assert_complains(
        &output,
        1,
        &[
            "leads from a@contoso.com to account other",
            "exorelay check other --send",
        ],
    );
    assert!(clinic.sandbox.control().messages().is_empty());
}
