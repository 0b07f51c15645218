//! The envelope: what MAIL and RCPT said (RFC 5321 section 2.3.1).

use crate::mail::dsn::{EnvelopeId, Notify, OriginalRecipient, Ret};
use crate::mail::{Mailbox, ReversePath};

/// One `RCPT TO` that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Where the message goes, source route removed.
    pub forward_path: Mailbox,
    /// `NOTIFY=` of RFC 3461: when the sender wants a notice about it.
    pub notify: Option<Notify>,
    /// `ORCPT=` of RFC 3461: whom the sender meant.
    pub original_recipient: Option<OriginalRecipient>,
}

/// A recipient of whom nothing else was said.
impl From<Mailbox> for Recipient {
    fn from(forward_path: Mailbox) -> Self {
        Self {
            forward_path,
            notify: None,
            original_recipient: None,
        }
    }
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
    /// Few clients say anything of it.
    notices: Option<Box<Notices>>,
}

/// What MAIL says of notices (RFC 3461).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Notices {
    ret: Option<Ret>,
    envelope_id: Option<EnvelopeId>,
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
            notices: None,
        })
    }

    /// For one recipient.
    pub fn to_one(
        reverse_path: ReversePath,
        forward_path: Mailbox,
        body_type: BodyType,
        smtputf8: bool,
    ) -> Self {
        Self {
            reverse_path,
            recipients: vec![forward_path.into()],
            body_type,
            smtputf8,
            notices: None,
        }
    }

    /// Where notices go.
    pub fn reverse_path(&self) -> &ReversePath {
        &self.reverse_path
    }

    /// Never empty, in the order of the RCPT commands.
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// Whether every address is US-ASCII, so that none needs SMTPUTF8 to be sent.
    pub fn is_ascii(&self) -> bool {
        let mut recipients = self.recipients.iter();
        self.reverse_path.is_ascii() && recipients.all(|one| one.forward_path.is_ascii())
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

    /// The same message from somebody else.
    #[must_use]
    pub fn with_reverse_path(self, reverse_path: ReversePath) -> Self {
        Self {
            smtputf8: self.smtputf8 || !reverse_path.is_ascii(),
            reverse_path,
            ..self
        }
    }

    /// The same message for those recipients only that `takes` takes, if it takes any.
    #[must_use]
    pub fn only(&self, takes: impl Fn(&Recipient) -> bool) -> Option<Self> {
        let recipients = self.recipients.iter().filter(|one| takes(one));
        let recipients: Vec<Recipient> = recipients.cloned().collect();
        let any = !recipients.is_empty();
        any.then(|| Self {
            recipients,
            reverse_path: self.reverse_path.clone(),
            notices: self.notices.clone(),
            ..*self
        })
    }

    /// The same envelope for content that turned out to need less, or more, than was announced.
    #[must_use]
    pub fn with_smtputf8(self, smtputf8: bool) -> Self {
        Self { smtputf8, ..self }
    }

    /// The same envelope with what else MAIL said of notices (RFC 3461).
    #[must_use]
    pub fn with_dsn(self, ret: Option<Ret>, envelope_id: Option<EnvelopeId>) -> Self {
        let notices = Notices { ret, envelope_id };
        Self {
            notices: (notices != Notices::default()).then(|| Box::new(notices)),
            ..self
        }
    }

    /// Whether the header section needs `SMTPUTF8` (RFC 6531); an address that is not US-ASCII needs
    /// it whatever is said here.
    pub fn smtputf8(&self) -> bool {
        self.smtputf8
    }

    /// `RET=`: how much of the message a failure notice returns.
    pub fn ret(&self) -> Option<Ret> {
        self.notices.as_ref()?.ret
    }

    /// `ENVID=`: the sender's name for this envelope.
    pub fn envelope_id(&self) -> Option<&EnvelopeId> {
        self.notices.as_ref()?.envelope_id.as_ref()
    }
}
