//! What a reply means, for the people a notice goes to.

use crate::delivery::{Explanation, explain};
use crate::mail::EnhancedStatus;

/// Subject and detail of a code, or subject alone.
type Code = (u16, Option<u16>);

/// By enhanced status code alone (RFC 3463), for replies that no rule knows: code, sentence, remedy; the
/// first row that fits holds.
const MEANINGS: [(Code, &str, &str); 12] = [
    (
        (1, Some(8)),
        "the service does not accept the sender's address, or has blocked it",
        "ask whoever runs the relay to look at the sender's account",
    ),
    (
        (1, Some(7)),
        "the service does not accept the sender's address",
        "correct the sender's address in the device or program",
    ),
    (
        (1, None),
        "there is no such recipient, or the address is misspelt",
        "correct the address and send the message again",
    ),
    (
        (2, Some(2)),
        "the recipient's mailbox is full",
        "tell the recipient by other means, and send the message again later",
    ),
    (
        (2, Some(3)),
        "the message is larger than the recipient may receive",
        "send less at once, or a link to it",
    ),
    (
        (2, None),
        "the recipient's mailbox takes no mail at the moment, or not from this sender",
        "tell the recipient by other means",
    ),
    (
        (3, Some(4)),
        "the message is larger than the service takes",
        "send less at once, or a link to it",
    ),
    (
        (4, Some(6)),
        "the message went round in circles between mail servers",
        "ask the recipient's administrator to look at forwarding rules",
    ),
    (
        (4, None),
        "the way to the recipient's mail server does not work",
        "check what stands after the @ of the address; if it is right, send the message again later",
    ),
    (
        (5, Some(3)),
        "the message has too many recipients",
        "send it to fewer at once",
    ),
    (
        (6, None),
        "the service cannot take the message in this form",
        "ask whoever runs the relay to look at what the device or program sends",
    ),
    (
        (7, None),
        "the sender may not send to this recipient, or the message is not allowed there",
        "ask the recipient's administrator, or whoever runs the relay, to permit it",
    ),
];

/// What `reply`, as the history keeps it, means. `4.4.7` and the like, which the relay itself gives to what has
/// expired, are told by the notice already.
pub fn meaning(reply: &str) -> Option<Explanation> {
    let known = explain(reply).map(|rule| Explanation {
        sentence: rule.sentence.to_owned(),
        remedy: Some(rule.remedy.to_owned()),
    });
    known.or_else(|| by_code(reply))
}

fn by_code(reply: &str) -> Option<Explanation> {
    let status = reply.split(' ').nth(1)?;
    let status = EnhancedStatus::parse(status).ok()?;
    let fits = |(subject, detail): Code| {
        status.subject() == subject && detail.is_none_or(|detail| status.detail() == detail)
    };
    let (_, sentence, remedy) = MEANINGS.iter().find(|(code, _, _)| fits(*code))?;
    Some(Explanation {
        sentence: format!("{sentence}."),
        remedy: Some(format!("{remedy}.")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_a_meaning_and_other_text_has_none() {
        for (reply, part) in [
            (
                "550 5.1.10 RESOLVER.ADR.RecipientNotFound",
                Some("no such recipient"),
            ),
            (
                "550 5.1.8 Access denied, bad outbound sender",
                Some("sender's address"),
            ),
            ("452 4.2.2 Mailbox full", Some("is full")),
            (
                "552 5.3.4 Message size exceeds fixed maximum",
                Some("larger than the service"),
            ),
            (
                "550 5.7.54 SMTP; Unable to relay recipient",
                Some("may not send"),
            ),
            ("550 5.0.0 no", None),
            ("550 no such user", None),
            ("connection refused", None),
            ("", None),
        ] {
            let found = by_code(reply).map(|found| found.sentence);
            let fits = match (part, &found) {
                (Some(part), Some(found)) => found.contains(part),
                (None, None) => true,
                _ => false,
            };
            assert!(fits, "{reply}: {found:?}");
        }
    }

    #[test]
    fn what_the_rule_book_knows_is_told_in_its_words() {
        let reply = "550 5.7.60 SMTP; Client does not have permissions to send as this sender";
        let rule = explain(reply).unwrap();
        let told = meaning(reply).unwrap();
        assert_eq!(told.sentence, rule.sentence);
        assert_eq!(told.remedy.as_deref(), Some(rule.remedy));
        assert_eq!(
            meaning("559 5.1.99 no such chap"),
            by_code("559 5.1.99 no such chap")
        );
    }
}
