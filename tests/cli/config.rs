//! `config check` and `config show`.

use serde_json::Value;

use crate::bench::{Bench, SECRET, assert_complains, assert_exit, exorelay, stderr, stdout};

#[test]
fn good_settings_are_ok() {
    let bench = Bench::new();
    let output = bench.exorelay(&["config", "check"]);
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(
        text.starts_with(&format!("{}: ok\n", bench.config().display())),
        "{text}"
    );
    assert!(
        text.contains("listeners: local on 127.0.0.1:2525\n"),
        "{text}"
    );
    assert!(
        text.contains("accounts: default (relay@contoso.com through smtp.office365.com:587)\n"),
        "{text}"
    );
}

#[test]
fn option_wins_over_the_variable() {
    let bench = Bench::new();
    let config = bench.config();
    let mut command = exorelay(&["config", "check", "--config"]);
    let output = command
        .arg(&config)
        .env("EXORELAY_CONFIG", "/nonexistent")
        .output()
        .unwrap();
    assert_exit(&output, 0);
}

#[test]
fn bad_settings_are_told_one_by_one() {
    let bench = Bench::new();
    bench.append("conections = 3\n[queue.extra]\n[log]\nlevel = \"loud\"\n");
    let output = bench.exorelay(&["config", "check"]);
    assert_exit(&output, 78);
    let complaints: Vec<&str> = stderr(&output).lines().collect();
    assert!(complaints.len() >= 3, "{complaints:?}");
    assert!(
        complaints.iter().all(|line| line.starts_with("exorelay: ")),
        "{complaints:?}"
    );
    assert!(stderr(&output).contains("exorelay.toml:"), "{complaints:?}");
    for command in [&["config", "show"][..], &["queue", "list"], &["status"]] {
        assert_exit(&bench.exorelay(command), 78);
    }
}

#[test]
fn missing_files_are_bad_settings() {
    let output = exorelay(&["--config", "/nonexistent/exorelay.toml", "config", "check"])
        .output()
        .unwrap();
    assert_complains(&output, 78, &["/nonexistent/exorelay.toml", "--config"]);

    let bench = Bench::new();
    let text = std::fs::read_to_string(bench.config()).unwrap();
    let literal = format!("\"{SECRET}\"");
    let text = text.replace(&literal, "{ file = \"/nonexistent/secret\" }");
    std::fs::write(bench.config(), text).unwrap();
    let output = bench.exorelay(&["config", "check"]);
    assert_complains(&output, 78, &["client_secret", "/nonexistent/secret"]);
}

#[test]
fn what_cannot_start_is_told_down_to_the_cause() {
    let bench = Bench::new();
    bench.append("[account.default.smtp]\nca_file = \"/nonexistent/ca.pem\"\n");
    let output = bench.exorelay(&["run"]);
    assert_exit(&output, 78);
    let line = stderr(&output).lines().last().unwrap();
    let cause = "cannot read the certificates in /nonexistent/ca.pem: No such file";
    assert!(line.contains(cause), "{line}");
}

#[test]
fn settings_are_shown_with_their_layers_and_without_secrets() {
    let bench = Bench::new();
    let show = |arguments: &[&str]| {
        let mut command = bench.command(arguments);
        let output = command
            .env("EXORELAY_QUEUE__MAX_MESSAGES", "77")
            .output()
            .unwrap();
        assert_exit(&output, 0);
        assert!(!stdout(&output).contains("hunter2"), "{}", stdout(&output));
        stdout(&output).to_owned()
    };
    let text = show(&["config", "show"]);
    assert!(
        text.contains("max_messages = 77  # environment EXORELAY_QUEUE__MAX_MESSAGES\n"),
        "{text}"
    );
    assert!(text.contains("# default\n"), "{text}");
    let json: Value = serde_json::from_str(&show(&["config", "show", "--json"])).unwrap();
    assert_eq!(json["settings"]["queue"]["max_messages"], 77);
    assert_eq!(json["origins"]["queue.max_bytes"], "default");
}
