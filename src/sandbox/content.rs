//! Reading content: RFC 5321 sections 4.1.1.4 and 4.5.2, without any tolerance, whatever the size of the reads.

use bytes::{Buf, BytesMut};
use memchr::memchr;

use super::rights::author;

/// Exchange Online refuses a longer header value (facts A.6).
pub(super) const HEADER_VALUE_MAX_BYTES: usize = 32_768;
/// A line without an end is taken in pieces of this size.
const PIECE_BYTES: usize = 16 * 1024;
/// No sensible Message-ID or From is longer (RFC 5322 section 2.1.1).
const VALUE_MAX_BYTES: usize = 998;

/// Decodes the octets between `354` and the end of mail data.
#[derive(Debug)]
pub(super) struct Content {
    /// What was found, so far.
    pub(super) findings: Findings,
    at_line_start: bool,
    line: u64,
    field: Option<Field>,
}

/// What there is to say about one content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Octets after dot-unstuffing.
    pub(super) size_bytes: u64,
    /// First line with an LF that no CR precedes, or a CR that no LF follows; counted from 1.
    pub(super) bare_newline: Option<u64>,
    /// First line that starts with a single dot and is not the end.
    pub(super) unstuffed_dot: Option<u64>,
    /// First line with an octet above 127.
    pub(super) eight_bit: Option<u64>,
    /// Name and length of the first header value above [`HEADER_VALUE_MAX_BYTES`].
    pub(super) long_header: Option<(String, usize)>,
    /// The value of Message-ID, where there is one.
    pub(super) message_id: Option<String>,
    /// The address in the first From, where there is one.
    pub(super) author: Option<String>,
}

/// The header field that is being read.
#[derive(Debug, Default)]
struct Field {
    name: Vec<u8>,
    value_bytes: usize,
    /// Of those fields that matter.
    value: Option<(Meaning, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug)]
enum Meaning {
    MessageId,
    From,
}

impl Meaning {
    fn of(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"message-id") {
            Some(Self::MessageId)
        } else if name.eq_ignore_ascii_case(b"from") {
            Some(Self::From)
        } else {
            None
        }
    }
}

impl Content {
    pub(super) fn new() -> Self {
        Self {
            findings: Findings::default(),
            at_line_start: true,
            line: 1,
            field: Some(Field::default()),
        }
    }

    /// Takes from `input` what is complete and appends it to `content`, dots unstuffed. True at the end of mail data;
    /// what follows it stays in `input`.
    pub(super) fn receive(&mut self, input: &mut BytesMut, content: &mut Vec<u8>) -> bool {
        let mut used = 0;
        let mut done = false;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            let Some(end) = memchr(b'\n', rest) else {
                // A CR stays back until it is known what follows.
                let piece = rest.strip_suffix(b"\r").unwrap_or(rest);
                if piece.len() >= PIECE_BYTES {
                    self.piece(piece, content);
                    used += piece.len();
                }
                break;
            };
            let line = rest.get(..=end).unwrap_or_default();
            used += line.len();
            if self.at_line_start && line == b".\r\n" {
                done = true;
                break;
            }
            self.piece(line, content);
        }
        input.advance(used);
        if done {
            self.finish_field();
        }
        done
    }

    /// A line with its LF, or a part of a line that is longer than a piece.
    fn piece(&mut self, piece: &[u8], content: &mut Vec<u8>) {
        let mut piece = piece;
        if self.at_line_start
            && let Some(rest) = piece.strip_prefix(b".")
        {
            if !rest.starts_with(b".") {
                self.findings.unstuffed_dot.get_or_insert(self.line);
            }
            piece = rest;
        }
        // Only CRLF ends a line: content that goes on after a bare LF is still in the same line, dots included.
        let ends = piece.ends_with(b"\r\n");
        let text = piece.strip_suffix(b"\r\n").unwrap_or(piece);
        // Without CRLF at its end, `text` still holds a bare LF, which is found here with the bare CRs.
        if memchr(b'\r', text).is_some() || text.ends_with(b"\n") {
            self.findings.bare_newline.get_or_insert(self.line);
        }
        if !text.is_ascii() {
            self.findings.eight_bit.get_or_insert(self.line);
        }
        if self.field.is_some() {
            self.header(text);
        }
        content.extend_from_slice(piece);
        self.findings.size_bytes += piece.len() as u64;
        self.at_line_start = ends;
        self.line += u64::from(ends);
    }

    /// Measures header values, folded lines together (RFC 5322 section 2.2.3), until the empty line.
    fn header(&mut self, text: &[u8]) {
        let starts_field =
            self.at_line_start && !text.starts_with(b" ") && !text.starts_with(b"\t");
        if starts_field {
            self.finish_field();
            let Some(colon) = memchr(b':', text) else {
                // The empty line, or no header at all: what follows is body, and `field` stays empty.
                return;
            };
            let (name, value) = text.split_at(colon);
            let value = value.get(1..).unwrap_or_default();
            self.field = Some(Field {
                name: name.to_vec(),
                value_bytes: value.len(),
                value: Meaning::of(name).map(|meaning| (meaning, value.to_vec())),
            });
        } else if let Some(field) = &mut self.field {
            field.value_bytes += text.len();
            if let Some((_, value)) = &mut field.value
                && value.len() <= VALUE_MAX_BYTES
            {
                value.extend_from_slice(text);
            }
        }
    }

    fn finish_field(&mut self) {
        let Some(field) = self.field.take() else {
            return;
        };
        if field.value_bytes > HEADER_VALUE_MAX_BYTES {
            let name = printable(&field.name);
            self.findings
                .long_header
                .get_or_insert((name, field.value_bytes));
        }
        match field.value {
            Some((Meaning::MessageId, value)) => {
                let text = printable(value.trim_ascii());
                if !text.is_empty() {
                    self.findings.message_id.get_or_insert(text);
                }
            }
            Some((Meaning::From, value)) => {
                self.findings.author.get_or_insert_with(|| author(&value));
            }
            None => {}
        }
    }
}

