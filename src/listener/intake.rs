//! The content of one message, from the wire to the queue.

use bytes::BytesMut;
use jiff::Zoned;

use crate::listener::clients::Notes;
use crate::listener::repeats::Repeats;
use crate::listener::{Peer, Sender, Settings};
use crate::mail::{
    BodyType, Envelope, HeaderPass, Received, ReversePath, Supplements, date_time, subject,
};
use crate::queue::{Draft, DraftError, Full, Origin, QueueId, Quirk, StorageError, Submission};
use crate::smtp::{ContentDecoder, ContentProgress, Reply};
use crate::telemetry;

use super::replies;

/// RFC 5321 section 6.3: more trace lines than this are a loop.
const RECEIVED_MAX: u32 = 30;

/// LF.LF, where only CRLF.CRLF ends the data.
const SEEMING_END: &[u8] = b"\r\n.\r\n";

/// What the session knows about the client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client<'a> {
    pub(super) peer: Peer,
    /// Empty when the client gave none, or none that is a name.
    pub(super) helo: &'a str,
    pub(super) protocol: &'a str,
    /// The protocol version of its TLS.
    pub(super) tls: Option<&'a str>,
    /// Whom it authenticated as.
    pub(super) login: Option<&'a str>,
}

/// Takes content in until its end. Content that is refused is still read to its end, so that the
/// session stays in step, but no longer kept.
#[derive(Debug)]
pub(super) struct Intake {
    decoder: ContentDecoder,
    decoded: Vec<u8>,
    /// The last octets of the content so far, for a client that ends it in its own way.
    tail: Vec<u8>,
    header: HeaderPass,
    stored: Vec<u8>,
    envelope: Envelope,
    draft: Result<Draft, Reply>,
    content_bytes: u64,
    /// Some octet is not US-ASCII; devices seldom say so in MAIL.
    eight_bit: bool,
    size_max_bytes: u64,
}

impl Client<'_> {
    /// For the routes of `latest`.
    fn sender<'a>(&self, latest: &'a Settings, reverse_path: &'a str) -> Sender<'a> {
        Sender {
            listener: &latest.name,
            client: self.peer.address(),
            reverse_path,
        }
    }
}

impl Intake {
    /// `settings` are those of the session, `latest` those in force by now: they tell what single clients
    /// get.
    pub(super) fn new(
        settings: &Settings,
        latest: &Settings,
        client: Client<'_>,
        envelope: Envelope,
        draft: Draft,
    ) -> Self {
        let routing = &latest.routing;
        let forced = client
            .peer
            .address()
            .and_then(|address| routing.client(address));
        let envelope = match forced.and_then(|forced| forced.sender.clone()) {
            Some(sender) => envelope.with_reverse_path(ReversePath::Mailbox(sender)),
            None => envelope,
        };
        let date = date_time(&Zoned::now());
        let id = draft.queue_id();
        let received = Received {
            helo: client.helo,
            client: client.peer.address(),
            hostname: &settings.hostname,
            protocol: client.protocol,
            id: id.as_str(),
            recipient: match envelope.recipients() {
                [only] => Some(only.forward_path.as_str()),
                _ => None,
            },
        };
        let stored = received.encode(&date).into_bytes();
        // Addresses are repeated in the header.
        let eight_bit = !envelope.is_ascii();
        let reverse_path = envelope.reverse_path().to_string();
        let from = if reverse_path.is_empty() {
            let sender = client.sender(latest, &reverse_path);
            let first = envelope.recipients().first();
            first
                .and_then(|to| routing.key(sender, to.forward_path.as_str()))
                .and_then(|key| routing.mailbox(key))
                .unwrap_or_default()
                .to_owned()
        } else {
            reverse_path
        };
        Self {
            decoder: ContentDecoder::new(settings.bare_newline),
            decoded: Vec::new(),
            tail: Vec::new(),
            header: HeaderPass::new(Supplements {
                from,
                replaces_from: forced.is_some_and(|forced| forced.sender.is_some()),
                reply_to: forced
                    .and_then(|forced| forced.reply_to.as_ref())
                    .map(ToString::to_string),
                message_id: format!("<{id}@{}>", settings.hostname),
                date,
            }),
            stored,
            envelope,
            draft: Ok(draft),
            content_bytes: 0,
            eight_bit,
            size_max_bytes: settings.limits.message_size_max_bytes,
        }
    }

