//! A record as a line for people, which scripts can take apart as well.

use std::fmt::Write as _;

use tracing::Level;

use super::record::{Record, Value};

/// What stands before and around a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Time and level.
    Plain,
    /// As `Plain`, in colours.
    Coloured,
    /// For the journal behind standard error, which has its own clock: `<4>` (`sd-daemon`(3)).
    Stream,
}

/// The whole line with its newline.
pub(super) fn line(record: &Record, frame: Frame) -> String {
    let mut line = String::with_capacity(256);
    let (at, level) = (record.at, record.level);
    // Writing to a string does not fail.
    let _ = match frame {
        Frame::Plain => write!(line, "{at:.6} {level:>5} "),
        Frame::Coloured => {
            let colour = colour(level);
            write!(
                line,
                "\x1b[2m{at:.6}\x1b[0m \x1b[{colour}m{level:>5}\x1b[0m "
            )
        }
        Frame::Stream => write!(line, "<{}>", priority(level)),
    };
    body(record, &mut line);
    line.push('\n');
    line
}

/// The message and its fields: `delivered queue_id=01K9Z3X4T5ABCDEF recipients=1 reply="250 2.0.0 OK"`.
///
/// Nothing from outside can end the line, move the cursor or pass for another field.
pub(super) fn body(record: &Record, line: &mut String) {
    escape(&record.message, line);
    for (name, value) in record.fields.iter() {
        if name == "event" && record.unsaid_event().is_none() {
            continue;
        }
        line.push(' ');
        line.push_str(name);
        line.push('=');
        push_value(value, line);
    }
}

/// Of `syslog`(3). There is nothing between 6 and 4 that an operator would tell apart.
pub(super) fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

fn push_value(value: &Value, line: &mut String) {
    // Writing to a string does not fail.
    let _ = match value {
        Value::Text(text) if is_word(text) => write!(line, "{text}"),
        Value::Text(text) => write!(line, "{text:?}"),
        Value::Unsigned(number) => write!(line, "{number}"),
        Value::Signed(number) => write!(line, "{number}"),
        Value::Float(number) => write!(line, "{number}"),
        Value::Truth(truth) => write!(line, "{truth}"),
    };
}

/// Whether it needs no quotes.
fn is_word(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\');
    !text.is_empty() && text.chars().all(is_plain)
}

/// Quotes stay: nothing follows them that could be taken for something else.
fn escape(text: &str, line: &mut String) {
    for c in text.chars() {
        if is_hidden(c) {
            line.extend(c.escape_debug());
        } else {
            line.push(c);
        }
    }
}

/// Control characters, line separators, marks that turn the direction of writing, and what else has no shape.
pub(super) fn is_hidden(c: char) -> bool {
    match c {
        '"' | '\'' | '\\' => false,
        c => c.escape_debug().len() > 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let mut record = Record::new(Level::WARN, "deferred".to_owned());
        record.at = "2026-10-12T09:08:07.123456789Z".parse().unwrap();
        let text = |text: &str| Value::Text(text.to_owned());
        record.fields.set("event", text("deferred"));
        record.fields.set("queue_id", text("01K9Z3X4T5ABCDEF"));
        record.fields.set("retry_in_s", Value::Unsigned(30));
        record.fields.set("reply", text("451 4.7.500 \"busy\""));
        record
    }

    #[test]
    fn frames() {
        let body =
            "deferred queue_id=01K9Z3X4T5ABCDEF retry_in_s=30 reply=\"451 4.7.500 \\\"busy\\\"\"\n";
        for (frame, before) in [
            (Frame::Plain, "2026-10-12T09:08:07.123456Z  WARN "),
            (
                Frame::Coloured,
                "\x1b[2m2026-10-12T09:08:07.123456Z\x1b[0m \x1b[33m WARN\x1b[0m ",
            ),
            (Frame::Stream, "<4>"),
        ] {
            assert_eq!(line(&record(), frame), format!("{before}{body}"));
        }
    }

    #[test]
    fn an_event_that_the_message_does_not_begin_with_is_named() {
        let mut record = record();
        record.message = "no luck".to_owned();
        assert!(line(&record, Frame::Stream).starts_with("<4>no luck event=deferred queue_id="));
    }

    #[test]
    fn nothing_from_outside_makes_a_line_or_a_field() {
        for (given, shown) in [
            ("", r#""""#),
            ("relay.test", "relay.test"),
            ("a b", r#""a b""#),
            ("x queue_id=01", r#""x queue_id=01""#),
            ("x\" queue_id=01", r#""x\" queue_id=01""#),
            ("a\r\n2026 INFO delivered", r#""a\r\n2026 INFO delivered""#),
            ("\x1b[2J", r#""\u{1b}[2J""#),
            ("\u{9b}2J", r#""\u{9b}2J""#),
            ("\u{2028}", r#""\u{2028}""#),
            ("\u{202e}moc", r#""\u{202e}moc""#),
            ("Müller", r#""Müller""#),
        ] {
            let mut out = String::new();
            push_value(&Value::Text(given.to_owned()), &mut out);
            assert_eq!(out, shown);
        }
        let mut out = String::new();
        escape("it's \"so\"\nand \x1b[2J\u{202e}", &mut out);
        assert_eq!(out, r#"it's "so"\nand \u{1b}[2J\u{202e}"#);
    }
}
