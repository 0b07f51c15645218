//! The program as people and scripts call it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail as tests do"
)]

mod bench;
mod check;
mod clients;
mod clinic;
mod config;
mod hands;
mod hash_password;
mod login;
mod man;
mod queue;
mod send_test;
mod sender;
mod setup;
mod status;
mod tls;
mod token;
mod transfer;
mod watch;

use bench::{Bench, assert_complains, assert_exit, exorelay, stderr, stdout};

#[test]
fn help_mentions_every_command() {
    for (arguments, commands) in [
        (
            &["--help"][..],
            &[
                "run",
                "demo",
                "sandbox",
                "setup",
                "config",
                "login",
                "hash-password",
                "tls",
                "queue",
                "history",
                "sender",
                "sendmail",
                "status",
                "token",
                "check",
                "send-test",
                "man",
                "completions",
                "--config",
                "78 bad configuration",
            ][..],
        ),
        (&["run", "--help"], &["SIGTERM"]),
        (&["demo", "--help"], &["--once"]),
        (&["login", "--help"], &["--paste", "--device", "--shared"]),
        (
            &["sandbox", "--help"],
            &[
                "--smtp",
                "--http",
                "--directory",
                "--no-limits",
                "--discard",
            ],
        ),
        (&["config", "--help"], &["check", "show"]),
        (&["man", "--help"], &["--directory"]),
        (&["completions", "--help"], &["bash, zsh, fish"]),
        (&["hash-password", "--help"], &["--user"]),
        (
            &["tls", "self-signed", "--help"],
            &["--name", "--certificate", "--key", "--days", "--force"],
        ),
        (
            &["queue", "--help"],
            &[
                "list", "show", "retry", "flush", "hold", "release", "delete", "export", "import",
                "verify",
            ],
        ),
        (
            &["history", "--help"],
            &[
                "--from", "--to", "--since", "--state", "--id", "--json", "deleted",
            ],
        ),
        (
            &["queue", "delete", "--help"],
            &["--yes", "--all", "--older-than"],
        ),
        (&["queue", "export", "--help"], &["--directory", "ID.json"]),
        (
            &["queue", "import", "--help"],
            &["--from", "--to", "--account", "--remove"],
        ),
        (
            &["queue", "list", "--help"],
            &["--state", "--account", "--json", "deferred"],
        ),
        (&["status", "--help"], &["--json", "75"]),
        (&["token", "--help"], &["import", "show", "forget"]),
        (
            &["token", "import", "--help"],
            &["--no-check", "standard input"],
        ),
        (
            &["check", "--help"],
            &["--send", "--json", "--bundle", "skipped"],
        ),
        (
            &["send-test", "--help"],
            &["--to", "--from", "--account", "--timeout", "69"],
        ),
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
