//! Replies from the wire.

use bytes::BytesMut;
use memchr::{memchr, memchr2};
use nom::branch::alt;
use nom::bytes::complete::take_while_m_n;
use nom::character::complete::char;
use nom::combinator::{eof, map_opt, rest, value};
use nom::{IResult, Parser};

use crate::mail::EnhancedStatus;
use crate::smtp::Reply;

/// RFC 5321 section 4.5.3.1.5 says 512; Exchange Online writes longer diagnostics than that.
const LINE_MAX_OCTETS: usize = 2048;
const LINES_MAX: usize = 128;
const REPLY_MAX_OCTETS: usize = 64 * 1024;

/// The peer sent something that is not a reply; the connection is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// No line end within 2,048 octets.
    #[error("a line of the reply is longer than {LINE_MAX_OCTETS} octets")]
    LineTooLong,
    /// Over 128 lines, or 64 KiB.
    #[error("the reply is longer than {LINES_MAX} lines or {REPLY_MAX_OCTETS} octets")]
    TooLong,
    /// A line does not begin with a code of 200 to 599.
    #[error("the peer sent a line that is not an SMTP reply")]
    NotAReply,
    /// RFC 5321 section 4.2.1: the code of every line must be the same.
    #[error("a reply begins with code {first} and goes on with {other}")]
    CodesDiffer {
        /// Of the first line.
        first: u16,
        /// Of a later line.
        other: u16,
    },
}

/// Takes replies out of a buffer, however they were cut on the way.
///
/// Generous in form: bare LF, a code without text, octets that are no UTF-8 (replaced), controls
/// (replaced). Whatever follows a complete reply stays in the buffer, so that its length tells
/// whether a peer sent more than it was asked for.
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    searched: usize,
    begun: Option<Begun>,
}

/// A reply whose last line is still to come.
#[derive(Debug)]
struct Begun {
    code: u16,
    enhanced: Option<EnhancedStatus>,
    text: String,
    lines: usize,
    octets: usize,
}

struct ReplyLine<'a> {
    code: u16,
    is_last: bool,
    text: &'a [u8],
}

impl ReplyDecoder {
    /// A decoder before the first line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether some lines of a reply have come, but not its last.
    pub fn is_within_reply(&self) -> bool {
        self.begun.is_some()
    }

    /// Takes the next whole reply out of `buffer`; `None` when more octets are needed. Between two
    /// calls octets may only be added at the end of `buffer`.
    ///
    /// # Errors
    /// After any error the connection must be closed: it is unknown where the next reply begins.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Reply>, ReplyError> {
        loop {
            let unsearched = buffer.get(self.searched..).unwrap_or_default();
            let Some(distance) = memchr(b'\n', unsearched) else {
                self.searched = buffer.len();
                return if self.searched >= LINE_MAX_OCTETS {
                    Err(ReplyError::LineTooLong)
                } else {
                    Ok(None)
                };
            };
            let length = self.searched + distance + 1;
            if length > LINE_MAX_OCTETS {
                return Err(ReplyError::LineTooLong);
            }
            self.searched = 0;
            let octets = buffer.split_to(length);
            let line = ReplyLine::parse(octets.trim_ascii_end())?;
            let is_last = line.is_last;
            let begun = match self.begun.take() {
                None => Begun::first(&line, length),
                Some(begun) => begun.append(&line, length)?,
            };
            if is_last {
                return Ok(Some(Reply::received(
                    begun.code,
                    begun.enhanced,
                    begun.text,
                )));
            }
            self.begun = Some(begun);
        }
    }
}

impl<'a> ReplyLine<'a> {
    /// `Reply-code ( "-" / SP ) [ textstring ]`
    fn parse(line: &'a [u8]) -> Result<Self, ReplyError> {
        let code = map_opt(
            take_while_m_n(3, 3, |octet: u8| octet.is_ascii_digit()),
            |digits: &[u8]| {
                let code = digits
                    .iter()
                    .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
                (200..600).contains(&code).then_some(code)
            },
        );
        let separator = alt((
            value(false, char('-')),
            value(true, char(' ')),
            value(true, eof),
        ));
        let rule: IResult<&[u8], (u16, bool, &[u8])> = (code, separator, rest).parse(line);
        let (_, (code, is_last, text)) = rule.map_err(|_error| ReplyError::NotAReply)?;
        Ok(Self {
            code,
            is_last,
            text,
        })
    }

    /// The enhanced status code that the text begins with, if it agrees with the code (RFC 2034
    /// section 4), and the text after it.
    fn split_enhanced(&self) -> (Option<EnhancedStatus>, &'a [u8]) {
        let end = memchr2(b' ', b'\t', self.text).unwrap_or(self.text.len());
        let (word, after) = self.text.split_at_checked(end).unwrap_or_default();
        let enhanced = std::str::from_utf8(word)
            .ok()
            .and_then(|word| EnhancedStatus::parse(word).ok())
            .filter(|enhanced| u16::from(enhanced.class()) == self.code / 100);
        match enhanced {
            Some(enhanced) => (Some(enhanced), after.trim_ascii_start()),
            None => (None, self.text),
        }
    }
}

impl Begun {
    fn first(line: &ReplyLine<'_>, octets: usize) -> Self {
        let (enhanced, rest) = line.split_enhanced();
        let mut text = String::new();
        push_text(&mut text, rest);
        Self {
            code: line.code,
            enhanced,
            text,
            lines: 1,
            octets,
        }
    }

    fn append(mut self, line: &ReplyLine<'_>, octets: usize) -> Result<Self, ReplyError> {
        if line.code != self.code {
            return Err(ReplyError::CodesDiffer {
                first: self.code,
                other: line.code,
            });
        }
        self.lines += 1;
        self.octets += octets;
        if self.lines > LINES_MAX || self.octets > REPLY_MAX_OCTETS {
            return Err(ReplyError::TooLong);
        }
        let rest = match line.split_enhanced() {
            (Some(enhanced), rest) if self.enhanced == Some(enhanced) => rest,
            _ => line.text,
        };
        self.text.push('\n');
        push_text(&mut self.text, rest);
        Ok(self)
    }
}

/// Text of a peer must not break a log line or a reply of ours.
fn push_text(text: &mut String, octets: &[u8]) {
    let printable = octets.iter().all(|octet| matches!(octet, b' '..=b'~'));
    match std::str::from_utf8(octets) {
        Ok(line) if printable => text.push_str(line),
        _ => text.extend(String::from_utf8_lossy(octets).chars().map(|c| match c {
            '\t' => ' ',
            // No blank: it would set apart what was one word, such as a status code.
            '\u{2028}' | '\u{2029}' => '?',
            _ if c.is_control() => '?',
            _ => c,
        })),
    }
}
