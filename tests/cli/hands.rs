//! `queue retry`, `hold`, `release`, `delete`, `flush`: through the daemon and on the folder.

use serde_json::Value;

use crate::bench::{
    Bench, answer, ask, assert_complains, assert_exit, close, defer_oldest, exorelay, refuse,
    stderr, stdout, submit,
};

async fn states(bench: &Bench) -> Vec<String> {
    let output = ask(bench, &["queue", "list", "--json"]).await;
    assert_exit(&output, 0);
    let listed: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let states = listed.iter().map(|one| one["state"].as_str().unwrap());
    states.map(str::to_owned).collect()
}

async fn say(bench: &Bench, arguments: &[&str], expected: &str) {
    let output = ask(bench, arguments).await;
    assert_exit(&output, 0);
    assert_eq!(
        (stdout(&output), stderr(&output)),
        (expected, ""),
        "{arguments:?}"
    );
}

/// The same hands, and the same words, whichever way they reach the queue.
async fn work(bench: &Bench, ids: &[String], through: &str) {
    let (first, second) = (ids[0].as_str(), ids[1].as_str());
    assert_eq!(states(bench).await, ["deferred", "ready", "ready"]);
    say(bench, &["queue", "flush"], "1 message flushed\n").await;
    say(bench, &["queue", "flush"], "no such message in the queue\n").await;
    say(
        bench,
        &["queue", "hold", first, second],
        "2 messages held\n",
    )
    .await;
    assert_eq!(states(bench).await, ["held", "held", "ready"]);
    let again = "0 messages held, 1 skipped (1 so already)\n";
    let output = ask(bench, &["queue", "hold", &first.to_lowercase()]).await;
    assert_exit(&output, 0);
    assert_eq!(stdout(&output), again);

    let output = ask(bench, &["queue", "retry", first, "0000000000000000"]).await;
    assert_exit(&output, 1);
    assert_eq!(
        stdout(&output),
        "0 messages retried, 2 skipped (1 held, 1 not in the queue)\n"
    );
    let complaints = stderr(&output);
    assert!(
        complaints.contains(&format!("exorelay: {first} is held; release it first\n")),
        "{complaints}"
    );
    assert!(
        complaints.contains("exorelay: 0000000000000000 is not in the queue\n"),
        "{complaints}"
    );

    say(
        bench,
        &[
            "queue",
            "release",
            "--state",
            "held",
            "--from",
            "*@CONTOSO.com",
        ],
        "2 messages released\n",
    )
    .await;
    assert_eq!(states(bench).await, ["ready", "ready", "ready"]);
    say(
        bench,
        &["queue", "retry", "--all"],
        "0 messages retried, 3 skipped (3 so already)\n",
    )
    .await;
    say(
        bench,
        &["queue", "delete", "--account", "fabrikam"],
        "1 message deleted\n",
    )
    .await;
    say(
        bench,
        &["queue", "delete", "--to", "nobody@contoso.com"],
        "no such message in the queue\n",
    )
    .await;
    let output = ask(bench, &["queue", "delete", "--all"]).await;
    assert_complains(&output, 2, &["no terminal", "--yes"]);
    assert_eq!(states(bench).await.len(), 2);
    say(
        bench,
        &["queue", "delete", "--all", "--yes"],
        "2 messages deleted\n",
    )
    .await;
    assert_eq!(states(bench).await, [""; 0]);

    let output = ask(bench, &["history", "--id", first, "--json"]).await;
    assert_exit(&output, 0);
    let told: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told[0]["state"], "deleted");
    let events = told[0]["events"].as_array().unwrap();
    let actions: Vec<&str> = events
        .iter()
        .map(|event| event["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["flushed", "held", "released", "deleted"]);
    let uid = rustix::process::getuid().as_raw();
    for event in events {
        assert_eq!(event["through"], through);
        assert!(
            event["actor"]
                .as_str()
                .unwrap()
                .contains(&format!("uid {uid}")),
            "{event}"
        );
    }
}

async fn three(bench: &Bench) -> Vec<String> {
    let queue = bench.queue();
    let mut ids = Vec::new();
    for account in ["default", "default", "fabrikam"] {
        ids.push(submit(&queue, account).await);
    }
    defer_oldest(&queue, "default").await;
    close(queue).await;
    ids
}

#[tokio::test]
async fn hands_reach_through_the_daemon() {
    let bench = Bench::new();
    let ids = three(&bench).await;
    let queue = bench.queue();
    let stop = answer(&bench, &queue).await;
    work(&bench, &ids, "socket").await;
    assert_eq!(queue.used(), (0, 0));
    stop.cancel();
}

#[tokio::test]
async fn hands_reach_into_the_folder_of_a_stopped_daemon() {
    let bench = Bench::new();
    let ids = three(&bench).await;
    work(&bench, &ids, "folder").await;
    let output = ask(&bench, &["queue", "verify"]).await;
    assert_exit(&output, 0);
}

#[tokio::test]
async fn a_folder_whose_daemon_does_not_answer_is_left_alone() {
    let bench = Bench::new();
    three(&bench).await;
    let queue = bench.queue();
    let output = ask(&bench, &["queue", "hold", "--all"]).await;
    assert_complains(&output, 75, &["is in use by process"]);
    close(queue).await;
}

#[test]
fn messages_must_be_named_in_one_way() {
    for (arguments, parts) in [
        (&["queue", "retry"][..], &["--state", "--all"][..]),
        (&["queue", "delete", "--yes"], &["--older-than", "--all"]),
        (&["queue", "hold", "01K9Z3X4T5ABCDEF", "--all"], &["either"]),
        (&["queue", "hold", "--all", "--state", "ready"], &["either"]),
        (&["queue", "release", "42"], &["'42'", "sixteen letters"]),
        (
            &["queue", "retry", "--state", "deleted"],
            &["'deleted'", "deferred"],
        ),
        (
            &["queue", "retry", "--older-than", "3"],
            &["'3'", "duration"],
        ),
        (
            &["queue", "retry", "--from", "desk"],
            &["'desk'", "*@contoso.com"],
        ),
        (&["queue", "list", "--to", "*"], &["'*'", "not an address"]),
        (&["queue", "export", "--all"], &["--directory"]),
        (
            &[
                "queue",
                "export",
                "01K9Z3X4T5ABCDEF",
                "--json",
                "--directory",
                "/x",
            ],
            &["--json"],
        ),
        (&["queue", "import"], &["<FILE|DIR>"]),
        (
            &["queue", "show", "01K9Z3X4T5ABCDEF", "--content", "--json"],
            &["--content"],
        ),
        (
            &["history", "--since", "yesterday"],
            &["'yesterday'", "2h or 3d"],
        ),
        (&["history", "--id", "x"], &["'x'"]),
    ] {
        assert_complains(&exorelay(arguments).output().unwrap(), 2, parts);
    }
}

#[tokio::test]
async fn user_who_may_not_lay_hands_on_the_queue_is_told_what_to_do() {
    let bench = Bench::new();
    refuse(&bench).await;
    for command in [
        &["queue", "retry", "--all"][..],
        &["queue", "hold", "0000000000000000"],
        &["queue", "delete", "--all", "--yes"],
        &["queue", "flush"],
        &["queue", "show", "--content", "0000000000000000"],
        &["queue", "export", "0000000000000000"],
        &["history"],
    ] {
        let output = ask(&bench, command).await;
        assert_complains(&output, 77, &["run as root or join the group of"]);
    }
}

#[test]
fn hands_find_no_queue_where_there_is_none() {
    let bench = Bench::new();
    for command in [
        &["queue", "retry", "--all"][..],
        &["queue", "flush"],
        &["queue", "verify"],
        &["history"],
    ] {
        assert_complains(
            &bench.exorelay(command),
            1,
            &["no queue in", "no daemon has run"],
        );
    }
}
