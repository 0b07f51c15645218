//! When each section `[client.NAME]` was last heard, so that a device that stops sending is missed.
//!
//! What clients needed ([`crate::queue::ClientRecord`]) is forgotten when many others come; this is not: there is
//! one entry for each section of the settings, stored with the message that it tells of.
//!
//! Silence is counted in open time: not while the daemon was down, and on from where it was after a restart.

mod ledger;
mod store;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::queue::{Queue, Reader, StorageError};

pub(super) use ledger::{Ledger, Messages, Stored};
pub(super) use store::{load, save, save_messages};

/// A `[client.NAME]` of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its NAME.
    pub name: String,
    /// Whom it is for.
    pub network: String,
    /// Without a message for so long it is silent; none: it never is.
    pub silent_after: Option<Duration>,
}

/// What is known of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// As in the settings; read from a folder it is never silent, since the settings are not known there.
    pub section: Section,
    /// When its last message was accepted, by the wall clock; none: none yet.
    pub last_message_at: Option<Timestamp>,
    /// Whose that was.
    pub last_client: Option<String>,
    /// For how long there has been none while mail could be taken in: since the last one, or since the section is
    /// watched. None: it is not watched.
    pub quiet: Option<Duration>,
}

impl Heard {
    /// Whether it has been quiet for too long.
    pub fn is_silent(&self) -> bool {
        self.left() == Some(Duration::ZERO)
    }

    /// Until it is silent, if nothing comes; none: it never will be.
    pub fn left(&self) -> Option<Duration> {
        Some(self.section.silent_after?.saturating_sub(self.quiet?))
    }
}

impl Queue {
    /// Mail can be taken in from now on, or no more: silence counts only meanwhile.
    pub fn set_open(&self, open: bool) {
        self.shared.clock.set_open(open);
    }

    /// The sections there are now. Of those that stay, what is known stays; with another network one is another.
    pub fn set_sections(&self, sections: &[Section]) {
        let open_ms = self.shared.clock.open_ms();
        self.shared.heard.set_sections(sections, open_ms);
    }

    /// Every section, by its name.
    pub fn heard(&self) -> Vec<Heard> {
        self.shared.heard.all(self.shared.clock.open_ms())
    }

    /// Is notified when a section is heard that was silent.
    pub fn heard_waker(&self) -> Arc<Notify> {
        self.shared.heard.waker()
    }
}

impl Reader {
    /// As [`Queue::heard`], from the folder of a daemon that is not running.
    pub fn heard(&self) -> Result<Vec<Heard>, StorageError> {
        let connection = self.open()?;
        let open_ms = store::open_ms(&connection)?;
        Ok(load(&connection)?.all(open_ms))
    }
}