/// Text that may go into a reply or a listing: bounded, and without control characters.
pub(super) fn printable(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets)
        .chars()
        .filter(|c| !c.is_control())
        .take(256)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Content, findings and what is left over, reading `step` octets at a time.
    fn read(octets: &[u8], step: usize) -> (Vec<u8>, Findings, bool, Vec<u8>) {
        let mut content = Content::new();
        let mut out = Vec::new();
        let mut input = BytesMut::new();
        let mut done = false;
        for chunk in octets.chunks(step) {
            input.extend_from_slice(chunk);
            if !done {
                done = content.receive(&mut input, &mut out);
            }
        }
        (out, content.findings, done, input.to_vec())
    }

    #[test]
    fn dots_are_unstuffed_and_the_rest_stays_behind() {
        let (out, findings, done, rest) =
            read(b"Subject: x\r\n\r\n..\r\n..a\r\nb.\r\n.\r\nQUIT\r\n", 1000);
        assert_eq!(out, b"Subject: x\r\n\r\n.\r\n.a\r\nb.\r\n");
        assert!(done);
        assert_eq!(rest, b"QUIT\r\n");
        let clean = Findings {
            size_bytes: out.len() as u64,
            ..Findings::default()
        };
        assert_eq!(findings, clean);
    }

    #[test]
    fn only_crlf_dot_crlf_ends_content() {
        for octets in [
            &b"a\n.\n"[..],
            b"a\r\n.\n",
            b"a\n.\r\nb\r\n",
            b"a\r\n.\nb\r\n",
            b"a\r.\r\n",
            b"a\r\n.\r\r\n",
        ] {
            let (_, findings, done, _) = read(octets, 1000);
            assert!(!done, "{octets:?}");
            assert!(findings.bare_newline.is_some(), "{octets:?}");
        }
    }

    #[test]
    fn an_unstuffed_dot_is_found() {
        let (_, findings, ..) = read(b"\r\n.x\r\n.\r\n", 1000);
        assert_eq!(findings.unstuffed_dot, Some(2));
        assert_eq!(findings.bare_newline, None);
    }

    #[test]
    fn header_values_are_measured_over_their_folds() {
        let line = format!("\t{}\r\n", "v".repeat(900));
        let folds = HEADER_VALUE_MAX_BYTES / 900;
        let message = format!(
            "Message-ID:\r\n <a@b>\r\nReferences:\r\n{}\r\nX: {}\r\n.\r\n",
            line.repeat(folds + 1),
            "body".repeat(HEADER_VALUE_MAX_BYTES),
        );
        let (_, findings, ..) = read(message.as_bytes(), 1000);
        assert_eq!(
            findings.long_header,
            Some(("References".to_owned(), (folds + 1) * 901))
        );
        assert_eq!(findings.message_id.as_deref(), Some("<a@b>"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn the_size_of_reads_never_matters(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "\r\n", "\r", "\n", ".", "..", "a", ":", " ", "Message-ID: <x@y>\r\n", "ü",
                    "\r\n.\r\n",
                ]),
                0..40,
            ),
            step in 1_usize..7,
        ) {
            let octets = parts.concat().into_bytes();
            prop_assert_eq!(read(&octets, step), read(&octets, 1000));
        }

        #[test]
        fn what_was_stuffed_comes_out(lines in prop::collection::vec("[.a-z]{0,5}", 0..20)) {
            let (mut text, mut stuffed) = (String::new(), String::new());
            for line in &lines {
                text.extend([line, "\r\n"]);
                stuffed.extend([if line.starts_with('.') { "." } else { "" }, line, "\r\n"]);
            }
            let (out, findings, done, rest) = read(format!("{stuffed}.\r\n").as_bytes(), 1000);
            prop_assert!(done && rest.is_empty());
            prop_assert_eq!(out, text.into_bytes());
            prop_assert_eq!((findings.unstuffed_dot, findings.bare_newline), (None, None));
        }
    }
}
