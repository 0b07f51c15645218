//! The text format: families of samples, each with what it is and what it means.

use std::fmt::{self, Write as _};

use crate::telemetry::{Bucket, Distribution};

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

/// One metric. Its lines of `HELP` and `TYPE` come with the first sample: what cannot be told is not there.
#[derive(Debug)]
pub(super) struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    has_begun: bool,
}

/// What a sample shows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Whole(u64),
    Real(f64),
}

impl Page {
    /// What only grows, until the process ends.
    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// What is so at the moment.
    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// `unit` of what was observed make one of what is shown.
    pub(super) fn histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        distribution: &Distribution,
        unit: f64,
    ) {
        if distribution.buckets.is_empty() {
            return;
        }
        let mut family = self.family(name, "histogram", help);
        let mut count = 0;
        for Bucket {
            at_most,
            count: within,
        } in &distribution.buckets
        {
            count += within;
            let bound = at_most.map_or(f64::INFINITY, |bound| bound as f64 / unit);
            let le = Value::Real(bound).to_string();
            family.line("_bucket", &[("le", &le)], count.into());
        }
        family.line("_sum", &[], Value::Real(distribution.sum as f64 / unit));
        family.line("_count", &[], count.into());
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn family(&mut self, name: &'static str, kind: &'static str, help: &'static str) -> Family<'_> {
        Family {
            page: self,
            name,
            kind,
            help,
            has_begun: false,
        }
    }
}

impl Family<'_> {
    /// The order of the labels is part of what they are.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Value>) {
        self.line("", labels, value.into());
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: Value) {
        // Writing to a string cannot fail.
        let _ = self.write(suffix, labels, value);
    }

    fn write(&mut self, suffix: &str, labels: &[(&str, &str)], value: Value) -> fmt::Result {
        let Self {
            name, kind, help, ..
        } = *self;
        let text = &mut self.page.text;
        if !self.has_begun {
            self.has_begun = true;
            writeln!(text, "# HELP {name} {}", Escaped(help, false))?;
            writeln!(text, "# TYPE {name} {kind}")?;
        }
        write!(text, "{name}{suffix}")?;
        for (index, (label, value)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write!(text, "{before}{label}=\"{}\"", Escaped(value, true))?;
        }
        let end = if labels.is_empty() { "" } else { "}" };
        writeln!(text, "{end} {value}")
    }
}

/// Text on one line; with quotes escaped too where it stands within them.
struct Escaped<'a>(&'a str, bool);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, in_quotes) = *self;
        for c in text.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' if in_quotes => f.write_str("\\\"")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => write!(f, "{value}"),
            Self::Real(value) if *value == f64::INFINITY => f.write_str("+Inf"),
            Self::Real(value) => write!(f, "{value}"),
        }
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Histogram;

    #[test]
    fn samples_follow_what_they_are_and_nothing_can_break_a_line() {
        let mut page = Page::default();
        let mut family = page.gauge("a", "One \\ of\n\"two\".");
        family.sample(&[], 1_u64);
        family.sample(&[("x", "\"\\\n"), ("y", "é")], 0.25);
        let _ = page.counter("b_total", "Never seen.");
        page.counter("c_total", "Seen.").sample(&[("z", "")], true);
        let expected = "# HELP a One \\\\ of\\n\"two\".\n# TYPE a gauge\na 1\n\
             a{x=\"\\\"\\\\\\n\",y=\"é\"} 0.25\n\
             # HELP c_total Seen.\n# TYPE c_total counter\nc_total{z=\"\"} 1\n";
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn buckets_hold_all_that_is_below_them() {
        let histogram = Histogram::new(&[250, 1_000]);
        for value in [100, 250, 900, 4_000] {
            histogram.observe(value);
        }
        let mut page = Page::default();
        page.histogram("d_seconds", "D.", &histogram.distribution(), 1_000.0);
        let expected = "# HELP d_seconds D.\n# TYPE d_seconds histogram\n\
             d_seconds_bucket{le=\"0.25\"} 2\nd_seconds_bucket{le=\"1\"} 3\n\
             d_seconds_bucket{le=\"+Inf\"} 4\nd_seconds_sum 5.25\nd_seconds_count 4\n";
        assert_eq!(page.into_text(), expected);
    }
}
