//! How queue and accounts did lately: in memory, bounded, gone with the process.
//!
//! ```text
//! GET /v1/timeline            the last hour, a sample every 10 s
//! GET /v1/timeline?span=day   the last 24 hours, a sample a minute
//!
//! {"interval_seconds": 10, "samples": [{"at": ..., "queued": 2, "bytes": 4711, "oldest_seconds": 12,
//!   "accounts": {"default": {"messages_last_minute": 3, "messages_per_minute": 30}}}, ...]}
//! ```
//!
//! The oldest sample comes first. Where the daemon was not there, or asleep, none is.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::ser::{SerializeMap, SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};

use super::one_line;
use super::routes::{Answers, Failure, filter};

/// Between two samples.
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(10);

const HOUR_SAMPLES: usize = 360;
const DAY_SAMPLES: usize = 24 * 60;
/// Of the samples of the hour, each of these is one of the day too.
const DAY_EVERY: u64 = 6;

/// Accounts whose pace is kept, the first by name: 32 of them take 700 KiB after a day, one takes 75 KiB in all.
const ACCOUNTS_MAX: usize = 32;

/// One look at queue and accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Messages that count against the bound.
    pub queued: u64,
    /// Their content.
    pub bytes: u64,
    /// How long the oldest has waited.
    pub oldest_seconds: Option<u32>,
    /// By name, in the order of the names.
    pub accounts: Vec<(String, Pace)>,
}

/// What a mailbox had used of its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pace {
    /// In the minute before.
    pub messages_last_minute: u32,
    /// The rate; 0: no pacing.
    pub messages_per_minute: u32,
}

/// The samples there are.
#[derive(Debug)]
pub struct Timeline(Mutex<Tiers>);

#[derive(Debug)]
struct Tiers {
    /// Samples ever taken.
    count: u64,
    hour: Tier,
    day: Tier,
}

/// Samples in the order of their time, one column for each account.
#[derive(Debug)]
struct Tier {
    interval: Duration,
    samples_max: usize,
    rows: VecDeque<Row>,
    columns: Vec<Column>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    at_second: i64,
    queued: u64,
    bytes: u64,
    oldest_seconds: Option<u32>,
}

/// As long as the rows; none where there was no such account.
#[derive(Debug)]
struct Column {
    account: String,
    paces: VecDeque<Option<Pace>>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self(Mutex::new(Tiers {
            count: 0,
            hour: Tier::new(SAMPLE_INTERVAL, HOUR_SAMPLES),
            day: Tier::new(SAMPLE_INTERVAL * DAY_EVERY as u32, DAY_SAMPLES),
        }))
    }
}

impl Timeline {
    /// To be called every [`SAMPLE_INTERVAL`].
    pub fn push(&self, sample: &Sample) {
        let mut tiers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tiers.hour.push(sample);
        if tiers.count.is_multiple_of(DAY_EVERY) {
            tiers.day.push(sample);
        }
        tiers.count += 1;
    }

    /// As JSON. Blocking for some milliseconds where there are many accounts.
    fn json(&self, span: Span) -> serde_json::Result<Vec<u8>> {
        let tiers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_vec(match span {
            Span::Hour => &tiers.hour,
            Span::Day => &tiers.day,
        })
    }
}

impl Tier {
    fn new(interval: Duration, samples_max: usize) -> Self {
        Self {
            interval,
            samples_max,
            rows: VecDeque::with_capacity(samples_max),
            columns: Vec::new(),
        }
    }

    fn push(&mut self, sample: &Sample) {
        if self.rows.len() == self.samples_max {
            self.rows.pop_front();
            for column in &mut self.columns {
                column.paces.pop_front();
            }
            // Of accounts that are long gone.
            let is_known = |column: &Column| column.paces.iter().any(Option::is_some);
            self.columns.retain(is_known);
        }
        for (account, _) in &sample.accounts {
            let is_known = self.columns.iter().any(|known| known.account == *account);
            if !is_known && self.has_room_beside(sample) {
                self.columns
                    .push(Column::new(account, self.rows.len(), self.samples_max));
            }
        }
        for column in &mut self.columns {
            let mut accounts = sample.accounts.iter();
            let found = accounts.find(|(name, _)| *name == column.account);
            column.paces.push_back(found.map(|(_, pace)| *pace));
        }
        self.rows.push_back(Row {
            at_second: sample.at.as_second(),
            queued: sample.queued,
            bytes: sample.bytes,
            oldest_seconds: sample.oldest_seconds,
        });
    }
}

impl Tier {
    /// Accounts that are there come before those that are gone.
    fn has_room_beside(&mut self, sample: &Sample) -> bool {
        if self.columns.len() < ACCOUNTS_MAX {
            return true;
        }
        let is_there = |column: &Column| {
            sample
                .accounts
                .iter()
                .any(|(name, _)| *name == column.account)
        };
        let gone = self.columns.iter().position(|column| !is_there(column));
        gone.map(|index| self.columns.remove(index)).is_some()
    }
}

impl Column {
    fn new(account: &str, rows: usize, samples_max: usize) -> Self {
        let mut paces = VecDeque::with_capacity(samples_max);
        paces.extend(std::iter::repeat_n(None, rows));
        Self {
            account: account.to_owned(),
            paces,
        }
    }
}

