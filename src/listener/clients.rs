//! What one session notices of its client, told to the queue after each message and at the end.

use crate::listener::intake::Client;
use crate::queue::{Queue, Quirk, Quirks, SeenMessage, Sighting};
use crate::smtp::{Reply, Severity};

/// Kinds of refusals between two messages; those beyond are not told.
const REFUSALS_MAX: usize = 8;

/// What was noticed and is not told yet.
#[derive(Debug)]
pub(super) struct Notes {
    client: String,
    /// The session itself was told.
    is_known: bool,
    quirks: Quirks,
    /// Replies, each with how often.
    refusals: Vec<(String, u64)>,
    refused_bytes: u64,
    /// The reverse-path of the transaction, as the client gave it.
    sender: String,
    /// Of the message that was accepted.
    accepted_bytes: Option<u64>,
}

impl Notes {
    pub(super) fn new(client: String) -> Self {
        Self {
            client,
            is_known: false,
            quirks: Quirks::default(),
            refusals: Vec::new(),
            refused_bytes: 0,
            sender: String::new(),
            accepted_bytes: None,
        }
    }

    /// The client, as it stands in logs and in the shares of the queue.
    pub(super) fn client(&self) -> &str {
        &self.client
    }

    pub(super) fn note(&mut self, quirk: Quirk, is_met: bool) {
        self.quirks.note(quirk, is_met);
    }

    /// MAIL was accepted.
    pub(super) fn begun(&mut self, sender: String) {
        self.sender = sender;
    }

    /// MAIL or RCPT was accepted.
    pub(super) fn addressed(&mut self, line: &[u8]) {
        self.note(Quirk::NoBrackets, memchr::memchr(b'<', line).is_none());
    }

    /// Takes note of a refusal; of any other reply nothing.
    pub(super) fn replied(&mut self, reply: &Reply) {
        if !matches!(reply.severity(), Severity::Transient | Severity::Permanent) {
            return;
        }
        let text = reply.to_string();
        if let Some((_, count)) = self.refusals.iter_mut().find(|(known, _)| *known == text) {
            *count += 1;
        } else if self.refusals.len() < REFUSALS_MAX {
            self.refusals.push((text, 1));
        }
    }

    /// `line`, a MAIL, was refused for the size that it announced.
    pub(super) fn too_large(&mut self, line: &[u8]) {
        let words = line.split(u8::is_ascii_whitespace);
        let announced = words.filter_map(|word| {
            let (keyword, value) = word.split_at_checked(5)?;
            let is_size = keyword.eq_ignore_ascii_case(b"SIZE=");
            let value = std::str::from_utf8(value).ok().filter(|_| is_size)?;
            value.parse().ok()
        });
        self.refused(announced.max().unwrap_or_default());
    }

    /// A message of this size was refused for it.
    pub(super) fn refused(&mut self, bytes: u64) {
        self.refused_bytes = self.refused_bytes.max(bytes);
    }

    pub(super) fn accepted(&mut self, bytes: u64) {
        self.accepted_bytes = Some(bytes);
    }

    /// Tells what is not told yet: a lock and a look into a map.
    pub(super) fn tell(&mut self, queue: &Queue, listener: &str, client: Client<'_>) {
        let is_new = !std::mem::replace(&mut self.is_known, true);
        let accepted_bytes = self.accepted_bytes.take();
        let nothing = self.quirks.is_empty() && self.refusals.is_empty();
        if !is_new && accepted_bytes.is_none() && nothing {
            return;
        }
        let is_plain = client.login.is_some() && client.tls.is_none();
        self.note(
            Quirk::PlainAuth,
            is_plain && client.peer.address().is_some(),
        );
        queue.saw_client(&Sighting {
            client: &self.client,
            listener,
            helo: Some(client.helo).filter(|helo| !helo.is_empty()),
            tls: client.tls,
            auth_name: client.login,
            is_new_session: is_new,
            message: accepted_bytes.map(|size_bytes| SeenMessage {
                sender: &self.sender,
                size_bytes,
            }),
            quirks: self.quirks,
            refusals: &self.refusals,
            refused_bytes: self.refused_bytes,
        });
        self.quirks = Quirks::default();
        self.refusals.clear();
        self.refused_bytes = 0;
    }
}

/// A client that was turned away before it had a session.
pub(super) fn turned_away(queue: &Queue, client: &str, listener: &str, reply: &Reply) {
    queue.saw_client(&Sighting {
        client,
        listener,
        refusals: &[(reply.to_string(), 1)],
        ..Sighting::default()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_that_was_announced_is_read() {
        for (line, bytes) in [
            ("MAIL FROM:<a@b> SIZE=70000000", 70_000_000),
            ("mail from:a@b body=8bitmime size=12\t", 12),
            ("MAIL FROM:<SIZE=3@b>", 0),
            ("MAIL FROM:<a@b> SIZE=x", 0),
        ] {
            let mut notes = Notes::new(String::new());
            notes.too_large(line.as_bytes());
            assert_eq!(notes.refused_bytes, bytes, "{line}");
        }
    }
}
