//! `queue show --content`, `export`, `import`, `verify`, and `history` as text.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::bench::{
    Bench, answer, ask, assert_complains, assert_exit, close, defer_oldest, stderr, stdout, submit,
};

const CONTENT: &str = "Subject: x\r\n\r\nx\r\n";

async fn check_export(bench: &Bench, ids: &[String], directory: &Path) {
    for arguments in [["queue", "show", "--content"], ["queue", "export", "--"]] {
        let output = ask(bench, &[&arguments[..], &[&ids[0]]].concat()).await;
        assert_exit(&output, 0);
        assert_eq!(stdout(&output), CONTENT);
    }
    let output = ask(bench, &["queue", "export", "--json", &ids[0]]).await;
    let sidecar: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(sidecar["recipients"][1]["address"], "archive@contoso.com");
    let shown = directory.display().to_string();
    let output = ask(bench, &["queue", "export", "--all", "--directory", &shown]).await;
    assert_exit(&output, 0);
    assert_eq!(stdout(&output), format!("2 messages exported to {shown}\n"));
    for id in ids {
        let eml = directory.join(format!("{id}.eml"));
        assert_eq!(std::fs::read_to_string(&eml).unwrap(), CONTENT);
        let mode = std::fs::metadata(&eml).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let json = std::fs::read(directory.join(format!("{id}.json"))).unwrap();
        let sidecar: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(sidecar["id"], id.as_str());
    }
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 4);
    let output = ask(bench, &["queue", "export", "0000000000000000"]).await;
    assert_complains(&output, 1, &["0000000000000000 is not in the queue"]);
    let both = [
        "queue",
        "export",
        &ids[0],
        "0000000000000000",
        "--directory",
        &shown,
    ];
    let output = ask(bench, &both).await;
    assert_exit(&output, 1);
    assert!(stderr(&output).contains("0000000000000000 is not in the queue"));
    assert!(stdout(&output).starts_with("1 message exported"));
}

async fn check_import(bench: &Bench, directory: &Path) {
    let shown = directory.display().to_string();
    let output = ask(bench, &["queue", "import", &shown]).await;
    assert_exit(&output, 0);
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[2], "2 messages queued");
    let id = lines[0].split("  ").next().unwrap();
    let output = ask(bench, &["queue", "show", id]).await;
    assert!(
        stdout(&output).contains("imported by "),
        "{}",
        stdout(&output)
    );
    assert!(
        stdout(&output).contains("through the "),
        "{}",
        stdout(&output)
    );

    let bare = directory.join("note.eml");
    std::fs::write(&bare, "Subject: note\n\nhello\n").unwrap();
    let bare = bare.display().to_string();
    let output = ask(bench, &["queue", "import", &bare]).await;
    assert_exit(&output, 1);
    assert!(
        stderr(&output).contains("note.json; say --from and --to"),
        "{}",
        stderr(&output)
    );
    assert_eq!(stdout(&output), "0 messages queued\n");
    let import = [
        "queue",
        "import",
        &bare,
        "--from",
        "<>",
        "--to",
        "desk@contoso.com",
        "--remove",
    ];
    let output = ask(bench, &import).await;
    assert_exit(&output, 0);
    assert!(!Path::new(&bare).exists());
    let id = stdout(&output).split("  ").next().unwrap().to_owned();
    let output = ask(bench, &["queue", "show", "--content", &id]).await;
    assert!(
        stdout(&output).contains("From: <relay@contoso.com>\r\n"),
        "{}",
        stdout(&output)
    );
    assert!(
        stdout(&output).ends_with("\r\n\r\nhello\r\n"),
        "{}",
        stdout(&output)
    );

    std::fs::write(directory.join("odd.eml"), "x").unwrap();
    std::fs::write(directory.join("odd.json"), "{}").unwrap();
    let odd = directory.join("odd.eml").display().to_string();
    for (arguments, parts) in [
        (
            vec![odd.as_str()],
            vec!["odd.json", "no sidecar of an export"],
        ),
        (
            vec!["--from", "a@b.com", "--to", "no address", &bare],
            vec!["cannot read", "note.eml"],
        ),
        (
            vec!["--account", "nobody", &odd],
            vec!["no account nobody", "--account"],
        ),
        (vec!["/nonexistent/x.txt"], vec!["is no .eml file"]),
        (
            vec!["/nonexistent/x.eml"],
            vec!["x.json; say --from and --to"],
        ),
    ] {
        let output = ask(bench, &[&["queue", "import"][..], &arguments].concat()).await;
        assert!(!output.status.success(), "{arguments:?}");
        for part in parts {
            assert!(
                stderr(&output).contains(part),
                "{part} in {}",
                stderr(&output)
            );
        }
    }
    for file in ["odd.eml", "odd.json"] {
        std::fs::remove_file(directory.join(file)).unwrap();
    }
}

#[tokio::test]
async fn messages_go_out_and_in_again() {
    let bench = Bench::new();
    let queue = bench.queue();
    let ids = [
        submit(&queue, "default").await,
        submit(&queue, "default").await,
    ];
    let folders = tempfile::TempDir::new().unwrap();
    let stop = answer(&bench, &queue).await;
    check_export(&bench, &ids, &folders.path().join("socket")).await;
    check_import(&bench, &folders.path().join("socket")).await;
    assert_eq!(queue.used().0, 5);
    stop.cancel();
    close(queue).await;

    let bench = Bench::new();
    let queue = bench.queue();
    let ids = [
        submit(&queue, "default").await,
        submit(&queue, "default").await,
    ];
    close(queue).await;
    check_export(&bench, &ids, &folders.path().join("folder")).await;
    check_import(&bench, &folders.path().join("folder")).await;
    let output = ask(&bench, &["queue", "verify", "--json"]).await;
    assert_exit(&output, 0);
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&verdict["ok"], &verdict["waiting"]),
        (&true.into(), &5.into())
    );
}

