//! Octets put into a body under its transfer encoding (RFC 2045 section 6), the rest left as it is.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

/// RFC 2045 sections 6.7 and 6.8: encoded lines are no longer.
const ENCODED_LINE_BYTES: usize = 76;

/// RFC 5322 section 2.1.1, without CRLF.
pub(super) const LINE_MAX_BYTES: usize = 998;

const FORGIVING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Walks quoted-printable: each octet meant, and where in the encoded text it stands.
#[derive(Debug)]
pub(super) struct QuotedPrintable<'a> {
    encoded: &'a [u8],
    at: usize,
}

impl<'a> QuotedPrintable<'a> {
    pub(super) fn new(encoded: &'a [u8]) -> Self {
        Self { encoded, at: 0 }
    }
}

impl Iterator for QuotedPrintable<'_> {
    type Item = (u8, usize);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let at = self.at;
            let rest = self.encoded.get(at..)?;
            let first = *rest.first()?;
            self.at += 1;
            if first != b'=' {
                return Some((first, at));
            }
            if let Some(length) = soft_break(rest) {
                self.at = at + length;
                continue;
            }
            let digit = |at: usize| char::from(*rest.get(at)?).to_digit(16);
            if let (Some(high), Some(low)) = (digit(1), digit(2)) {
                self.at = at + 3;
                return Some(((high * 16 + low) as u8, at));
            }
            return Some((first, at));
        }
    }
}

/// `"=" *WSP CRLF`, or as much of it as the end of the text has left.
fn soft_break(rest: &[u8]) -> Option<usize> {
    let blanks = rest
        .iter()
        .skip(1)
        .take_while(|b| matches!(b, b' ' | b'\t'));
    let end = 1 + blanks.count();
    match rest.get(end..)? {
        [] => Some(end),
        [b'\r', b'\n', ..] => Some(end + 2),
        [b'\n', ..] => Some(end + 1),
        _ => None,
    }
}

/// Puts `piece` before the octet that decodes as number `at`; after the last one it is appended.
pub(super) fn insert_quoted_printable(encoded: &[u8], at: usize, piece: &[u8]) -> Vec<u8> {
    let raw_at = QuotedPrintable::new(encoded)
        .nth(at)
        .map_or(encoded.len(), |(_, raw_at)| raw_at);
    let (before, after) = encoded.split_at_checked(raw_at).unwrap_or((encoded, &[]));
    let mut out = Vec::with_capacity(encoded.len() + piece.len() * 3 + 16);
    out.extend_from_slice(before);
    let dangling = before.trim_ascii_end().ends_with(b"=") && !before.ends_with(b"\n");
    let is_mid_line = before.last().is_some_and(|last| *last != b'\n');
    if dangling && after.is_empty() {
        out.extend_from_slice(b"\r\n");
    } else if is_mid_line
        && (!piece.starts_with(b"\r\n") || matches!(before.last(), Some(b' ' | b'\t')))
    {
        // Also where a blank would otherwise stand at the end of a line and be lost.
        out.extend_from_slice(b"=\r\n");
    }
    encode_quoted_printable(piece, &mut out);
    out.extend_from_slice(after);
    out
}

/// CRLF are line ends, all else is encoded so that it survives any transport.
pub(super) fn encode_quoted_printable(octets: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
    let mut column = 0;
    let mut rest = octets;
    while let Some((octet, next)) = rest.split_first() {
        if let Some(next) = rest.strip_prefix(b"\r\n") {
            out.extend_from_slice(b"\r\n");
            column = 0;
            rest = next;
            continue;
        }
        let ends_line = next.is_empty() || next.starts_with(b"\r\n");
        let mut is_plain = match octet {
            b' ' | b'\t' => !ends_line,
            b'=' => false,
            octet => octet.is_ascii_graphic(),
        };
        let mut width = if is_plain { 1 } else { 3 };
        if column + width > ENCODED_LINE_BYTES - usize::from(!ends_line) {
            out.extend_from_slice(b"=\r\n");
            column = 0;
            // What stood within a line must not become a delimiter line.
            if *octet == b'-' {
                is_plain = false;
                width = 3;
            }
        }
        if is_plain {
            out.push(*octet);
        } else {
            out.extend([b'=', digit(octet >> 4), digit(octet & 0xF)]);
        }
        column += width;
        rest = next;
    }
}

