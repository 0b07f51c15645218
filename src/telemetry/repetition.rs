//! What is said again and again, by the same line of the program about the same thing.
//!
//! A client that is refused a thousand times a second must not fill the disk that holds the mail. What
//! tells of one message or of an incident is never held back.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::time::{Duration, Instant};

use tracing::Level;
use tracing::callsite::Identifier;

use super::record::{Record, Value};

/// After that everything is news again.
const PERIOD: Duration = Duration::from_mins(1);

/// Said about one thing in a period.
const SAME_MAX: u32 = 10;

/// Said by one line of the program in a period, whatever it is about: a thousand clients are one flood.
const ALIKE_MAX: u32 = 100;

/// What clients make up, or what counts on by itself: it makes a line no other one.
const CHANGING: &[&str] = &[
    "elapsed_ms",
    "helo",
    "message_id",
    "name",
    "panics",
    "recipient",
    "reverse_path",
    "seconds",
];

/// What was said in this period.
///
/// Its memory is bounded: things that were said are as many as lines may be, and the others are only counted.
#[derive(Debug, Default)]
pub(super) struct Repetition {
    hasher: RandomState,
    begun: Option<Instant>,
    /// By line of the program and thing.
    same: HashMap<u64, Count>,
    /// By line of the program.
    alike: HashMap<Identifier, Count>,
}

#[derive(Debug)]
struct Count {
    said: u32,
    held_back: u64,
    /// What the end of the period is told with.
    like: Record,
}

/// Whether it is too much is found out by this.
#[derive(Debug)]
pub(super) struct Theme {
    callsite: Identifier,
    thing: u64,
}

impl Repetition {
    /// None: the record is said however often it comes.
    pub(super) fn theme(&self, callsite: Identifier, record: &Record) -> Option<Theme> {
        let tells_one_story = ["queue_id", "incident", "event"]
            .iter()
            .any(|name| record.fields.has(name));
        // Whoever asks for the dialogue gets all of it.
        if tells_one_story || record.level > Level::INFO {
            return None;
        }
        let mut hasher = self.hasher.build_hasher();
        callsite.hash(&mut hasher);
        for (name, value) in record.fields.iter().filter(|(name, _)| is_thing(name)) {
            name.hash(&mut hasher);
            match value {
                Value::Text(text) => text.hash(&mut hasher),
                Value::Unsigned(number) => number.hash(&mut hasher),
                Value::Signed(number) => number.hash(&mut hasher),
                Value::Float(number) => number.to_bits().hash(&mut hasher),
                Value::Truth(truth) => truth.hash(&mut hasher),
            }
        }
        let thing = hasher.finish();
        Some(Theme { callsite, thing })
    }

    /// Whether to say it.
    pub(super) fn may_say(&mut self, theme: Theme, record: &Record, now: Instant) -> bool {
        self.begun.get_or_insert(now);
        if let Some(same) = self.same.get_mut(&theme.thing)
            && same.said >= SAME_MAX
        {
            same.held_back += 1;
            return false;
        }
        let alike = self.alike.entry(theme.callsite).or_insert_with(|| {
            let mut like = record.clone();
            like.fields = super::record::Fields::default();
            Count::of(like)
        });
        if alike.said >= ALIKE_MAX {
            alike.held_back += 1;
            return false;
        }
        alike.said += 1;
        let same = self.same.entry(theme.thing).or_insert_with(|| {
            let mut like = record.clone();
            like.fields.retain(is_thing);
            Count::of(like)
        });
        same.said += 1;
        true
    }

    /// The end of the period, if there is something to tell then.
    pub(super) fn due(&self) -> Option<Instant> {
        let mut counts = self.same.values().chain(self.alike.values());
        let end = self.begun? + PERIOD;
        counts.any(|count| count.held_back > 0).then_some(end)
    }

    /// What was held back, if the period is over by `now`; a new one begins.
    pub(super) fn over(&mut self, now: Instant) -> Vec<Record> {
        match self.begun {
            Some(begun) if now.saturating_duration_since(begun) >= PERIOD => self.end(),
            _ => Vec::new(),
        }
    }

