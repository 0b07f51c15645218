//! Lines that are no SMTP at all: other protocols that reached our port.
//!
//! A web page can make a browser send lines of its choosing to any port browsers do not block, and
//! a client out of step sends message headers where commands should stand. Answering such lines one
//! by one would sooner or later meet a line that is a command.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::char;
use nom::{IResult, Parser};

/// RFC 9110 section 9, RFC 5789, RFC 4918, and `PRI` of RFC 9113; none is also an SMTP verb.
const HTTP_METHODS: [&[u8]; 14] = [
    b"GET",
    b"POST",
    b"PUT",
    b"HEAD",
    b"DELETE",
    b"OPTIONS",
    b"CONNECT",
    b"TRACE",
    b"PATCH",
    b"PRI",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"REPORT",
];

/// Whether a line that is no SMTP command belongs to something else.
pub(super) fn is_foreign(line: &[u8]) -> bool {
    let mut rule = alt((http_request, header_field, tls_handshake));
    rule.parse(line).is_ok()
}

/// `method SP request-target SP HTTP-version`, RFC 9112 section 3; the method alone is enough.
fn http_request(line: &[u8]) -> IResult<&[u8], ()> {
    let token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    let (rest, method) = take_while1(token)(line)?;
    let (rest, _) = char(' ')(rest)?;
    if HTTP_METHODS.contains(&method) || has_http_version(rest) {
        return Ok((rest, ()));
    }
    Err(mismatch(line))
}

fn has_http_version(line: &[u8]) -> bool {
    line.rsplit(|octet| *octet == b' ')
        .next()
        .is_some_and(|word| word.starts_with(b"HTTP/"))
}

/// `field-name ":"`, RFC 5322 section 2.2, with the narrower names that real headers have.
fn header_field(line: &[u8]) -> IResult<&[u8], ()> {
    let name =
        take_while1(|octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'));
    (name, char(':')).map(|_| ()).parse(line)
}

/// The record header of a TLS `ClientHello` sent to a port without implicit TLS.
fn tls_handshake(line: &[u8]) -> IResult<&[u8], ()> {
    tag(&[0x16, 0x03][..]).map(|_| ()).parse(line)
}

fn mismatch(line: &[u8]) -> nom::Err<nom::error::Error<&[u8]>> {
    nom::Err::Error(nom::error::Error::new(line, nom::error::ErrorKind::Tag))
}