#[tokio::test]
async fn a_full_queue_takes_no_import_and_says_when_to_go_on() {
    let bench = Bench::new();
    let queue = bench.queue();
    for _ in 0..3 {
        submit(&queue, "default").await;
    }
    close(queue).await;
    let folder = tempfile::TempDir::new().unwrap();
    let shown = folder.path().display().to_string();
    assert_exit(
        &ask(&bench, &["queue", "export", "--all", "--directory", &shown]).await,
        0,
    );
    let arguments = ["queue", "import", &shown, "--remove"];
    let mut command = bench.command(&arguments);
    command.env("EXORELAY_QUEUE__MAX_MESSAGES", "5");
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    assert_exit(&output, 75);
    assert!(
        stdout(&output).ends_with("2 messages queued\n"),
        "{}",
        stdout(&output)
    );
    assert!(
        stderr(&output).contains("maximum number of messages"),
        "{}",
        stderr(&output)
    );
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "one message is left, to be imported later");
}

#[tokio::test]
async fn damage_is_told_and_seen_everywhere() {
    let bench = Bench::new();
    let queue = bench.queue();
    let id = submit(&queue, "default").await;
    close(queue).await;
    let output = ask(&bench, &["queue", "verify"]).await;
    assert_exit(&output, 0);
    assert_eq!(
        stdout(&output),
        "1 message (1 ready); 17 B of 1 message waiting, 17 B of content\nthe queue is whole\n"
    );
    bench.sql("DELETE FROM content");
    let output = ask(&bench, &["queue", "verify"]).await;
    assert_exit(&output, 1);
    assert_eq!(stderr(&output), "");
    assert!(stdout(&output).contains(&format!("{id} its content is missing\n")));
    assert!(stdout(&output).ends_with("\n1 problem found\n"));

    let queue = bench.queue();
    assert!(queue.lease("default", 1).await.unwrap().leases.is_empty());
    let stop = answer(&bench, &queue).await;
    let check = async || {
        let output = ask(&bench, &["queue", "list"]).await;
        assert!(stdout(&output).contains("quarantined: its content is missing"));
        let output = ask(&bench, &["queue", "show", &id]).await;
        assert!(stdout(&output).contains("quarantined, its content is missing; release it once"));
        let output = ask(&bench, &["status"]).await;
        assert!(
            stdout(&output).contains("QUARANTINED: 1 message damaged"),
            "{}",
            stdout(&output)
        );
        assert_exit(&ask(&bench, &["queue", "verify"]).await, 1);
    };
    check().await;
    stop.cancel();
    close(queue).await;
    check().await;
}

#[tokio::test]
async fn history_tells_the_life_of_a_message() {
    let bench = Bench::new();
    let queue = bench.queue();
    let id = submit(&queue, "default").await;
    let other = submit(&queue, "fabrikam").await;
    defer_oldest(&queue, "default").await;
    let check = async || {
        let output = ask(&bench, &["history"]).await;
        assert_exit(&output, 0);
        for part in [
            &format!(
                "{id}  deferred  scanner@contoso.com  17 B  Scan from the lobby  <1@scanner>\n"
            ),
            "  received by listener local from 10.20.1.15 (scanner)\n",
            "  attempt 1 to smtp.office365.com, connection 7 (account default): delivered, deferred: 451 4.7.0",
            "  delivered desk@contoso.com  250 2.1.5 ok\n  pending   archive@contoso.com  451 4.7.0",
            &format!("{other}  ready  "),
        ] {
            assert!(
                stdout(&output).contains(part),
                "{part:?} in\n{}",
                stdout(&output)
            );
        }
        let found = async |arguments: &[&str]| {
            let output = ask(&bench, &[&["history", "--json"], arguments].concat()).await;
            assert_exit(&output, 0);
            let told: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
            told.len()
        };
        assert_eq!(found(&["--state", "deferred"]).await, 1);
        assert_eq!(found(&["--state", "deleted"]).await, 0);
        assert_eq!(found(&["--since", "1h"]).await, 2);
        assert_eq!(found(&["--since", "2999-01-01"]).await, 0);
        assert_eq!(
            found(&["--from", "scanner@contoso.com", "--to", "*@contoso.com"]).await,
            2
        );
        assert_eq!(found(&["--to", "*@fabrikam.com"]).await, 0);
        assert_eq!(found(&["--id", &id]).await, 1);
        let output = ask(&bench, &["history", "--id", "0000000000000000"]).await;
        assert_complains(&output, 1, &["no message 0000000000000000"]);
    };
    let stop = answer(&bench, &queue).await;
    check().await;
    stop.cancel();
    close(queue).await;
    check().await;
}

#[tokio::test]
async fn a_queue_of_an_older_version_asks_for_its_daemon() {
    let bench = Bench::new();
    close(bench.queue()).await;
    bench.sql("PRAGMA user_version = 1");
    for command in [&["queue", "list"][..], &["history"], &["queue", "verify"]] {
        let output = ask(&bench, command).await;
        assert_complains(
            &output,
            1,
            &["queue.db has schema 1", "start its daemon once"],
        );
    }
}
