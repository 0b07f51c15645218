//! A subject for people's eyes: decoded, on one line, of bounded length.

use std::panic::catch_unwind;

use mail_parser::MessageParser;

/// Characters of a subject that are kept.
const CHARACTERS_MAX: usize = 250;

/// Decodes the octets after `Subject:` (RFC 2047 words, folding, whatever else devices send).
///
/// For listings only. The parser has panicked on crafted input before (fixed in 0.11.3, 0.11.5 and
/// 0.11.6), so a panic counts as "nothing known": no message may be lost for the sake of a listing.
pub fn decode(raw: &[u8]) -> Option<String> {
    let plain = raw.is_ascii() && memchr::memmem::find(raw, b"=?").is_none();
    let decoded = if plain {
        String::from_utf8_lossy(raw).into_owned()
    } else {
        let field = [b"Subject:", raw, b"\r\n\r\n"].concat();
        catch_unwind(|| {
            let message = MessageParser::new().parse_headers(&field[..])?;
            message.subject().map(str::to_owned)
        })
        .ok()
        .flatten()?
    };
    let mut subject = String::new();
    for (count, word) in decoded
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .enumerate()
    {
        if count > 0 {
            subject.push(' ');
        }
        subject.push_str(word);
    }
    if let Some((at, _)) = subject.char_indices().nth(CHARACTERS_MAX) {
        subject.truncate(at);
        subject.push('…');
    }
    (!subject.is_empty()).then_some(subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_decoded_for_people() {
        for (raw, shown) in [
            (&b" Scan from lobby\r\n"[..], Some("Scan from lobby")),
            (b" one\r\n two\r\n", Some("one two")),
            (
                b" =?utf-8?B?w4RyZ2Vy?= =?utf-8?Q?_mit_T=C3=B6ner?=\r\n",
                Some("Ärger mit Töner"),
            ),
            ("Größe\r\n".as_bytes(), Some("Größe")),
            (b" \x1b[31mred\x07\r\n", Some("[31mred")),
            (b"\r\n", None),
            (b"", None),
        ] {
            assert_eq!(decode(raw).as_deref(), shown, "{raw:?}");
        }
        assert!(decode(&[b'x'; 10_000]).unwrap().chars().count() <= CHARACTERS_MAX + 1);
    }
}
