//! What group commit comes to: how many messages share a transaction, and how long one takes.

use std::time::Duration;

use crate::telemetry::{Distribution, Histogram};

/// Of messages that one transaction takes in. In the first are those that only leased or settled.
const MESSAGES: &[u64] = &[0, 1, 2, 4, 8, 16, 32, 64, 128, 256];

/// Of microseconds from the beginning of a transaction until it is on stable storage.
const MICROSECONDS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
];

/// Counted by the writer, read by whoever wants to know.
#[derive(Debug)]
pub(super) struct Commits {
    messages: Histogram,
    microseconds: Histogram,
}

/// The transactions since the queue was opened, without those that changed nothing.
#[derive(Clone, Debug)]
pub struct CommitCounts {
    /// By the messages that each took in.
    pub messages: Distribution,
    /// By the microseconds that each took, its sync included.
    pub microseconds: Distribution,
}

impl Commits {
    pub(super) fn new() -> Self {
        Self {
            messages: Histogram::new(MESSAGES),
            microseconds: Histogram::new(MICROSECONDS),
        }
    }

    /// A transaction is on stable storage.
    pub(super) fn count(&self, messages: usize, took: Duration) {
        self.messages.observe(messages as u64);
        self.microseconds.observe(took.as_micros() as u64);
    }

    pub(super) fn counts(&self) -> CommitCounts {
        CommitCounts {
            messages: self.messages.distribution(),
            microseconds: self.microseconds.distribution(),
        }
    }
}
