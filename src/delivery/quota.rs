//! What one mailbox may use of its service, whoever sends with it at the moment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::delivery::pacing::Pacing;

/// Connections and pace of one mailbox; clones share them.
///
/// The service counts by mailbox and knows nothing of our settings. So when they change, the new
/// dispatcher takes the quota over from the old one: what was sent in the last minute still counts,
/// and connections over which attempts of the old one end are connections the new one cannot open.
#[derive(Clone, Debug)]
pub struct Quota {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something was given back by a dispatcher that is not the present one.
    freed: Notify,
}

#[derive(Debug)]
struct State {
    pacing: Pacing,
    /// Grows with each dispatcher that begins.
    tenure: u64,
    /// Connections of the present dispatcher.
    own: usize,
    /// Connections of its predecessors.
    foreign: usize,
}

/// The turn of one dispatcher: what it takes counts as its own until the next one begins.
#[derive(Clone, Debug)]
pub(super) struct Tenure {
    quota: Quota,
    number: u64,
}

/// The place of one connection; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Slot {
    tenure: Tenure,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    pacing: Pacing::new(0),
                    tenure: 0,
                    own: 0,
                    foreign: 0,
                }),
                freed: Notify::new(),
            }),
        }
    }
}

impl Quota {
    /// Whether nobody holds any of it and the last message is more than a minute ago: forgetting it
    /// changes nothing.
    pub fn is_unused(&self) -> bool {
        let mut state = self.state();
        state.own + state.foreign == 0 && state.pacing.is_idle(Instant::now())
    }

    /// Whether both are of the same mailbox.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// A dispatcher begins; whoever had the quota before leases nothing more.
    pub(super) fn begin(&self, messages_per_minute: u32) -> Tenure {
        let mut state = self.state();
        state.tenure += 1;
        state.foreign += std::mem::take(&mut state.own);
        state.pacing.set_limit(messages_per_minute, Instant::now());
        Tenure {
            number: state.tenure,
            quota: self.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenure {
    /// For a connection that is about to be opened.
    pub(super) fn slot(&self) -> Slot {
        let mut state = self.quota.state();
        if state.tenure == self.number {
            state.own += 1;
        } else {
            state.foreign += 1;
        }
        Slot {
            tenure: self.clone(),
        }
    }

    /// Connections of predecessors, over which their last attempts end.
    pub(super) fn foreign(&self) -> usize {
        self.quota.state().foreign
    }

    /// All connections of the mailbox.
    pub(super) fn connections(&self) -> usize {
        let state = self.quota.state();
        state.own + state.foreign
    }

    /// As [`Pacing`].
    pub(super) fn pacing<T>(&self, ask: impl FnOnce(&mut Pacing) -> T) -> T {
        ask(&mut self.quota.state().pacing)
    }

    /// A message of a dispatcher that was told to stop has ended: the next one may go on.
    pub(super) fn give_back(&self, ended: impl FnOnce(&mut Pacing)) {
        self.pacing(ended);
        self.quota.shared.freed.notify_one();
    }

    /// Resolves when a predecessor has given something back.
    pub(super) async fn freed(&self) {
        self.quota.shared.freed.notified().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.tenure.quota.state();
        if state.tenure == self.tenure.number {
            state.own = state.own.saturating_sub(1);
        } else {
            state.foreign = state.foreign.saturating_sub(1);
            self.tenure.quota.shared.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_predecessor_holds_is_foreign_until_it_is_given_back() {
        let quota = Quota::default();
        let old = quota.begin(30);
        let (first, second) = (old.slot(), old.slot());
        drop(first);
        let new = quota.begin(30);
        assert_eq!((new.foreign(), new.connections()), (1, 1));
        let own = new.slot();
        // Opened in the moment between: still the predecessor's.
        let late = old.slot();
        assert_eq!((new.foreign(), new.connections()), (2, 3));
        drop((second, late));
        assert_eq!((new.foreign(), new.connections()), (0, 1));
        assert!(!quota.is_unused());
        drop(own);
        assert!(quota.is_unused());
    }

    #[test]
    fn a_successor_inherits_the_minute() {
        let quota = Quota::default();
        let old = quota.begin(2);
        let now = Instant::now();
        old.pacing(Pacing::start);
        old.pacing(|pacing| pacing.end(1, now));
        old.pacing(Pacing::start);
        let new = quota.begin(2);
        assert_eq!(new.pacing(|pacing| pacing.room(now)), 0);
        assert!(!quota.is_unused());
        old.give_back(|pacing| pacing.end(0, now));
        assert_eq!(new.pacing(|pacing| pacing.room(now)), 1);
    }
}
