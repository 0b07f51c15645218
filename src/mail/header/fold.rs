//! Header lines that are too long, folded.

/// RFC 5322 section 2.1.1, without CRLF.
const LINE_MAX_OCTETS: usize = 998;

/// Writes one header line as several of at most 998 octets, each but the first beginning with white space
/// that was there: whoever unfolds them (RFC 5322 section 2.2.3) has the line again, octet by octet. What has no
/// white space stays in one piece, however long.
///
/// No more than one word is held, and of one that fits no line nothing.
#[derive(Debug, Default)]
pub(super) struct Fold {
    /// Of the line in progress, as written.
    column: usize,
    /// White space and the text after it.
    word: Vec<u8>,
    /// Of a word too long for any line, the beginning is written.
    is_endless: bool,
    /// Where what is written ends.
    part: Part,
}

/// Of a header field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Name,
    /// Behind it, and no value yet.
    Colon,
    Value,
}

impl Part {
    /// With one octet more.
    fn with(self, octet: u8) -> Self {
        match (self, octet) {
            (Self::Name, b':') => Self::Colon,
            (Self::Colon, octet) if !is_white(octet) => Self::Value,
            (part, _) => part,
        }
    }
}

impl Fold {
    /// Whether a line, CRLF included, needs it.
    pub(super) fn is_needed(line: &[u8]) -> bool {
        line.len() > LINE_MAX_OCTETS + 2
    }

    /// Takes a piece of the line; its CRLF ends it.
    pub(super) fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        for &octet in octets {
            match octet {
                b'\r' | b'\n' => {
                    self.end_word(out);
                    out.push(octet);
                    self.column = 0;
                }
                b' ' | b'\t' if self.is_endless || has_text(&self.word) => {
                    self.end_word(out);
                    self.word.push(octet);
                }
                _ if self.is_endless => {
                    self.part = self.part.with(octet);
                    out.push(octet);
                }
                _ => {
                    self.word.push(octet);
                    if self.word.len() > LINE_MAX_OCTETS {
                        self.write_word(out);
                        self.is_endless = true;
                    }
                }
            }
        }
    }

    fn end_word(&mut self, out: &mut Vec<u8>) {
        if self.is_endless {
            self.is_endless = false;
        } else {
            self.write_word(out);
        }
    }

    fn write_word(&mut self, out: &mut Vec<u8>) {
        if self.column == 0 {
            let goes_on = self.word.first().is_some_and(|octet| is_white(*octet));
            self.part = if goes_on { Part::Value } else { Part::Name };
        }
        let is_over = self.column + self.word.len() > LINE_MAX_OCTETS;
        // A line of nothing but white space would end the section for some, a name without a colon for all, and one
        // without a value is odd.
        if is_over && self.column > 0 && self.part == Part::Value && has_text(&self.word) {
            out.extend_from_slice(b"\r\n");
            self.column = 0;
        }
        let word = self.word.iter();
        self.part = word.fold(self.part, |part, octet| part.with(*octet));
        self.column += self.word.len();
        out.append(&mut self.word);
    }
}

/// Without it, it is but the white space before a word.
fn has_text(word: &[u8]) -> bool {
    word.iter().any(|octet| !is_white(*octet))
}

fn is_white(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fold(line: &str, block: usize) -> String {
        let mut fold = Fold::default();
        let mut out = Vec::new();
        for piece in line.as_bytes().chunks(block) {
            fold.push(piece, &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_folded_before_white_space_and_nowhere_else() {
        let x = |octets: usize| "x".repeat(octets);
        for (line, folded) in [
            (format!("To: {} {}\r\n", x(500), x(493)), None),
            (
                format!("To: {} {}\r\n", x(500), x(494)),
                Some(format!("To: {}\r\n {}\r\n", x(500), x(494))),
            ),
            (
                format!("To: {}, \t{}, {}\r\n", x(400), x(500), x(600)),
                Some(format!("To: {}, \t{},\r\n {}\r\n", x(400), x(500), x(600))),
            ),
            // Nothing to fold at, or nothing that would be better for it.
            (format!("X: {}\r\n", x(2000)), None),
            (format!("X: {}    \r\n", x(996)), None),
            (format!("{}: {}\r\n", x(900), x(200)), None),
            (format!(" {}\r\n", x(1200)), None),
            // Obsolete, and legal: white space before the colon.
            (format!("{} : a\r\n", x(998)), None),
            (format!("{} : a\r\n", x(1200)), None),
            (
                format!("{} : a b\r\n", x(1200)),
                Some(format!("{} : a\r\n b\r\n", x(1200))),
            ),
            (
                format!("X: a {} b\r\n", x(2000)),
                Some(format!("X: a\r\n {}\r\n b\r\n", x(2000))),
            ),
        ] {
            for block in [1, 10, 998, 5000] {
                let expected = folded.as_ref().unwrap_or(&line);
                assert_eq!(fold(&line, block), *expected, "{block}");
            }
        }
    }

    proptest! {
        #[test]
        fn unfolding_gives_the_line_again(
            words in proptest::collection::vec("[ \t]{1,4}[a-z]{0,600}", 1..12),
            block in 1_usize..700,
        ) {
            let line = format!("X:{}\r\n", words.concat());
            let folded = fold(&line, block);
            prop_assert_eq!(folded.replace("\r\n ", " ").replace("\r\n\t", "\t"), line);
            prop_assert!(folded.lines().all(|line| !line.trim().is_empty()));
            let longest = folded.lines().map(str::len).max().unwrap();
            // Trailing white space has no word to go with.
            prop_assert!(longest <= LINE_MAX_OCTETS + 48, "{longest}");
        }
    }
}
