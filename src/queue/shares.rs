//! Who holds how much of the queue: one client must not take the last of the room from the others.
//!
//! While there is plenty, everybody takes what is needed. In the last fifth of a bound a client is
//! refused that holds as much as is left and as much as an equal part of the whole: who has little
//! gets in until the queue is full, and a client that is alone has all of it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a client that found the queue full is expected back: RFC 5321 section 4.5.4.1 has it wait
/// half an hour at least.
const RETURNS_WITHIN: Duration = Duration::from_hours(1);

/// A client, by a hash whose key nobody knows: its address may be a text of any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Holder(u64);

#[derive(Debug, Default)]
pub(super) struct Shares {
    key: RandomState,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Never more than there are messages and drafts, since each has one at least.
    held: HashMap<Holder, Held>,
    /// The last one that held nothing and found no room, and until when it is expected back.
    turned_away: Option<(Holder, Instant)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    messages: u64,
    bytes: u64,
}

impl Shares {
    pub(super) fn holder(&self, client: &str) -> Holder {
        Holder(self.key.hash_one(client))
    }

    pub(super) fn add(&self, holder: Holder, messages: u64, bytes: u64) {
        let mut table = self.table();
        // It is back.
        table.turned_away.take_if(|(other, _)| *other == holder);
        let held = table.held.entry(holder).or_default();
        held.messages = held.messages.saturating_add(messages);
        held.bytes = held.bytes.saturating_add(bytes);
    }

    pub(super) fn remove(&self, holder: Holder, messages: u64, bytes: u64) {
        let mut table = self.table();
        let Some(held) = table.held.get_mut(&holder) else {
            return;
        };
        held.messages = held.messages.saturating_sub(messages);
        held.bytes = held.bytes.saturating_sub(bytes);
        if held.messages == 0 {
            table.held.remove(&holder);
        }
    }

    /// Whether `holder` may have one message more, when `used` of `max` are there.
    pub(super) fn allow_message(&self, holder: Holder, used: u64, max: u64) -> bool {
        self.allow(holder, used, max, |held| held.messages)
    }

    /// Whether `holder` may have more bytes, when `used` of `max` are taken, `own` of them by the message
    /// at hand: where one has begun, only the others are held against it.
    pub(super) fn allow_bytes(&self, holder: Holder, own: u64, used: u64, max: u64) -> bool {
        self.allow(holder, used, max, |held| held.bytes.saturating_sub(own))
    }

    fn allow(&self, holder: Holder, used: u64, max: u64, part: impl Fn(Held) -> u64) -> bool {
        // Where there is nothing, nobody is kept from it.
        if !is_scarce(used, max) || used >= max {
            return true;
        }
        let table = self.table();
        let held = part(table.held.get(&holder).copied().unwrap_or_default());
        let clients = table.held.len() as u64 + u64::from(table.expects_other_than(holder));
        held < max.saturating_sub(used) || u128::from(held) * u128::from(clients) < u128::from(max)
    }

    /// There was no room at all. Who filled the queue to the brim must not be the one that fills it
    /// again as soon as a message has left.
    pub(super) fn turned_away(&self, holder: Holder) {
        let mut table = self.table();
        if !table.held.contains_key(&holder) {
            table.turned_away = Some((holder, Instant::now() + RETURNS_WITHIN));
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn expects_other_than(&self, holder: Holder) -> bool {
        self.turned_away.is_some_and(|(other, until)| {
            other != holder && !self.held.contains_key(&other) && Instant::now() < until
        })
    }
}

/// The last fifth.
fn is_scarce(used: u64, max: u64) -> bool {
    u128::from(used) * 5 >= u128::from(max) * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes messages for each of the clients in turn, as long as one may and there is
    /// room; what each then holds.
    fn filled(max: u64, before: &[u64], clients: &[usize]) -> Vec<u64> {
        let shares = Shares::default();
        let mut held = before.to_vec();
        let holder = |client: usize| shares.holder(&client.to_string());
        for (client, held) in before.iter().enumerate().filter(|(_, held)| **held > 0) {
            shares.add(holder(client), *held, 0);
        }
        loop {
            let before = held.clone();
            for client in clients {
                let used = held.iter().sum();
                if used < max && shares.allow_message(holder(*client), used, max) {
                    shares.add(holder(*client), 1, 0);
                    held[*client] += 1;
                }
            }
            if held == before {
                return held;
            }
        }
    }

    #[test]
    fn a_client_alone_has_all_of_it() {
        assert_eq!(filled(100, &[0], &[0]), [100]);
        assert_eq!(filled(1, &[0], &[0]), [1]);
    }

    #[test]
    fn the_last_of_it_is_for_those_who_have_little() {
        for (before, clients, expected) in [
            // One that had most of it already when the other one came.
            (&[95, 0][..], &[1, 0][..], &[95, 5][..]),
            (&[60, 0], &[0], &[100, 0]),
            (&[60, 1], &[0], &[79, 1]),
            (&[60, 1], &[0, 1], &[70, 30]),
            // As much as the other one.
            (&[0, 0], &[0, 1], &[50, 50]),
            // What those who have little do not take stays free for them.
            (&[40, 1, 1, 1, 1, 1], &[0], &[75, 1, 1, 1, 1, 1]),
            (&[0, 20, 20, 20, 20], &[0], &[20, 20, 20, 20, 20]),
        ] {
            assert_eq!(filled(100, before, clients), expected, "{before:?}");
        }
    }

    #[test]
    fn bytes_are_shared_too_and_the_message_at_hand_is_not_held_against_it() {
        let shares = Shares::default();
        let (large, small) = (shares.holder("large"), shares.holder("small"));
        shares.add(large, 2, 850);
        shares.add(small, 1, 10);
        let may = |holder, own| shares.allow_bytes(holder, own, 860, 1_000);
        assert!(may(small, 0) && !may(large, 0));
        assert!(!may(large, 100), "750 in others of its messages");
        assert!(may(large, 800));
    }

    #[test]
    fn who_was_turned_away_is_waited_for() {
        let shares = Shares::default();
        let may = |holder, used| shares.allow_message(holder, used, 100);
        let [flood, late] = ["flood", "late"].map(|client| shares.holder(client));
        shares.add(flood, 99, 0);
        shares.turned_away(flood);
        assert!(may(flood, 99), "nobody else came");
        shares.turned_away(late);
        assert!(!may(flood, 99));
        assert!(may(late, 99));
        assert!(may(flood, 79), "there is plenty");

        shares.table().turned_away = Some((late, Instant::now()));
        assert!(may(flood, 99), "it gave up");

        shares.turned_away(late);
        shares.add(late, 1, 0);
        shares.remove(late, 1, 0);
        assert!(may(flood, 99), "it has been served");
    }

    #[test]
    fn who_holds_nothing_is_forgotten() {
        let shares = Shares::default();
        let holder = shares.holder("10.0.0.1");
        shares.add(holder, 1, 0);
        shares.add(holder, 1, 500);
        shares.remove(holder, 1, 300);
        let held = shares.table().held.get(&holder).copied();
        let expected = Held {
            messages: 1,
            bytes: 200,
        };
        assert_eq!(held, Some(expected));
        shares.remove(holder, 1, 200);
        shares.remove(holder, 1, 1);
        assert!(shares.table().held.is_empty());
    }
}
