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

/// How long a batch waits for messages that are on their way in. Most disks take longer for a sync, and
/// each message that comes along is spared one.
const GATHER: Duration = Duration::from_micros(200);

/// After so many waits that brought nobody, only one batch in [`IN_VAIN_PERIOD`] waits: some clients send
/// slowly, and nobody else is to be held up by them.
const IN_VAIN_MAX: u32 = 4;
const IN_VAIN_PERIOD: u32 = 32;

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

/// Whether waiting is worth while, as far as the last batches tell.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Batches since a wait last brought somebody.
    in_vain: u32,
}

impl Patience {
    fn is_worth_it(&self) -> bool {
        self.in_vain < IN_VAIN_MAX || self.in_vain.is_multiple_of(IN_VAIN_PERIOD)
    }

    fn learn(&mut self, brought_somebody: bool) {
        self.in_vain = if brought_somebody {
            0
        } else {
            self.in_vain.wrapping_add(1).max(1)
        };
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
    pub(super) fn receive(
        inbox: &mut mpsc::Receiver<Op>,
        intakes: &Intakes,
        patience: &mut Patience,
    ) -> Option<Self> {
        let mut batch = Self {
            ops: Vec::new(),
            bytes: 0,
        };
        batch.add(inbox.blocking_recv()?);
        batch.drain(inbox);
        if intakes.under_way() > 0 && !batch.is_full() {
            let before = batch.ops.len();
            if patience.is_worth_it() {
                thread::sleep(GATHER);
                batch.drain(inbox);
            }
            patience.learn(batch.ops.len() > before);
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
        Batch::receive(&mut inbox, intakes, &mut Patience::default()).map(|batch| batch.ops.len())
    }

    #[test]
    fn takes_what_is_there_up_to_a_bound() {
        let intakes = Intakes::default();
        assert_eq!(receive(0, &intakes), None);
        assert_eq!(receive(1, &intakes), Some(1));
        assert_eq!(receive(REQUESTS_MAX + 1, &intakes), Some(REQUESTS_MAX));
    }

    #[test]
    fn clients_that_never_finish_are_soon_waited_for_no_more() {
        let mut patience = Patience::default();
        let mut waits = 0;
        for _ in 0..10 * IN_VAIN_PERIOD {
            waits += u32::from(patience.is_worth_it());
            patience.learn(false);
        }
        assert!((5..=IN_VAIN_MAX + 10).contains(&waits), "{waits}");
        patience.learn(true);
        assert!(patience.is_worth_it());
    }

    #[test]
    fn slow_clients_keep_nothing_from_being_stored() {
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
