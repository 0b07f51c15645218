//! Lists of addresses (RFC 5322 sections 3.4 and 4.4), in fields and as people write them.
//!
//! Generous in form: groups, comments, folding, old routes, semicolons between addresses, display names
//! with raw UTF-8 or with specials in an encoded word. What an address is itself is not bent: it is a
//! [`Mailbox`], or a name without a domain, or malformed.

use crate::mail::{Mailbox, MailboxError};

/// One address of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListedAddress {
    /// With a domain.
    Mailbox(Mailbox),
    /// A name alone, such as `root`.
    Local {
        /// The name.
        name: String,
        /// Where in the list a domain would have to be inserted.
        end: usize,
    },
    /// As far as it can be shown on one line.
    Malformed(String),
}

/// The addresses of a list, in their order; groups are opened.
pub fn listed_addresses(list: &[u8]) -> Vec<ListedAddress> {
    let mut found = Vec::new();
    let mut pending: Vec<Token<'_>> = Vec::new();
    let mut tokens = Tokens { list, at: 0 };
    // What follows the angle brackets up to the next comma says nothing more.
    let mut is_complete = false;
    while let Some(token) = tokens.next() {
        match token.kind {
            Kind::Special(b',' | b';') => {
                found.extend(address(&pending));
                pending.clear();
                is_complete = false;
            }
            // What was taken for an address was the name of a group.
            Kind::Special(b':') => pending.clear(),
            Kind::Special(b'<') if !is_complete => {
                pending.clear();
                found.push(tokens.angle_address());
                is_complete = true;
            }
            _ if is_complete => {}
            _ => pending.push(token),
        }
    }
    found.extend(address(&pending));
    found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Atom,
    Quoted,
    Literal,
    /// One of `<>,;:@.`
    Special(u8),
}

#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    kind: Kind,
    octets: &'a [u8],
    /// Behind its last octet.
    end: usize,
}

/// Cuts a list into tokens; white space and comments are left out.
struct Tokens<'a> {
    list: &'a [u8],
    at: usize,
}

/// Of a malformed address, this much is shown.
const SHOWN_MAX_CHARACTERS: usize = 80;

impl Tokens<'_> {
    /// `"<" [obs-route] addr-spec ">"`, the first bracket read already.
    fn angle_address(&mut self) -> ListedAddress {
        let mut inside = Vec::new();
        for token in self.by_ref() {
            if token.kind == Kind::Special(b'>') {
                break;
            }
            inside.push(token);
        }
        // `obs-route = "@" domain *("," "@" domain) ":"`
        if inside.first().map(|token| token.kind) == Some(Kind::Special(b'@'))
            && let Some(colon) = inside.iter().position(|t| t.kind == Kind::Special(b':'))
        {
            inside.drain(..=colon);
        }
        address(&inside).unwrap_or_else(|| ListedAddress::Malformed("<>".to_owned()))
    }

    fn skip_blanks(&mut self) {
        let mut depth = 0_u32;
        while let Some(octet) = self.list.get(self.at) {
            match octet {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b'\\' if depth > 0 => self.at += 1,
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ if depth > 0 => {}
                _ => return,
            }
            self.at += 1;
        }
    }

    /// The octets up to and with the `last` one that no backslash stands before.
    fn enclosed(&mut self, last: u8) {
        self.at += 1;
        while let Some(octet) = self.list.get(self.at) {
            self.at += if *octet == b'\\' { 2 } else { 1 };
            if *octet == last {
                return;
            }
        }
        self.at = self.list.len();
    }

    fn atom(&mut self) {
        let rest = self.list.get(self.at..).unwrap_or_default();
        if let Some(length) = encoded_word(rest) {
            self.at += length;
            return;
        }
        let ends = |octet: &u8| b" \t\r\n(<>,;:@.\"[".contains(octet);
        // At least one octet: a stray bracket must not stop everything.
        let length = rest.iter().skip(1).position(ends);
        self.at += length.map_or(rest.len(), |length| length + 1);
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blanks();
        let start = self.at;
        let kind = match *self.list.get(start)? {
            b'"' => {
                self.enclosed(b'"');
                Kind::Quoted
            }
            b'[' => {
                self.enclosed(b']');
                Kind::Literal
            }
            special @ (b'<' | b'>' | b',' | b';' | b':' | b'@' | b'.') => {
                self.at += 1;
                Kind::Special(special)
            }
            _ => {
                self.atom();
                Kind::Atom
            }
        };
        let end = self.at.min(self.list.len());
        Some(Token {
            kind,
            octets: self.list.get(start..end)?,
            end,
        })
    }
}

/// `"=?" charset "?" encoding "?" encoded-text "?="` (RFC 2047 section 2) at the beginning: its length.
/// Careless programs leave commas and the like in it.
fn encoded_word(octets: &[u8]) -> Option<usize> {
    let rest = octets.strip_prefix(b"=?")?;
    let mut marks = 0;
    for (at, octet) in rest.iter().enumerate() {
        match octet {
            b' ' | b'\t' | b'\r' | b'\n' => return None,
            b'?' if marks == 2 => {
                return (rest.get(at + 1) == Some(&b'=')).then_some(at + 4);
            }
            b'?' => marks += 1,
            _ => {}
        }
    }
    None
}

