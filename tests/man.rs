//! exorelay.toml(5) has every key of `config/exorelay.toml`, with its default, and no other.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const PAGE: &str = "packaging/man/exorelay.toml.5";

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// By dotted key: the default, or none where a key has none that could be written.
type Keys = BTreeMap<String, Option<String>>;

/// `[account.default.smtp]` as the page calls it: `account.NAME.smtp`.
fn section(heading: &str) -> String {
    let path = heading.trim_matches(['[', ']']);
    let mut parts: Vec<&str> = path.split('.').collect();
    if matches!(parts[0], "account" | "listener" | "client") {
        parts[1] = "NAME";
    }
    parts.join(".")
}

fn dotted(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}

/// What is commented out shows the default; what is not is an example of a key without one. Sections that are
/// commented out hold such examples too: of `network` and `account`.
fn keys_of_the_file() -> Keys {
    let mut keys = Keys::new();
    let mut at = String::new();
    for line in read("config/exorelay.toml").lines() {
        let code = line.strip_prefix('#').unwrap_or(line);
        if code.starts_with('[') {
            at = section(code);
            continue;
        }
        let Some((key, value)) = code.split_once(" = ") else {
            continue;
        };
        // A sentence, not a setting.
        if !key.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            continue;
        }
        let is_example =
            !line.starts_with('#') || matches!((at.as_str(), key), ("client.NAME", "network"));
        keys.insert(dotted(&at, key), (!is_example).then(|| value.to_owned()));
    }
    keys
}

fn keys_of_the_page() -> Keys {
    let mut keys = Keys::new();
    let mut at = None;
    for line in read(PAGE).lines() {
        if let Some(heading) = line.strip_prefix(".Ss ") {
            at = match heading.trim_end_matches("\\&") {
                "Values" => None,
                "Top level" => Some(String::new()),
                heading => Some(section(heading)),
            };
        }
        let item = line.strip_prefix(".It Ic ");
        if let (Some(at), Some(item)) = (&at, item) {
            let (key, rest) = item.split_once(" No = Ar ").unwrap();
            let default = rest.split_once(" Pq ").map(|(_, default)| default);
            let default = default.map(|text| text.replace("\\(dq", "\"").replace("\\-", "-"));
            keys.insert(dotted(at, key), default);
        }
    }
    keys
}

#[test]
fn page_has_every_key_with_its_default_and_no_other() {
    let (file, page) = (keys_of_the_file(), keys_of_the_page());
    assert!(file.len() >= 90, "{} keys", file.len());
    let missing: Vec<&String> = file.keys().filter(|key| !page.contains_key(*key)).collect();
    let unknown: Vec<&String> = page.keys().filter(|key| !file.contains_key(*key)).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing {missing:?}, unknown {unknown:?}"
    );
    for (key, default) in file {
        assert_eq!(page[&key], default, "{key}");
    }
}

/// Where mandoc(1) is installed.
#[test]
fn pages_are_well_formed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().to_str().unwrap();
    let mut man = Command::new(env!("CARGO_BIN_EXE_exorelay"));
    assert!(
        man.args(["man", "--directory", directory])
            .output()
            .unwrap()
            .status
            .success()
    );
    let mut pages = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let page = entry.unwrap().path();
        pages += 1;
        let mut lint = Command::new("mandoc");
        match lint.args(["-Tlint", "-Wwarning"]).arg(&page).output() {
            Ok(said) => assert!(
                said.status.success(),
                "{}",
                String::from_utf8_lossy(&said.stdout)
            ),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
        }
    }
    assert!(pages > 30, "{pages} pages");
}
