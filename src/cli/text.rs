//! Numbers, times and foreign text as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `45s`, `12m`, `3h12m`, `2d4h`: at most six characters up to a hundred days.
pub(super) fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => with_rest(hours, 'h', minutes % 60, 'm'),
        (..100, _, _) => with_rest(days, 'd', hours % 24, 'h'),
        _ => format!("{days}d"),
    }
}

fn with_rest(whole: i64, unit: char, rest: i64, rest_unit: char) -> String {
    if rest == 0 {
        format!("{whole}{unit}")
    } else {
        format!("{whole}{unit}{rest}{rest_unit}")
    }
}

/// How long ago `past` is.
pub(super) fn since(past: Timestamp, now: Timestamp) -> String {
    span(now.as_second() - past.as_second())
}

/// `in 5m`, or `now` for what is due.
pub(super) fn until(future: Timestamp, now: Timestamp) -> String {
    let seconds = future.as_second() - now.as_second();
    if seconds > 0 {
        format!("in {}", span(seconds))
    } else {
        "now".to_owned()
    }
}

/// With the offset, as several machines' outputs end up in one ticket.
pub(super) fn local_time(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S%:z")
        .to_string()
}

/// `14:32` on the day of `now`, `2026-11-21 14:32` on another.
pub(super) fn clock(time: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (time, now) = (time.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
    let format = if time.date() == now.date() {
        "%H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    time.strftime(format).to_string()
}

/// `812 B`, `12 KiB`, `1.4 MiB`: at most eight characters.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut name = "B";
    for unit in UNITS {
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        name = unit;
    }
    if value < 9.95 {
        format!("{value:.1} {name}")
    } else {
        format!("{value:.0} {name}")
    }
}

/// `1 message`, `2 messages`.
pub(super) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Text of clients and servers, harmless to a terminal: one line, no escape sequences, nothing that turns
/// the direction of reading.
pub(super) fn harmless(text: &str) -> String {
    let replace = |c: char| match c {
        '\n' | '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        '\u{061c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    };
    text.replace("\r\n", " ").chars().map(replace).collect()
}

/// Why, remedy and link of what one of the catalogues knows, each on a line of its own.
pub(super) fn known_lines([why, remedy, link]: [&Option<String>; 3]) -> Vec<String> {
    let known = [("why", why), ("remedy", remedy), ("more", link)].into_iter();
    let known = known.filter_map(|(word, text)| Some(format!("  {word}: {}", text.as_deref()?)));
    known.collect()
}

/// Cut to `width` characters, with an ellipsis where something is missing.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.char_indices().nth(width).is_none() {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        for (seconds, text) in [
            (-5, "0s"),
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3_599, "59m"),
            (3_600, "1h"),
            (11_520, "3h12m"),
            (86_400, "1d"),
            (86_399, "23h59m"),
            (190_000, "2d4h"),
            (99 * 86_400 + 23 * 3_600, "99d23h"),
            (8_640_000, "100d"),
        ] {
            assert_eq!(span(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (12_345, "12 KiB"),
            (1_048_575, "1.0 MiB"),
            (1_500_000, "1.4 MiB"),
            (10 << 30, "10 GiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn what_is_due_is_due_now() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let at = |seconds| Timestamp::from_second(now.as_second() + seconds).unwrap();
        assert_eq!(until(at(300), now), "in 5m");
        assert_eq!(until(at(-300), now), "now");
        assert_eq!(since(at(-300), now), "5m");
        assert_eq!(since(at(300), now), "0s", "a clock that was set back");
    }

    #[test]
    fn another_day_is_named() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (now, zone) = (
            at("2026-11-20T22:30:00Z"),
            TimeZone::fixed(jiff::tz::offset(1)),
        );
        assert_eq!(clock(at("2026-11-20T22:59:30Z"), now, &zone), "23:59");
        assert_eq!(
            clock(at("2026-11-20T23:00:00Z"), now, &zone),
            "2026-11-21 00:00"
        );
    }

    #[test]
    fn foreign_text_cannot_steer_a_terminal() {
        assert_eq!(
            harmless("550 no\r\n\x1b[2Jgone \u{202e}evil\u{9b}"),
            "550 no \u{fffd}[2Jgone \u{fffd}evil\u{fffd}"
        );
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut("grün", 4), "grün");
        assert_eq!(cut("größer", 4), "grö…");
        assert_eq!(cut("x", 0), "…");
    }
}
