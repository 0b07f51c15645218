//! The pages, as tests look at them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use exorelay::config::{self, Settings};

/// The first line of what comes of an example.
pub(crate) const RESULT: &str = "# /etc/exorelay/exorelay.toml";

pub(crate) fn page(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/migrate");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// The fenced blocks, without the indent of a list.
pub(crate) fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some((indent, _)) = line.split_once("```") else {
            continue;
        };
        let inner = lines.by_ref().take_while(|line| line.trim() != "```");
        let inner = inner.map(|line| line.strip_prefix(indent).unwrap_or(line));
        let mut text = String::new();
        for line in inner {
            text.push_str(line);
            text.push('\n');
        }
        blocks.push(text);
    }
    blocks
}

/// The block whose first line is `first`.
pub(crate) fn block(page: &str, first: &str) -> String {
    let mut found = blocks(page).into_iter();
    let found = found.find(|block| block.lines().next() == Some(first));
    found.unwrap_or_else(|| panic!("no block that begins with {first}"))
}

pub(crate) fn settings(text: &str) -> Settings {
    let path = Path::new("exorelay.toml");
    let loaded = config::load_text(path, text, std::iter::empty(), &[]);
    loaded.unwrap().settings
}

/// `NAME = VALUE` lines, and `NAME: VALUE` ones; a name that stands twice keeps its first value.
pub(crate) fn assignments(text: &str, sign: char) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, value)) = line.split_once(sign) {
            let value = value.trim().trim_matches('"').to_owned();
            found.entry(name.trim().to_owned()).or_insert(value);
        }
    }
    found
}

/// Each must stand in a table of the page, as code.
#[track_caller]
pub(crate) fn assert_told<'n>(page: &str, names: impl IntoIterator<Item = &'n str>, least: usize) {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let code: Vec<&str> = rows
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .collect();
    let is_told = |name: &&str| {
        let mut words = code.iter().flat_map(|code| code.split([' ', '=']));
        words.any(|word| word == *name || word.ends_with(&format!(".{name}")))
    };
    let names: Vec<&str> = names.into_iter().collect();
    assert!(names.len() >= least, "{names:?}");
    let untold: Vec<_> = names.into_iter().filter(|name| !is_told(name)).collect();
    assert!(untold.is_empty(), "in no table: {untold:?}");
}
