//! What Exchange Online counts per authenticated mailbox: connections and messages in a minute (facts B.1).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::settings::Excess;

const MINUTE: Duration = Duration::from_mins(1);
/// Idle mailboxes are forgotten when there are more than this.
const MAILBOXES_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Mailboxes {
    by_name: Mutex<HashMap<String, Mailbox>>,
}

#[derive(Debug, Default)]
struct Mailbox {
    /// Authenticated connections, by their number: the oldest have the right of way.
    connections: BTreeSet<u64>,
    /// When the last messages had or will have their place, oldest first, no more than the limit.
    places: VecDeque<Instant>,
}

impl Mailboxes {
    /// Counts an authenticated connection until the seat is dropped. Also: how many the mailbox has now.
    pub(super) fn sit(self: &Arc<Self>, mailbox: &str, connection: u64) -> (Seat, u64) {
        let name = mailbox.to_ascii_lowercase();
        let mut by_name = self.lock();
        if by_name.len() >= MAILBOXES_MAX {
            let now = Instant::now();
            by_name.retain(|_, mailbox| {
                !mailbox.connections.is_empty()
                    || mailbox
                        .places
                        .back()
                        .is_some_and(|&place| place + MINUTE > now)
            });
        }
        let mailbox = by_name.entry(name.clone()).or_default();
        mailbox.connections.insert(connection);
        let connections = mailbox.connections.len() as u64;
        let seat = Seat {
            mailboxes: Arc::clone(self),
            name,
            connection,
        };
        (seat, connections)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Mailbox>> {
        // Counts are whole at every step: a panic elsewhere leaves nothing half done.
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One authenticated connection of a mailbox.
#[derive(Debug)]
pub(super) struct Seat {
    mailboxes: Arc<Mailboxes>,
    name: String,
    connection: u64,
}

impl Seat {
    /// The mailbox, in lower case.
    pub(super) fn mailbox(&self) -> &str {
        &self.name
    }

    /// Whether this connection is not among the first `limit` of its mailbox.
    pub(super) fn is_over(&self, limit: usize) -> bool {
        if limit == 0 {
            return false;
        }
        let by_name = self.mailboxes.lock();
        by_name
            .get(&self.name)
            .is_some_and(|mailbox| mailbox.connections.range(..self.connection).count() >= limit)
    }

    /// When a message that arrives `now` has its place within `limit` messages in any minute: later than `now` if it
    /// is over the rate. The place is booked, unless `excess` has the message refused.
    pub(super) fn place(&self, now: Instant, limit: usize, excess: Excess) -> Instant {
        if limit == 0 {
            return now;
        }
        let mut by_name = self.mailboxes.lock();
        let places = &mut by_name.entry(self.name.clone()).or_default().places;
        while places.len() > limit {
            places.pop_front();
        }
        let place = match places.front() {
            Some(&oldest) if places.len() == limit => now.max(oldest + MINUTE),
            _ => now,
        };
        match excess {
            Excess::Slow => places.push_back(place),
            Excess::Count => places.push_back(now),
            Excess::Refuse if place == now => places.push_back(now),
            Excess::Refuse => {}
        }
        place
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(mailbox) = self.mailboxes.lock().get_mut(&self.name) {
            mailbox.connections.remove(&self.connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_excess_is_carried_into_later_minutes() {
        let mailboxes = Arc::new(Mailboxes::default());
        let (seat, _) = mailboxes.sit("a@b", 1);
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let place = |at, excess| seat.place(at, 2, excess);
        assert_eq!(place(start, Excess::Slow), start);
        assert_eq!(place(start + second, Excess::Slow), start + second);
        assert_eq!(place(start + 2 * second, Excess::Refuse), start + MINUTE);
        assert_eq!(place(start + 2 * second, Excess::Slow), start + MINUTE);
        assert_eq!(
            place(start + 2 * second, Excess::Slow),
            start + MINUTE + second
        );
        assert_eq!(place(start + 2 * second, Excess::Slow), start + 2 * MINUTE);
        assert_eq!(place(start + 5 * MINUTE, Excess::Slow), start + 5 * MINUTE);
        assert_eq!(seat.place(start, 0, Excess::Slow), start);
    }

    #[test]
    fn counting_leaves_the_window_where_the_messages_are() {
        let mailboxes = Arc::new(Mailboxes::default());
        let (seat, _) = mailboxes.sit("a@b", 1);
        let start = Instant::now();
        let second = Duration::from_secs(1);
        for n in 0..10 {
            let now = start + n * second;
            let over = seat.place(now, 3, Excess::Count) > now;
            assert_eq!(over, n >= 3, "{n}");
        }
        let later = start + 2 * MINUTE;
        assert_eq!(seat.place(later, 3, Excess::Count), later);
    }

    #[test]
    fn the_oldest_connections_have_the_right_of_way() {
        let mailboxes = Arc::new(Mailboxes::default());
        let (first, _) = mailboxes.sit("A@b", 1);
        let (second, connections) = mailboxes.sit("a@B", 2);
        assert_eq!(connections, 2);
        let (other, connections) = mailboxes.sit("other@b", 3);
        assert_eq!(connections, 1);
        assert!(!first.is_over(1) && second.is_over(1) && !other.is_over(1));
        drop(first);
        assert!(!second.is_over(1));
    }
}
