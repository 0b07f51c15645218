//! The words of RFC 3461: who wants to hear what about a message. Each `parse` is the inverse of
//! `Display`: the form of the parameter's value, which is stored in the queue as well.

use std::fmt::{self, Write as _};

use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_while_m_n, take_while1};
use nom::character::complete::char;
use nom::combinator::{all_consuming, map_opt, rest, value};
use nom::multi::{fold_many0, separated_list1};
use nom::{IResult, Parser};

/// RFC 3461 section 4.4: 100 characters, encoded.
const ENVELOPE_ID_MAX_OCTETS: usize = 100;
/// RFC 3461 section 4.2: 500 characters, address type included.
const ORIGINAL_RECIPIENT_MAX_OCTETS: usize = 500;

/// `RET=`: how much of the message a failure notice returns (RFC 3461 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its header section.
    Headers,
}

/// `NOTIFY=`: when the sender wants a notice (RFC 3461 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// Under no circumstances.
    Never,
    /// On those of the three events that are true; never none of them.
    On {
        /// The message was delivered.
        success: bool,
        /// It could not be.
        failure: bool,
        /// It takes long.
        delay: bool,
    },
}

/// `ENVID=`, decoded: printable US-ASCII (RFC 3461 section 4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeId(Box<str>);

/// `ORCPT=`, decoded (RFC 3461 section 4.2, RFC 6533 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRecipient {
    address_type: Box<str>,
    address: Box<str>,
}

impl Ret {
    /// `"FULL" / "HDRS"`
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("FULL") {
            Some(Self::Full)
        } else if text.eq_ignore_ascii_case("HDRS") {
            Some(Self::Headers)
        } else {
            None
        }
    }
}

impl fmt::Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        })
    }
}

impl Notify {
    /// `"NEVER" / 1#( "SUCCESS" / "FAILURE" / "DELAY" )`
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("NEVER") {
            return Some(Self::Never);
        }
        let event = alt((
            value((true, false, false), tag_no_case("SUCCESS")),
            value((false, true, false), tag_no_case("FAILURE")),
            value((false, false, true), tag_no_case("DELAY")),
        ));
        let list: IResult<&str, Vec<(bool, bool, bool)>> =
            all_consuming(separated_list1(char(','), event)).parse(text);
        let (_, events) = list.ok()?;
        Some(Self::On {
            success: events.iter().any(|event| event.0),
            failure: events.iter().any(|event| event.1),
            delay: events.iter().any(|event| event.2),
        })
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::On {
            success,
            failure,
            delay,
        } = *self
        else {
            return f.write_str("NEVER");
        };
        let events = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
        let mut separator = "";
        for (_, name) in events.iter().filter(|(wanted, _)| *wanted) {
            write!(f, "{separator}{name}")?;
            separator = ",";
        }
        Ok(())
    }
}

impl EnvelopeId {
    /// `xtext`, RFC 3461 section 4.4.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > ENVELOPE_ID_MAX_OCTETS {
            return None;
        }
        let decoded = decode_xtext(text)?;
        let printable = decoded.bytes().all(|octet| matches!(octet, b' '..=b'~'));
        let id = (printable && !decoded.is_empty()).then(|| Self(decoded.into()))?;
        // As below, of a space that was not encoded.
        (id.to_string().len() <= ENVELOPE_ID_MAX_OCTETS).then_some(id)
    }

    /// The identifier as the sender thinks of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As xtext, the way it stands in the command.
impl fmt::Display for EnvelopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        encode_xtext(&self.0, f)
    }
}

