//! The reverse-path (RFC 5321 section 4.1.2).

use std::fmt;

use crate::mail::{Mailbox, MailboxError};

/// `Reverse-path = Path / "<>"`, RFC 5321 section 4.1.2, source routes already removed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: a message that must never be answered with a notice.
    Null,
    /// The mailbox that notices go to.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// The inverse of `Display`: empty text is the null path.
    pub fn parse(text: &str) -> Result<Self, MailboxError> {
        if text.is_empty() {
            Ok(Self::Null)
        } else {
            Mailbox::parse(text).map(Self::Mailbox)
        }
    }

    /// The mailbox, unless the path is null.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }

    /// Whether every octet is US-ASCII, so that no SMTPUTF8 is needed to send it.
    pub fn is_ascii(&self) -> bool {
        self.mailbox().is_none_or(Mailbox::is_ascii)
    }
}

/// Without angle brackets; the null path is the empty string.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}
