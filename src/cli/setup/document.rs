//! The answers, put into the text of the settings file; whatever else stands there stays as it is.

use std::path::Path;

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::answers::{Answers, Present, SecretAnswer};
use super::interview::with_loopback;
use super::way::Way;
use crate::oauth::Cloud;

/// Puts `answers` into `document`; `secret_file` is where a new secret will lie. Returns what changes,
/// one line each, without any secret.
pub(super) fn edit(
    document: &mut DocumentMut,
    account: &str,
    present: &Present,
    answers: &Answers,
    secret_file: &Path,
) -> Vec<String> {
    let mut edit = Edit {
        document,
        changes: Vec::new(),
    };
    let google = answers.way == Way::Google;
    let access = answers.way.access().as_str();
    let cloud = answers.cloud.name();
    let section = ["account", account];
    edit.text(&section, "mailbox", &answers.mailbox);
    edit.non_default(
        &section,
        "provider",
        if google { "google" } else { "microsoft" },
        "microsoft",
    );
    if google {
        edit.remove(&section, "cloud");
        edit.remove(&section, "tenant_id");
    } else {
        edit.non_default(&section, "cloud", cloud, Cloud::Global.name());
        edit.text(&section, "tenant_id", &answers.tenant_id);
    }
    edit.text(&section, "client_id", &answers.client_id);
    edit.non_default(&section, "access", access, "application");
    match &answers.secret {
        SecretAnswer::Keep => {}
        SecretAnswer::None => edit.remove(&section, "client_secret"),
        SecretAnswer::New(_) => edit.place(&section, "file", &secret_file.to_string_lossy()),
        SecretAnswer::Place { kind, name } => edit.place(&section, kind, name),
    }
    edit.text(&section, "client_certificate", &answers.certificate);
    edit.text(&section, "client_certificate_key", &answers.certificate_key);
    edit.text(&section, "credential_expires", &answers.credential_expires);
    let oauth = ["account", account, "oauth"];
    edit.text(
        &oauth,
        "federated_token_file",
        &answers.federated_token_file,
    );
    if let Some(reach) = &answers.reach {
        let section = ["listener", present.listener.as_str()];
        edit.non_default(&section, "address", &reach.address, "127.0.0.1:2525");
        if reach.networks.is_empty() {
            edit.remove(&section, "allow");
        } else {
            edit.list(&section, "allow", &with_loopback(&reach.networks));
        }
    }
    edit.non_default(&["bounce"], "to", &answers.bounce_to, "sender");
    edit.changes
}

struct Edit<'d> {
    document: &'d mut DocumentMut,
    changes: Vec<String>,
}

impl Edit<'_> {
    /// An empty text is a key that is left out.
    fn text(&mut self, section: &[&str], key: &str, text: &str) {
        if text.is_empty() {
            self.remove(section, key);
        } else {
            self.set(section, key, text.into());
        }
    }

    /// Left out where nobody wrote it and it is the default.
    fn non_default(&mut self, section: &[&str], key: &str, text: &str, default: &str) {
        let is_written = self.value(section, key).is_some();
        if text != default || is_written {
            self.set(section, key, text.into());
        }
    }

    fn list(&mut self, section: &[&str], key: &str, items: &[String]) {
        self.set(section, key, Value::Array(items.iter().collect::<Array>()));
    }

    fn place(&mut self, section: &[&str], kind: &str, name: &str) {
        let mut place = InlineTable::new();
        place.insert(kind, name.into());
        place.fmt();
        self.set(section, "client_secret", Value::InlineTable(place));
    }

    fn set(&mut self, section: &[&str], key: &str, mut value: Value) {
        let path = format!("{}.{key}", section.join("."));
        let new = shown(key, &value);
        let Some(table) = table(self.document, section) else {
            // The loader says what is wrong with a section that is a value.
            return;
        };
        match table.get_mut(key) {
            Some(Item::Value(old)) if bare(old) == bare(&value) => {}
            Some(Item::Value(old)) => {
                self.changes
                    .push(format!("{path}: {} -> {new}", shown(key, old)));
                // The comment behind it stays.
                *value.decor_mut() = old.decor().clone();
                *old = value;
            }
            _ => {
                self.changes.push(format!("{path}: {new}"));
                table.insert(key, Item::Value(value));
            }
        }
    }

    fn remove(&mut self, section: &[&str], key: &str) {
        let path = format!("{}.{key}", section.join("."));
        let Some(old) = self.value(section, key) else {
            return;
        };
        let old = old
            .as_value()
            .map_or_else(|| "a section".to_owned(), |old| shown(key, old));
        self.changes.push(format!("{path}: {old} -> (removed)"));
        if let Some(table) = table(self.document, section) {
            table.remove(key);
        }
    }

    fn value(&self, section: &[&str], key: &str) -> Option<&Item> {
        let mut path = section.iter().chain([&key]);
        path.try_fold(self.document.as_item(), |item, key| item.get(key))
    }
}

/// The section, made if need be; `None` where something else has its name.
fn table<'d>(document: &'d mut DocumentMut, section: &[&str]) -> Option<&'d mut dyn TableLike> {
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for (depth, name) in section.iter().enumerate() {
        let made = table.entry(name).or_insert_with(|| {
            let mut table = Table::new();
            // `[account.default]` says enough of `account`.
            table.set_implicit(depth + 1 < section.len());
            Item::Table(table)
        });
        table = made.as_table_like_mut()?;
    }
    Some(table)
}

/// As it is written; secrets by their place alone.
fn shown(key: &str, value: &Value) -> String {
    if key == "client_secret" && !value.is_inline_table() {
        return "(a secret)".to_owned();
    }
    bare(value)
}

/// Without the comment behind it.
fn bare(value: &Value) -> String {
    let mut value = value.clone();
    value.decor_mut().clear();
    value.to_string()
}
