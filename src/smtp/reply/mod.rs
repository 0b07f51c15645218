//! Replies (RFC 5321 section 4.2) with their enhanced status codes (RFC 2034).

mod decoder;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use bytes::{BufMut as _, BytesMut};

use crate::mail::EnhancedStatus;

pub use decoder::{ReplyDecoder, ReplyError};

/// RFC 5321 section 4.5.3.1.5, CRLF included.
const LINE_MAX_OCTETS: usize = 512;
/// What is left for text after `250-`, the longest enhanced code with its space, and CRLF.
const TEXT_MAX_OCTETS: usize = LINE_MAX_OCTETS - 4 - 10 - 2;

/// A reply code, perhaps an enhanced status code of the same class, and lines of text.
///
/// The code is 200 to 599 and no line holds a control character, wherever the reply comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedStatus>,
    /// Lines are separated by LF. Constant replies borrow theirs, so that they cost nothing.
    text: Cow<'static, str>,
}

/// What the first digit of a reply code means (RFC 5321 section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// 2yz: done.
    Completed,
    /// 3yz: go on.
    Intermediate,
    /// 4yz: not now.
    Transient,
    /// 5yz: not so.
    Permanent,
}

/// A constant reply of our own with its enhanced code, given as class, subject and detail.
pub(crate) const fn reply(code: u16, status: (u8, u16, u16), text: &'static str) -> Reply {
    let (class, subject, detail) = status;
    Reply::new(
        code,
        Some(EnhancedStatus::new(class, subject, detail)),
        text,
    )
}

impl Reply {
    /// A reply of our own with one line of constant text; meant for `const` items, where a mistake
    /// does not compile. Text that is known only later replaces the line by [`Reply::with_text`].
    ///
    /// # Panics
    /// When `code` is not 200 to 599, `enhanced` is of another class, or `text` is not printable
    /// US-ASCII: a mistake in our own text.
    pub const fn new(code: u16, enhanced: Option<EnhancedStatus>, text: &'static str) -> Self {
        assert!(200 <= code && code <= 599);
        if let Some(enhanced) = enhanced {
            assert!(enhanced.class() as u16 == code / 100);
        }
        let mut octets = text.as_bytes();
        while let [octet, rest @ ..] = octets {
            assert!(0x20 <= *octet && *octet < 0x7f);
            octets = rest;
        }
        Self {
            code,
            enhanced,
            text: Cow::Borrowed(text),
        }
    }

    /// The same codes with another text. Each line of `text` becomes a line of the reply; what is not
    /// printable US-ASCII becomes `?`, so that nothing a client sent us can forge a reply.
    #[must_use]
    pub fn with_text(self, text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        let allowed = |octet: u8| matches!(octet, b' '..=b'~' | b'\n');
        if !text.bytes().all(allowed) {
            text = text
                .replace("\r\n", "\n")
                .chars()
                .map(|c| {
                    if c.is_ascii() && allowed(c as u8) {
                        c
                    } else {
                        '?'
                    }
                })
                .collect();
        }
        Self {
            text: Cow::Owned(text),
            ..self
        }
    }

    /// From the wire; `text` holds no control characters but LF between lines.
    fn received(code: u16, enhanced: Option<EnhancedStatus>, text: String) -> Self {
        Self {
            code,
            enhanced,
            text: Cow::Owned(text),
        }
    }

    /// The three digits.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The first digit.
    pub fn severity(&self) -> Severity {
        match self.code {
            ..300 => Severity::Completed,
            300..400 => Severity::Intermediate,
            400..500 => Severity::Transient,
            500.. => Severity::Permanent,
        }
    }

    /// `x.y.z`, which the first line began with.
    pub fn enhanced(&self) -> Option<EnhancedStatus> {
        self.enhanced
    }

    /// The text, line by line, without codes; at least one line, perhaps an empty one.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }

    /// Appends the reply in wire form; long lines become several of at most 512 octets.
    pub fn encode(&self, output: &mut BytesMut) {
        output.reserve(self.text.len() + 24);
        let mut pieces = self.lines().flat_map(pieces).peekable();
        while let Some(piece) = pieces.next() {
            let separator = if pieces.peek().is_some() { '-' } else { ' ' };
            // Infallible: BytesMut grows, and the values' Display does not fail.
            let _ = write!(output, "{}{separator}", self.code);
            if let Some(enhanced) = self.enhanced {
                let _ = write!(output, "{enhanced} ");
            }
            output.put_slice(piece.as_bytes());
            output.put_slice(b"\r\n");
        }
    }
}

/// One line for logs and histories: `550 5.7.1 text more text`.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for line in self.lines().filter(|line| !line.is_empty()) {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

/// Cuts a line at spaces, or anywhere when there is none, into pieces that fit the wire.
fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        if text.len() <= TEXT_MAX_OCTETS {
            return Some(text);
        }
        let (fitting, _) = text.split_at(text.floor_char_boundary(TEXT_MAX_OCTETS));
        let end = match fitting.rfind(' ') {
            Some(space) if space > 0 => space,
            _ => fitting.len(),
        };
        let (piece, left) = text.split_at(end);
        rest = Some(left.strip_prefix(' ').unwrap_or(left));
        Some(piece)
    })
}
