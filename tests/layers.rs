//! Imports point downwards only.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The rooms from top to bottom; a room may use those on lower floors, never its own floor or above.
const FLOORS: [&[&str]; 10] = [
    &["main"],
    &["cli"],
    &["relay"],
    &["admin", "config"],
    &["listener", "delivery", "alert"],
    &["sandbox"],
    &["queue", "oauth"],
    &["smtp"],
    &["mail", "tls", "proxy", "unix_socket"],
    &["secret", "telemetry", "owner", "file_version"],
];

fn floor(room: &str) -> usize {
    let found = FLOORS.iter().position(|rooms| rooms.contains(&room));
    found.unwrap_or_else(|| panic!("the room {room} has no floor in tests/layers.rs"))
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The rooms that a line such as `use crate::{mail, queue::Queue};` or `crate::mail::Mailbox` names.
fn rooms_named(line: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split(',').map(str::trim).collect(),
            None => vec![rest],
        };
        for name in names {
            let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let name = &name[..end.unwrap_or(name.len())];
            if !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                rooms.insert(name.to_owned());
            }
        }
    }
    rooms
}

#[test]
fn no_room_uses_one_above_it() {
    let sources_folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&sources_folder, &mut files);
    assert!(files.len() > 50);
    for file in files {
        let inside = file.strip_prefix(&sources_folder).unwrap();
        let top = inside.components().next().unwrap();
        let top = top.as_os_str().to_string_lossy();
        let room = top.trim_end_matches(".rs");
        if room == "lib" {
            continue;
        }
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let code = line.trim_start();
            if code.starts_with("//") {
                continue;
            }
            for used in rooms_named(code) {
                assert!(
                    used == room || floor(&used) > floor(room),
                    "{} uses {used}, which is not below {room}: {line}",
                    inside.display()
                );
            }
        }
    }
}
