//! What clients needed, in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::record::{ClientRecord, Quirks, Refusal};

/// More clients than these are not remembered: first go those that never had a message accepted, then those unseen
/// for longest.
pub(super) const CLIENTS_MAX: usize = 1_000;

/// Kinds of refusals that are remembered of one client, the latest.
const REFUSALS_MAX: usize = 12;

/// What somebody has seen of a client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sighting<'a> {
    /// Its address, or `uid:1000`.
    pub client: &'a str,
    /// The listener it came to.
    pub listener: &'a str,
    /// What it calls itself; none: nothing yet, which is no reason to forget what it did before.
    pub helo: Option<&'a str>,
    /// The protocol version of its TLS.
    pub tls: Option<&'a str>,
    /// Whom it authenticated as.
    pub auth_name: Option<&'a str>,
    /// It is a session not yet seen.
    pub is_new_session: bool,
    /// A message was accepted.
    pub message: Option<SeenMessage<'a>>,
    /// What had to be tolerated.
    pub quirks: Quirks,
    /// Replies, each with how often.
    pub refusals: &'a [(String, u64)],
    /// The longest message refused for its size.
    pub refused_bytes: u64,
}

/// An accepted message.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeenMessage<'a> {
    /// The reverse-path as the client gave it.
    pub sender: &'a str,
    /// Of the content.
    pub size_bytes: u64,
}

/// What is to be stored of one client.
#[derive(Debug)]
pub(super) struct Unsaved {
    pub(super) record: ClientRecord,
    pub(super) seen_ms: i64,
    version: u64,
}

/// What a transaction stores.
#[derive(Debug, Default)]
pub(in crate::queue) struct Saved {
    now_ms: i64,
    /// With their versions.
    stored: Vec<(String, u64)>,
    removed: Vec<String>,
    is_partial: bool,
}

#[derive(Debug)]
struct Entry {
    record: ClientRecord,
    seen_ms: i64,
    version: u64,
    /// 0: the table does not have it.
    stored_version: u64,
    stored_ms: i64,
}

#[derive(Debug, Default)]
struct Entries {
    by_client: HashMap<Box<str>, Entry>,
    /// In the table, and remembered no more.
    gone: Vec<String>,
}

/// A map that is as large as its table.
#[derive(Debug, Default)]
pub(in crate::queue) struct Clients(Mutex<Entries>);

impl Clients {
    pub(super) fn loaded(records: impl IntoIterator<Item = (ClientRecord, i64)>) -> Self {
        let entry = |(record, seen_ms): (ClientRecord, i64)| {
            let entry = Entry {
                seen_ms,
                version: 1,
                stored_version: 1,
                stored_ms: seen_ms,
                record,
            };
            (entry.record.client.as_str().into(), entry)
        };
        Self(Mutex::new(Entries {
            by_client: records.into_iter().map(entry).collect(),
            gone: Vec::new(),
        }))
    }

    pub(super) fn saw(&self, sighting: &Sighting<'_>, now_ms: i64, now: Timestamp) {
        let mut entries = self.lock();
        // Nothing is allocated for a client that is known.
        if let Some(entry) = entries.by_client.get_mut(sighting.client) {
            entry.take_in(sighting, now_ms, now);
            return;
        }
        if entries.by_client.len() >= CLIENTS_MAX {
            entries.make_room();
        }
        let mut entry = Entry {
            record: ClientRecord::new(sighting.client, now),
            seen_ms: now_ms,
            version: 0,
            stored_version: 0,
            stored_ms: 0,
        };
        entry.take_in(sighting, now_ms, now);
        entries.by_client.insert(sighting.client.into(), entry);
    }

    /// Those seen last come first.
    pub(super) fn all(&self) -> Vec<ClientRecord> {
        let entries = self.lock();
        let all = entries.by_client.values();
        let mut all: Vec<_> = all.map(|entry| entry.record.clone()).collect();
        drop(entries);
        super::sort(&mut all);
        all
    }

    /// Forgets who was not seen since `unseen_ms` and tells what the table does not have yet, `max` at most, and not
    /// what it got less than `pause_ms` ago.
    pub(super) fn unsaved(
        &self,
        now_ms: i64,
        unseen_ms: i64,
        pause_ms: i64,
        max: usize,
    ) -> (Vec<Unsaved>, Saved) {
        let mut entries = self.lock();
        let Entries { by_client, gone } = &mut *entries;
        by_client.retain(|client, entry| {
            let is_kept = entry.seen_ms >= unseen_ms;
            if !is_kept && entry.stored_version > 0 {
                gone.push(client.to_string());
            }
            is_kept
        });
        let due = by_client.values().filter(|entry| {
            let is_new = entry.stored_version == 0;
            let is_changed = entry.stored_version < entry.version;
            is_new || (is_changed && now_ms.saturating_sub(entry.stored_ms) >= pause_ms)
        });
        let unsaved: Vec<_> = due
            .take(max)
            .map(|entry| Unsaved {
                record: entry.record.clone(),
                seen_ms: entry.seen_ms,
                version: entry.version,
            })
            .collect();
        let stored = unsaved.iter();
        let saved = Saved {
            now_ms,
            stored: stored
                .map(|one| (one.record.client.clone(), one.version))
                .collect(),
            removed: gone.clone(),
            is_partial: unsaved.len() >= max,
        };
        (unsaved, saved)
    }

