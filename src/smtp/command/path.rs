//! `Path = "<" [ A-d-l ":" ] Mailbox ">"` (RFC 5321 section 4.1.2), and what devices send instead.
//!
//! First the extent of the path is found (a quoted local-part may hold `>` and spaces), then its
//! text is judged by the mailbox grammar, so that the error says what is wrong with the address.

use nom::branch::alt;
use nom::bytes::complete::{tag_no_case, take_while1};
use nom::character::complete::{char, space0};
use nom::combinator::{recognize, rest};
use nom::multi::{many0_count, many1_count, separated_list1};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

use crate::mail::grammar::{address_literal, domain, quoted_string};
use crate::mail::{Mailbox, MailboxError};

/// `keyword ":" path`, answering the parameters and the text between the angle brackets.
///
/// Tolerated: spaces round the colon, and a path without angle brackets.
pub(super) fn path_argument<'a>(
    keyword: &'static str,
    input: &'a str,
) -> IResult<&'a str, &'a str> {
    preceded(
        (space0, tag_no_case(keyword), space0, char(':'), space0),
        alt((bracketed, bare)),
    )
    .parse(input)
}

fn bracketed(input: &str) -> IResult<&str, &str> {
    let plain = take_while1(|c| !matches!(c, '>' | '"'));
    delimited(
        char('<'),
        recognize(many0_count(alt((quoted_string, plain)))),
        char('>'),
    )
    .map(str::trim_ascii)
    .parse(input)
}

fn bare(input: &str) -> IResult<&str, &str> {
    let plain = take_while1(|c| !matches!(c, ' ' | '\t' | '<' | '>' | '"'));
    recognize(many1_count(alt((quoted_string, plain)))).parse(input)
}

/// The mailbox of a path that is not empty. A source route is recognised and dropped (RFC 5321
/// appendix C: servers must take it and should ignore it).
pub(super) fn mailbox(path: &str) -> Result<Mailbox, MailboxError> {
    if !path.starts_with('@') {
        return Mailbox::parse(path);
    }
    let (_, mailbox) = source_route(path).map_err(|_error| MailboxError::Syntax)?;
    Mailbox::parse(mailbox)
}

/// `A-d-l ":" Mailbox`, `A-d-l = At-domain *( "," At-domain )`
fn source_route(input: &str) -> IResult<&str, &str> {
    let at_domain = preceded((space0, char('@')), alt((domain, address_literal)));
    let route = separated_list1(char(','), at_domain);
    preceded((route, char(':'), space0), rest).parse(input)
}
