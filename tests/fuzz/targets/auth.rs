//! Who a client says it is: AUTH PLAIN and LOGIN of clients, XOAUTH2 of the sandbox.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use exorelay::secret::Secret;
use exorelay::smtp::{
    Action, Demand, ServerSettings, Session, Severity, decode_xoauth2_response, xoauth2_response,
};

use super::variant;

pub(super) fn run(octets: &[u8]) {
    let (kind, octets) = variant(octets);
    let encoded = BASE64_STANDARD.encode(octets);
    match kind % 4 {
        0 => raw(octets),
        1 => plain(octets, &encoded),
        2 => login(octets),
        _ => xoauth2(octets, &encoded),
    }
}

/// Any lines after `AUTH`; none of them is ever taken for a command.
fn raw(octets: &[u8]) {
    let mut lines = octets.split(|octet| *octet == b'\n');
    let mut session = session();
    let first = [b"AUTH ", lines.next().unwrap_or_default()].concat();
    let mut action = session.receive(&first);
    while let Action::Reply(reply) = &action
        && reply.code() == 334
    {
        let Some(line) = lines.next() else { return };
        action = session.receive(line);
    }
    match action {
        Action::CheckLogin { name, .. } => assert!(!name.is_empty()),
        Action::Reply(reply) => assert_eq!(reply.severity(), Severity::Permanent),
        other => panic!("{other:?}"),
    }
}

/// `message = [authzid] UTF8NUL authcid UTF8NUL passwd`, RFC 4616 section 2.
fn plain(message: &[u8], encoded: &str) {
    let expected = std::str::from_utf8(message).ok().and_then(|message| {
        let [authorized, name, password] = message.split('\0').collect::<Vec<_>>()[..] else {
            return None;
        };
        let is_own = authorized.is_empty() || authorized == name;
        (is_own && !name.is_empty()).then_some((name, password))
    });
    let mut at_once = session();
    let initial = if encoded.is_empty() { "=" } else { encoded };
    let at_once = at_once.receive(format!("AUTH PLAIN {initial}").as_bytes());
    let mut asked = session();
    assert!(matches!(asked.receive(b"AUTH PLAIN"), Action::Reply(reply) if reply.code() == 334));
    assert_eq!(asked.receive(encoded.as_bytes()), at_once);
    judge(&at_once, expected);
}

/// Name and password, separated by the first NUL.
fn login(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else {
        return;
    };
    let (name, password) = text.split_once('\0').unwrap_or((text, ""));
    let mut session = session();
    session.receive(b"AUTH LOGIN");
    let mut action = session.receive(BASE64_STANDARD.encode(name).as_bytes());
    if matches!(&action, Action::Reply(reply) if reply.code() == 334) {
        action = session.receive(BASE64_STANDARD.encode(password).as_bytes());
    }
    judge(&action, (!name.is_empty()).then_some((name, password)));
}

fn judge(action: &Action, expected: Option<(&str, &str)>) {
    match (action, expected) {
        (Action::CheckLogin { name, password }, Some(expected)) => {
            assert_eq!((name.as_ref(), password.reveal()), expected);
        }
        (Action::Reply(reply), None) => assert_eq!(reply.severity(), Severity::Permanent),
        (action, expected) => panic!("{action:?}, not {expected:?}"),
    }
}

fn xoauth2(octets: &[u8], encoded: &str) {
    let text = String::from_utf8_lossy(octets);
    let _ = decode_xoauth2_response(&text);
    if let Ok(credentials) = decode_xoauth2_response(encoded) {
        let response = xoauth2_response(&credentials.user, &credentials.token);
        assert_eq!(decode_xoauth2_response(response.reveal()), Ok(credentials));
    }
    let (user, token) = text.split_once('\n').unwrap_or((&text, "t"));
    let response = xoauth2_response(user, &Secret::new(token));
    let is_plain = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_ascii_control());
    match decode_xoauth2_response(response.reveal()) {
        Ok(found) => assert_eq!((found.user.as_str(), found.token.reveal()), (user, token)),
        Err(_) => assert!(!is_plain(user) || !is_plain(token)),
    }
}

fn session() -> Session {
    let settings = ServerSettings {
        hostname: "relay.contoso.local".into(),
        message_size_max_bytes: 1000,
        recipients_max: 10,
        errors_max: 10,
        starttls: Demand::Never,
        auth: Demand::Offered,
        auth_in_plain_text: true,
    };
    Session::new(Arc::new(settings), false)
}