/// Puts octets into identity text; `piece` takes care of its own line ends.
pub(super) fn insert_identity(text: &[u8], at: usize, piece: &[u8]) -> Vec<u8> {
    let (before, after) = text.split_at_checked(at).unwrap_or((text, &[]));
    [before, piece, after].concat()
}

/// Base64 text, or the end of one of which the beginning has been passed on.
#[derive(Debug)]
pub(super) struct Base64<'a> {
    encoded: &'a [u8],
    /// How many of the characters at the beginning belong to a quantum begun before it.
    skipped: usize,
    is_beginning: bool,
    pub(super) decoded: Vec<u8>,
}

impl<'a> Base64<'a> {
    /// `passed`: how many characters have been passed on before. `None` when it is malformed or
    /// has padding in its middle.
    pub(super) fn decode(encoded: &'a [u8], passed: usize) -> Option<Self> {
        let skipped = (4 - passed % 4) % 4;
        let mut characters = encoded.iter().copied().filter(|b| !is_line_break(*b));
        for _ in 0..skipped {
            characters.next().filter(|octet| *octet != b'=')?;
        }
        let characters: Vec<u8> = characters.collect();
        let decoded = FORGIVING.decode(&characters).ok()?;
        Some(Self {
            encoded,
            skipped,
            is_beginning: passed == 0,
            decoded,
        })
    }

