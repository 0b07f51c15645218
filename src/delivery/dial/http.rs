//! `CONNECT` of HTTP (RFC 9110 section 9.3.6), with Basic credentials (RFC 7617).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::BytesMut;
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::error::Refusal;
use crate::proxy::Login;

/// No proxy's answer to CONNECT comes near.
const HEADER_MAX_OCTETS: usize = 8 * 1024;

/// Of a status line, this much is shown.
const SHOWN_MAX_CHARACTERS: usize = 120;

/// Asks for a connection to `host`, whose name is the proxy's to resolve. What was read beyond the
/// proxy's answer is the target's.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    login: Option<&Login>,
    host: &str,
    port: u16,
) -> Result<BytesMut, Refusal> {
    let target = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let request = request(&target, login);
    stream.write_all(request.as_bytes()).await?;
    let mut input = BytesMut::with_capacity(1024);
    let end = loop {
        if let Some(end) = memmem::find(&input, b"\r\n\r\n") {
            break end + 4;
        }
        if input.len() >= HEADER_MAX_OCTETS || !begins_like_http(&input) {
            return Err(Refusal::OtherProtocol("HTTP"));
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Err(Refusal::Lost(std::io::ErrorKind::UnexpectedEof.into()));
        }
    };
    if end > HEADER_MAX_OCTETS {
        return Err(Refusal::OtherProtocol("HTTP"));
    }
    let header = input.split_to(end);
    let (code, line) = status(&header).ok_or(Refusal::OtherProtocol("HTTP"))?;
    match code {
        200..300 => Ok(input),
        407 if login.is_none() => Err(Refusal::LoginNeeded),
        407 => Err(Refusal::LoginRefused),
        // What it says when it tried, and failed.
        500..600 => Err(Refusal::Target {
            target,
            reply: line,
        }),
        _ => Err(Refusal::Forbidden {
            target,
            reply: line,
        }),
    }
}

/// May hold a password; made in one piece, so that growing leaves no copy behind.
fn request(target: &str, login: Option<&Login>) -> Zeroizing<String> {
    let mut request = Zeroizing::new(String::with_capacity(2048));
    let _ = write!(request, "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(login) = login {
        let pair = [login.user.reveal(), ":", login.password.reveal()];
        let pair = Zeroizing::new(pair.concat());
        request.push_str("Proxy-Authorization: Basic ");
        BASE64_STANDARD.encode_string(pair.as_bytes(), &mut request);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request
}

fn begins_like_http(input: &[u8]) -> bool {
    const START: &[u8] = b"HTTP/1.";
    let length = input.len().min(START.len());
    input.get(..length) == START.get(..length)
}

/// `HTTP-version SP status-code SP [ reason-phrase ]`, RFC 9112 section 4, fit for a log.
fn status(header: &[u8]) -> Option<(u16, String)> {
    let line = header.split(|octet| *octet == b'\r').next()?;
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    words
        .next()
        .filter(|version| version.starts_with("HTTP/1."))?;
    let code = words.next().filter(|code| code.len() == 3)?.parse().ok()?;
    let printable = |c: char| if c.is_control() { '?' } else { c };
    let shown = line.chars().map(printable).take(SHOWN_MAX_CHARACTERS);
    Some((code, shown.collect()))
}
