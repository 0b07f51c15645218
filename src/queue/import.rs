//! A message from a file: the inverse of an export.

use jiff::Zoned;
use serde::{Deserialize, Serialize};

use crate::mail::dsn::{EnvelopeId, Notify, OriginalRecipient, Ret};
use crate::mail::{
    BodyType, Envelope, EnvelopeError, HeaderPass, Mailbox, MailboxError, Recipient, ReversePath,
    Supplements, date_time, subject,
};
use crate::queue::{
    Actor, Draft, DraftError, MessageState, Origin, Queue, QueueId, RecipientState, Sidecar,
    Submission,
};
use crate::telemetry::Act;

/// What is to be known of a message besides its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRequest {
    /// Empty for the null path.
    pub reverse_path: String,
    /// Who is still to get it.
    pub recipients: Vec<ImportRecipient>,
    /// The account that is to send it.
    pub account: String,
    /// Whether the header section needs `SMTPUTF8`.
    pub smtputf8: bool,
    /// `RET=` of RFC 3461.
    #[serde(default)]
    pub ret: Option<String>,
    /// `ENVID=` of RFC 3461, as in the command.
    #[serde(default)]
    pub envelope_id: Option<String>,
    /// Whether it waits for an operator to release it.
    pub held: bool,
    /// The reply it got last.
    pub last_reply: Option<String>,
    /// The listener that took it in first, if one did.
    pub listener: String,
    /// The client's address.
    pub client: String,
    /// What the client called itself.
    pub helo: String,
    /// The protocol version of the client's TLS; none: plain text.
    #[serde(default)]
    pub tls: Option<String>,
    /// Whom the client authenticated as.
    #[serde(default)]
    pub auth_name: Option<String>,
    /// For a message without From, if there is no reverse-path.
    pub mailbox: String,
    /// For a message without Message-ID.
    pub hostname: String,
    /// Where it comes from, for the history.
    pub detail: Option<String>,
}

/// Who is still to get an imported message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRecipient {
    /// The forward-path.
    pub address: String,
    /// `NOTIFY=` of RFC 3461, as in the command.
    #[serde(default)]
    pub notify: Option<String>,
    /// `ORCPT=` of RFC 3461, as in the command.
    #[serde(default)]
    pub original_recipient: Option<String>,
}

/// A recipient of whom nothing else is known.
impl<T: Into<String>> From<T> for ImportRecipient {
    fn from(address: T) -> Self {
        Self {
            address: address.into(),
            notify: None,
            original_recipient: None,
        }
    }
}

/// Why a message cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// An address.
    #[error("address {address:?}: {source}")]
    Address {
        /// As it was given.
        address: String,
        /// What is wrong with it.
        source: MailboxError,
    },
    /// A parameter of RFC 3461.
    #[error("{keyword}={value} is malformed")]
    Parameter {
        /// Its name.
        keyword: &'static str,
        /// As it was given.
        value: String,
    },
    /// The envelope as a whole.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Nobody is left to get it.
    #[error("every recipient has it already")]
    NobodyLeft,
    /// No account.
    #[error("no account is named that is to send it")]
    NoAccount,
    /// The queue is full, or its storage failed.
    #[error(transparent)]
    Draft(#[from] DraftError),
}

/// A message on its way in; dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Import {
    draft: Draft,
    envelope: Envelope,
    request: ImportRequest,
    actor: Actor,
    header: HeaderPass,
    newlines: Newlines,
    whole: Vec<u8>,
    stored: Vec<u8>,
    eight_bit: bool,
}

/// What the writer stores beside an imported message.
#[derive(Debug)]
pub(super) struct Imported {
    pub(super) actor: Actor,
    pub(super) detail: Option<String>,
    pub(super) held: bool,
    pub(super) last_reply: Option<String>,
}

