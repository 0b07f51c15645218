//! All sections, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Heard, Section};
use crate::queue::Origin;
use crate::queue::query::timestamp;

/// A section that sends all the time is not written with every message.
const PAUSE_MS: i64 = 1_000;

/// One section, as the table has it too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) network: String,
    /// Open time since which silence counts; none: it does not.
    pub(super) watched_ms: Option<i64>,
    pub(super) last: Option<Last>,
    /// Of the settings, and not in the table.
    pub(super) silent_after: Option<Duration>,
    /// What the table has is not this.
    pub(super) is_unsaved: bool,
    /// Open time of the last message that the table knows.
    pub(super) stored_ms: Option<i64>,
}

/// The last message of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) open_ms: i64,
    pub(super) wall_ms: i64,
    pub(super) client: String,
}

#[derive(Debug, Default)]
struct Entries {
    by_section: BTreeMap<String, Entry>,
    /// In the table, and in the settings no more.
    gone: Vec<String>,
}

/// As large as the settings have sections.
#[derive(Debug, Default)]
pub(in crate::queue) struct Ledger {
    entries: Mutex<Entries>,
    waker: Arc<Notify>,
}

/// Of which sections one transaction takes messages in.
#[derive(Debug, Default)]
pub(in crate::queue) struct Messages {
    /// Each with one of its clients.
    pub(super) from: Vec<(String, String)>,
    /// What of it the table is told.
    pub(in crate::queue) stored: Stored,
}

/// What a transaction stores.
#[derive(Debug, Default)]
pub(in crate::queue) struct Stored {
    pub(super) entries: Vec<(String, Entry)>,
    pub(super) removed: Vec<String>,
}

impl Messages {
    pub(in crate::queue) fn is_empty(&self) -> bool {
        self.from.is_empty()
    }

    /// A message from `origin` is among them.
    pub(in crate::queue) fn note(&mut self, origin: &Origin) {
        let Some(section) = &origin.section else {
            return;
        };
        if self.from.iter().all(|(known, _)| known != section) {
            self.from.push((section.clone(), origin.client.clone()));
        }
    }
}

impl Ledger {
    pub(super) fn loaded(entries: impl IntoIterator<Item = (String, Entry)>) -> Self {
        Self {
            entries: Mutex::new(Entries {
                by_section: entries.into_iter().collect(),
                gone: Vec::new(),
            }),
            waker: Arc::default(),
        }
    }

    pub(super) fn set_sections(&self, sections: &[Section], open_ms: i64) {
        let mut entries = self.lock();
        let mut before = std::mem::take(&mut entries.by_section);
        for section in sections {
            let known = before.remove(&section.name);
            let mut entry = known
                .filter(|known| known.network == section.network)
                .unwrap_or_else(|| Entry {
                    network: section.network.clone(),
                    is_unsaved: true,
                    ..Entry::default()
                });
            entry.silent_after = section.silent_after;
            if entry.watched_ms.is_some() != section.silent_after.is_some() {
                // What was before anybody asked for it does not count.
                entry.watched_ms = section.silent_after.map(|_| open_ms);
                entry.is_unsaved = true;
            }
            // It may have been taken out and put back before the table was told.
            entries.gone.retain(|gone| *gone != section.name);
            entries.by_section.insert(section.name.clone(), entry);
        }
        entries.gone.extend(before.into_keys());
    }

    pub(super) fn all(&self, open_ms: i64) -> Vec<Heard> {
        let entries = self.lock();
        let all = entries.by_section.iter();
        all.map(|(name, entry)| entry.heard(name, open_ms))
            .collect()
    }

    pub(super) fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.waker)
    }

    /// `messages` are on stable storage.
    pub(in crate::queue) fn took(&self, messages: Messages, open_ms: i64, wall_ms: i64) {
        // As always on a relay without sections.
        if messages.is_empty() {
            return;
        }
        let mut entries = self.lock();
        let mut was_silent = false;
        for (section, client) in messages.from {
            // A session may have begun before a reload took its section away.
            let Some(entry) = entries.by_section.get_mut(&section) else {
                continue;
            };
            was_silent |= entry.heard(&section, open_ms).is_silent();
            entry.last = Some(Last {
                open_ms,
                wall_ms,
                client,
            });
        }
        entries.saved(messages.stored);
        drop(entries);
        if was_silent {
            self.waker.notify_one();
        }
    }

    /// What the table is to be told of with these messages.
    pub(super) fn due(&self, messages: &Messages, open_ms: i64, wall_ms: i64) -> Stored {
        let entries = self.lock();
        let due = messages.from.iter().filter_map(|(section, client)| {
            let entry = entries.by_section.get(section)?;
            let stored_ms = entry.stored_ms.filter(|_| !entry.is_unsaved);
            let is_due = stored_ms.is_none_or(|ms| open_ms.saturating_sub(ms) >= PAUSE_MS);
            let last = Last {
                open_ms,
                wall_ms,
                client: client.clone(),
            };
            let next = Entry {
                last: Some(last),
                ..entry.clone()
            };
            is_due.then(|| (section.clone(), next))
        });
        Stored {
            entries: due.collect(),
            removed: Vec::new(),
        }
    }

    /// What the table does not have, and what it has for nothing.
    pub(super) fn unsaved(&self) -> Stored {
        let entries = self.lock();
        let unsaved = entries.by_section.iter();
        let unsaved = unsaved.filter(|(_, entry)| entry.is_unsaved);
        Stored {
            entries: unsaved
                .map(|(name, entry)| (name.clone(), entry.clone()))
                .collect(),
            removed: entries.gone.clone(),
        }
    }

    /// The table has it.
    pub(in crate::queue) fn saved(&self, stored: Stored) {
        self.lock().saved(stored);
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn saved(&mut self, stored: Stored) {
        self.gone.retain(|name| !stored.removed.contains(name));
        for (name, stored) in stored.entries {
            let Some(entry) = self.by_section.get_mut(&name) else {
                continue;
            };
            // A reload may have come between.
            if (&entry.network, entry.watched_ms) == (&stored.network, stored.watched_ms) {
                entry.is_unsaved = false;
                entry.stored_ms = stored.last.map(|last| last.open_ms);
            }
        }
    }
}

impl Entry {
    fn heard(&self, name: &str, open_ms: i64) -> Heard {
        let last = self.last.as_ref();
        let quiet = self.watched_ms.map(|watched_ms| {
            let since_ms = last.map_or(watched_ms, |last| last.open_ms.max(watched_ms));
            Duration::from_millis(open_ms.saturating_sub(since_ms).max(0) as u64)
        });
        Heard {
            section: Section {
                name: name.to_owned(),
                network: self.network.clone(),
                silent_after: self.silent_after,
            },
            last_message_at: last.map(|last| timestamp(last.wall_ms)),
            last_client: last.map(|last| last.client.clone()),
            quiet,
        }
    }
}