    /// Takes what has been read; true when the end of data was in it. What follows stays in `input`.
    pub(super) async fn receive(&mut self, input: &mut BytesMut) -> bool {
        let before = input.len();
        let progress = self.decoder.decode(input, &mut self.decoded);
        self.content_bytes += (before - input.len()) as u64;
        let ended = match progress {
            ContentProgress::NeedMore => false,
            ContentProgress::End => true,
            ContentProgress::Refused => {
                self.draft = Err(if self.decoder.has_bare_newline() {
                    replies::BARE_NEWLINE
                } else {
                    replies::NUL
                });
                true
            }
        };
        if self.content_bytes > self.size_max_bytes && self.draft.is_ok() {
            self.draft = Err(replies::TOO_LARGE);
        }
        self.eight_bit |= !self.decoded.is_ascii();
        self.remember_tail();
        if let Ok(draft) = &mut self.draft {
            self.header.push(&self.decoded, &mut self.stored);
            if ended {
                self.header.finish(&mut self.stored);
            }
            if let Err(error) = draft.append(&self.stored).await {
                self.draft = Err(storage_reply(&error));
            }
        }
        self.decoded.clear();
        self.stored.clear();
        ended
    }

    /// Whether the content, which goes on, ends in LF.LF: the client waits for a reply.
    pub(super) fn seems_ended(&self) -> bool {
        self.decoder.has_bare_newline() && self.tail == SEEMING_END
    }

    fn remember_tail(&mut self) {
        let new = self.decoded.len().min(SEEMING_END.len());
        let (_, end) = self.decoded.split_at(self.decoded.len() - new);
        let kept = self.tail.len().min(SEEMING_END.len() - new);
        self.tail.drain(..self.tail.len() - kept);
        self.tail.extend_from_slice(end);
    }

    /// What the content needed.
    fn note(&self, notes: &mut Notes) {
        let flaws = self.header.seen().flaws;
        let is_declared = self.envelope.body_type() == BodyType::EightBitMime;
        for (quirk, is_met) in [
            (Quirk::BareNewline, self.decoder.has_bare_newline()),
            (Quirk::Nul, self.decoder.has_nul()),
            (Quirk::LongLines, self.decoder.has_long_line()),
            (Quirk::UndeclaredEightBit, self.eight_bit && !is_declared),
            (Quirk::NoFrom, flaws.no_from),
            (Quirk::NoDate, flaws.no_date),
            (Quirk::NoMessageId, flaws.no_message_id),
            (Quirk::UnquotedName, flaws.unquoted_name),
        ] {
            notes.note(quirk, is_met);
        }
    }