    /// Puts `piece` before octet `at`. Lines before that are not touched, those after it are filled
    /// up anew to the width of the last one before.
    pub(super) fn insert(&self, at: usize, piece: &[u8]) -> Vec<u8> {
        let (cut, decoded_at) = self.cut_before(at);
        let width = self.width_before(cut);
        let (before, _) = self.encoded.split_at_checked(cut).unwrap_or_default();
        let (kept, moved) = self.decoded.split_at_checked(at).unwrap_or_default();
        let kept = kept.get(decoded_at..).unwrap_or_default();
        let text = STANDARD.encode([kept, piece, moved].concat());
        let mut out = Vec::with_capacity(self.encoded.len() + piece.len() * 2);
        out.extend_from_slice(before);
        if before.last().is_some_and(|last| *last != b'\n') {
            out.extend_from_slice(b"\r\n");
        }
        for (count, line) in text.as_bytes().chunks(width).enumerate() {
            if count > 0 {
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(line);
        }
        if self.encoded.ends_with(b"\n") {
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    fn width_before(&self, cut: usize) -> usize {
        let before = self.encoded.get(..cut).unwrap_or_default();
        let mut lines = before.split_inclusive(|b| *b == b'\n').rev();
        let last = match (lines.next(), lines.next()) {
            (Some(last), Some(_)) => last,
            (Some(last), None) if self.is_beginning => last,
            (None, _) if self.is_beginning => {
                let mut lines = self.encoded.split_inclusive(|b| *b == b'\n');
                let first = lines.next().unwrap_or_default();
                // The last line is as short as it may be.
                if lines.next().is_some() { first } else { b"" }
            }
            // Of the only line before, a part may have been passed on.
            _ => b"",
        };
        let width = last.trim_ascii_end().len();
        let is_usual = last.ends_with(b"\n")
            && width.is_multiple_of(4)
            && (4..=LINE_MAX_BYTES).contains(&width);
        if is_usual { width } else { ENCODED_LINE_BYTES }
    }

    /// The last line that begins with a quantum, at or before octet `at`: where it stands, and the
    /// number of its first octet.
    fn cut_before(&self, at: usize) -> (usize, usize) {
        let mut cut = (0, 0);
        let mut characters = 0;
        for (raw_at, octet) in self.encoded.iter().enumerate() {
            if is_line_break(*octet) {
                continue;
            }
            let begins_line = raw_at == 0
                || self
                    .encoded
                    .get(raw_at - 1)
                    .is_some_and(|b| is_line_break(*b));
            let own = characters - self.skipped.min(characters);
            if characters >= self.skipped
                && own.is_multiple_of(4)
                && (begins_line || characters == self.skipped)
            {
                if own / 4 * 3 > at {
                    break;
                }
                cut = (raw_at, own / 4 * 3);
            }
            characters += 1;
        }
        if characters <= self.skipped {
            cut = (self.encoded.trim_ascii_end().len(), 0);
        }
        cut
    }
}

/// How many base64 characters there are in a piece of text.
pub(super) fn base64_characters(encoded: &[u8]) -> usize {
    encoded.iter().filter(|b| !is_line_break(**b)).count()
}

/// The characters at the beginning that can be decoded without what follows.
pub(super) fn whole_base64_quanta(encoded: &[u8]) -> Vec<u8> {
    let mut characters: Vec<u8> = encoded
        .iter()
        .copied()
        .filter(|octet| !is_line_break(*octet))
        .collect();
    characters.truncate(characters.len() / 4 * 4);
    characters
}

fn is_line_break(octet: u8) -> bool {
    matches!(octet, b'\r' | b'\n' | b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(encoded: &[u8]) -> Vec<u8> {
        QuotedPrintable::new(encoded)
            .map(|(octet, _)| octet)
            .collect()
    }

    fn wrapped(octets: &[u8], width: usize) -> Vec<u8> {
        let text = STANDARD.encode(octets);
        text.as_bytes()
            .chunks(width)
            .flat_map(|line| [line, b"\r\n"].concat())
            .collect()
    }

    #[test]
    fn quoted_printable_is_decoded_as_written() {
        for (encoded, decoded) in [
            (
                &b"caf=E9 =3d =\r\nx= \t\r\ny=\n z"[..],
                &b"caf\xe9 = xy z"[..],
            ),
            (b"a=", b"a"),
            (b"a=ZZ=4", b"a=ZZ=4"),
        ] {
            assert_eq!(plain(encoded), decoded);
        }
    }

    #[test]
    fn a_piece_in_the_middle_of_a_line_begins_on_its_own() {
        let inserted = insert_quoted_printable(b"=E9 </bo=\r\ndy>\r\n", 2, "\u{e9}".as_bytes());
        assert_eq!(inserted, b"=E9 =\r\n=C3=A9</bo=\r\ndy>\r\n");
        assert_eq!(insert_quoted_printable(b"a=", 1, b"b"), b"a=\r\nb");
        assert_eq!(insert_quoted_printable(b"a ", 2, b"\r\nb"), b"a =\r\n\r\nb");
    }

    #[test]
    fn malformed_base64_is_not_touched() {
        for encoded in [&b"QUJD*EFG"[..], b"QQ==QUJD", b"Q"] {
            assert!(Base64::decode(encoded, 0).is_none());
        }
    }

    proptest! {
        #[test]
        fn quoted_printable_is_read_again(octets: Vec<u8>, at in 0_usize..300, piece: Vec<u8>) {
            let mut encoded = Vec::new();
            encode_quoted_printable(&octets, &mut encoded);
            prop_assert!(encoded.split(|b| *b == b'\n').all(|line| line.len() <= 77));
            prop_assert_eq!(plain(&encoded), &octets[..]);
            let at = at.min(octets.len());
            // Between CR and LF nothing is ever put.
            prop_assume!(at == 0 || octets[at - 1] != b'\r');
            let inserted = insert_quoted_printable(&encoded, at, &piece);
            prop_assert_eq!(plain(&inserted), insert_identity(&octets, at, &piece));
        }

        #[test]
        fn base64_is_read_again(
            octets: Vec<u8>, at in 0_usize..300, piece: Vec<u8>, quarter in 1_usize..30,
            passed in 0_usize..300,
        ) {
            let encoded = wrapped(&octets, quarter * 4);
            let at = at.min(octets.len());
            let inserted = Base64::decode(&encoded, 0).unwrap().insert(at, &piece);
            let again = Base64::decode(&inserted, 0).unwrap();
            prop_assert_eq!(&again.decoded, &insert_identity(&octets, at, &piece));
            prop_assert_eq!(inserted.ends_with(b"\r\n"), encoded.ends_with(b"\r\n"));

            // The same when the beginning is gone already.
            let end = encoded.iter().position(|b| *b == b'=').unwrap_or(encoded.len());
            let passed = passed.min(end);
            let (gone, rest) = encoded.split_at(passed);
            if let Some(tail) = Base64::decode(rest, base64_characters(gone)) {
                let appended = tail.insert(tail.decoded.len(), &piece);
                let whole = [gone, &appended].concat();
                let again = Base64::decode(&whole, 0).unwrap();
                prop_assert_eq!(again.decoded, [octets, piece].concat());
            }
        }
    }
}