/// What `tokens` are together; `None` for nothing at all.
fn address(tokens: &[Token<'_>]) -> Option<ListedAddress> {
    let last = tokens.last()?;
    let mut octets = Vec::new();
    let mut was_word = false;
    let mut is_phrase = false;
    for token in tokens {
        let is_word = !matches!(token.kind, Kind::Special(_));
        // Words side by side are a name, not an address.
        if is_word && was_word {
            is_phrase = true;
            octets.push(b' ');
        }
        was_word = is_word;
        octets.extend_from_slice(token.octets);
    }
    let Ok(text) = std::str::from_utf8(&octets) else {
        return Some(malformed(&String::from_utf8_lossy(&octets)));
    };
    if is_phrase {
        return Some(malformed(text));
    }
    // Somebody's full name in quotes is not a mailbox.
    let is_quoted = tokens.iter().any(|token| token.kind == Kind::Quoted);
    Some(match Mailbox::parse(text) {
        Ok(mailbox) => ListedAddress::Mailbox(mailbox),
        Err(MailboxError::NoDomain) if !is_quoted => ListedAddress::Local {
            name: text.to_owned(),
            end: last.end,
        },
        Err(_) => malformed(text),
    })
}

fn malformed(text: &str) -> ListedAddress {
    let shown = text.chars().filter(|c| !c.is_control());
    ListedAddress::Malformed(shown.take(SHOWN_MAX_CHARACTERS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A mailbox as it is, a name as `name|`, anything else as `!text`.
    fn read(list: &str) -> Vec<String> {
        let found = listed_addresses(list.as_bytes()).into_iter();
        let shown = found.map(|address| match address {
            ListedAddress::Mailbox(mailbox) => mailbox.to_string(),
            ListedAddress::Local { name, end } => {
                assert!(list.get(..end).unwrap().ends_with(name.as_str()) || name.contains('.'));
                format!("{name}|")
            }
            ListedAddress::Malformed(text) => format!("!{text}"),
        });
        shown.collect()
    }

    #[test]
    fn addresses_are_found_however_they_are_written() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            (" , ;,", &[]),
            ("a@b.c", &["a@b.c"]),
            ("root", &["root|"]),
            (" root (Cron Daemon)\r\n", &["root|"]),
            ("a.b,<root>, Root <root>", &["a.b|", "root|", "root|"]),
            (
                "A B <a@b.c>, \"C, D\" <c@d.e> (x), f@g.h",
                &["a@b.c", "c@d.e", "f@g.h"],
            ),
            (
                "Team: One <a@b.c>,\r\n\td@e.f;, g@h.i",
                &["a@b.c", "d@e.f", "g@h.i"],
            ),
            ("undisclosed-recipients:;", &[]),
            ("a@b.c; d@e.f", &["a@b.c", "d@e.f"]),
            ("a (one \\) (two) b@c) @ (x)\r\n b . c", &["a@b.c"]),
            ("\"a, b <c\"@d.e", &["\"a, b <c\"@d.e"]),
            ("<@one,@two:a@b.c>", &["a@b.c"]),
            ("a@[192.0.2.1]", &["a@[192.0.2.1]"]),
            (
                "=?utf-8?Q?Doe,_J?= <j@b.c>, =?x <k@b.c>",
                &["j@b.c", "k@b.c"],
            ),
            ("Jörg <j@b.c>, jörg@b.c", &["j@b.c", "jörg@b.c"]),
            ("John Doe", &["!John Doe"]),
            ("\"John Doe\"", &["!\"John Doe\""]),
            ("<>", &["!<>"]),
            ("a@b@c, a@, @b", &["!a@b@c", "!a@", "!@b"]),
            ("a@b.c (never closed", &["a@b.c"]),
            ("\"never closed", &["!\"never closed"]),
            ("A <a@b.c", &["a@b.c"]),
            ("a@b c@d", &["!a@b c@d"]),
            (")a@b.c, a\\b@c", &["!)a@b.c", "!a\\b@c"]),
            ("<a@b.c> <d@e.f>", &["a@b.c"]),
        ];
        for (list, expected) in table {
            assert_eq!(read(list), *expected, "{list:?}");
        }
        assert_eq!(
            listed_addresses(b"J\xf6rg <j@b.c>, \xf6@b.c"),
            [
                ListedAddress::Mailbox(Mailbox::parse("j@b.c").unwrap()),
                ListedAddress::Malformed("\u{fffd}@b.c".into()),
            ]
        );
    }

    #[test]
    fn a_domain_fits_behind_a_name() {
        let list = "x@y, (boss) root (Cron), <admin >";
        let ends: Vec<_> = listed_addresses(list.as_bytes())
            .into_iter()
            .filter_map(|address| match address {
                ListedAddress::Local { end, .. } => Some(list.get(..end).unwrap()),
                _ => None,
            })
            .collect();
        assert_eq!(
            ends,
            ["x@y, (boss) root", "x@y, (boss) root (Cron), <admin"]
        );
    }

    proptest! {
        #[test]
        fn no_list_is_too_odd(list in prop::collection::vec(any::<u8>(), 0..60)) {
            for address in listed_addresses(&list) {
                match address {
                    ListedAddress::Local { name, end } => {
                        prop_assert!(end <= list.len() && !name.is_empty());
                    }
                    ListedAddress::Malformed(text) => {
                        prop_assert!(!text.chars().any(char::is_control));
                    }
                    ListedAddress::Mailbox(_) => {}
                }
            }
        }

        #[test]
        fn specials_in_any_order_are_survived(list in "[a@.<>,;:\"()\\[\\]\\\\ =?]{0,40}") {
            let found = listed_addresses(list.as_bytes());
            prop_assert!(found.len() <= list.len());
        }
    }
}
