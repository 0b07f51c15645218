//! A mailbox: `Local-part "@" ( Domain / address-literal )` (RFC 5321 section 4.1.2).

use std::fmt;

/// An address with a domain, in the form it has on the wire, without angle brackets.
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
    pub fn parse(text: &str) -> Result<Self, MailboxError> {
        let at = text.rfind('@').ok_or(MailboxError::NoDomain)?;
        if at == 0 || at + 1 == text.len() {
            return Err(MailboxError::Syntax);
        }
        Ok(Self {
            text: text.into(),
            at,
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
