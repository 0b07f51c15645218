//! A notice as a message: its header, and its parts put together.

use memchr::memmem;

use super::encoding::{body, field, one_line, shortened, unstructured};
use super::fields::header_section;
use super::{Composed, Heading, Notice, NoticeKind, Returned, report, words};
use crate::mail::date_time;

/// Of the original's subject, in characters.
const SUBJECT_MAX: usize = 150;

/// A longer Message-ID would not fit into a line.
const MESSAGE_ID_MAX_OCTETS: usize = 900;

/// With `RET=FULL`, a message up to this size is returned whole; of a larger one, only its headers:
/// who asks for it has it.
const RETURNED_MAX_BYTES: usize = 64 * 1024;

/// Without CRLF (RFC 5322 section 2.1.1).
const LINE_MAX_OCTETS: usize = 998;

impl Notice<'_> {
    /// The notice as a message.
    pub fn compose(&self) -> Composed {
        let what = match self.kind {
            NoticeKind::Delayed => "Delayed",
            NoticeKind::Failed => "Undelivered",
        };
        let subject = match self.about.subject {
            Some(subject) => format!("{what}: {}", shortened(&one_line(subject), SUBJECT_MAX)),
            None => format!("{what} message"),
        };
        let mut content = header(&self.heading, &subject, self.about.message_id);
        let returned = self.returned.part();
        let mut boundary = format!("=_{}", self.heading.id);
        // Only a message that knows the future can contain it, and quoted-printable never does.
        while memmem::find(returned.octets(), boundary.as_bytes()).is_some() {
            boundary.push('_');
        }
        let kind = "multipart/report; report-type=delivery-status;\r\n boundary=";
        content.push_str(&field("Content-Type", &format!("{kind}\"{boundary}\"")));
        content.push_str("\r\n");
        let (encoding, text) = body(words::words(self).as_bytes());
        part(
            &mut content,
            &boundary,
            "text/plain; charset=utf-8",
            encoding,
        );
        content.push_str(&text);
        part(&mut content, &boundary, "message/delivery-status", "7bit");
        content.push_str(&report::report(self));
        let mut content = content.into_bytes();
        if !returned.octets().is_empty() {
            let mut head = String::new();
            part(&mut head, &boundary, returned.kind, returned.encoding);
            content.extend_from_slice(head.as_bytes());
            content.extend_from_slice(returned.octets());
        }
        content.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        Composed {
            content,
            subject,
            message_id: message_id(&self.heading),
        }
    }
}

/// The message, or what of it is returned, ready to stand in a notice.
struct Part<'a> {
    kind: &'static str,
    encoding: &'static str,
    octets: std::borrow::Cow<'a, [u8]>,
}

impl Part<'_> {
    fn octets(&self) -> &[u8] {
        &self.octets
    }
}

impl<'a> Returned<'a> {
    fn part(self) -> Part<'a> {
        let header = match self {
            Self::Headers(header) => header,
            Self::Message(message) if fits(message) => {
                return Part {
                    kind: "message/rfc822",
                    encoding: if message.is_ascii() { "7bit" } else { "8bit" },
                    octets: message.into(),
                };
            }
            Self::Message(message) => header_section(message),
        };
        let (encoding, text) = body(header);
        Part {
            kind: "text/rfc822-headers",
            encoding,
            octets: text.into_bytes().into(),
        }
    }
}

/// Whether a message can stand in another one: it cannot be encoded there (RFC 2046 section 5.2.1).
fn fits(message: &[u8]) -> bool {
    message.len() <= RETURNED_MAX_BYTES
        && header_section(message).is_ascii()
        && !message.contains(&0)
        && message
            .split(|octet| *octet == b'\n')
            .all(|line| line.len() <= LINE_MAX_OCTETS + 1)
}

/// The fields that every notice begins with.
pub(super) fn header(heading: &Heading<'_>, subject: &str, about: Option<&str>) -> String {
    // An address has 254 octets at most, and must not be folded inside its quotes.
    let from = format!("\"Mail Delivery System\" <{}>", one_line(heading.from));
    let mut header = field("From", &from);
    header.push_str(&field("To", &format!("<{}>", one_line(heading.to))));
    header.push_str(&unstructured("Subject", subject));
    header.push_str(&field("Date", &date_time(heading.date)));
    header.push_str(&field("Message-ID", &message_id(heading)));
    if let Some(id) = about.filter(|id| is_message_id(id)) {
        header.push_str(&field("In-Reply-To", id));
        header.push_str(&field("References", id));
    }
    header.push_str(&field("Auto-Submitted", "auto-replied"));
    header.push_str(&field("X-Auto-Response-Suppress", "All"));
    header.push_str(&field("MIME-Version", "1.0"));
    header
}

pub(super) fn message_id(heading: &Heading<'_>) -> String {
    format!("<{}@{}>", heading.id, one_line(heading.hostname))
}

/// Devices put all sorts of things there; what is none would break the thread, or the line.
fn is_message_id(text: &str) -> bool {
    let inner = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'));
    text.len() <= MESSAGE_ID_MAX_OCTETS
        && inner.is_some_and(|inner| {
            let odd = |c: char| !c.is_ascii_graphic() || matches!(c, '<' | '>');
            !inner.is_empty() && !inner.contains(odd)
        })
}

fn part(content: &mut String, boundary: &str, kind: &str, encoding: &str) {
    for piece in ["\r\n--", boundary, "\r\n", &body_fields(kind, encoding)] {
        content.push_str(piece);
    }
}

/// What a body, or a part of one, is; with the empty line after it.
pub(super) fn body_fields(kind: &str, encoding: &str) -> String {
    let mut fields = field("Content-Type", kind);
    fields.push_str(&field("Content-Transfer-Encoding", encoding));
    fields.push_str("\r\n");
    fields
}
