//! A mailbox: `Local-part "@" ( Domain / address-literal )` (RFC 5321 section 4.1.2).

use std::fmt;

use nom::Parser;
use nom::branch::alt;
use nom::combinator::all_consuming;

use crate::mail::grammar;

/// RFC 5321 section 4.5.3.1.1.
const LOCAL_PART_MAX_OCTETS: usize = 64;
/// RFC 5321 section 4.5.3.1.2.
const DOMAIN_MAX_OCTETS: usize = 255;
/// RFC 5321 section 4.5.3.1.3 allows a path 256 octets, angle brackets included.
const MAILBOX_MAX_OCTETS: usize = 254;

/// An address with a domain, in the form it has on the wire, without angle brackets.
///
/// Holds no control character whatsoever, so it can be written to the wire or a log as it is.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mailbox {
    text: Box<str>,
    at: usize,
}

/// Why a text is not a [`Mailbox`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailboxError {
    /// `scanner` without `@contoso.com`.
    #[error("the address has no domain")]
    NoDomain,
    /// RFC 5321 section 4.5.3.1: local-part 64, domain 255, whole path 256 octets.
    #[error("the address is too long")]
    TooLong,
    /// Anything the grammar does not know.
    #[error("the address is not of the form local-part@domain")]
    Syntax,
}

impl Mailbox {
    /// Decodes one mailbox, without angle brackets; nothing may follow it.
    ///
    /// UTF-8 is taken in both parts (RFC 6531 section 3.3); whether the session may use it is for
    /// the caller to ask with [`Mailbox::is_ascii`].
    pub fn parse(text: &str) -> Result<Self, MailboxError> {
        let (rest, local_part) =
            grammar::local_part(text).map_err(|_error| MailboxError::Syntax)?;
        if rest.is_empty() {
            return Err(MailboxError::NoDomain);
        }
        let domain = rest.strip_prefix('@').ok_or(MailboxError::Syntax)?;
        all_consuming(alt((grammar::domain, grammar::address_literal)))
            .parse(domain)
            .map_err(|_error| MailboxError::Syntax)?;
        if local_part.len() > LOCAL_PART_MAX_OCTETS
            || domain.len() > DOMAIN_MAX_OCTETS
            || text.len() > MAILBOX_MAX_OCTETS
        {
            return Err(MailboxError::TooLong);
        }
        Ok(Self {
            text: text.into(),
            at: local_part.len(),
        })
    }

    /// As on the wire, quotes kept.
    pub fn local_part(&self) -> &str {
        self.text.get(..self.at).unwrap_or_default()
    }

    /// A domain, or an address literal with its brackets.
    pub fn domain(&self) -> &str {
        self.text.get(self.at + 1..).unwrap_or_default()
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether every octet is US-ASCII, so that no SMTPUTF8 is needed to send it.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_grammar_is_taken_apart_at_the_right_at_sign() {
        let table = [
            ("a@b", "a", "b"),
            ("scan.to.mail@contoso.com", "scan.to.mail", "contoso.com"),
            (
                "o'neil+tag=x/y@host_1.contoso.local",
                "o'neil+tag=x/y",
                "host_1.contoso.local",
            ),
            ("\"a@b c>\"@d.example", "\"a@b c>\"", "d.example"),
            ("\"q\\\"uo\\\\te\"@d", "\"q\\\"uo\\\\te\"", "d"),
            ("\"\"@d", "\"\"", "d"),
            ("root@[192.0.2.1]", "root", "[192.0.2.1]"),
            ("root@[IPv6:2001:db8::1]", "root", "[IPv6:2001:db8::1]"),
            ("müller@bücher.example", "müller", "bücher.example"),
            ("用户@例子.广告", "用户", "例子.广告"),
            ("x@127.0.0.1", "x", "127.0.0.1"),
        ];
        for (text, local_part, domain) in table {
            let mailbox = Mailbox::parse(text).unwrap();
            assert_eq!(mailbox.local_part(), local_part, "{text}");
            assert_eq!(mailbox.domain(), domain, "{text}");
            assert_eq!(mailbox.to_string(), text);
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "a@@b",
            "a b@c",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a@b.",
            "a@.b",
            "a@b..c",
            "a@-b",
            "a@b-",
            "a@b c",
            "<a@b>",
            "a@b>",
            "a@[1.2.3]",
            "a@[1.2.3.4",
            "a@[IPv6:1.2.3.4]",
            "a@[IPv6:xyz]",
            "a@[x:y]",
            "\"a@b",
            "\"a\"b@c",
            "a\\b@c",
            "a@b\r\nRCPT TO:<c@d>",
            "a\0@b",
            "\"a\rb\"@c",
            "\"a\nb\"@c",
            "\"a\\\nb\"@c",
            "a\u{85}@b",
            "a@b\u{2028}c",
            "a@b\u{a0}",
            "a\t@b",
        ] {
            assert_eq!(Mailbox::parse(text), Err(MailboxError::Syntax), "{text:?}");
        }
        for text in ["scanner", "Postmaster", "\"John Doe\""] {
            assert_eq!(Mailbox::parse(text), Err(MailboxError::NoDomain), "{text}");
        }
    }

    #[test]
    fn lengths_are_bounded_in_octets() {
        let label = "d".repeat(63);
        let domain = [label.as_str(); 3].join(".");
        let local = "l".repeat(62);
        let longest = format!("{local}@{domain}");
        assert_eq!(longest.len(), 254);
        Mailbox::parse(&longest).unwrap();
        for text in [
            format!("l{longest}"),
            format!("{}@b", "l".repeat(65)),
            format!("{}@b", "ü".repeat(33)),
        ] {
            assert_eq!(Mailbox::parse(&text), Err(MailboxError::TooLong), "{text}");
        }
        let long_label = format!("a@{}", "d".repeat(64));
        assert_eq!(Mailbox::parse(&long_label), Err(MailboxError::Syntax));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_one_safe_line(text in "\\PC{0,20}@?[\\x00-\\x7fä]{0,20}") {
            if let Ok(mailbox) = Mailbox::parse(&text) {
                prop_assert!(!text.chars().any(char::is_control));
                prop_assert!(text.len() <= 254);
                let joined = format!("{}@{}", mailbox.local_part(), mailbox.domain());
                prop_assert_eq!(&joined, &text);
                prop_assert_eq!(Mailbox::parse(&joined), Ok(mailbox));
            }
        }

        #[test]
        fn every_word_of_the_grammar_is_accepted(
            text in "([a-z!#$%&'*+/=?^_`{|}~-]{1,9}(\\.[A-Z0-9é]{1,9}){0,3}|\"([ !#-\\[\\]-~ü]|\\\\[ -~]){0,12}\")@([a-z0-9_ß]([a-z0-9-]{0,9}[a-z0-9])?(\\.[a-z0-9]{1,9}){0,3}|\\[10\\.2\\.[1-9]\\.4\\])"
        ) {
            let mailbox = Mailbox::parse(&text).unwrap();
            prop_assert_eq!(mailbox.as_str(), text);
        }
    }
}
