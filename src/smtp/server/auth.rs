//! AUTH PLAIN and AUTH LOGIN, an exchange of a few lines (RFC 4954, RFC 4616).
//!
//! LOGIN is in no RFC; devices that know nothing else compare its prompts octet by octet, so they are
//! those of everybody: `Username:` and `Password:` in base64.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::replies;
use crate::secret::Secret;
use crate::smtp::Reply;

/// What the client's next line is.
#[derive(Debug)]
pub(super) enum Exchange {
    /// All of PLAIN.
    Plain,
    /// The name of LOGIN.
    LoginName,
    /// The password of LOGIN, for this name.
    LoginPassword(Box<str>),
}

/// What one line of the exchange leads to.
#[derive(Debug)]
pub(super) enum Progress {
    /// Say this, then take the next line.
    Challenge(Reply, Exchange),
    /// The client has said everything.
    Credentials { name: Box<str>, password: Secret },
    /// It is over.
    Refused(Reply),
}

/// The command itself. The initial response `=` is an empty one.
pub(super) fn begin(mechanism: &str, initial: Option<&Secret>) -> Progress {
    let exchange = if mechanism.eq_ignore_ascii_case("PLAIN") {
        Exchange::Plain
    } else if mechanism.eq_ignore_ascii_case("LOGIN") {
        Exchange::LoginName
    } else {
        return Progress::Refused(replies::MECHANISM_UNKNOWN);
    };
    match (initial.map(Secret::reveal), &exchange) {
        (None, Exchange::Plain) => Progress::Challenge(replies::GO_AHEAD, exchange),
        (None, Exchange::LoginName | Exchange::LoginPassword(_)) => {
            Progress::Challenge(replies::NAME, exchange)
        }
        (Some("="), _) => respond(exchange, b""),
        (Some(initial), _) => respond(exchange, initial.as_bytes()),
    }
}

/// A line of the client, still in base64.
pub(super) fn respond(exchange: Exchange, line: &[u8]) -> Progress {
    let line = line.trim_ascii();
    if line == b"*" {
        return Progress::Refused(replies::AUTH_CANCELLED);
    }
    let Some(response) = decode(line) else {
        return Progress::Refused(replies::NOT_BASE64);
    };
    match exchange {
        Exchange::Plain => plain(&response),
        Exchange::LoginName if response.is_empty() => Progress::Refused(replies::NO_NAME),
        Exchange::LoginName => {
            let password = Exchange::LoginPassword(response.as_str().into());
            Progress::Challenge(replies::PASSWORD, password)
        }
        Exchange::LoginPassword(name) => Progress::Credentials {
            name,
            password: Secret::new(response.as_str()),
        },
    }
}

/// `[authzid] NUL authcid NUL passwd`, RFC 4616 section 2. To act for somebody else is not offered.
fn plain(message: &str) -> Progress {
    let mut parts = message.split('\0');
    let (Some(authorized), Some(name), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Progress::Refused(replies::NOT_PLAIN);
    };
    if name.is_empty() || !(authorized.is_empty() || authorized == name) {
        return Progress::Refused(replies::NOT_PLAIN);
    }
    Progress::Credentials {
        name: name.into(),
        password: Secret::new(password),
    }
}

/// Devices forget the padding.
fn decode(line: &[u8]) -> Option<Zeroizing<String>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, config);
    let octets = Zeroizing::new(engine.decode(line).ok()?);
    let text = std::str::from_utf8(&octets).ok()?;
    Some(Zeroizing::new(text.to_owned()))
}
