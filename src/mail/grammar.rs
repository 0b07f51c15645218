//! The address grammar of RFC 5321 section 4.1.2, widened by RFC 6531 section 3.3.
//!
//! One small function per rule. Each recognises a prefix of its input and answers (rest, matched);
//! lengths are not judged here but in [`crate::mail::Mailbox`]. No rule ever matches a control
//! character, so nothing that was recognised here can end a line on the wire.

use std::net::{Ipv4Addr, Ipv6Addr};

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag_no_case, take_while1};
use nom::character::complete::{char, satisfy};
use nom::combinator::{all_consuming, recognize, rest, verify};
use nom::multi::many0_count;
use nom::sequence::delimited;
use nom::{IResult, Parser};

/// RFC 1035 section 2.3.4; a U-label may be longer in octets than its A-label.
const LABEL_MAX_OCTETS: usize = 63;

/// `Local-part = Dot-string / Quoted-string`
pub(crate) fn local_part(input: &str) -> IResult<&str, &str> {
    alt((quoted_string, dot_string)).parse(input)
}

/// `Dot-string = Atom *("." Atom)`
fn dot_string(input: &str) -> IResult<&str, &str> {
    let atom = || take_while1(is_atext);
    recognize((atom(), many0_count((char('.'), atom())))).parse(input)
}

/// `Quoted-string = DQUOTE *QcontentSMTP DQUOTE`
pub(crate) fn quoted_string(input: &str) -> IResult<&str, &str> {
    let quoted_pair = recognize((char('\\'), satisfy(|c| matches!(c, ' '..='~'))));
    let content = alt((take_while1(is_qtext), quoted_pair));
    recognize(delimited(char('"'), many0_count(content), char('"'))).parse(input)
}

/// `Domain = sub-domain *("." sub-domain)`, with underscores, which real host names have.
pub(crate) fn domain(input: &str) -> IResult<&str, &str> {
    recognize((label, many0_count((char('.'), label)))).parse(input)
}

fn label(input: &str) -> IResult<&str, &str> {
    verify(take_while1(is_label_character), |label: &str| {
        !label.starts_with('-')
            && !label.ends_with('-')
            && (label.len() <= LABEL_MAX_OCTETS || !label.is_ascii())
    })
    .parse(input)
}

/// `address-literal = "[" ( IPv4-address-literal / IPv6-address-literal ) "]"`; RFC 5321 section
/// 4.1.3 knows a general form too, for which no tag was ever registered.
pub(crate) fn address_literal(input: &str) -> IResult<&str, &str> {
    recognize(delimited(
        char('['),
        verify(is_not("[]\\ "), is_ip_address),
        char(']'),
    ))
    .parse(input)
}

fn is_ip_address(text: &str) -> bool {
    let ipv6: IResult<&str, (&str, &str)> = all_consuming((tag_no_case("IPv6:"), rest)).parse(text);
    match ipv6 {
        Ok((_, (_, address))) => address.parse::<Ipv6Addr>().is_ok(),
        Err(_) => text.parse::<Ipv4Addr>().is_ok(),
    }
}

/// `atext` of RFC 5322 section 3.2.3 plus `UTF8-non-ascii`.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_visible_non_ascii(c)
}

/// `qtextSMTP = %d32-33 / %d35-91 / %d93-126 / UTF8-non-ascii`
fn is_qtext(c: char) -> bool {
    matches!(c, ' ' | '!' | '#'..='[' | ']'..='~') || is_visible_non_ascii(c)
}

fn is_label_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || is_visible_non_ascii(c)
}

/// Without the C1 controls and the other line ends and spaces of Unicode, which would let an
/// address break a log line apart.
fn is_visible_non_ascii(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && !c.is_whitespace()
}
