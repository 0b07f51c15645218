//! The settings file: TOML, with the line of every key.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use figment::value::{Dict, Value};
use toml_edit::{ImDocument, Item, Key, TableLike};

use super::error::ConfigError;

/// A settings file as a tree.
pub(super) struct Decoded {
    pub(super) root: Dict,
    /// Line of each key, from 1, by dotted path; items of a list of tables as `route[0]`.
    pub(super) lines: BTreeMap<String, usize>,
}

/// Reads the file's text; `None` when there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut octets = Vec::new();
    file.take(SIZE_MAX_BYTES + 1)
        .read_to_end(&mut octets)
        .map_err(failed)?;
    if octets.len() as u64 > SIZE_MAX_BYTES {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
            limit_bytes: SIZE_MAX_BYTES,
        });
    }
    match String::from_utf8(octets) {
        Ok(text) => Ok(Some(text)),
        Err(error) => Err(ConfigError::NotText {
            path: path.to_owned(),
            line: line_at(error.as_bytes(), error.utf8_error().valid_up_to()),
        }),
    }
}

/// Decodes `text`; `path` only names it in errors.
pub(super) fn decode(path: &Path, text: &str) -> Result<Decoded, ConfigError> {
    let document = ImDocument::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        ConfigError::Syntax {
            path: path.to_owned(),
            line: line_at(text.as_bytes(), offset),
            message: explained(error.message()),
        }
    })?;
    let mut walk = Walk {
        text,
        lines: BTreeMap::new(),
    };
    let root = walk.table("", document.as_table());
    Ok(Decoded {
        root,
        lines: walk.lines,
    })
}

/// One TOML value by itself, as in `[ "10.0.0.0/8" ]` of a variable; lines mean nothing there.
pub(super) fn decode_value(text: &str) -> Option<Value> {
    let document = ImDocument::parse(format!("value = {text}")).ok()?;
    let mut table = Walk {
        text: "",
        lines: BTreeMap::new(),
    }
    .table("", document.as_table());
    // Text with a line end could smuggle in a second key.
    let value = table.remove("value")?;
    table.is_empty().then_some(value)
}

struct Walk<'t> {
    text: &'t str,
    lines: BTreeMap<String, usize>,
}

impl Walk<'_> {
    fn table(&mut self, path: &str, table: &dyn TableLike) -> Dict {
        let mut dict = Dict::new();
        for (name, item) in table.iter() {
            let path = join(path, name);
            if let Some(span) = table.key(name).and_then(Key::span) {
                let line = line_at(self.text.as_bytes(), span.start);
                self.lines.insert(path.clone(), line);
            }
            if let Some(value) = self.item(&path, item) {
                dict.insert(name.to_owned(), value);
            }
        }
        dict
    }

    fn item(&mut self, path: &str, item: &Item) -> Option<Value> {
        match item {
            Item::None => None,
            Item::Value(value) => Some(self.value(path, value)),
            Item::Table(table) => Some(self.table(path, table).into()),
            Item::ArrayOfTables(tables) => {
                let items = tables.iter().enumerate().map(|(index, table)| {
                    let path = format!("{path}[{index}]");
                    if let Some(span) = table.span() {
                        let line = line_at(self.text.as_bytes(), span.start);
                        self.lines.insert(path.clone(), line);
                    }
                    Value::from(self.table(&path, table))
                });
                Some(items.collect::<Vec<_>>().into())
            }
        }
    }

    fn value(&mut self, path: &str, value: &toml_edit::Value) -> Value {
        match value {
            toml_edit::Value::String(text) => text.value().clone().into(),
            toml_edit::Value::Integer(number) => (*number.value()).into(),
            toml_edit::Value::Float(number) => (*number.value()).into(),
            toml_edit::Value::Boolean(truth) => (*truth.value()).into(),
            // A date without quotes means the same as one with them.
            toml_edit::Value::Datetime(date) => date.value().to_string().into(),
            toml_edit::Value::Array(items) => {
                let items = items.iter().enumerate();
                let items =
                    items.map(|(index, item)| self.value(&format!("{path}[{index}]"), item));
                items.collect::<Vec<_>>().into()
            }
            toml_edit::Value::InlineTable(table) => self.table(path, table).into(),
        }
    }
}

/// The parser's expectation and the usual remedy. Its own display quotes the line, secret or not.
fn explained(message: &str) -> String {
    let remedy = match message {
        _ if message.starts_with("invalid string") => "; put text in quotes",
        _ if message.contains("escape sequence") => "; put text with backslashes in single quotes",
        _ if message.contains("duplicate key") => "; join the two",
        _ => "",
    };
    format!("{}{remedy}", message.trim().replace('\n', "; "))
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn line_at(text: &[u8], offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    1 + memchr::memchr_iter(b'\n', before).count()
}

/// Thousands of accounts fit.
const SIZE_MAX_BYTES: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_line_of_every_key() {
        let text = "\u{feff}hostname = \"a\"\n[account.default]\nmailbox = \"b\"\nsmtp.port = 1\n\n\
                    [[route]]\naccount = [\n  \"x\",\n]\n[[route]]\nsender = { a = 1 }\n";
        let decoded = decode(Path::new("x"), text).unwrap();
        for (path, line) in [
            ("hostname", 1),
            ("account", 2),
            ("account.default", 2),
            ("account.default.mailbox", 3),
            ("account.default.smtp.port", 4),
            ("route[0]", 6),
            ("route[0].account", 7),
            ("route[1].sender.a", 11),
        ] {
            assert_eq!(decoded.lines.get(path), Some(&line), "{path}");
        }
    }

    #[test]
    fn a_syntax_error_has_its_line_and_not_its_text() {
        let text = "[account.default]\nclient_secret = 'hunter2\n";
        let error = decode(Path::new("x.toml"), text).err().unwrap().to_string();
        assert!(error.starts_with("x.toml:2: "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_value_cannot_smuggle_a_second_key() {
        assert!(decode_value("[1, 2]").is_some());
        assert!(decode_value("1\nother = 2").is_none());
        assert!(decode_value("[1").is_none());
    }
}