impl ImportRequest {
    /// The message of an export as it stands: who has it already does not get it again, what was held
    /// is held, and what had failed is held too, since nobody expects it to be sent.
    pub fn of(sidecar: &Sidecar) -> Result<Self, ImportError> {
        let message = &sidecar.message.message;
        let with = |state| {
            let those = message
                .recipients
                .iter()
                .filter(move |one| one.state == state);
            let taken = those.map(|one| ImportRecipient {
                address: one.address.clone(),
                notify: one.notify.clone(),
                original_recipient: one.original_recipient.clone(),
            });
            taken.collect::<Vec<_>>()
        };
        let mut recipients = with(RecipientState::Pending);
        if recipients.is_empty() {
            recipients = with(RecipientState::Failed);
        }
        if recipients.is_empty() {
            return Err(ImportError::NobodyLeft);
        }
        Ok(Self {
            reverse_path: message.reverse_path.clone(),
            recipients,
            account: message.account.clone(),
            smtputf8: sidecar.smtputf8,
            ret: sidecar.message.ret.clone(),
            envelope_id: sidecar.message.envelope_id.clone(),
            held: matches!(message.state, MessageState::Held | MessageState::Failed),
            last_reply: message.last_reply.clone(),
            listener: sidecar.message.listener.clone(),
            client: sidecar.message.client.clone(),
            helo: sidecar.message.helo.clone(),
            tls: sidecar.message.tls.clone(),
            auth_name: sidecar.message.auth_name.clone(),
            mailbox: String::new(),
            hostname: String::new(),
            detail: Some(format!(
                "was {}, received {}",
                message.id, message.received_at
            )),
        })
    }

    fn envelope(&self) -> Result<Envelope, ImportError> {
        let bad = |address: &str| {
            let address = address.to_owned();
            move |source| ImportError::Address { address, source }
        };
        let reverse_path =
            ReversePath::parse(&self.reverse_path).map_err(bad(&self.reverse_path))?;
        let recipients = self.recipients.iter().map(|one| {
            Ok(Recipient {
                forward_path: Mailbox::parse(&one.address).map_err(bad(&one.address))?,
                notify: parameter("NOTIFY", one.notify.as_ref(), Notify::parse)?,
                original_recipient: parameter(
                    "ORCPT",
                    one.original_recipient.as_ref(),
                    OriginalRecipient::parse,
                )?,
            })
        });
        let recipients = recipients.collect::<Result<Vec<_>, ImportError>>()?;
        let envelope = Envelope::new(reverse_path, recipients, BodyType::SevenBit, self.smtputf8)?;
        Ok(envelope.with_dsn(
            parameter("RET", self.ret.as_ref(), Ret::parse)?,
            parameter("ENVID", self.envelope_id.as_ref(), EnvelopeId::parse)?,
        ))
    }
}

fn parameter<T>(
    keyword: &'static str,
    value: Option<&String>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, ImportError> {
    let Some(value) = value else {
        return Ok(None);
    };
    match parse(value) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(ImportError::Parameter {
            keyword,
            value: value.clone(),
        }),
    }
}

impl Queue {
    /// Begins taking in a message of about `size_bytes` that an operator brings.
    pub fn import(
        &self,
        request: ImportRequest,
        size_bytes: Option<u64>,
        actor: Actor,
    ) -> Result<Import, ImportError> {
        if request.account.is_empty() {
            return Err(ImportError::NoAccount);
        }
        let envelope = request.envelope()?;
        let draft = self.draft(size_bytes)?;
        let id = draft.queue_id();
        let sender = envelope.reverse_path().mailbox();
        let header = HeaderPass::new(Supplements {
            from: sender.map_or_else(|| request.mailbox.clone(), ToString::to_string),
            replaces_from: false,
            reply_to: None,
            date: date_time(&Zoned::now()),
            message_id: format!("<{id}@{}>", request.hostname),
        });
        Ok(Import {
            draft,
            envelope,
            request,
            actor,
            header,
            newlines: Newlines::default(),
            whole: Vec::new(),
            stored: Vec::new(),
            eight_bit: false,
        })
    }
}

