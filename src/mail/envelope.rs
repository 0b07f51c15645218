//! The envelope: what MAIL and RCPT said (RFC 5321 section 2.3.1).

use crate::mail::{Mailbox, ReversePath};

/// One `RCPT TO` that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Where the message goes, source route removed.
    pub forward_path: Mailbox,
}

/// `BODY=` of RFC 6152: which octets the content may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyType {
    /// US-ASCII, or a client that said nothing.
    #[default]
    SevenBit,
    /// Any octet.
    EightBitMime,
}

/// Reverse-path, at least one recipient, and the parameters that travel with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    reverse_path: ReversePath,
    recipients: Vec<Recipient>,
    body_type: BodyType,
    smtputf8: bool,
}

/// Why an [`Envelope`] cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// RFC 5321 section 3.3: DATA needs at least one accepted RCPT.
    #[error("an envelope needs at least one recipient")]
    NoRecipient,
}

impl Envelope {
    /// # Errors
    /// [`EnvelopeError::NoRecipient`] when `recipients` is empty.
    pub fn new(
        reverse_path: ReversePath,
        recipients: Vec<Recipient>,
        body_type: BodyType,
        smtputf8: bool,
    ) -> Result<Self, EnvelopeError> {
        if recipients.is_empty() {
            return Err(EnvelopeError::NoRecipient);
        }
        Ok(Self {
            reverse_path,
            recipients,
            body_type,
            smtputf8,
        })
    }

    /// Where notices go.
    pub fn reverse_path(&self) -> &ReversePath {
        &self.reverse_path
    }

    /// Never empty, in the order of the RCPT commands.
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// What the client announced of its content.
    pub fn body_type(&self) -> BodyType {
        self.body_type
    }

    /// The same envelope for content that turned out to hold other octets than announced.
    #[must_use]
    pub fn with_body_type(self, body_type: BodyType) -> Self {
        Self { body_type, ..self }
    }

    /// The same message with another sender.
    #[must_use]
    pub fn with_reverse_path(self, reverse_path: ReversePath) -> Self {
        Self {
            reverse_path,
            ..self
        }
    }

    /// The same message for the recipients of the range `range` only, if there are any in it.
    #[must_use]
    pub fn part(&self, range: std::ops::Range<usize>) -> Option<Self> {
        let recipients = self.recipients.get(range)?.to_vec();
        Self::new(
            self.reverse_path.clone(),
            recipients,
            self.body_type,
            self.smtputf8,
        )
        .ok()
    }

    /// Whether MAIL carried `SMTPUTF8` (RFC 6531).
    pub fn smtputf8(&self) -> bool {
        self.smtputf8
    }
}
