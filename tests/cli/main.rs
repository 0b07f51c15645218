//! The program as people and scripts call it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail as tests do"
)]

mod bench;
mod config;
mod hands;
mod login;
mod queue;
mod sender;
mod status;
mod transfer;

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
                "config",
                "login",
                "queue",
                "history",
                "sender",
                "sendmail",
                "status",
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
