//! What each client needed, so that an operator can write its `[client.NAME]`.
//!
//! Listeners tell what they see, which costs a look into a map; the writer stores it with its housekeeping, each client
//! once a minute at most, and when the queue is closed. A crash forgets the last minute or two: these are
//! counts for people, not mail.

mod ledger;
mod record;
mod store;

pub(super) use ledger::{Clients, Saved};
pub use ledger::{SeenMessage, Sighting};
pub use record::{ClientRecord, Quirk, Quirks, Refusal};
pub(super) use store::save_all;
pub(super) use store::{load, save};

use jiff::Timestamp;

use crate::queue::query::timestamp;
use crate::queue::{Queue, Reader, StorageError};

impl Queue {
    /// Takes note of what a listener has seen of a client.
    pub fn saw_client(&self, sighting: &Sighting<'_>) {
        let clock = &self.shared.clock;
        let now: Timestamp = timestamp(clock.wall_ms());
        self.shared.clients.saw(sighting, clock.now_ms(), now);
    }

    /// Everybody who is remembered; those seen last come first.
    pub fn clients(&self) -> Vec<ClientRecord> {
        self.shared.clients.all()
    }
}

impl Reader {
    /// As [`Queue::clients`], from the folder of a daemon that is not running.
    pub fn clients(&self) -> Result<Vec<ClientRecord>, StorageError> {
        let connection = self.open()?;
        let records = store::read(&connection)?.into_iter();
        let mut records: Vec<_> = records.map(|(record, _)| record).collect();
        sort(&mut records);
        Ok(records)
    }
}

fn sort(records: &mut [ClientRecord]) {
    records.sort_by(|a, b| (b.last_seen, &a.client).cmp(&(a.last_seen, &b.client)));
}
