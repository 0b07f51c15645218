//! One line of the log, before it has a form.

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// Of one value: a reply of many lines fits, and a line stays below what the journal splits (48 KiB).
const VALUE_MAX_BYTES: usize = 4096;

/// What somebody wants known.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) at: Timestamp,
    pub(super) level: Level,
    /// The part of the program.
    pub(super) target: &'static str,
    pub(super) message: String,
    /// In the order they were given; of equal names the last one counts.
    pub(super) fields: Fields,
}

/// Names and values.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Truth(bool),
}

impl Record {
    /// `around` are the fields of the spans that the event is in.
    pub(super) fn of(event: &Event<'_>, around: Fields) -> Self {
        let mut record = Self::new(*event.metadata().level(), String::new());
        record.target = event.metadata().target();
        event.record(&mut Collector {
            fields: &mut record.fields,
            message: Some(&mut record.message),
        });
        record.fields.add(around);
        record
    }

    pub(super) fn new(level: Level, message: String) -> Self {
        Self {
            at: Timestamp::now(),
            level,
            target: "exorelay",
            message,
            fields: Fields::default(),
        }
    }

    /// The word of a life event, unless the message begins with it and so says it already.
    pub(super) fn unsaid_event(&self) -> Option<&str> {
        let word = self.fields.text("event")?;
        (!self.message.starts_with(word)).then_some(word)
    }

    /// Of the memory it takes, nearly.
    pub(super) fn weight(&self) -> usize {
        let fields = self.fields.iter().map(|(_, value)| match value {
            Value::Text(text) => 64 + text.len(),
            _ => 64,
        });
        128 + self.message.len() + fields.sum::<usize>()
    }
}

impl Fields {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|(known, value)| match value {
            Value::Text(text) if *known == name => Some(text.as_str()),
            _ => None,
        })
    }

    pub(super) fn set(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// Those that it does not have yet.
    pub(super) fn add(&mut self, others: Self) {
        for (name, value) in others.0 {
            if !self.has(name) {
                self.0.push((name, value));
            }
        }
    }

    pub(super) fn retain(&mut self, mut keeps: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| keeps(name));
    }
}

/// Takes fields over from an event or a span.
pub(super) struct Collector<'a> {
    pub(super) fields: &'a mut Fields,
    /// Spans have none.
    pub(super) message: Option<&'a mut String>,
}

impl Collector<'_> {
    fn set(&mut self, field: &Field, value: Value) {
        match (field.name(), &mut self.message, value) {
            ("message", Some(message), Value::Text(text)) => **message = text,
            // Where a library's line stands in its source is nothing to an operator.
            (name, _, _) if name.starts_with("log.") => {}
            (name, _, value) => self.fields.set(name, value),
        }
    }
}

impl Visit for Collector<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, Value::Float(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, Value::Unsigned(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, Value::Truth(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text = Short::default();
        let _ = text.write_str(value);
        self.set(field, Value::Text(text.0));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Short::default();
        // Fails when it is too long, and has said so.
        let _ = write!(text, "{value:?}");
        self.set(field, Value::Text(text.0));
    }
}

/// Text that ends in an ellipsis where it would grow too long.
#[derive(Default)]
struct Short(String);

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = VALUE_MAX_BYTES.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let end = text.floor_char_boundary(room);
        self.0.push_str(text.get(..end).unwrap_or_default());
        self.0.push('…');
        Err(fmt::Error)
    }
}

/// A line of the program.
#[cfg(test)]
pub(super) fn callsite() -> tracing::callsite::Identifier {
    use tracing::callsite::{DefaultCallsite, Identifier};
    use tracing::field::FieldSet;
    use tracing::metadata::{Kind, Metadata};

    static CALLSITE: DefaultCallsite = DefaultCallsite::new(&METADATA);
    static METADATA: Metadata<'static> = Metadata::new(
        "line",
        "exorelay",
        Level::INFO,
        None,
        None,
        None,
        FieldSet::new(&[], Identifier(&CALLSITE)),
        Kind::EVENT,
    );
    Identifier(&CALLSITE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_any_length_is_cut_between_characters() {
        let mut text = Short::default();
        text.write_str("a").unwrap();
        assert!(text.write_str(&"ü".repeat(VALUE_MAX_BYTES)).is_err());
        assert_eq!(text.0.len(), VALUE_MAX_BYTES - 1 + '…'.len_utf8());
        assert!(text.0.ends_with("ü…"));
    }
}
