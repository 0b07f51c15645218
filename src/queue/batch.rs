//! The requests that share one transaction and one sync.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::queue::op::Op;

/// Requests that share one transaction.
const REQUESTS_MAX: usize = 256;

/// Content that shares one transaction.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long a batch waits for messages that are about to be complete, and how often at most. A sync
/// takes longer on nearly every disk, so whoever waits gains by each message that comes along.
const GATHER: Duration = Duration::from_micros(50);
const GATHER_ROUNDS: usize = 4;

/// Counts the messages that are being taken in and have not been handed to the writer yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Intakes(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Intake(Intakes);

impl Intakes {
    pub(super) fn begin(&self) -> Intake {
        self.0.fetch_add(1, Ordering::Relaxed);
        Intake(self.clone())
    }

    fn under_way(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Requests in the order in which they came.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) ops: Vec<Op>,
    bytes: usize,
}

impl Batch {
    /// Waits for the first request and takes what has come with it. Where more messages are on their
    /// way in, it gives them a moment: a lone client never waits, and many share one sync instead of
    /// queueing for several. `None`: nobody is left who could ask.
    pub(super) fn receive(inbox: &mut mpsc::Receiver<Op>, intakes: &Intakes) -> Option<Self> {
        let mut batch = Self {
            ops: Vec::new(),
            bytes: 0,
        };
        batch.add(inbox.blocking_recv()?);
        batch.drain(inbox);
        for _ in 0..GATHER_ROUNDS {
            let before = batch.ops.len();
            if batch.is_full() || intakes.under_way() == 0 {
                break;
            }
            thread::sleep(GATHER);
            batch.drain(inbox);
            // Clients that send slowly hold nobody up.
            if batch.ops.len() == before {
                break;
            }
        }
        Some(batch)
    }

    fn drain(&mut self, inbox: &mut mpsc::Receiver<Op>) {
        while !self.is_full()
            && let Ok(op) = inbox.try_recv()
        {
            self.add(op);
        }
    }

    fn add(&mut self, op: Op) {
        self.bytes += op.inline_bytes();
        self.ops.push(op);
    }

    fn is_full(&self) -> bool {
        self.ops.len() >= REQUESTS_MAX || self.bytes >= BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(looks: usize, intakes: &Intakes) -> Option<usize> {
        let (sender, mut inbox) = mpsc::channel(1024);
        for _ in 0..looks {
            sender.try_send(Op::Look).unwrap();
        }
        drop(sender);
        Batch::receive(&mut inbox, intakes).map(|batch| batch.ops.len())
    }

    #[test]
    fn takes_what_is_there_up_to_a_bound() {
        let intakes = Intakes::default();
        assert_eq!(receive(0, &intakes), None);
        assert_eq!(receive(1, &intakes), Some(1));
        assert_eq!(receive(REQUESTS_MAX + 1, &intakes), Some(REQUESTS_MAX));
    }

    #[test]
    fn a_client_that_never_finishes_holds_nobody_up() {
        let intakes = Intakes::default();
        let _slow: Vec<Intake> = (0..100).map(|_| intakes.begin()).collect();
        assert_eq!(receive(3, &intakes), Some(3));
    }

    #[test]
    fn intakes_are_counted_until_they_end() {
        let intakes = Intakes::default();
        let (first, second) = (intakes.begin(), intakes.begin());
        assert_eq!(intakes.under_way(), 2);
        drop((first, second));
        assert_eq!(intakes.under_way(), 0);
    }
}
