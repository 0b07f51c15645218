//! The header section: who it names as recipients, and what has to change before it leaves.

use crate::mail::rewrite::{address_field, fields, harmless};
use crate::mail::{ListedAddress, ReversePath, listed_addresses};

/// Fields with addresses that local programs write without a domain.
const ADDRESS_FIELDS: [&str; 12] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Resent-From",
    "Resent-Sender",
    "Resent-Reply-To",
    "Resent-To",
    "Resent-Cc",
    "Resent-Bcc",
];
const RECIPIENTS: [&str; 3] = ["To", "Cc", "Bcc"];
const RESENT_RECIPIENTS: [&str; 3] = ["Resent-To", "Resent-Cc", "Resent-Bcc"];
const BLIND: [&str; 2] = ["Bcc", "Resent-Bcc"];

/// What `-t` finds. A message that is sent again goes to those that it is sent to now (RFC 5322 section
/// 3.6.6).
pub(super) fn recipients(section: &[u8]) -> Vec<ListedAddress> {
    let of = |names: &[&str]| {
        let fields = fields(section).filter(|field| is_one_of(field.name, names));
        fields.map(|field| field.value).collect::<Vec<_>>()
    };
    let resent = of(&RESENT_RECIPIENTS);
    let lists = if resent.is_empty() {
        of(&RECIPIENTS)
    } else {
        resent
    };
    lists.into_iter().flat_map(listed_addresses).collect()
}

/// Without those whom nobody may know.
pub(super) fn without_blind_recipients(section: &[u8]) -> Vec<u8> {
    let kept = fields(section).filter(|field| !is_one_of(field.name, &BLIND));
    kept.flat_map(|field| field.octets).copied().collect()
}

/// `From: root (Cron Daemon)` becomes `From: root@contoso.com (Cron Daemon)`; nothing else changes.
///
/// Exchange Online takes no author without a domain.
pub(super) fn with_domains(section: &[u8], domain: &str) -> Vec<u8> {
    let mut qualified = Vec::with_capacity(section.len());
    for field in fields(section) {
        if !is_one_of(field.name, &ADDRESS_FIELDS) {
            qualified.extend_from_slice(field.octets);
            continue;
        }
        let (before, mut rest) = field
            .octets
            .split_at(field.octets.len() - field.value.len());
        qualified.extend_from_slice(before);
        let mut done = 0;
        for address in listed_addresses(field.value) {
            let ListedAddress::Local { end, .. } = address else {
                continue;
            };
            let (name, behind) = rest.split_at(end.saturating_sub(done).min(rest.len()));
            qualified.extend_from_slice(name);
            qualified.push(b'@');
            qualified.extend_from_slice(domain.as_bytes());
            (rest, done) = (behind, end);
        }
        qualified.extend_from_slice(rest);
    }
    qualified
}

/// With `-F`: a From for a message that has none. Without a name the relay supplies it.
pub(super) fn with_author(section: Vec<u8>, sender: &ReversePath, full_name: &str) -> Vec<u8> {
    let has_author = fields(&section).any(|field| field.is("From"));
    match (sender.mailbox(), harmless(full_name)) {
        (Some(mailbox), Some(name)) if !has_author => {
            let author = (Some(name.as_str()), mailbox.as_str());
            [address_field("From", [author]), section].concat()
        }
        _ => section,
    }
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names
        .iter()
        .any(|one| name.eq_ignore_ascii_case(one.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Mailbox;

    fn text(octets: Vec<u8>) -> String {
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn recipients_are_those_of_now() {
        let first = b"TO: a@x, b@x\r\ncc:\r\n c@x\r\nBcc: d@x\r\nSubject: e@x\r\nBcc: f@x\r\n";
        let names = |section: &[u8]| -> Vec<String> {
            let found = recipients(section).into_iter();
            found
                .map(|address| match address {
                    ListedAddress::Mailbox(mailbox) => mailbox.local_part().to_owned(),
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        assert_eq!(names(first), ["a", "b", "c", "d", "f"]);
        let again = [&first[..], b"Resent-Bcc: g@x\r\nResent-To: h@x\r\n"].concat();
        assert_eq!(names(&again), ["g", "h"]);
        assert_eq!(
            text(without_blind_recipients(&again)),
            "TO: a@x, b@x\r\ncc:\r\n c@x\r\nSubject: e@x\r\nResent-To: h@x\r\n"
        );
    }

    #[test]
    fn names_get_their_domain_and_nothing_else_changes() {
        for (section, qualified) in [
            (
                "From: root (Cron Daemon)\r\n",
                "From: root@c.com (Cron Daemon)\r\n",
            ),
            (
                "To: root,a@b,\r\n\tThe Boss <boss>; <x>\r\nSubject: root\r\n",
                "To: root@c.com,a@b,\r\n\tThe Boss <boss@c.com>; <x@c.com>\r\nSubject: root\r\n",
            ),
            ("From: Cron Daemon\r\n", "From: Cron Daemon\r\n"),
            (
                "cc : undisclosed-recipients:;\r\n",
                "cc : undisclosed-recipients:;\r\n",
            ),
        ] {
            assert_eq!(text(with_domains(section.as_bytes(), "c.com")), qualified);
        }
    }

    #[test]
    fn an_author_is_added_only_where_there_is_none() {
        let sender = ReversePath::Mailbox(Mailbox::parse("root@c.com").unwrap());
        let with = |section: &str, name| text(with_author(section.into(), &sender, name));
        assert_eq!(
            with("X: 1\r\n", "CronDaemon"),
            "From: CronDaemon <root@c.com>\r\nX: 1\r\n"
        );
        assert_eq!(
            with("", "a\r\nBcc: x@y"),
            "From: \"a Bcc: x at y\" <root@c.com>\r\n"
        );
        assert_eq!(with("from: a@b\r\n", "N"), "from: a@b\r\n");
        assert_eq!(with("", " "), "");
        assert_eq!(text(with_author(Vec::new(), &ReversePath::Null, "N")), "");
    }
}
