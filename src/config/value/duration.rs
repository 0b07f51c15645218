//! Durations: `"90s"`, `"5m"`, `"1h30m"`, `"2d"`.

use std::fmt::Write as _;
use std::time::Duration;

use crate::config::setting::{Fault, Given, Setting, quoted};

impl Setting for Duration {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        if let Ok(number) = given.integer() {
            return Err(Fault(format!(
                "{number} has no unit; write \"{number}s\" for seconds, or m, h, d"
            )));
        }
        decode(given.text()?)
    }

    fn shown(&self) -> serde_json::Value {
        encode(*self).into()
    }
}

/// A duration as it is written in the settings, for other places where people write one.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    decode(text).map_err(|Fault(fault)| fault)
}

/// A duration as one would write it in the settings.
pub(crate) fn shown_duration(duration: Duration) -> String {
    encode(duration)
}

/// `1*(1*DIGIT unit)`, units from large to small and each at most once.
fn decode(text: &str) -> Result<Duration, Fault> {
    let fault = || {
        Fault(format!(
            "{} is not a duration; write one such as \"90s\", \"5m\", \"1h30m\" or \"2d\"",
            quoted(text)
        ))
    };
    let mut rest = text.trim();
    let mut total_ms: u64 = 0;
    let mut units = UNITS.iter();
    if rest.is_empty() {
        return Err(fault());
    }
    while !rest.is_empty() {
        let (digits, after) = split_where(rest, |c| !c.is_ascii_digit());
        let (unit, after) = split_where(after.trim_start(), |c| !c.is_ascii_alphabetic());
        // Only what is smaller than the unit before: "5m1h" is more likely a slip than a wish.
        let (_, unit_ms) = units.find(|(name, _)| *name == unit).ok_or_else(fault)?;
        let count: u64 = digits.parse().map_err(|_| fault())?;
        total_ms = count
            .checked_mul(*unit_ms)
            .and_then(|ms| total_ms.checked_add(ms))
            .filter(|ms| *ms <= LONGEST_MS)
            .ok_or_else(|| Fault(format!("{} is longer than 3650d", quoted(text))))?;
        rest = after.trim_start();
    }
    Ok(Duration::from_millis(total_ms))
}

fn encode(duration: Duration) -> String {
    let mut rest_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest_ms == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    // Weeks are read, not written: "30d" is clearer than "4w2d".
    for (name, unit_ms) in UNITS.iter().skip(1) {
        let count = rest_ms / unit_ms;
        if count > 0 {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{count}{name}");
        }
        rest_ms %= unit_ms;
    }
    text
}

fn split_where(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

/// Ten years: far beyond any use, and far from overflowing a clock.
const LONGEST_MS: u64 = 3650 * DAY_MS;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const UNITS: [(&str, u64); 6] = [
    ("w", 7 * DAY_MS),
    ("d", DAY_MS),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, ms, written) in [
            ("90s", 90_000, "1m30s"),
            ("5m", 300_000, "5m"),
            ("2d", 2 * DAY_MS, "2d"),
            ("1h30m", 5_400_000, "1h30m"),
            ("1h 30m", 5_400_000, "1h30m"),
            ("250ms", 250, "250ms"),
            ("1w", 7 * DAY_MS, "7d"),
            ("0s", 0, "0s"),
        ] {
            let duration = decode(text).unwrap();
            assert_eq!(duration, Duration::from_millis(ms), "{text}");
            assert_eq!(encode(duration), written, "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "s",
            "5",
            "5 minutes",
            "-5s",
            "1.5h",
            "5m1h",
            "5m5m",
            "3651d",
            "99999999999999999999s",
            "18446744073709551615d",
            "five",
            "5µs",
        ] {
            assert!(decode(text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn a_written_duration_reads_back(ms in 0..=LONGEST_MS) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(decode(&encode(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}") {
            let _ = decode(&text);
        }
    }
}
