//! Text from outside, made fit for a header or a body.

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Of a line, without CRLF (RFC 5322 section 2.1.1, RFC 2045 section 6.7).
const LINE_OCTETS: usize = 76;

/// Of the text in one encoded word: 39 octets are 52 characters of base64. With its frame and the name
/// of the field before it the line has at most 76 (RFC 2047 section 2).
const WORD_OCTETS: usize = 39;

/// One line of visible characters: whatever could end a line, or steer a terminal, is a space.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if text.contains(breaks) {
        Cow::Owned(text.replace(breaks, " "))
    } else {
        Cow::Borrowed(text)
    }
}

/// The same in US-ASCII, for fields that know nothing else.
pub(super) fn ascii_line(text: &str) -> String {
    let visible = |c: char| if c.is_ascii() { c } else { '?' };
    one_line(text).chars().map(visible).collect()
}

/// At most `max` characters, and an ellipsis where some were cut off.
pub(super) fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max) {
        Some((at, _)) => {
            let kept = text.get(..at).unwrap_or_default();
            Cow::Owned(format!("{}...", kept.trim_end()))
        }
        None => Cow::Borrowed(text),
    }
}

/// `NAME: VALUE` on one line, for what is short and must not be folded.
pub(super) fn field(name: &str, value: &str) -> String {
    format!("{name}: {value}\r\n")
}

/// `NAME: VALUE` for unstructured text, folded, with encoded words (RFC 2047) where it needs them.
pub(super) fn unstructured(name: &str, text: &str) -> String {
    let text = one_line(text);
    if text.is_ascii() && !text.contains("=?") {
        return folded(name, &text);
    }
    let mut field = format!("{name}:");
    let mut word = String::new();
    let mut end = |word: &mut String| {
        // White space between two encoded words is not shown.
        let _ = write!(field, " =?utf-8?B?{}?=\r\n", STANDARD.encode(&*word));
        word.clear();
    };
    for character in text.chars() {
        if word.len() + character.len_utf8() > WORD_OCTETS {
            end(&mut word);
        }
        word.push(character);
    }
    end(&mut word);
    field
}

/// `NAME: VALUE`, folded at spaces; words too long for any line are broken.
pub(super) fn folded(name: &str, value: &str) -> String {
    let mut field = format!("{name}:");
    let mut room = LINE_OCTETS.saturating_sub(field.len());
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        let mut rest = word;
        while !rest.is_empty() {
            let (piece, left) = rest.split_at(rest.floor_char_boundary(WORD_MAX_OCTETS));
            rest = left;
            if piece.len() < room {
                room -= piece.len() + 1;
            } else {
                field.push_str("\r\n");
                room = LINE_OCTETS.saturating_sub(piece.len() + 1);
            }
            field.push(' ');
            field.push_str(piece);
        }
    }
    field.push_str("\r\n");
    field
}

/// Far from the 998 octets that a line may have.
const WORD_MAX_OCTETS: usize = 500;

/// A body and its transfer encoding: as it is where that is safe, else quoted-printable (RFC 2045
/// section 6.7). Lines of `text` end in LF or CRLF; those of the body in CRLF.
pub(super) fn body(text: &[u8]) -> (&'static str, String) {
    let plain = text.split(|octet| *octet == b'\n').all(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let visible = |octet: &u8| matches!(octet, b' '..=b'~' | b'\t');
        line.len() <= LINE_OCTETS + 2 && line.iter().all(visible) && !line.ends_with(b" ")
    });
    let mut body = String::with_capacity(text.len() + text.len() / 8);
    let mut lines = text.split(|octet| *octet == b'\n').peekable();
    while let Some(line) = lines.next() {
        if lines.peek().is_none() && line.is_empty() {
            break;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if plain {
            body.push_str(&String::from_utf8_lossy(line));
        } else {
            quote(line, &mut body);
        }
        body.push_str("\r\n");
    }
    (if plain { "7bit" } else { "quoted-printable" }, body)
}

