//! A record as one JSON object on a line.

use std::io;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::Formatter;

use super::record::{Record, Value};
use super::text::is_hidden;

/// The line with its newline.
pub(super) fn line(record: &Record) -> Vec<u8> {
    let mut line = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut line, Visible);
    // Writing to memory does not fail, and the names of a record are strings.
    let _ = record.serialize(&mut serializer);
    line.push(b'\n');
    line
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timestamp", &format!("{:.6}", self.at))?;
        map.serialize_entry("level", self.level.as_str())?;
        map.serialize_entry("target", self.target)?;
        map.serialize_entry("message", &self.message)?;
        for (name, value) in self.fields.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Unsigned(number) => serializer.serialize_u64(*number),
            Self::Signed(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Truth(truth) => serializer.serialize_bool(*truth),
        }
    }
}

/// JSON lets through what a terminal obeys: C1 controls, and marks that turn the direction of writing.
struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for c in fragment.chars() {
            let mut units = [0; 2];
            if is_hidden(c) {
                for unit in c.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            } else {
                write!(writer, "{c}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn one_object_of_one_line_says_exactly_what_was_given() {
        let hostile = "a\r\n{\"event\":\"delivered\"}\x1b[2J\u{9b}\u{202e}\u{e0001}ü";
        let mut record = Record::new(Level::INFO, "received".to_owned());
        record.at = "2026-10-12T09:08:07Z".parse().unwrap();
        record.fields.set("helo", Value::Text(hostile.to_owned()));
        record.fields.set("size_bytes", Value::Unsigned(12));
        record.fields.set("left", Value::Signed(-1));
        record.fields.set("done", Value::Truth(true));
        record.fields.set("share", Value::Float(0.5));
        let line = String::from_utf8(line(&record)).unwrap();
        assert_eq!(
            line,
            concat!(
                r#"{"timestamp":"2026-10-12T09:08:07.000000Z","level":"INFO","target":"exorelay","#,
                r#""message":"received","helo":"a\r\n{\"event\":\"delivered\"}\u001b[2J\u009b\u202e"#,
                r#"\udb40\udc01ü","size_bytes":12,"left":-1,"done":true,"share":0.5}"#,
                "\n",
            )
        );
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["helo"], hostile);
    }
}
