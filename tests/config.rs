//! Mistakes in settings: one file each in `config/bad`, refused with the words on its first lines.
//!
//! `# expect: TEXT` must appear in the errors; `# env: NAME=VALUE` adds a variable. The file is called
//! `exorelay.toml` in the errors.

use std::path::{Path, PathBuf};

use exorelay::config::{self, ConfigError};

#[test]
fn every_mistake_is_refused_with_its_remedy() {
    let files = bad_files();
    assert!(files.len() >= 25, "{} files", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.display();
        let error = load(&text).expect_err(&format!("{name} must be refused"));
        let shown = error.to_string();
        let expected: Vec<&str> = directives(&text, "expect").collect();
        assert!(!expected.is_empty(), "{name} expects nothing");
        for expected in &expected {
            assert!(
                shown.contains(expected),
                "{name}: expected {expected:?} in\n{shown}"
            );
        }
        // A mistake is told once, and does not drag others behind it.
        let starts = |problem: &config::Problem| {
            let problem = problem.to_string();
            expected.iter().any(|expected| problem.contains(expected))
        };
        let others: Vec<_> = error.problems().iter().filter(|p| !starts(p)).collect();
        assert!(others.is_empty(), "{name}: not expected {others:?}");
    }
}

#[test]
fn every_problem_is_one_line_with_its_place() {
    for file in bad_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let Err(ConfigError::Invalid(problems)) = load(&text) else {
            continue;
        };
        for problem in problems.iter().filter(|problem| problem.key != "account") {
            let shown = problem.to_string();
            assert_eq!(shown.lines().count(), 1, "{shown}");
            assert!(problem.origin.is_some(), "{}: {shown}", file.display());
        }
    }
}

#[test]
fn the_installed_file_asks_for_what_has_to_be_filled_in() {
    let text = packaged("exorelay.toml");
    let error = load(&text).expect_err("nobody's mailbox");
    let keys: Vec<&str> = error.problems().iter().map(|p| p.key.as_str()).collect();
    let account = |key: &str| format!("account.default.{key}");
    let missing = ["mailbox", "tenant_id", "client_id"].map(account);
    assert_eq!(keys, missing);
    let filled = text
        .replace("mailbox = \"\"", "mailbox = \"relay@contoso.com\"")
        .replace("tenant_id = \"\"", "tenant_id = \"contoso.com\"")
        .replace(
            "client_id = \"\"",
            "client_id = \"11111111-2222-3333-4444-555555555555\"",
        );
    assert!(load(&filled).unwrap().warnings.is_empty());
    // What is offered for devices can be taken as it stands.
    let devices = filled
        .replace("#[", "[")
        .replace("#address", "address")
        .replace("#allow", "allow");
    let settings = load(&devices).unwrap().settings;
    assert_eq!(settings.listeners["local"].allow.len(), 2);
}

#[test]
fn a_container_starts_only_for_clients_that_are_named() {
    let account = [
        ("MAILBOX", "relay@contoso.com"),
        ("TENANT_ID", "contoso.com"),
        ("CLIENT_ID", "11111111-2222-3333-4444-555555555555"),
        ("CLIENT_SECRET__FILE", "/run/secrets/client-secret"),
    ]
    .map(|(key, value)| {
        (
            format!("EXORELAY_ACCOUNT__DEFAULT__{key}"),
            value.to_owned(),
        )
    });
    let text = packaged("container.toml");
    let load = |allow: Option<&str>| {
        let allow = allow.map(|list| {
            let name = "EXORELAY_LISTENER__LOCAL__ALLOW".to_owned();
            (name, list.to_owned())
        });
        let variables = account.clone().into_iter().chain(allow);
        config::load_text(Path::new("exorelay.toml"), &text, variables, &[])
    };
    let error = load(None).expect_err("an open relay").to_string();
    assert!(error.contains("open relay"), "{error}");
    let settings = load(Some("[\"172.16.0.0/12\"]")).unwrap().settings;
    assert_eq!(
        settings.accounts["default"].mailbox.as_str(),
        "relay@contoso.com"
    );
}

fn packaged(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    std::fs::read_to_string(folder.join(name)).expect("a packaged file")
}

fn bad_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/bad");
    let entries = std::fs::read_dir(folder).expect("the folder of mistakes");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a mistake").path())
        .collect();
    files.sort();
    files
}

fn load(text: &str) -> Result<config::Loaded, ConfigError> {
    let variables = directives(text, "env").map(|variable| {
        let (name, value) = variable.split_once('=').expect("NAME=VALUE");
        (name.to_owned(), value.to_owned())
    });
    config::load_text(Path::new("exorelay.toml"), text, variables, &[])
}

fn directives<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = &'t str> {
    let lines = text.lines().map_while(|line| line.strip_prefix("# "));
    let named = lines.filter_map(move |line| line.strip_prefix(name));
    named.filter_map(|rest| rest.strip_prefix(": "))
}
