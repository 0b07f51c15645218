//! Writing in the character set of a part.

use mail_parser::decoders::charsets::map::charset_decoder;

/// A character set in which US-ASCII stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    /// The default (RFC 2045 section 5.2).
    Ascii,
    Utf8,
    /// The octets above 127 that stand for one character each; all that is known of the multi-byte
    /// sets, where that makes it US-ASCII and little more.
    Table(Vec<(char, u8)>),
}

impl Charset {
    /// By its label; `None` for UTF-16, UTF-7 and anything not known.
    pub(super) fn of(label: &str) -> Option<Self> {
        let label = label.trim().to_ascii_lowercase();
        match label.as_str() {
            "" | "us-ascii" | "ascii" | "ansi_x3.4-1968" => return Some(Self::Ascii),
            "utf-8" | "utf8" => return Some(Self::Utf8),
            "utf-7" | "hz-gb-2312" => return None,
            _ => {}
        }
        // mail-parser only decodes; what single octets decode to is the table turned round.
        let decoder = charset_decoder(label.as_bytes())?;
        let ascii: Vec<u8> = (b' '..=b'~').collect();
        if decoder(&ascii).as_bytes() != ascii {
            return None;
        }
        // Labels of ISO-8859-1 are decoded as windows-1252, as browsers do. Writing its additional
        // characters under the narrower label would be wrong.
        let widened = !label.contains("1252") && decoder(&[0x80]) == "\u{20AC}" && {
            decoder(&[0xA4]) == "\u{A4}" && decoder(&[0xFF]) == "\u{FF}"
        };
        let first = if widened { 0xA0 } else { 0x80 };
        let table = (first..=0xFF).filter_map(|octet| {
            let text = decoder(&[octet]);
            let mut characters = text.chars();
            let only = characters.next().filter(|_| characters.next().is_none())?;
            let usable = only != '\u{FFFD}' && !only.is_control() && !only.is_ascii();
            usable.then_some((only, octet))
        });
        Some(Self::Table(table.collect()))
    }

    /// `None` when it lacks a character.
    pub(super) fn encode(&self, text: &str) -> Option<Vec<u8>> {
        let mut octets = Vec::with_capacity(text.len());
        for c in text.chars() {
            self.encode_character(c, &mut octets).then_some(())?;
        }
        Some(octets)
    }

    /// HTML: what it lacks becomes a numeric character reference, which is the same in any set.
    pub(super) fn encode_html(&self, text: &str) -> Vec<u8> {
        let mut octets = Vec::with_capacity(text.len());
        for c in text.chars() {
            if !self.encode_character(c, &mut octets) {
                octets.extend_from_slice(format!("&#{};", u32::from(c)).as_bytes());
            }
        }
        octets
    }

    fn encode_character(&self, c: char, octets: &mut Vec<u8>) -> bool {
        match self {
            _ if c.is_ascii() => octets.push(c as u8),
            Self::Ascii => return false,
            Self::Utf8 => octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Self::Table(table) => match table.iter().find(|(known, _)| *known == c) {
                Some((_, octet)) => octets.push(*octet),
                None => return false,
            },
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_written_in_the_set_of_the_part() {
        let table: [(&str, &str, Option<&[u8]>); 14] = [
            ("us-ascii", "Gruss", Some(b"Gruss")),
            ("us-ascii", "Gruß", None),
            ("UTF-8", "Gruß", Some(b"Gru\xc3\x9f")),
            ("ISO-8859-1", "Gruß", Some(b"Gru\xdf")),
            ("iso-8859-1", "5 €", None),
            ("latin1", "–", None),
            ("iso-8859-15", "5 €", Some(b"5 \xa4")),
            ("windows-1252", "5 €", Some(b"5 \x80")),
            ("windows-1251", "Привет", Some(b"\xcf\xf0\xe8\xe2\xe5\xf2")),
            ("koi8-r", "я", Some(b"\xd1")),
            ("windows-1252", "я", None),
            ("gb2312", "Gruss", Some(b"Gruss")),
            ("gb2312", "你", None),
            ("shift_jis", "Gruss", Some(b"Gruss")),
        ];
        for (label, text, octets) in table {
            let charset = Charset::of(label).unwrap();
            assert_eq!(charset.encode(text).as_deref(), octets, "{label} {text}");
        }
        for label in [
            "utf-16",
            "utf-16le",
            "utf-7",
            "x-nobody-knows",
            "hz-gb-2312",
        ] {
            assert_eq!(Charset::of(label), None, "{label}");
        }
    }

    #[test]
    fn html_never_lacks_a_character() {
        assert_eq!(Charset::Ascii.encode_html("ß€"), b"&#223;&#8364;");
        let latin = Charset::of("iso-8859-1").unwrap();
        assert_eq!(latin.encode_html("ß€"), b"\xdf&#8364;");
    }
}
