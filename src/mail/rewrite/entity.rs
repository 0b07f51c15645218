//! What the header fields of a message or part say of its body (RFC 2045, RFC 2183).

use mail_parser::ContentType;

use super::parser;
use super::section::fields;

/// Kind, charset and transfer encoding of one body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entity {
    pub(super) media: Media,
    /// As labelled; `None`: the default, US-ASCII.
    pub(super) charset: Option<String>,
    pub(super) encoding: Encoding,
    /// Lines end softly where they end with a blank (RFC 3676).
    pub(super) is_flowed: bool,
}

/// What there is to do with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Plain,
    Html,
    /// mixed, alternative or related: its parts make up what the reader sees.
    Multipart {
        boundary: Vec<u8>,
        /// Only the first part, the root, is text to be read (RFC 2387).
        is_related: bool,
    },
    /// Signed or encrypted: not a single octet within may change.
    Sealed,
    /// Attachments, attached messages, reports, anything not understood.
    Other,
}

/// `Content-Transfer-Encoding` (RFC 2045 section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// 7bit, 8bit, binary: the octets are the text.
    Identity,
    QuotedPrintable,
    Base64,
    Unknown,
}

/// RFC 2046 section 5.1.1 allows 70 characters; some senders need more.
const BOUNDARY_MAX_BYTES: usize = 200;

impl Entity {
    /// Reads a header section; contradictory fields make it [`Media::Other`].
    pub(super) fn read(section: &[u8]) -> Self {
        let (mut types, mut encodings, mut dispositions) = (Vec::new(), Vec::new(), Vec::new());
        for field in fields(section) {
            if field.is("Content-Type") {
                types.push(field.value);
            } else if field.is("Content-Transfer-Encoding") {
                encodings.push(field.value);
            } else if field.is("Content-Disposition") {
                dispositions.push(field.value);
            }
        }
        let mut entity = Self {
            media: Media::Other,
            charset: None,
            encoding: Encoding::Identity,
            is_flowed: false,
        };
        if types.len() > 1 || encodings.len() > 1 || dispositions.len() > 1 {
            entity.encoding = Encoding::Unknown;
            return entity;
        }
        if let Some(value) = encodings.first() {
            entity.encoding = Encoding::decode(value);
        }
        let Some(value) = types.first() else {
            // RFC 2045 section 5.2.
            entity.media = Media::Plain;
            return entity.unless_attached(None, dispositions.first().copied());
        };
        let Some(media) = parser::media(value) else {
            return entity;
        };
        entity.charset = media.attribute("charset").map(str::to_owned);
        entity.is_flowed = media
            .attribute("format")
            .is_some_and(|format| format.eq_ignore_ascii_case("flowed"));
        entity.media = entity.kind(&media);
        entity.unless_attached(Some(&media), dispositions.first().copied())
    }

    fn kind(&self, media: &ContentType<'_>) -> Media {
        match (media.ctype(), media.subtype().unwrap_or_default()) {
            ("text", "plain") => Media::Plain,
            ("text", "html") => Media::Html,
            ("multipart", "signed" | "encrypted")
            | ("application", "pkcs7-mime" | "x-pkcs7-mime" | "pgp-encrypted" | "pgp") => {
                Media::Sealed
            }
            ("multipart", subtype @ ("mixed" | "alternative" | "related"))
                if self.encoding == Encoding::Identity =>
            {
                let boundary = media.attribute("boundary").unwrap_or_default().trim_end();
                if boundary.is_empty() || boundary.len() > BOUNDARY_MAX_BYTES {
                    return Media::Other;
                }
                Media::Multipart {
                    boundary: boundary.into(),
                    is_related: subtype == "related",
                }
            }
            _ => Media::Other,
        }
    }

    /// A text with a file name is an attachment, whatever its disposition says.
    fn unless_attached(mut self, media: Option<&ContentType<'_>>, value: Option<&[u8]>) -> Self {
        if !matches!(self.media, Media::Plain | Media::Html) {
            return self;
        }
        let disposition = value.map(parser::media);
        let is_inline = match &disposition {
            None => true,
            Some(Some(found)) => found.ctype() == "inline" && !found.has_attribute("filename"),
            Some(None) => false,
        };
        if !is_inline || media.is_some_and(|media| media.has_attribute("name")) {
            self.media = Media::Other;
        }
        self
    }
}

impl Encoding {
    fn decode(value: &[u8]) -> Self {
        let value = value.trim_ascii().to_ascii_lowercase();
        match value.as_slice() {
            b"" | b"7bit" | b"8bit" | b"binary" => Self::Identity,
            b"quoted-printable" => Self::QuotedPrintable,
            b"base64" => Self::Base64,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(section: &str) -> Media {
        Entity::read(section.as_bytes()).media
    }

    #[test]
    fn only_text_to_be_read_is_text() {
        for (section, expected) in [
            ("", Media::Plain),
            ("Content-Type: text/plain; charset=utf-8\r\n", Media::Plain),
            ("Content-type: TEXT/HTML\r\n", Media::Html),
            (
                "Content-Type: text/html\r\nContent-Disposition: inline\r\n",
                Media::Html,
            ),
            ("Content-Disposition: attachment\r\n", Media::Other),
            (
                "Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n",
                Media::Other,
            ),
            (
                "Content-Type: text/html\r\nContent-Disposition: inline; filename=\"a.html\"\r\n",
                Media::Other,
            ),
            ("Content-Type: text/plain; name=a.txt\r\n", Media::Other),
            ("Content-Type: text/calendar\r\n", Media::Other),
            ("Content-Type: message/rfc822\r\n", Media::Other),
            ("Content-Type: application/pdf\r\n", Media::Other),
            (
                "Content-Type: multipart/report; boundary=a\r\n",
                Media::Other,
            ),
            ("Content-Type: multipart/mixed\r\n", Media::Other),
            (
                "Content-Type: multipart/signed; boundary=a\r\n",
                Media::Sealed,
            ),
            ("Content-Type: application/pkcs7-mime\r\n", Media::Sealed),
            (
                "Content-Type: text/plain\r\nContent-Type: text/html\r\n",
                Media::Other,
            ),
            ("Content-Type: nonsense\r\n", Media::Other),
        ] {
            assert_eq!(media(section), expected, "{section}");
        }
        assert_eq!(
            media(
                "Content-Type: multipart/related;\r\n boundary=\"_004_x\"; type=\"text/html\"\r\n"
            ),
            Media::Multipart {
                boundary: b"_004_x".to_vec(),
                is_related: true
            }
        );
    }

    #[test]
    fn encoding_charset_and_flow_are_read() {
        let entity = Entity::read(
            b"Content-Type: text/plain; charset=\"ISO-8859-1\"; format=Flowed\r\n\
              Content-Transfer-Encoding: Quoted-Printable\r\n",
        );
        assert_eq!(entity.encoding, Encoding::QuotedPrintable);
        assert_eq!(entity.charset.as_deref(), Some("ISO-8859-1"));
        assert!(entity.is_flowed);
    }
}
