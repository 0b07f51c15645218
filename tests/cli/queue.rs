//! `queue list` and `queue show`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::bench::{
    Bench, answer, ask, assert_complains, assert_exit, close, defer_oldest, refuse, stderr, stdout,
    submit,
};

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
            "\nheaders\n  Subject: x\n",
            "smtp.office365.com  delivered, deferred (account default, connection 7)\n",
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

#[tokio::test]
async fn user_who_may_not_is_told_what_to_do() {
    let bench = Bench::new();
    refuse(&bench).await;
    for command in [
        &["queue", "list"][..],
        &["queue", "list", "--json"],
        &["queue", "show", "0000000000000000"],
        &["status"],
    ] {
        let output = ask(&bench, command).await;
        let socket = bench.socket().display().to_string();
        assert_complains(&output, 77, &["run as root or join the group of", &socket]);
    }
}
