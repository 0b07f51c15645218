//! Display names, and address fields written with them (RFC 5322 section 3.4, RFC 2047).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters of a display name that are kept.
const NAME_MAX_CHARACTERS: usize = 128;

/// RFC 5322 section 2.1.1: a line should be no longer, without its CRLF.
const LINE_BYTES: usize = 78;

/// Of an encoded word, the encoded text: with `Reply-To: ` before it the word still fits a line, and
/// it is well below the 75 characters of RFC 2047 section 2.
const ENCODED_TEXT_BYTES: usize = 52;

/// A name that cannot pass for an address, and cannot break a line apart.
///
/// Mail programs show the name in large letters and often hide the address, so
/// `"ceo@contoso.com" <relay@fabrikam.com>` would pass for the former. At signs, also the wide ones,
/// become the word " at "; angle brackets, control characters and invisible ones that turn the
/// writing direction become blanks.
pub(crate) fn harmless(name: &str) -> Option<String> {
    let mut clean = String::new();
    for c in name.chars() {
        match c {
            '@' | '\u{FF20}' | '\u{FE6B}' => clean.push_str(" at "),
            '<' | '>' | '\u{FFFD}' => clean.push(' '),
            c if c.is_control() || is_invisible(c) => clean.push(' '),
            c => clean.push(c),
        }
    }
    let clean = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    let clean: String = clean.chars().take(NAME_MAX_CHARACTERS).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

/// Zero-width and directional characters, line and paragraph separators.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{061C}')
}

/// `field-name ": " mailbox-list CRLF`, folded.
///
/// Names must be [`harmless`] already.
pub(crate) fn address_field<'a>(
    field_name: &str,
    mailboxes: impl IntoIterator<Item = (Option<&'a str>, &'a str)>,
) -> Vec<u8> {
    let mut tokens: Vec<String> = Vec::new();
    for (name, address) in mailboxes {
        if let Some(last) = tokens.last_mut() {
            last.push(',');
        }
        tokens.extend(name.map(phrase).unwrap_or_default());
        tokens.push(format!("<{address}>"));
    }
    let mut field = format!("{field_name}:");
    let mut column = field.len();
    for (count, token) in tokens.iter().enumerate() {
        if count > 0 && column + 1 + token.len() > LINE_BYTES {
            field.push_str("\r\n");
            column = 0;
        }
        field.push(' ');
        field.push_str(token);
        column += 1 + token.len();
    }
    field.push_str("\r\n");
    field.into_bytes()
}

/// `phrase`: pieces between which a blank stands, and where a line may be folded.
fn phrase(name: &str) -> Vec<String> {
    let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~ ".contains(c);
    if !name.is_ascii() || name.contains("=?") {
        encoded_words(name)
    } else if name.chars().all(is_atom) {
        name.split(' ').map(str::to_owned).collect()
    } else {
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        let quoted = format!("\"{escaped}\"");
        quoted.split(' ').map(str::to_owned).collect()
    }
}

/// RFC 2047 in UTF-8, in whichever of its two encodings is shorter; a character is never split.
fn encoded_words(text: &str) -> Vec<String> {
    let q_bytes = |text: &str| -> usize { text.bytes().map(|octet| q_encoded(octet).len()).sum() };
    let b_bytes = |text: &str| text.len().div_ceil(3) * 4;
    let is_q = q_bytes(text) < b_bytes(text);
    let length = |text: &str| if is_q { q_bytes(text) } else { b_bytes(text) };
    let mut pieces: Vec<String> = Vec::new();
    let mut piece = String::new();
    for c in text.chars() {
        piece.push(c);
        if length(&piece) > ENCODED_TEXT_BYTES {
            piece.pop();
            pieces.push(std::mem::replace(&mut piece, c.to_string()));
        }
    }
    pieces.push(piece);
    let word = |piece: String| {
        if is_q {
            let encoded: String = piece.bytes().map(q_encoded).collect();
            return format!("=?utf-8?Q?{encoded}?=");
        }
        format!("=?utf-8?B?{}?=", STANDARD.encode(piece))
    };
    pieces.into_iter().map(word).collect()
}

/// RFC 2047 section 5 (3): within a phrase only these stand for themselves.
fn q_encoded(octet: u8) -> String {
    match octet {
        b' ' => "_".to_owned(),
        b'!' | b'*' | b'+' | b'-' | b'/' => char::from(octet).to_string(),
        octet if octet.is_ascii_alphanumeric() => char::from(octet).to_string(),
        octet => format!("={octet:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::rewrite::parser::authors;
    use proptest::prelude::*;

    fn field(name: &str) -> String {
        let name = harmless(name);
        let field = address_field("From", [(name.as_deref(), "relay@contoso.com")]);
        String::from_utf8(field).unwrap()
    }

    #[test]
    fn names_are_written_as_rfc_5322_and_2047_want_them() {
        for (name, written) in [
            ("", "<relay@contoso.com>"),
            ("Lobby Scanner", "Lobby Scanner <relay@contoso.com>"),
            ("Smith, J.", "\"Smith, J.\" <relay@contoso.com>"),
            ("a \"b\" \\", "\"a \\\"b\\\" \\\\\" <relay@contoso.com>"),
            ("Jörg", "=?utf-8?B?SsO2cmc=?= <relay@contoso.com>"),
            (
                "Scanner im Büro",
                "=?utf-8?Q?Scanner_im_B=C3=BCro?= <relay@contoso.com>",
            ),
            ("扫描仪", "=?utf-8?B?5omr5o+P5Luq?= <relay@contoso.com>"),
            ("=?x?", "=?utf-8?B?PT94Pw==?= <relay@contoso.com>"),
        ] {
            assert_eq!(field(name), format!("From: {written}\r\n"));
        }
    }

    #[test]
    fn no_name_passes_for_an_address() {
        for (name, clean) in [
            ("ceo@contoso.com", Some("ceo at contoso.com")),
            ("CEO <ceo@contoso.com>", Some("CEO ceo at contoso.com")),
            ("ceo＠contoso.com", Some("ceo at contoso.com")),
            ("a\r\nBcc: x", Some("a Bcc: x")),
            ("\u{202E}moc.osotnoc", Some("moc.osotnoc")),
            (" \t ", None),
        ] {
            assert_eq!(harmless(name).as_deref(), clean);
        }
        assert_eq!(harmless(&"é".repeat(500)).unwrap().chars().count(), 128);
    }

    proptest! {
        #[test]
        fn a_written_name_is_read_again(name in "\\PC{0,200}") {
            let clean = harmless(&name);
            let written = field(&name);
            prop_assert!(written.is_ascii());
            prop_assert!(written.lines().all(|line| line.len() <= 998));
            prop_assert!(!written.trim_end().contains("\n\r") && written.ends_with("\r\n"));
            let read = authors(&written.as_bytes()[5..]);
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(read[0].address.as_deref(), Some("relay@contoso.com"));
            prop_assert_eq!(read[0].name.as_deref(), clean.as_deref());
        }
    }
}