    /// The reply to the end of data; 250 only with a receipt in hand. `latest` tells where it goes: settings
    /// may have changed while the content came.
    pub(super) async fn commit(
        mut self,
        latest: &Settings,
        repeats: &Repeats,
        client: Client<'_>,
        notes: &mut Notes,
    ) -> Reply {
        self.note(notes);
        let seen = self.header.seen();
        let draft = match self.draft {
            Ok(_) if seen.received_count > RECEIVED_MAX => return replies::LOOP,
            Ok(draft) => draft,
            Err(reply) => {
                if reply == replies::TOO_LARGE {
                    notes.refused(self.content_bytes);
                }
                return reply;
            }
        };
        let body_type = if self.eight_bit {
            BodyType::EightBitMime
        } else {
            BodyType::SevenBit
        };
        // What the content does not need is not asked of the upstream either, which may lack it.
        let smtputf8 = self.envelope.smtputf8() && seen.eight_bit;
        self.envelope = self
            .envelope
            .with_body_type(body_type)
            .with_smtputf8(smtputf8);
        let reverse_path = self.envelope.reverse_path().to_string();
        let sender = client.sender(latest, &reverse_path);
        let Some(ways) = latest.routing.ways(sender, &self.envelope) else {
            return replies::no_route(self.envelope.reverse_path(), None);
        };
        let event = telemetry::Received {
            queue_id: "",
            listener: &latest.name,
            client: &client.peer.to_string(),
            helo: client.helo,
            reverse_path: &reverse_path,
            recipients: 0,
            size_bytes: draft.size_bytes(),
            message_id: seen.message_id.as_deref().unwrap_or_default(),
            account: "",
        };
        let subject = seen.subject.as_deref().and_then(subject::decode);
        let address = client.peer.address();
        let section = address.and_then(|address| latest.routing.client(address));
        let mut submissions = ways.iter().map(|way| Submission {
            account: way.key.clone(),
            origin: Origin {
                listener: latest.name.clone(),
                client: event.client.to_owned(),
                helo: client.helo.to_owned(),
                tls: client.tls.map(str::to_owned),
                auth_name: client.login.map(str::to_owned),
                section: section.map(|section| section.name.clone()),
            },
            subject: subject.clone(),
            message_id: seen.message_id.clone(),
            envelope: way.envelope.clone(),
        });
        let Some(first) = submissions.next() else {
            // An envelope has a recipient, and each of them has a way.
            return replies::no_route(self.envelope.reverse_path(), None);
        };
        match draft.commit_split(first, submissions.collect()).await {
            Ok((first, others)) => {
                let receipts = std::iter::once(&first).chain(&others);
                for (receipt, way) in receipts.zip(&ways) {
                    let id = receipt.queue_id();
                    let event = telemetry::Received {
                        queue_id: id.as_str(),
                        recipients: way.envelope.recipients().len(),
                        account: &way.key,
                        ..event
                    };
                    event.log();
                }
                if let Some(message_id) = &seen.message_id {
                    let (id, size_bytes) = (first.queue_id(), self.content_bytes);
                    let repeat = repeats.accepted(client.peer, message_id, size_bytes, id);
                    notes.note(Quirk::RepeatedMessageId, repeat.is_some());
                    if let Some(repeat) = repeat.filter(|repeat| repeat.is_news) {
                        warn_of_repeat(client.peer, message_id, id, repeat.earlier);
                    }
                }
                notes.accepted(self.content_bytes);
                replies::queued(&first)
            }
            Err(error) => storage_reply(&error),
        }
    }
}

fn warn_of_repeat(client: Peer, message_id: &str, id: QueueId, earlier: QueueId) {
    tracing::warn!(
        queue_id = %id,
        %client,
        message_id,
        %earlier,
        "the client has used this Message-ID for another message before: Exchange Online drops such mail \
         silently where the recipient is its own; have the client make a new one for each message, or none at all"
    );
}

/// Full is 452 4.3.1, broken is 451 4.3.0: either way the client keeps the message and tries again.
pub(super) fn storage_reply(error: &DraftError) -> Reply {
    match error {
        DraftError::Full(full) => {
            tracing::warn!(reason = %full, "message refused for now");
            match full {
                Full::Messages | Full::Bytes | Full::Disk => replies::FULL,
                Full::Share => replies::SHARE_USED,
            }
        }
        DraftError::Storage(StorageError::DiskFull) => {
            tracing::warn!(%error, "message refused for now");
            replies::FULL
        }
        DraftError::Storage(
            error @ (StorageError::Latched
            | StorageError::Database(_)
            | StorageError::Content { .. }
            | StorageError::Damaged { .. }
            | StorageError::Schema { .. }
            | StorageError::Closed),
        ) => {
            tracing::error!(%error, "message refused for now");
            replies::STORAGE_FAILED
        }
    }
}
