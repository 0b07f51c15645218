//! Sizes: `"150MiB"`, `"10GB"`, or plain bytes.

use crate::config::setting::{Fault, Given, Setting, quoted};

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(u64);

impl Size {
    pub(crate) const fn bytes(self) -> u64 {
        self.0
    }

    pub(crate) const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    pub(crate) const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    pub(crate) const fn gib(count: u64) -> Self {
        Self(count << 30)
    }
}

impl Setting for Size {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        match given.integer() {
            Ok(bytes) if bytes <= LARGEST => Ok(Self(bytes)),
            _ => decode(given.text()?),
        }
    }

    fn shown(&self) -> serde_json::Value {
        encode(*self).into()
    }
}

/// `1*DIGIT [SP] [unit]`, the unit in any case.
fn decode(text: &str) -> Result<Size, Fault> {
    let fault = || {
        Fault(format!(
            "{} is not a size; write one such as \"150MiB\", \"10GB\" or a number of bytes",
            quoted(text)
        ))
    };
    let trimmed = text.trim();
    let end = trimmed
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(trimmed.len());
    let (digits, unit) = trimmed.split_at(end);
    let unit = unit.trim_start();
    let count: u64 = digits.parse().map_err(|_| fault())?;
    let factor = if unit.is_empty() {
        1
    } else {
        let known = UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit));
        known.ok_or_else(fault)?.1
    };
    count
        .checked_mul(factor)
        .filter(|bytes| *bytes <= LARGEST)
        .map(Size)
        .ok_or_else(|| Fault(format!("{} is more than any disk holds", quoted(text))))
}

fn encode(size: Size) -> String {
    let whole = |(_, factor): &&(&str, u64)| size.0 > 0 && size.0.is_multiple_of(*factor);
    let (name, factor) = UNITS.iter().find(whole).unwrap_or(&("B", 1));
    format!("{}{name}", size.0 / factor)
}

/// What a file offset, and SQLite, can count.
const LARGEST: u64 = i64::MAX as u64;
/// "K", "M" and "G" alone are left out: nobody agrees on what they are.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, written) in [
            ("150MiB", 150 << 20, "150MiB"),
            ("256 MiB", 256 << 20, "256MiB"),
            ("10GiB", 10 << 30, "10GiB"),
            ("10MB", 10_000_000, "10MB"),
            ("10mib", 10 << 20, "10MiB"),
            ("65536", 65536, "64KiB"),
            ("1001", 1001, "1001B"),
            ("7B", 7, "7B"),
            ("0", 0, "0B"),
        ] {
            let size = decode(text).unwrap();
            assert_eq!(size.bytes(), bytes, "{text}");
            assert_eq!(encode(size), written, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "MiB",
            "150M",
            "-1",
            "1.5GiB",
            "10 GiB free",
            "9999999TiB",
            "ten",
        ] {
            assert!(decode(text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn a_written_size_reads_back(bytes in 0..=LARGEST) {
            prop_assert_eq!(decode(&encode(Size(bytes))), Ok(Size(bytes)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}") {
            let _ = decode(&text);
        }
    }
}
