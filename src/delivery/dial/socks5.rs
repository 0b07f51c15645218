//! SOCKS version 5 (RFC 1928), with user name and password (RFC 1929).

use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::error::Refusal;
use crate::proxy::Login;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USERNAME_PASSWORD: u8 = 2;
const NO_ACCEPTABLE_METHOD: u8 = 0xff;

/// RFC 1929 section 2.
const LOGIN_VERSION: u8 = 1;

const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const DOMAIN_NAME: u8 = 3;
const IPV6: u8 = 4;

/// Asks for a connection to `host`, whose name is the proxy's to resolve. Not an octet is read beyond
/// the proxy's last reply.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    login: Option<&Login>,
    host: &str,
    port: u16,
) -> Result<(), Refusal> {
    let methods: &[u8] = match login {
        Some(_) => &[NO_AUTHENTICATION, USERNAME_PASSWORD],
        None => &[NO_AUTHENTICATION],
    };
    let count = methods.len() as u8;
    stream
        .write_all(&[&[VERSION, count], methods].concat())
        .await?;
    let [version, method] = read(stream).await?;
    match (version, method, login) {
        (VERSION, NO_AUTHENTICATION, _) => {}
        (VERSION, USERNAME_PASSWORD, Some(login)) => authenticate(stream, login).await?,
        (VERSION, NO_ACCEPTABLE_METHOD, None) => return Err(Refusal::LoginNeeded),
        (VERSION, NO_ACCEPTABLE_METHOD, Some(_)) => return Err(Refusal::LoginRefused),
        _ => return Err(Refusal::OtherProtocol("SOCKS5")),
    }
    stream.write_all(&request(host, port)?).await?;
    let [version, reply, _reserved, address_type] = read(stream).await?;
    if version != VERSION {
        return Err(Refusal::OtherProtocol("SOCKS5"));
    }
    if reply != 0 {
        return Err(refused(reply, format!("{host}:{port}")));
    }
    // The address it connects from, and a port: of no use, but on the way.
    let length = match address_type {
        IPV4 => 4,
        IPV6 => 16,
        DOMAIN_NAME => {
            let [length] = read(stream).await?;
            usize::from(length)
        }
        _ => return Err(Refusal::OtherProtocol("SOCKS5")),
    };
    let mut bound = vec![0; length + 2];
    stream.read_exact(&mut bound).await?;
    Ok(())
}

async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    login: &Login,
) -> Result<(), Refusal> {
    let mut message = Zeroizing::new(Vec::with_capacity(1 + 2 * 256));
    message.push(LOGIN_VERSION);
    for part in [&login.user, &login.password] {
        put_short(&mut message, part.reveal())?;
    }
    stream.write_all(&message).await?;
    match read(stream).await? {
        [_, 0] => Ok(()),
        [_, _] => Err(Refusal::LoginRefused),
    }
}

fn request(host: &str, port: u16) -> io::Result<Vec<u8>> {
    let mut request = vec![VERSION, CONNECT, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend(address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend(address.octets());
        }
        Err(_) => {
            request.push(DOMAIN_NAME);
            put_short(&mut request, host)?;
        }
    }
    request.extend(port.to_be_bytes());
    Ok(request)
}

/// A text behind its length in one octet.
fn put_short(message: &mut Vec<u8>, text: &str) -> io::Result<()> {
    let length = u8::try_from(text.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a name over 255 octets"))?;
    message.push(length);
    message.extend(text.as_bytes());
    Ok(())
}

async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut octets = [0; N];
    stream.read_exact(&mut octets).await?;
    Ok(octets)
}

/// RFC 1928 section 6.
fn refused(reply: u8, target: String) -> Refusal {
    let words = match reply {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "the way is too long",
        7 => "it does not know CONNECT",
        8 => "it does not know this kind of address",
        _ => "unknown reply",
    };
    let words = format!("SOCKS5 reply {reply}: {words}");
    match reply {
        // What it says of names it cannot resolve, too.
        1 | 3..=6 => Refusal::Target {
            target,
            reply: words,
        },
        _ => Refusal::Forbidden {
            target,
            reply: words,
        },
    }
}
