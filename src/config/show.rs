//! The settings in effect, each with the layer it came from.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::error::Origin;
use super::reader::Entry;

/// Where every value in effect came from.
#[derive(Clone, Debug)]
pub struct Provenance(Vec<Entry>);

impl Provenance {
    pub(super) fn new(mut entries: Vec<Entry>) -> Self {
        // Sections stay in the order of reading; a section's own keys come before those below it.
        let order: Vec<String> = entries
            .iter()
            .map(|e| section(&e.path).to_owned())
            .collect();
        let place = |entry: &Entry| order.iter().position(|path| path == section(&entry.path));
        entries.sort_by_key(place);
        Self(entries)
    }

    /// The origin of `key`, in full such as `queue.max_bytes`; none for a key that does not exist.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        let entry = self.0.iter().find(|entry| entry.path == key);
        entry.map(|entry| &entry.origin)
    }

    /// TOML that can be read again, each line ending in a comment that names the value's layer. Secrets
    /// are `"(redacted)"`, references to them as they were written.
    pub fn show(&self) -> String {
        let mut text = String::new();
        let mut open = "";
        for entry in &self.0 {
            let (section, key) = (section(&entry.path), key(&entry.path));
            if section != open {
                let header = header(section);
                // Writing to a `String` cannot fail.
                let _ = write!(text, "\n{header}\n");
                open = section;
            }
            let value = toml(&entry.value);
            let _ = writeln!(text, "{key} = {value}  # {}", entry.origin);
        }
        text
    }

    /// The same as one JSON object: `settings` nested as in the file, `origins` by full key.
    pub fn show_json(&self) -> Value {
        let mut settings = Value::Object(Map::new());
        let mut origins = Map::new();
        for entry in &self.0 {
            place(&mut settings, &entry.path, entry.value.clone());
            origins.insert(entry.path.clone(), entry.origin.to_string().into());
        }
        json!({ "settings": settings, "origins": origins })
    }
}

fn section(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(section, _)| section)
}

fn key(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, key)| key)
}

fn header(section: &str) -> String {
    match section.split_once('[') {
        Some((list, _)) => format!("[[{list}]]"),
        None => format!("[{section}]"),
    }
}

fn place(root: &mut Value, path: &str, value: Value) {
    let mut at = root;
    for level in path.split('.') {
        let (name, index) = match level.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (level, None),
        };
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Some(object) = at.as_object_mut() else {
            return;
        };
        at = object.entry(name).or_insert(Value::Null);
        if let Some(index) = index {
            if !at.is_array() {
                *at = Value::Array(Vec::new());
            }
            let Some(items) = at.as_array_mut() else {
                return;
            };
            if items.len() <= index {
                items.push(Value::Null);
            }
            let Some(item) = items.last_mut() else { return };
            at = item;
        }
    }
    *at = value;
}

fn toml(value: &Value) -> String {
    match value {
        Value::String(text) => basic_string(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(table) => {
            let pairs = table.iter();
            let pairs: Vec<String> = pairs
                .map(|(k, v)| format!("{} = {}", toml_key(k), toml(v)))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Bare where it may be.
fn toml_key(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !key.is_empty() && key.chars().all(is_bare) {
        key.to_owned()
    } else {
        basic_string(key)
    }
}

/// A basic string of TOML 1.0: escapes as in JSON, and DEL too.
fn basic_string(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