    /// What was held back until now.
    pub(super) fn end(&mut self) -> Vec<Record> {
        self.begun = None;
        let same = self.same.drain().map(|(_, count)| count);
        let alike = self.alike.drain().map(|(_, count)| count);
        same.chain(alike).filter_map(Count::summary).collect()
    }
}

impl Count {
    fn of(like: Record) -> Self {
        Self {
            said: 0,
            held_back: 0,
            like,
        }
    }

    fn summary(self) -> Option<Record> {
        let Self {
            held_back, like, ..
        } = self;
        if held_back == 0 {
            return None;
        }
        let message = format!(
            "{}: {held_back} more like this within a minute",
            like.message
        );
        let mut record = Record::new(like.level, message);
        record.target = like.target;
        record.fields = like.fields;
        record.fields.set("more", Value::Unsigned(held_back));
        Some(record)
    }
}

fn is_thing(name: &str) -> bool {
    !CHANGING.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::super::record::callsite;
    use super::*;

    fn refused(fields: &[(&'static str, &str)]) -> Record {
        let mut record = Record::new(Level::WARN, "login failed".to_owned());
        for (name, value) in fields {
            record.fields.set(name, Value::Text((*value).to_owned()));
        }
        record
    }

    fn says(repetition: &mut Repetition, record: &Record, now: Instant) -> bool {
        let theme = repetition.theme(callsite(), record);
        theme.is_none_or(|theme| repetition.may_say(theme, record, now))
    }

    #[test]
    fn the_same_is_said_ten_times_a_minute_and_then_counted() {
        let (mut repetition, start) = (Repetition::default(), Instant::now());
        let mut said = 0;
        for guess in 0..1000 {
            let name = guess.to_string();
            let record = refused(&[("client", "10.0.0.1"), ("name", &name)]);
            said += u32::from(says(&mut repetition, &record, start));
        }
        assert_eq!(said, SAME_MAX);
        let other = refused(&[("client", "10.0.0.2"), ("name", "0")]);
        assert!(says(&mut repetition, &other, start));

        let end = start + PERIOD;
        assert_eq!(repetition.due(), Some(end));
        let almost = end.checked_sub(Duration::from_millis(1)).unwrap();
        assert!(repetition.over(almost).is_empty());
        let summaries = repetition.over(end);
        let [summary] = summaries.as_slice() else {
            panic!("{summaries:?}");
        };
        assert_eq!(
            summary.message,
            "login failed: 990 more like this within a minute"
        );
        assert_eq!(summary.level, Level::WARN);
        let told: Vec<_> = summary.fields.iter().collect();
        let client = Value::Text("10.0.0.1".to_owned());
        assert_eq!(told, [("client", &client), ("more", &Value::Unsigned(990))]);
        assert_eq!(repetition.due(), None);
        assert!(says(&mut repetition, &other, end));
    }

    #[test]
    fn a_thousand_clients_are_one_flood_and_take_no_memory_each() {
        let (mut repetition, start) = (Repetition::default(), Instant::now());
        let said = (0..5000)
            .filter(|number| {
                let client = format!("2001:db8::{number:x}");
                says(&mut repetition, &refused(&[("client", &client)]), start)
            })
            .count();
        assert_eq!(said, ALIKE_MAX as usize);
        assert_eq!(repetition.same.len(), ALIKE_MAX as usize);
        let summaries = repetition.end();
        assert_eq!(summaries.len(), 1);
        assert!(summaries[0].message.contains(": 4900 more like this"));
        assert!(!summaries[0].fields.has("client"));
    }

    #[test]
    fn what_tells_of_one_message_is_always_said() {
        let (mut repetition, start) = (Repetition::default(), Instant::now());
        for name in ["queue_id", "incident", "event"] {
            let record = refused(&[(name, "01K9Z3X4T5ABCDEF")]);
            assert!((0..1000).all(|_| says(&mut repetition, &record, start)));
        }
        let mut dialogue = refused(&[]);
        dialogue.level = Level::DEBUG;
        assert!((0..1000).all(|_| says(&mut repetition, &dialogue, start)));
        assert!(repetition.end().is_empty());
    }
}
