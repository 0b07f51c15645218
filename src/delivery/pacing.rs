//! A true sliding window: never more than so many messages in any sixty seconds.
//!
//! The service tells nobody when it counts a message. It cannot before it hears of it, and it need not
//! later than it has all of it. So a message takes its place when it is started, and keeps it until a
//! minute after the latest moment at which the service can have counted it ([`latest_count`]). Whenever
//! the service counts in between, it never sees one too many.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The service counts over a minute (facts B.1).
const WINDOW: Duration = Duration::from_mins(1);

/// What the last octets of a message need to reach the service once we have handed them to the kernel,
/// above the time that [`UPLINK_BYTES_PER_SECOND`] takes for what may still lie in its buffers.
const TRANSIT: Duration = Duration::from_secs(1);

/// 1 Mbit/s.
const UPLINK_BYTES_PER_SECOND: u64 = 125_000;

/// When the service counts a message at the latest: once it has all of it, and before it replies.
///
/// Waiting for the reply alone would be simpler, and slower than the limit allows: Exchange takes
/// seconds to answer, which would be lost in every minute.
pub(crate) fn latest_count(
    final_dot: Option<Instant>,
    size_bytes: u64,
    replied: Instant,
) -> Instant {
    let Some(dot) = final_dot else {
        return replied;
    };
    let draining = Duration::from_secs(size_bytes / UPLINK_BYTES_PER_SECOND);
    replied.min(dot + TRANSIT + draining)
}

/// Counts messages of one mailbox.
#[derive(Debug)]
pub(crate) struct Pacing {
    /// None: the upstream has no such limit.
    limit: Option<usize>,
    under_way: usize,
    /// When each was counted at the latest, oldest first.
    counted: VecDeque<Instant>,
    /// The last message sent while there was no limit: how many there were is not known.
    uncounted: Option<Instant>,
}

impl Pacing {
    /// `per_minute` 0 means no pacing.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            limit: (per_minute > 0).then_some(per_minute as usize),
            under_way: 0,
            counted: VecDeque::new(),
            uncounted: None,
        }
    }

    /// Another limit from now on; what is under way and what was sent in the last minute counts.
    pub(crate) fn set_limit(&mut self, per_minute: u32, now: Instant) {
        self.room(now);
        self.limit = (per_minute > 0).then_some(per_minute as usize);
        if self.limit.is_none() {
            // Nobody will read them, and `uncounted` stands for them should a limit come back.
            self.uncounted = self.counted.drain(..).next_back().or(self.uncounted);
        }
    }

    /// How many messages may be started now.
    pub(crate) fn room(&mut self, now: Instant) -> usize {
        let Some(limit) = self.limit else {
            return usize::MAX;
        };
        while self.counted.front().is_some_and(|at| is_over(*at, now)) {
            self.counted.pop_front();
        }
        self.uncounted = self.uncounted.filter(|at| !is_over(*at, now));
        if self.uncounted.is_some() {
            return 0;
        }
        limit.saturating_sub(self.under_way + self.counted.len())
    }

    /// When there is room for a message, unless that hangs on one under way.
    pub(crate) fn next_room(&self) -> Option<Instant> {
        let limit = self.limit?;
        if let Some(uncounted) = self.uncounted {
            return Some(uncounted + WINDOW);
        }
        // With a limit that was lowered, several have to go.
        let over = (self.under_way + self.counted.len()).checked_sub(limit)?;
        self.counted.get(over).map(|at| *at + WINDOW)
    }

    /// A message is on its way.
    pub(crate) fn start(&mut self) {
        self.under_way += 1;
    }

    /// A message under way has ended; the service counted it at `counted` at the latest, or never
    /// heard of it.
    pub(crate) fn end(&mut self, counted: Option<Instant>) {
        self.under_way = self.under_way.saturating_sub(1);
        if let Some(at) = counted {
            self.count(at, 1);
        }
    }

    /// A message under way is to be presented a second time, after the service counted it by `counted`.
    /// False if there is no room for that.
    pub(crate) fn again(&mut self, counted: Instant, now: Instant) -> bool {
        let may = self.room(now) > 0;
        if may {
            self.count(counted, 1);
        }
        may
    }

    /// So many messages were presented to the service at `at`, whatever it answered.
    fn count(&mut self, at: Instant, messages: usize) {
        if self.limit.is_none() {
            self.uncounted = self.uncounted.max(Some(at));
            return;
        }
        // Connections end their messages in any order.
        let place = self.counted.partition_point(|other| *other <= at);
        for _ in 0..messages {
            self.counted.insert(place, at);
        }
    }

    /// So many messages were presented so long ago by a process that may have died since: what it sent
    /// last may still be on its way.
    pub(crate) fn recall(&mut self, age: Duration, messages: usize, now: Instant) {
        // A machine that is up for less than that: take it for now.
        let at = now.checked_sub(age).unwrap_or(now) + TRANSIT;
        if !is_over(at, now) {
            self.count(at, messages);
        }
    }

    /// Whether nothing of it would be missed by the service.
    pub(crate) fn is_idle(&mut self, now: Instant) -> bool {
        let (used, _) = self.used(now);
        used == 0 && self.uncounted.is_none_or(|at| is_over(at, now))
    }

    /// Messages in the window at the moment, and the limit if there is one.
    pub(crate) fn used(&mut self, now: Instant) -> (usize, Option<usize>) {
        self.room(now);
        (self.under_way + self.counted.len(), self.limit)
    }

    /// When the last of so many messages will have been started, if all goes well.
    pub(crate) fn forecast(&mut self, messages: u64, now: Instant) -> Option<Instant> {
        let room = self.room(now) as u64;
        let limit = self.limit? as u64;
        let Some(after_this) = messages.checked_sub(room + 1) else {
            return Some(now);
        };
        let minutes = u32::try_from(after_this / limit).unwrap_or(u32::MAX);
        let first = self.next_room().unwrap_or(now + WINDOW);
        first.checked_add(WINDOW.checked_mul(minutes)?)
    }
}

fn is_over(counted: Instant, now: Instant) -> bool {
    now.saturating_duration_since(counted) >= WINDOW
}

#[cfg(test)]
mod tests;