impl Serialize for Tier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut report = serializer.serialize_struct("Timeline", 2)?;
        report.serialize_field("interval_seconds", &self.interval.as_secs())?;
        report.serialize_field("samples", &Samples(self))?;
        report.end()
    }
}

struct Samples<'a>(&'a Tier);

impl Serialize for Samples<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(tier) = self;
        let rows = tier.rows.iter().enumerate();
        serializer.collect_seq(rows.map(|(index, row)| Shown {
            at: Timestamp::from_second(row.at_second).unwrap_or_default(),
            queued: row.queued,
            bytes: row.bytes,
            oldest_seconds: row.oldest_seconds,
            accounts: Paces { tier, index },
        }))
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    at: Timestamp,
    queued: u64,
    bytes: u64,
    oldest_seconds: Option<u32>,
    accounts: Paces<'a>,
}

struct Paces<'a> {
    tier: &'a Tier,
    index: usize,
}

impl Serialize for Paces<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut accounts = serializer.serialize_map(None)?;
        for column in &self.tier.columns {
            if let Some(Some(pace)) = column.paces.get(self.index) {
                accounts.serialize_entry(&column.account, pace)?;
            }
        }
        accounts.end()
    }
}

/// Which samples.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Span {
    #[default]
    Hour,
    Day,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    #[serde(default)]
    span: Span,
}

pub(super) async fn show(
    State(answers): State<Answers>,
    query: Result<Query<Question>, QueryRejection>,
) -> Result<Response, Failure> {
    let Question { span } = filter(query)?;
    let timeline = answers.status.timeline();
    let json = tokio::task::spawn_blocking(move || timeline.json(span)).await;
    let json = json
        .map_err(|error| Failure::internal(one_line(&error)))?
        .map_err(|error| Failure::internal(one_line(&error)))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sample(number: u64, accounts: &[&str]) -> Sample {
        let pace = |used| Pace {
            messages_last_minute: used,
            messages_per_minute: 30,
        };
        Sample {
            at: Timestamp::from_second(number as i64 * 10).unwrap(),
            queued: number,
            bytes: number * 100,
            oldest_seconds: (number > 0).then_some(7),
            accounts: accounts
                .iter()
                .map(|name| ((*name).to_owned(), pace(number as u32)))
                .collect(),
        }
    }

    fn read(timeline: &Timeline, span: Span) -> Value {
        serde_json::from_slice(&timeline.json(span).unwrap()).unwrap()
    }

    #[test]
    fn samples_are_shown_as_they_were_taken_and_accounts_while_they_were_there() {
        let timeline = Timeline::default();
        let nothing = json!({"interval_seconds": 10, "samples": []});
        assert_eq!(read(&timeline, Span::Hour), nothing);
        timeline.push(&sample(0, &["a"]));
        timeline.push(&sample(1, &["a", "b"]));
        timeline.push(&sample(2, &["b"]));
        let pace = |used| json!({"messages_last_minute": used, "messages_per_minute": 30});
        let expected = json!({"interval_seconds": 10, "samples": [
            {"at": "1970-01-01T00:00:00Z", "queued": 0, "bytes": 0, "oldest_seconds": null,
             "accounts": {"a": pace(0)}},
            {"at": "1970-01-01T00:00:10Z", "queued": 1, "bytes": 100, "oldest_seconds": 7,
             "accounts": {"a": pace(1), "b": pace(1)}},
            {"at": "1970-01-01T00:00:20Z", "queued": 2, "bytes": 200, "oldest_seconds": 7,
             "accounts": {"b": pace(2)}},
        ]});
        assert_eq!(read(&timeline, Span::Hour), expected);
        let day = read(&timeline, Span::Day);
        assert_eq!(day["interval_seconds"], 60);
        assert_eq!(day["samples"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn what_is_kept_is_bounded_however_long_it_runs_and_whatever_accounts_come_and_go() {
        let timeline = Timeline::default();
        let samples = (DAY_SAMPLES as u64 + 5) * DAY_EVERY;
        for number in 0..samples {
            let passing = format!("account-{}", number / 10);
            timeline.push(&sample(number, &["main", &passing]));
        }
        for (span, kept, step) in [(Span::Hour, 360, 1), (Span::Day, 1440, DAY_EVERY)] {
            let report = read(&timeline, span);
            let rows = report["samples"].as_array().unwrap();
            assert_eq!(rows.len(), kept);
            let last = samples.div_ceil(step) - 1;
            assert_eq!(rows[kept - 1]["queued"], last * step);
            assert_eq!(rows[0]["queued"], (last - (kept as u64 - 1)) * step);
            let is_main = |row: &Value| row["accounts"]["main"].is_object();
            assert!(rows.iter().all(is_main));
            let passing = format!("account-{}", (last * step) / 10);
            assert!(
                rows[kept - 1]["accounts"][passing].is_object(),
                "the newest is there"
            );
        }
        let tiers = timeline.0.lock().unwrap();
        for tier in [&tiers.hour, &tiers.day] {
            assert!(tier.columns.len() <= ACCOUNTS_MAX);
            for column in &tier.columns {
                assert_eq!(column.paces.len(), tier.rows.len());
            }
        }
        let pace = size_of::<Option<Pace>>();
        let most = (HOUR_SAMPLES + DAY_SAMPLES) * (size_of::<Row>() + ACCOUNTS_MAX * pace);
        assert!(most < 1024 * 1024, "{most}");
    }
}
