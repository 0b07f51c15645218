//! `[queue]`: where messages wait, how many, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Table;
use super::value::Size;

/// The bounds and the schedule of the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// Its folder; one daemon at a time.
    pub directory: PathBuf,
    /// Messages that are not yet settled.
    pub max_messages: u32,
    /// Their content together.
    pub max_bytes: u64,
    /// Left free on the disk for others.
    pub min_free_disk_bytes: u64,
    /// Until a message that cannot be delivered is given up.
    pub expire_after: Duration,
    /// Before the second attempt.
    pub retry_initial: Duration,
    /// By which each wait is longer than the one before; at least 1.
    pub retry_factor: f64,
    /// No wait is longer.
    pub retry_max: Duration,
    /// For history rows of delivered messages.
    pub keep_delivered: Duration,
    /// For failed messages, content included.
    pub keep_failed: Duration,
    /// Whether subjects are kept in history and listings.
    pub record_subject: bool,
}

impl Queue {
    pub(super) fn read(root: &Table<'_>) -> Self {
        let table = root.section("queue");
        let second = Duration::from_secs(1);
        let day = Duration::from_hours(24);
        let queue = Self {
            directory: table.read("directory", PathBuf::from("/var/lib/exorelay")),
            max_messages: table.bounded("max_messages", 100_000, 1..=100_000_000),
            max_bytes: table
                .bounded(
                    "max_bytes",
                    Size::gib(10),
                    Size::mib(1)..=Size::gib(1 << 20),
                )
                .bytes(),
            min_free_disk_bytes: table
                .bounded(
                    "min_free_disk",
                    Size::mib(256),
                    Size::kib(0)..=Size::gib(1 << 20),
                )
                .bytes(),
            expire_after: table.bounded("expire_after", 2 * day, second..=365 * day),
            retry_initial: table.bounded("retry_initial", 30 * second, second..=day),
            retry_factor: table.bounded("retry_factor", 2.0, 1.0..=100.0),
            retry_max: table.bounded("retry_max", Duration::from_hours(1), second..=30 * day),
            keep_delivered: table.bounded("keep_delivered", 30 * day, Duration::ZERO..=3650 * day),
            keep_failed: table.bounded("keep_failed", 30 * day, Duration::ZERO..=3650 * day),
            record_subject: table.read("record_subject", true),
        };
        table.finish();
        queue
    }
}
