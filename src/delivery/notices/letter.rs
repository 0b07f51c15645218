//! A notice, written from what the queue knows of a message.

use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::delivery::{Explain, Explanation};
use crate::mail::NoticeKind;
use crate::mail::dsn::{EnvelopeId, OriginalRecipient};
use crate::mail::notice::{
    Composed, Heading, Item, Notice, Original, Returned, Undelivered, header_section, subject_of,
};
use crate::queue::Case;

/// The notice of one message.
pub(super) fn letter(case: &Case, heading: Heading<'_>, explain: Explain) -> Composed {
    let (received, given_up) = (local(case.received_at), case.given_up_at.map(local));
    let header = header_section(&case.head);
    let subject = subject_of(header);
    let origin = origin(case);
    let (remote, last) = match &case.last_attempt {
        Some((remote, at)) => (Some(remote.as_str()), Some(local(*at))),
        None => (None, None),
    };
    // Of several attempts nobody remembers which one decided a recipient; who is still waited for was
    // tried in the last.
    let is_exact = case.attempts == 1 || case.owing.kind == NoticeKind::Delayed;
    let last = last.filter(|_| is_exact);
    let explained = explained(case, explain);
    let originals: Vec<_> = case
        .recipients
        .iter()
        .map(|one| OriginalRecipient::parse(one.original_recipient.as_deref()?))
        .collect();
    let recipients: Vec<_> = case
        .recipients
        .iter()
        .zip(&explained)
        .zip(&originals)
        .map(|((recipient, explained), original)| Undelivered {
            address: &recipient.address,
            original: original
                .as_ref()
                .map(|original| (original.address_type(), original.address())),
            reply: recipient.reply.as_deref(),
            last_attempt: last.as_ref(),
            sentence: explained.as_ref().map(|one| one.sentence.as_str()),
            remedy: explained.as_ref().and_then(|one| one.remedy.as_deref()),
        })
        .collect();
    let notice = Notice {
        kind: case.owing.kind,
        heading,
        about: Original {
            id: case.owing.id.as_str(),
            reverse_path: &case.reverse_path,
            subject: subject.as_deref(),
            message_id: case.message_id.as_deref(),
            envelope_id: case.envelope_id.as_ref().map(EnvelopeId::as_str),
            received: &received,
            origin: &origin,
            delivered: case.delivered,
            given_up: given_up.as_ref(),
        },
        recipients: &recipients,
        recipients_left_out: case.concerned.saturating_sub(case.recipients.len() as u64),
        remote,
        // Also with RET=FULL: whoever sent the message has it, and others who are told need not see all
        // of it.
        returned: Returned::Headers(header),
    };
    notice.compose()
}

/// Its line in a digest.
pub(super) fn item(case: &Case) -> Item {
    let first = case.recipients.first();
    Item {
        kind: case.owing.kind,
        id: case.owing.id.to_string(),
        subject: subject_of(header_section(&case.head)),
        recipient: first.map_or_else(String::new, |one| one.address.clone()),
        more: case.concerned.saturating_sub(1),
        reply: first.and_then(|one| one.reply.clone()),
    }
}

/// A time as people here read it.
pub(super) fn local(at: Timestamp) -> Zoned {
    at.to_zoned(TimeZone::system())
}

/// Each different reply is asked after once: many recipients share few replies.
fn explained(case: &Case, explain: Explain) -> Vec<Option<Explanation>> {
    let mut last: Option<(&str, Option<Explanation>)> = None;
    let each = case.recipients.iter().map(|recipient| {
        let reply = recipient.reply.as_deref()?;
        match &last {
            Some((known, explanation)) if *known == reply => explanation.clone(),
            _ => {
                let explanation = explain(reply);
                last = Some((reply, explanation.clone()));
                explanation
            }
        }
    });
    each.collect()
}

fn origin(case: &Case) -> String {
    match case.helo.as_str() {
        "" => case.client.clone(),
        helo => format!("{} ({helo})", case.client),
    }
}