fn quote(line: &[u8], body: &mut String) {
    let mut used = 0;
    for (index, octet) in line.iter().enumerate() {
        let last = index + 1 == line.len();
        let plain = match octet {
            b'=' => false,
            b' ' | b'\t' => !last,
            octet => octet.is_ascii_graphic(),
        };
        let width = if plain { 1 } else { 3 };
        if used + width > LINE_OCTETS - 1 {
            body.push_str("=\r\n");
            used = 0;
        }
        used += width;
        if plain {
            body.push(char::from(*octet));
        } else {
            let _ = write!(body, "={octet:02X}");
        }
    }
}

/// `utf-8-addr-xtext` of RFC 6533 section 3: an address in US-ASCII, wherever it comes from.
pub(super) fn address_xtext(address: &str) -> String {
    let mut text = String::new();
    for character in address.chars() {
        if character.is_ascii_graphic() && !matches!(character, '+' | '=' | '\\') {
            text.push(character);
        } else {
            let _ = write!(text, "\\x{{{:02X}}}", u32::from(character));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::MessageParser;
    use proptest::prelude::*;

    #[test]
    fn addresses_of_rfc_6533_are_ascii() {
        for (address, text) in [
            ("a@b", "a@b"),
            (
                "müller+x@bücher.example",
                "m\\x{FC}ller\\x{2B}x@b\\x{FC}cher.example",
            ),
            (
                "用户@例子.广告",
                "\\x{7528}\\x{6237}@\\x{4F8B}\\x{5B50}.\\x{5E7F}\\x{544A}",
            ),
            ("\"a b\"@c", "\"a\\x{20}b\"@c"),
        ] {
            assert_eq!(address_xtext(address), text);
        }
    }

    #[test]
    fn plain_text_is_left_readable() {
        let (encoding, text) = body(b"one\ntwo = 2\n");
        assert_eq!((encoding, text.as_str()), ("7bit", "one\r\ntwo = 2\r\n"));
        let (encoding, text) = body("für = 2 \n".as_bytes());
        assert_eq!(
            (encoding, text.as_str()),
            ("quoted-printable", "f=C3=BCr =3D 2=20\r\n")
        );
    }

    proptest! {
        #[test]
        fn encoded_bodies_come_back(text in "[ -~äß\u{20ac}\t]{0,300}(\r\n[ -~ö=\t]{0,200}){0,4}") {
            let (encoding, body) = body(text.as_bytes());
            prop_assert!(body.is_ascii());
            for line in body.split("\r\n") {
                prop_assert!(line.len() <= 78 && !line.contains(['\r', '\n']));
            }
            let message = format!(
                "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}"
            );
            let message = MessageParser::new().parse(message.as_bytes()).unwrap();
            let decoded = message.body_text(0).unwrap();
            let end = ['\r', '\n'];
            prop_assert_eq!(decoded.trim_end_matches(end), text.trim_end_matches(end));
        }

        #[test]
        fn unstructured_text_comes_back_and_cannot_break_out(text in "\\PC{0,20}[\\x00-\\x7fäö\u{1f600}]{0,300}") {
            let field = unstructured("Subject", &text);
            prop_assert!(field.is_ascii() && field.ends_with("\r\n"));
            for line in field.trim_end_matches("\r\n").split("\r\n").skip(1) {
                prop_assert!(line.starts_with(' ') && line.len() < 600 && !line.contains(['\r', '\n']));
            }
            let message = format!("{field}X: y\r\n\r\n");
            let message = MessageParser::new().parse(message.as_bytes()).unwrap();
            prop_assert_eq!(message.headers().len(), 2);
            let words = |text: &str| one_line(text).split_whitespace().map(str::to_owned).collect::<String>();
            prop_assert_eq!(words(message.subject().unwrap_or_default()), words(&text));
        }

        #[test]
        fn folded_fields_keep_their_words(value in "[!-~]{0,1200}( [!-~]{1,90}){0,20}") {
            let field = folded("Diagnostic-Code", &value);
            for line in field.split("\r\n") {
                prop_assert!(line.len() <= 600);
            }
            let together = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(together(&field), format!("Diagnostic-Code:{}", together(&value)));
        }
    }
}
