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