impl OriginalRecipient {
    /// `original-recipient-address = addr-type ";" xtext`
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > ORIGINAL_RECIPIENT_MAX_OCTETS {
            return None;
        }
        let atom = take_while1(|c: char| c.is_ascii_alphanumeric() || c == '-');
        let rule: IResult<&str, (&str, char, &str)> = (atom, char(';'), rest).parse(text);
        let (_, (address_type, _, address)) = rule.ok()?;
        let address = decode_xtext(address)?;
        if address.is_empty() {
            return None;
        }
        let recipient = Self {
            address_type: address_type.into(),
            address: address.into(),
        };
        // Raw UTF-8 grows when it is encoded, and what is taken in must fit on its way out.
        (recipient.to_string().len() <= ORIGINAL_RECIPIENT_MAX_OCTETS).then_some(recipient)
    }

    /// `rfc822`, `utf-8`, or another registered type, as it was written.
    pub fn address_type(&self) -> &str {
        &self.address_type
    }

    /// The address the sender first used.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// `addr-type ";" xtext`, the way it stands in the command.
impl fmt::Display for OriginalRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};", self.address_type)?;
        encode_xtext(&self.address, f)
    }
}

/// `xtext = *( xchar / hexchar )`, RFC 3461 section 4. None when the octets are not text without
/// controls and the line ends of Unicode: such a value could end a line later.
fn decode_xtext(text: &str) -> Option<String> {
    let hex = |c: char| c.is_ascii_digit() || matches!(c, 'A'..='F');
    let hexchar = map_opt((tag("+"), take_while_m_n(2, 2, hex)), |(_, digits)| {
        u8::from_str_radix(digits, 16).ok()
    });
    let plain = take_while1(|c| c != '+' && c != '=');
    let piece = alt((hexchar.map(Piece::Octet), plain.map(Piece::Text)));
    let octets: IResult<&str, Vec<u8>> =
        all_consuming(fold_many0(piece, Vec::new, |mut octets: Vec<u8>, piece| {
            match piece {
                Piece::Octet(octet) => octets.push(octet),
                Piece::Text(text) => octets.extend_from_slice(text.as_bytes()),
            }
            octets
        }))
        .parse(text);
    let text = String::from_utf8(octets.ok()?.1).ok()?;
    let ends_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    (!text.contains(ends_line)).then_some(text)
}

enum Piece<'a> {
    Octet(u8),
    Text(&'a str),
}

fn encode_xtext(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for octet in text.bytes() {
        match octet {
            b'!'..=b'~' if octet != b'+' && octet != b'=' => f.write_char(char::from(octet))?,
            _ => write!(f, "+{octet:02X}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_the_same() {
        for text in ["FULL", "HDRS"] {
            assert_eq!(Ret::parse(text).unwrap().to_string(), text);
        }
        for text in ["NEVER", "SUCCESS", "FAILURE,DELAY", "SUCCESS,FAILURE,DELAY"] {
            assert_eq!(Notify::parse(text).unwrap().to_string(), text);
        }
        for text in ["QQ314159", "a+2Bb+3Dc+20d"] {
            assert_eq!(EnvelopeId::parse(text).unwrap().to_string(), text);
        }
        for text in ["rfc822;bob+2Bx@y", "utf-8;b\\x{FC}ro@y", "x400;/C+3Dde"] {
            let parsed = OriginalRecipient::parse(text).unwrap();
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn no_value_can_end_a_line() {
        for address in ["a+0D+0Ab", "a+85b", "a\u{2028}b", "a+E2+80+A9b", "a+C2+85b"] {
            let text = format!("utf-8;{address}");
            assert_eq!(OriginalRecipient::parse(&text), None, "{text}");
            assert_eq!(EnvelopeId::parse(address), None, "{address}");
        }
    }

    #[test]
    fn what_would_outgrow_its_limit_on_the_way_out_is_refused_on_the_way_in() {
        let fits = format!("utf-8;{}", "ü".repeat(82));
        let encoded = OriginalRecipient::parse(&fits).unwrap().to_string();
        assert_eq!(
            OriginalRecipient::parse(&encoded).unwrap().to_string(),
            encoded
        );
        assert_eq!(
            OriginalRecipient::parse(&format!("utf-8;{}", "ü".repeat(83))),
            None
        );
        let fits = format!("x{}", " ".repeat(33));
        assert_eq!(EnvelopeId::parse(&fits).unwrap().to_string().len(), 100);
        assert_eq!(EnvelopeId::parse(&format!("x{fits}")), None);
    }
}
