//! The part for programs: `message/delivery-status` (RFC 3464 section 2).

use jiff::Zoned;

use super::encoding::{address_xtext, ascii_line, field, folded, shortened};
use super::{Notice, NoticeKind, Undelivered};
use crate::mail::{EnhancedStatus, date_time};

/// The queue puts this before the last reply of recipients that it gives up because of their age.
const EXPIRED: &str = "expired in the queue; last: ";

/// Of a reply, in characters: the whole of any that is meant to be read.
const DIAGNOSTIC_MAX: usize = 1_000;

/// Fields about the message, then a group for each recipient, with empty lines between them.
pub(super) fn report(notice: &Notice<'_>) -> String {
    let about = &notice.about;
    let mut text = folded(
        "Reporting-MTA",
        &format!("dns; {}", ascii_line(notice.heading.hostname)),
    );
    if let Some(id) = about.envelope_id {
        text.push_str(&folded("Original-Envelope-Id", &ascii_line(id)));
    }
    text.push_str(&date("Arrival-Date", about.received));
    for recipient in notice.recipients {
        text.push_str("\r\n");
        group(notice, recipient, &mut text);
    }
    text
}

fn group(notice: &Notice<'_>, recipient: &Undelivered<'_>, text: &mut String) {
    if let Some((kind, address)) = recipient.original {
        let original = typed(kind, address);
        text.push_str(&field("Original-Recipient", &original));
    }
    // Addresses fit into a line, and must not be folded inside their quotes.
    let address = typed("rfc822", recipient.address);
    text.push_str(&field("Final-Recipient", &address));
    let action = match notice.kind {
        NoticeKind::Delayed => "delayed",
        NoticeKind::Failed => "failed",
    };
    text.push_str(&folded("Action", action));
    let status = status(notice.kind, recipient.reply);
    text.push_str(&folded("Status", &status.to_string()));
    if let Some(host) = notice.remote {
        text.push_str(&folded("Remote-MTA", &format!("dns; {}", ascii_line(host))));
    }
    if let Some(reply) = recipient.reply {
        let cause = reply.strip_prefix(EXPIRED).unwrap_or(reply);
        // What no SMTP server has said is no `smtp` diagnostic (RFC 3464 section 2.3.6).
        let kind = if code(cause).is_some() {
            "smtp"
        } else {
            "x-exorelay"
        };
        let said = ascii_line(&shortened(cause, DIAGNOSTIC_MAX));
        text.push_str(&folded("Diagnostic-Code", &format!("{kind}; {said}")));
    }
    if let Some(at) = recipient.last_attempt {
        text.push_str(&date("Last-Attempt-Date", at));
    }
    text.push_str(&folded("Final-Log-ID", notice.about.id));
    if let (NoticeKind::Delayed, Some(at)) = (notice.kind, notice.about.given_up) {
        text.push_str(&date("Will-Retry-Until", at));
    }
}

fn date(name: &str, at: &Zoned) -> String {
    field(name, &date_time(at))
}

/// `address-type ";" generic-address`; what is not US-ASCII is of type `utf-8` and encoded, so that the
/// part stays US-ASCII (RFC 6533 section 3).
fn typed(kind: &str, address: &str) -> String {
    if address.is_ascii() {
        format!("{}; {}", ascii_line(kind), ascii_line(address))
    } else {
        format!("utf-8; {}", address_xtext(address))
    }
}

/// The reply's own status, as far as it agrees with what became of the recipient.
pub(super) fn status(kind: NoticeKind, reply: Option<&str>) -> EnhancedStatus {
    const EXPIRED_STATUS: EnhancedStatus = EnhancedStatus::new(4, 4, 7);
    let reply = reply.unwrap_or_default();
    if reply.starts_with(EXPIRED) {
        return EXPIRED_STATUS;
    }
    let (class, unknown) = match kind {
        NoticeKind::Delayed => (4, EnhancedStatus::new(4, 0, 0)),
        NoticeKind::Failed => (5, EnhancedStatus::new(5, 0, 0)),
    };
    let said = code(reply).and_then(|_| {
        let word = reply.split(' ').nth(1)?;
        EnhancedStatus::parse(word).ok()
    });
    said.filter(|said| said.class() == class).unwrap_or(unknown)
}

/// The reply code at the beginning of what a server has said.
fn code(reply: &str) -> Option<u16> {
    let (code, _) = reply.split_once(' ').unwrap_or((reply, ""));
    let digits = code.len() == 3 && code.bytes().all(|octet| octet.is_ascii_digit());
    code.parse()
        .ok()
        .filter(|code| digits && (200..600).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_that_of_the_reply_where_it_fits() {
        use NoticeKind::{Delayed, Failed};
        for (kind, reply, expected) in [
            (
                Failed,
                Some("550 5.1.10 RESOLVER.ADR.RecipientNotFound"),
                "5.1.10",
            ),
            (Failed, Some("550 no such user"), "5.0.0"),
            (Failed, Some("552 4.3.1 odd"), "5.0.0"),
            (
                Failed,
                Some("expired in the queue; last: 451 4.7.0 busy"),
                "4.4.7",
            ),
            (
                Failed,
                Some("expired in the queue; last: never tried"),
                "4.4.7",
            ),
            (Failed, None, "5.0.0"),
            (Failed, Some("5.1.1 is no code"), "5.0.0"),
            (Delayed, Some("451 4.7.0 busy"), "4.7.0"),
            (Delayed, Some("connection refused 4.4.1"), "4.0.0"),
            (Delayed, None, "4.0.0"),
        ] {
            assert_eq!(status(kind, reply).to_string(), expected, "{reply:?}");
        }
    }
}
