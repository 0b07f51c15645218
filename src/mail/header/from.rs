//! A From as devices write it.
//!
//! Microsoft refuses what does not name an author as RFC 5322 section 3.6.2 has it (`550 5.7.512`), and the people
//! in front of the device cannot help it.

use memchr::memchr;

/// What is wrong with a From.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing, as far as can be mended.
    Fine,
    /// It names no address: there is no author.
    Nobody,
    /// `scan@contoso.com <scan@contoso.com>`: an at sign in a display name wants quotes (RFC 5322 section 3.2.5).
    /// This is the value with them.
    Quoted(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Phrase,
    Quotes,
    Comment(u32),
    Brackets,
}

/// Judges the value of a From, folding and CRLF included.
pub(super) fn judge(value: &[u8]) -> Verdict {
    if memchr(b'@', value).is_none() {
        return Verdict::Nobody;
    }
    let mut names = Vec::new();
    let mut within = Within::Phrase;
    let mut name = Name::default();
    let mut octets = value.iter().enumerate();
    while let Some((at, octet)) = octets.next() {
        within = match (within, octet) {
            (Within::Quotes | Within::Comment(_), b'\\') => {
                octets.next();
                within
            }
            (Within::Quotes, b'"') | (Within::Comment(1), b')') => Within::Phrase,
            (Within::Comment(depth), b')') => Within::Comment(depth - 1),
            (Within::Comment(depth), b'(') => Within::Comment(depth.saturating_add(1)),
            (Within::Brackets, b'>') => {
                name = Name::from(at + 1);
                Within::Phrase
            }
            (Within::Phrase, b'<') => {
                if name.has_at && !name.is_marked {
                    names.push((name.start, at));
                }
                Within::Brackets
            }
            (Within::Phrase, b'"') => {
                name.is_marked = true;
                Within::Quotes
            }
            (Within::Phrase, b'(') => {
                name.is_marked = true;
                Within::Comment(1)
            }
            (Within::Phrase, b',' | b';' | b':') => {
                name = Name::from(at + 1);
                within
            }
            (Within::Phrase, b'@') => {
                name.has_at = true;
                within
            }
            _ => within,
        };
    }
    if names.is_empty() {
        return Verdict::Fine;
    }
    Verdict::Quoted(quoted(value, &names))
}

/// What stands before an address in brackets.
#[derive(Debug, Default)]
struct Name {
    start: usize,
    has_at: bool,
    /// Quotes or a comment are there: not the plain case, and left alone.
    is_marked: bool,
}

impl Name {
    fn from(start: usize) -> Self {
        Self {
            start,
            ..Self::default()
        }
    }
}

fn quoted(value: &[u8], names: &[(usize, usize)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 4 * names.len());
    let mut copied = 0;
    for &(start, end) in names {
        out.extend_from_slice(value.get(copied..start).unwrap_or_default());
        let name = value.get(start..end).unwrap_or_default();
        out.extend_from_slice(b" \"");
        for octet in name.trim_ascii() {
            match octet {
                b'\r' | b'\n' => {}
                b'\\' => out.extend_from_slice(b"\\\\"),
                octet => out.push(*octet),
            }
        }
        out.extend_from_slice(b"\" ");
        copied = end;
    }
    out.extend_from_slice(value.get(copied..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_from_is_judged_by_what_devices_make_of_it() {
        for value in [
            " a@b\r\n",
            " <a@b>\r\n",
            " Scanner <a@b>\r\n",
            " \"c@d\" <a@b>\r\n",
            " Scanner (c@d) <a@b>\r\n",
            " \"x\\\"@y\" <a@b>\r\n",
            " a@b, c@d\r\n",
            " Team: a@b, C <c@d>;\r\n",
            " a@b (Scanner) \r\n",
            // Beyond mending.
            " \"x c@d <a@b>\r\n",
            " \"x\" c@d <a@b>\r\n",
        ] {
            assert_eq!(judge(value.as_bytes()), Verdict::Fine, "{value}");
        }
        for value in ["\r\n", " <>\r\n", " Scanner\r\n", " \"Lobby\" <root>\r\n"] {
            assert_eq!(judge(value.as_bytes()), Verdict::Nobody, "{value}");
        }
        for (value, repaired) in [
            (" a@b <a@b>\r\n", " \"a@b\" <a@b>\r\n"),
            (" a@b<a@b>\r\n", " \"a@b\" <a@b>\r\n"),
            (" Scan a@b\r\n <a@b>\r\n", " \"Scan a@b\" <a@b>\r\n"),
            (" a\\@b\r\n c <a@b>\r\n", " \"a\\\\@b c\" <a@b>\r\n"),
            (
                " x@y <a@b>, C <c@d>, c@d <c@d>\r\n",
                " \"x@y\" <a@b>, C <c@d>, \"c@d\" <c@d>\r\n",
            ),
        ] {
            let expected = Verdict::Quoted(repaired.into());
            assert_eq!(judge(value.as_bytes()), expected, "{value}");
        }
    }
}