impl Import {
    /// Takes more content in.
    ///
    /// # Errors
    /// The import is of no use afterwards.
    pub async fn append(&mut self, octets: &[u8]) -> Result<(), ImportError> {
        self.eight_bit |= !octets.is_ascii();
        self.newlines.push(octets, &mut self.whole);
        self.header.push(&self.whole, &mut self.stored);
        self.whole.clear();
        self.draft.append(&self.stored).await?;
        self.stored.clear();
        Ok(())
    }

    /// Puts the message on stable storage.
    pub async fn commit(mut self) -> Result<QueueId, ImportError> {
        self.newlines.finish(&mut self.whole);
        self.header.push(&self.whole, &mut self.stored);
        self.header.finish(&mut self.stored);
        self.draft.append(&self.stored).await?;
        let seen = self.header.seen();
        let body_type = if self.eight_bit {
            BodyType::EightBitMime
        } else {
            BodyType::SevenBit
        };
        let submission = Submission {
            envelope: self.envelope.with_body_type(body_type),
            account: self.request.account,
            origin: Origin {
                listener: self.request.listener,
                client: self.request.client,
                helo: self.request.helo,
                tls: self.request.tls,
                auth_name: self.request.auth_name,
                section: None,
            },
            subject: seen.subject.as_deref().and_then(subject::decode),
            message_id: seen.message_id.clone(),
        };
        let imported = Imported {
            actor: self.actor,
            detail: self.request.detail,
            held: self.request.held,
            last_reply: self.request.last_reply,
        };
        let (actor, account) = (imported.actor.clone(), submission.account.clone());
        let receipt = self.draft.commit_imported(submission, imported).await?;
        let id = receipt.queue_id();
        let act = Act {
            event: "imported",
            queue_id: id.as_str(),
            actor: &actor.name,
            through: actor.through.as_str(),
            account: &account,
        };
        act.log();
        Ok(id)
    }
}

/// Makes every line end in CRLF: what editors and other programs have done to the file must not reach
/// the wire, where a bare LF can hide a command (RFC 5321 section 2.3.8).
#[derive(Debug, Default)]
pub(crate) struct Newlines {
    last: Option<u8>,
}

impl Newlines {
    pub(crate) fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        out.reserve(octets.len());
        for octet in octets {
            match (self.last, octet) {
                (Some(b'\r'), b'\n') => out.push(b'\n'),
                (_, b'\n') => out.extend_from_slice(b"\r\n"),
                (Some(b'\r'), octet) => out.extend_from_slice(&[b'\n', *octet]),
                (_, octet) => out.push(*octet),
            }
            self.last = Some(*octet);
        }
    }

    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        match self.last {
            Some(b'\n') | None => {}
            Some(b'\r') => out.push(b'\n'),
            Some(_) => out.extend_from_slice(b"\r\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(octets: &[u8], block: usize) -> Vec<u8> {
        let (mut newlines, mut out) = (Newlines::default(), Vec::new());
        for part in octets.chunks(block) {
            newlines.push(part, &mut out);
        }
        newlines.finish(&mut out);
        out
    }

    #[test]
    fn every_line_ends_in_crlf() {
        for (octets, expected) in [
            (&b"a\r\nb\r\n"[..], &b"a\r\nb\r\n"[..]),
            (b"a\nb", b"a\r\nb\r\n"),
            (b"a\rb\r", b"a\r\nb\r\n"),
            (b"\n\n.\n", b"\r\n\r\n.\r\n"),
            (b"\r\r\n", b"\r\n\r\n"),
            (b"", b""),
        ] {
            assert_eq!(whole(octets, 1), expected, "{octets:?}");
        }
    }

    proptest! {
        #[test]
        fn blocks_make_no_difference_and_no_bare_newline_is_left(
            octets in prop::collection::vec(prop::sample::select(b"\r\n.a".to_vec()), 0..40),
            block in 1_usize..8,
        ) {
            let out = whole(&octets, block);
            prop_assert_eq!(&out, &whole(&octets, 100));
            prop_assert_eq!(&out, &whole(&out, block), "nothing is left to be done");
            let text = String::from_utf8(out).unwrap().replace("\r\n", "");
            prop_assert!(!text.contains(['\r', '\n']));
        }
    }
}