    /// The table has it.
    pub(in crate::queue) fn saved(&self, saved: Saved) {
        let mut entries = self.lock();
        entries
            .gone
            .retain(|client| !saved.removed.contains(client));
        for (client, version) in saved.stored {
            match entries.by_client.get_mut(client.as_str()) {
                Some(entry) => {
                    entry.stored_version = version;
                    entry.stored_ms = saved.now_ms;
                }
                None => entries.gone.push(client),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Saved {
    /// There may be more to store.
    pub(in crate::queue) fn is_partial(&self) -> bool {
        self.is_partial
    }

    pub(super) fn removed(&self) -> &[String] {
        &self.removed
    }
}

impl Entry {
    fn take_in(&mut self, sighting: &Sighting<'_>, now_ms: i64, now: Timestamp) {
        self.version += 1;
        self.seen_ms = now_ms;
        self.record.take_in(sighting, now);
    }
}

impl Entries {
    fn make_room(&mut self) {
        let least = self
            .by_client
            .iter()
            .min_by_key(|(_, entry)| (entry.record.messages > 0, entry.seen_ms))
            .map(|(client, entry)| (client.clone(), entry.stored_version > 0));
        if let Some((client, is_stored)) = least {
            self.by_client.remove(&client);
            if is_stored {
                self.gone.push(client.into());
            }
        }
    }
}

impl ClientRecord {
    fn new(client: &str, now: Timestamp) -> Self {
        Self {
            client: client.to_owned(),
            first_seen: now,
            last_seen: now,
            last_message_at: None,
            messages: 0,
            sessions: 0,
            listener: String::new(),
            helo: String::new(),
            tls: None,
            auth_name: None,
            sender: None,
            largest_bytes: 0,
            largest_refused_bytes: 0,
            quirks: BTreeMap::new(),
            refusals: Vec::new(),
        }
    }

    fn take_in(&mut self, sighting: &Sighting<'_>, now: Timestamp) {
        self.last_seen = now;
        self.sessions += u64::from(sighting.is_new_session);
        set(&mut self.listener, sighting.listener);
        if let Some(message) = sighting.message {
            self.messages += 1;
            self.last_message_at = Some(now);
            self.largest_bytes = self.largest_bytes.max(message.size_bytes);
            set(self.sender.get_or_insert_default(), message.sender);
        }
        // What never got as far as HELO says nothing of how the client works.
        if sighting.helo.is_some() || sighting.message.is_some() {
            set(&mut self.helo, sighting.helo.unwrap_or_default());
            set_option(&mut self.tls, sighting.tls);
            set_option(&mut self.auth_name, sighting.auth_name);
        }
        for quirk in sighting.quirks.iter() {
            let count = self.quirks.entry(quirk).or_default();
            *count = count.saturating_add(1);
        }
        self.largest_refused_bytes = self.largest_refused_bytes.max(sighting.refused_bytes);
        for (reply, count) in sighting.refusals {
            self.refuse(reply, *count, now);
        }
    }

    /// Replies with the same codes are of one kind, whatever addresses are named in them.
    fn refuse(&mut self, reply: &str, count: u64, now: Timestamp) {
        let known = self
            .refusals
            .iter()
            .position(|one| codes(&one.reply) == codes(reply));
        let earlier = known.map_or(0, |at| self.refusals.remove(at).count);
        let refusal = Refusal {
            reply: reply.to_owned(),
            count: earlier.saturating_add(count),
            last_at: now,
        };
        self.refusals.insert(0, refusal);
        self.refusals.truncate(REFUSALS_MAX);
    }
}

/// `550 5.7.1`, or what stands in its place.
fn codes(reply: &str) -> (Option<&str>, Option<&str>) {
    let mut words = reply.split(' ');
    (words.next(), words.next())
}

/// Nothing is allocated for what stays as it was.
fn set(text: &mut String, new: &str) {
    if text != new {
        new.clone_into(text);
    }
}

fn set_option(text: &mut Option<String>, new: Option<&str>) {
    if text.as_deref() != new {
        *text = new.map(str::to_owned);
    }
}
