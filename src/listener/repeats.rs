//! Message-IDs that a client uses for more than one message.
//!
//! Exchange Online silently drops a message for its own recipients when it has seen the Message-ID before.
//! That makes a resend harmless, and it makes mail of a device disappear that gives every scan the same
//! one. Nobody but the relay sees both messages, so it says so.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::listener::Peer;
use crate::queue::QueueId;

/// Message-IDs that are remembered, the latest ones.
const REMEMBERED_MAX: usize = 4096;

/// A client is warned of once in this time.
const WARNING_PERIOD: Duration = Duration::from_hours(1);

/// Clients whose last warning is remembered.
const WARNED_MAX: usize = 1024;

/// What one listener has accepted lately.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// Names are kept as their hashes only, whose key nobody knows.
    hasher: RandomState,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    accepted: HashMap<u64, Accepted>,
    /// The keys of `accepted`, the oldest first.
    order: VecDeque<u64>,
    warned: HashMap<Peer, Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Accepted {
    id: QueueId,
    size_bytes: u64,
    times: u32,
}

/// A Message-ID that is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    /// The message that had it first.
    pub(super) earlier: QueueId,
    /// Somebody should hear of it.
    pub(super) is_news: bool,
}

impl Repeats {
    /// A message was accepted from `client` as `id`. Returns the earlier message with this Message-ID, if there
    /// is one.
    ///
    /// A client that never heard our 250 sends the very same message once more. So the same Message-ID
    /// counts as used again when the size differs, or when it comes for the third time.
    pub(super) fn accepted(
        &self,
        client: Peer,
        message_id: &str,
        size_bytes: u64,
        id: QueueId,
    ) -> Option<Repeat> {
        let key = self.hasher.hash_one((client, message_id));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = state.accepted.get_mut(&key) else {
            state.remember(
                key,
                Accepted {
                    id,
                    size_bytes,
                    times: 1,
                },
            );
            return None;
        };
        known.times = known.times.saturating_add(1);
        let earlier = *known;
        let is_another = earlier.size_bytes != size_bytes || earlier.times > 2;
        is_another.then(|| Repeat {
            earlier: earlier.id,
            is_news: state.may_warn(client, Instant::now()),
        })
    }
}

impl State {
    fn remember(&mut self, key: u64, accepted: Accepted) {
        if self.order.len() >= REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.accepted.remove(&oldest);
        }
        self.order.push_back(key);
        self.accepted.insert(key, accepted);
    }

    fn may_warn(&mut self, client: Peer, now: Instant) -> bool {
        let is_due = |last: &Instant| now.duration_since(*last) >= WARNING_PERIOD;
        if self.warned.get(&client).is_some_and(|last| !is_due(last)) {
            return false;
        }
        if self.warned.len() >= WARNED_MAX {
            self.warned.retain(|_, last| !is_due(last));
        }
        // So many clients at once are one defect; one warning more or less tells no more of it.
        if self.warned.len() < WARNED_MAX {
            self.warned.insert(client, now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTER: Peer = Peer::Network(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)));
    const SCANNER: Peer = Peer::Network(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)));

    fn id(number: u32) -> QueueId {
        QueueId::parse(&format!("01K9Z3X4T5AB{number:04}")).unwrap()
    }

    fn repeat(earlier: u32, is_news: bool) -> Repeat {
        let earlier = id(earlier);
        Repeat { earlier, is_news }
    }

    #[test]
    fn another_message_under_the_same_name_is_told_of_once_an_hour() {
        let repeats = Repeats::default();
        assert_eq!(repeats.accepted(PRINTER, "<1@p>", 100, id(1)), None);
        let second = repeats.accepted(PRINTER, "<1@p>", 101, id(2));
        assert_eq!(second, Some(repeat(1, true)));
        let third = repeats.accepted(PRINTER, "<1@p>", 102, id(3));
        assert_eq!(third, Some(repeat(1, false)));
        assert_eq!(repeats.accepted(SCANNER, "<1@p>", 103, id(4)), None);
        let other = repeats.accepted(SCANNER, "<1@p>", 104, id(5));
        assert_eq!(other, Some(repeat(4, true)));
    }

    #[test]
    fn one_resend_is_nothing_to_tell_of() {
        let repeats = Repeats::default();
        assert_eq!(repeats.accepted(PRINTER, "<1@p>", 100, id(1)), None);
        assert_eq!(repeats.accepted(PRINTER, "<1@p>", 100, id(2)), None);
        let third = repeats.accepted(PRINTER, "<1@p>", 100, id(3));
        assert_eq!(third, Some(repeat(1, true)));
    }

    #[test]
    fn memory_is_bounded() {
        let repeats = Repeats::default();
        for number in 0..2 * REMEMBERED_MAX {
            let name = format!("<{number}@p>");
            assert_eq!(repeats.accepted(PRINTER, &name, 1, id(1)), None);
        }
        let state = repeats.state.lock().unwrap();
        assert_eq!(state.accepted.len(), REMEMBERED_MAX);
        assert_eq!(state.order.len(), REMEMBERED_MAX);
    }
}
