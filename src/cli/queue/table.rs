//! The rows of `queue list`.
//!
//! Columns have fixed widths, since a row is written before the next one is known: what does not fit is
//! cut on a terminal, and pushes the rest to the right elsewhere, where programs may read it.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::cli::text::{count, cut, harmless, since, size, until};
use crate::queue::{MessageRecord, MessageState};

/// ID, STATE, AGE and SIZE with two spaces after each.
const FIXED: usize = 16 + 2 + 9 + 2 + 6 + 2 + 8 + 2;
const FROM_WIDTH: usize = 28;
const ADDRESS_MIN: usize = 10;
const INDENT: &str = "    ";

#[derive(Debug)]
pub(super) struct Table {
    /// Of the terminal.
    width: Option<usize>,
    now: Timestamp,
    /// By number of the state.
    counts: [u64; MessageState::ALL.len()],
    bytes: u64,
}

impl Table {
    pub(super) fn new(width: Option<usize>, now: Timestamp) -> Self {
        Self {
            width,
            now,
            counts: Default::default(),
            bytes: 0,
        }
    }

    /// One message on one line, and why it waits on a second one; the heading before the first.
    pub(super) fn row(&mut self, record: &MessageRecord) -> String {
        let mut text = String::new();
        if self.messages() == 0 {
            self.line(&mut text, &["ID", "STATE", "AGE", "SIZE", "FROM", "TO"], "");
        }
        self.bytes += record.size_bytes;
        let state = MessageState::ALL.iter().position(|s| *s == record.state);
        if let Some(counted) = state.and_then(|state| self.counts.get_mut(state)) {
            *counted += 1;
        }
        let age = since(record.received_at, self.now);
        self.line(
            &mut text,
            &[
                &record.id,
                record.state.as_str(),
                &age,
                &size(record.size_bytes),
                &harmless(reverse_path(record)),
                &harmless(first_forward_path(record)),
            ],
            &others(record),
        );
        if let Some(why) = self.why(record) {
            let why = harmless(&why);
            let why = match self.width {
                Some(width) => cut(&why, width.saturating_sub(INDENT.len())),
                None => why,
            };
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{INDENT}{why}");
        }
        text
    }

    /// The last line.
    pub(super) fn total(&self, narrowed: bool) -> String {
        let messages = self.messages();
        if messages == 0 {
            let empty = if narrowed {
                "no such message in the queue"
            } else {
                "the queue is empty"
            };
            return empty.to_owned();
        }
        let states: Vec<String> = MessageState::ALL
            .iter()
            .zip(self.counts)
            .filter(|(_, counted)| *counted > 0)
            .map(|(state, counted)| format!("{counted} {}", state.as_str()))
            .collect();
        format!(
            "{} ({}), {}",
            count(messages, "message"),
            states.join(", "),
            size(self.bytes)
        )
    }

    fn messages(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// `others` is kept whatever is cut.
    fn line(&self, text: &mut String, columns: &[&str; 6], others: &str) {
        let [id, state, age, size, from, to] = columns;
        let (from, to, from_width) = match self.width {
            Some(width) => {
                let rest = width.saturating_sub(FIXED + 2).max(2 * ADDRESS_MIN);
                let from_width = rest / 2;
                (
                    cut(from, from_width),
                    cut(to, (rest - from_width).saturating_sub(others.len())),
                    from_width,
                )
            }
            None => ((*from).to_owned(), (*to).to_owned(), FROM_WIDTH),
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            text,
            "{id:<16}  {state:<9}  {age:>6}  {size:>8}  {from:<from_width$}  {to}{others}"
        );
    }

    fn why(&self, record: &MessageRecord) -> Option<String> {
        let reply = record.last_reply.as_deref();
        if let Some(damage) = &record.quarantined {
            return Some(format!("quarantined: {damage}"));
        }
        match (record.state, record.next_attempt_at) {
            (MessageState::Deferred, Some(next)) => {
                let reply = reply.unwrap_or("deferred");
                let attempts = count(u64::from(record.attempts), "attempt");
                let next = until(next, self.now);
                Some(format!("next try {next}, after {attempts}: {reply}"))
            }
            (MessageState::Sending, _) => None,
            _ => reply.map(str::to_owned),
        }
    }
}

/// The null path as SMTP writes it.
pub(super) fn reverse_path(record: &MessageRecord) -> &str {
    if record.reverse_path.is_empty() {
        "<>"
    } else {
        &record.reverse_path
    }
}

fn first_forward_path(record: &MessageRecord) -> &str {
    let first = record.recipients.first();
    first.map_or("", |recipient| &recipient.address)
}

/// ` +2` for two more recipients.
fn others(record: &MessageRecord) -> String {
    match record.recipients.len() {
        0 | 1 => String::new(),
        recipients => format!(" +{}", recipients - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{RecipientRecord, RecipientState};

    fn now() -> Timestamp {
        "2026-11-20T10:00:00Z".parse().unwrap()
    }

    fn record(state: MessageState, recipients: usize) -> MessageRecord {
        let recipient = |n| RecipientRecord {
            address: format!("desk{n}@contoso.com"),
            state: RecipientState::Pending,
            reply: None,
            notify: None,
            original_recipient: None,
        };
        MessageRecord {
            id: "01K9Z3X4T5ABCDEF".into(),
            state,
            account: "default".into(),
            reverse_path: "scanner.on.the.third.floor@contoso.com".into(),
            recipients: (0..recipients).map(recipient).collect(),
            size_bytes: 12_345,
            received_at: "2026-11-20T06:48:00Z".parse().unwrap(),
            next_attempt_at: (state == MessageState::Deferred)
                .then(|| "2026-11-20T10:12:00Z".parse().unwrap()),
            attempts: 3,
            last_reply: Some("451 4.7.0 \x1b[31mserver busy".into()),
            subject: None,
            message_id: None,
            quarantined: None,
        }
    }

    #[test]
    fn rows_fit_the_terminal() {
        for width in [72, 80, 132] {
            let mut table = Table::new(Some(width), now());
            let text = table.row(&record(MessageState::Deferred, 200));
            assert_eq!(text.lines().count(), 3);
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
            assert!(text.contains(" +199\n") && !text.contains('\x1b'), "{text}");
        }
    }

    #[test]
    fn nothing_is_cut_for_programs() {
        let mut table = Table::new(None, now());
        let text = table.row(&record(MessageState::Deferred, 2));
        assert_eq!(
            text,
            "ID                STATE         AGE      SIZE  FROM                          TO\n\
             01K9Z3X4T5ABCDEF  deferred    3h12m    12 KiB  scanner.on.the.third.floor@contoso.com  \
             desk0@contoso.com +1\n    next try in 12m, after 3 attempts: 451 4.7.0 \u{fffd}[31mserver busy\n"
        );
        let second = table.row(&record(MessageState::Sending, 1));
        assert_eq!(
            second.lines().count(),
            1,
            "no heading, and nothing to explain"
        );
        assert_eq!(
            table.total(false),
            "2 messages (1 sending, 1 deferred), 24 KiB"
        );
    }

    #[test]
    fn null_path_is_shown_and_an_empty_queue_is_said_to_be_one() {
        let mut bounce = record(MessageState::Ready, 1);
        bounce.reverse_path.clear();
        assert!(Table::new(None, now()).row(&bounce).contains("  <> "));
        assert_eq!(Table::new(None, now()).total(false), "the queue is empty");
        assert_eq!(
            Table::new(None, now()).total(true),
            "no such message in the queue"
        );
    }
}
