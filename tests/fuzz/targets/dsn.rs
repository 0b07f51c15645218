//! The values of RFC 3461, each the inverse of its text.

use std::fmt::Display;

use exorelay::mail::dsn::{EnvelopeId, Notify, OriginalRecipient, Ret};
use exorelay::smtp::Command;

use super::assert_one_line;

pub(super) fn run(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else {
        return;
    };
    if let Some(ret) = Ret::parse(text) {
        assert_eq!(Ret::parse(&value(&ret)), Some(ret));
    }
    if let Some(notify) = Notify::parse(text) {
        assert_eq!(Notify::parse(&value(&notify)), Some(notify));
        assert!(
            notify
                != Notify::On {
                    success: false,
                    failure: false,
                    delay: false
                }
        );
    }
    if let Some(id) = EnvelopeId::parse(text) {
        assert_one_line(id.as_str());
        let written = value(&id);
        assert!(written.len() <= 100);
        assert_eq!(EnvelopeId::parse(&written).as_ref(), Some(&id));
        let line = format!("MAIL FROM:<> ENVID={written}");
        let Ok(Command::Mail { parameters, .. }) = Command::parse(line.as_bytes()) else {
            panic!("{line}");
        };
        assert_eq!(parameters.envelope_id, Some(id));
    }
    if let Some(recipient) = OriginalRecipient::parse(text) {
        assert_one_line(recipient.address());
        assert_one_line(recipient.address_type());
        let written = value(&recipient);
        assert!(written.len() <= 500);
        assert_eq!(
            OriginalRecipient::parse(&written).as_ref(),
            Some(&recipient)
        );
        let line = format!("RCPT TO:<a@b.example> ORCPT={written}");
        let Ok(Command::Rcpt { parameters, .. }) = Command::parse(line.as_bytes()) else {
            panic!("{line}");
        };
        assert_eq!(parameters.original_recipient, Some(recipient));
    }
}

/// As it stands in the command: `esmtp-value` of RFC 5321 section 4.1.2, in ASCII.
fn value(value: &impl Display) -> String {
    let text = value.to_string();
    assert!(
        text.bytes().all(|octet| octet.is_ascii_graphic()),
        "{text:?}"
    );
    text
}
