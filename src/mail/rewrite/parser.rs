//! The one door to mail-parser: single fields, decoded.
//!
//! Fields are found with our own scan and handed over one at a time under a proper name, which
//! keeps the parser's ideas about odd field names and dates out of every decision. It has panicked
//! on crafted input before (fixed in 0.11.3, 0.11.5 and 0.11.6), so a panic counts as "nothing
//! known".

use std::panic::catch_unwind;

use mail_parser::{ContentType, HeaderName, MessageParser};

/// A name and an address as far as they could be made out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Author {
    pub(super) name: Option<String>,
    pub(super) address: Option<String>,
}

/// More addresses than this in one field are not looked at.
pub(super) const AUTHORS_MAX: usize = 10;

/// The addresses of a From, Reply-To or Sender; groups are opened.
///
/// Octets that are not UTF-8 are taken for ISO-8859-1, which is what old devices send.
pub(super) fn authors(value: &[u8]) -> Vec<Author> {
    let value = match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|octet| char::from(*octet)).collect(),
    };
    let field = format!("From:{}\r\n\r\n", value.trim_end());
    let parsed = catch_unwind(|| {
        let message = MessageParser::new().parse_headers(field.as_bytes())?;
        let authors = message
            .from()?
            .iter()
            .take(AUTHORS_MAX)
            .map(|found| Author {
                name: found.name().map(str::to_owned),
                address: found.address().map(str::to_owned),
            });
        Some(authors.collect())
    });
    parsed.ok().flatten().unwrap_or_default()
}

/// `Content-Type` and `Content-Disposition`, which share their grammar (RFC 2045 section 5.1,
/// RFC 2183 section 2).
pub(super) fn media(value: &[u8]) -> Option<ContentType<'static>> {
    let field = [b"Content-Type:", value.trim_ascii_end(), b"\r\n\r\n"].concat();
    let parsed = catch_unwind(|| {
        let message = MessageParser::new().parse_headers(&field[..])?;
        let value = message.header(HeaderName::ContentType)?.clone();
        value.into_owned().into_content_type()
    });
    parsed.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authors_are_found_in_what_devices_send() {
        for (value, expected) in [
            (" a@b.c\r\n", vec![(None, Some("a@b.c"))]),
            (" <>\r\n", vec![]),
            ("\r\n", vec![]),
            (" Lobby Scanner\r\n", vec![(Some("Lobby Scanner"), None)]),
            (
                " \"x@y\"\r\n <a@b.c>, d@e.f (Dee)\r\n",
                vec![(Some("x@y"), Some("a@b.c")), (Some("Dee"), Some("d@e.f"))],
            ),
            (
                " Team: One <a@b.c>, d@e.f;\r\n",
                vec![(Some("One"), Some("a@b.c")), (None, Some("d@e.f"))],
            ),
            (
                " =?iso-8859-1?Q?J=F6rg?= =?utf-8?B?IE3DvGxsZXI=?= <j@b.c>\r\n",
                vec![(Some("Jörg Müller"), Some("j@b.c"))],
            ),
        ] {
            let expected: Vec<Author> = expected
                .into_iter()
                .map(|(name, address)| Author {
                    name: name.map(str::to_owned),
                    address: address.map(str::to_owned),
                })
                .collect();
            assert_eq!(authors(value.as_bytes()), expected, "{value}");
        }
        let latin1 = authors(b" J\xf6rg <j@b.c>\r\n");
        assert_eq!(latin1[0].name.as_deref(), Some("Jörg"));
        assert_eq!(authors(&b"a@b.c,".repeat(50)).len(), AUTHORS_MAX);
    }

    #[test]
    fn media_types_come_with_their_parameters() {
        let found = media(b" Multipart/Mixed;\r\n\tBoundary=\"=_a b\"; (x)\r\n format=FLOWED\r\n");
        let found = found.unwrap();
        assert_eq!(
            (found.ctype(), found.subtype()),
            ("multipart", Some("mixed"))
        );
        assert_eq!(found.attribute("boundary"), Some("=_a b"));
        assert_eq!(found.attribute("format"), Some("FLOWED"));
    }
}
