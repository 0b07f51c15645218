//! A true sliding window: never more than so many messages in any sixty seconds.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The service counts over a minute (facts B.1).
const WINDOW: Duration = Duration::from_mins(1);

/// Counts messages of one mailbox.
///
/// A message takes its place when it is started and keeps it until a minute after it was *finished*:
/// the service may count it at any moment in between, and so never sees one too many.
#[derive(Debug)]
pub(crate) struct Pacing {
    /// None: the upstream has no such limit.
    limit: Option<usize>,
    under_way: usize,
    finished: VecDeque<Instant>,
    /// The end of the last message sent while there was no limit: how many there were is not known.
    uncounted: Option<Instant>,
}

impl Pacing {
    /// `per_minute` 0 means no pacing.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            limit: (per_minute > 0).then_some(per_minute as usize),
            under_way: 0,
            finished: VecDeque::new(),
            uncounted: None,
        }
    }

    /// Another limit from now on; what is under way and what was sent in the last minute counts.
    pub(crate) fn set_limit(&mut self, per_minute: u32, now: Instant) {
        self.room(now);
        self.limit = (per_minute > 0).then_some(per_minute as usize);
        if self.limit.is_none() {
            // Nobody will read them, and `uncounted` stands for them should a limit come back.
            self.uncounted = self.finished.drain(..).next_back().or(self.uncounted);
        }
    }

    /// How many messages may be started now.
    pub(crate) fn room(&mut self, now: Instant) -> usize {
        let Some(limit) = self.limit else {
            return usize::MAX;
        };
        while self
            .finished
            .front()
            .is_some_and(|end| now.duration_since(*end) >= WINDOW)
        {
            self.finished.pop_front();
        }
        if self
            .uncounted
            .is_some_and(|end| now.duration_since(end) >= WINDOW)
        {
            self.uncounted = None;
        }
        if self.uncounted.is_some() {
            return 0;
        }
        limit.saturating_sub(self.under_way + self.finished.len())
    }

    /// When the next place becomes free, unless that hangs on a message under way.
    pub(crate) fn next_room(&self) -> Option<Instant> {
        let first = self.uncounted.as_ref().or_else(|| self.finished.front());
        first
            .filter(|_| self.limit.is_some())
            .map(|end| *end + WINDOW)
    }

    /// A message is on its way.
    pub(crate) fn start(&mut self) {
        self.under_way += 1;
    }

    /// A message under way has ended. It was presented to the service so many times, as one for very
    /// many recipients goes out in parts, or not at all.
    pub(crate) fn end(&mut self, presented: usize, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        for _ in 0..presented {
            self.count(now);
        }
    }

    /// A message was presented to the service, whatever it answered.
    fn count(&mut self, now: Instant) {
        if self.limit.is_some() {
            self.finished.push_back(now);
        } else {
            self.uncounted = Some(now);
        }
    }

    /// Whether nothing of it would be missed by the service.
    pub(crate) fn is_idle(&mut self, now: Instant) -> bool {
        self.room(now);
        let uncounted = self
            .uncounted
            .is_some_and(|end| now.duration_since(end) < WINDOW);
        self.under_way + self.finished.len() == 0 && !uncounted
    }

    /// Messages in the window at the moment, and the limit if there is one.
    pub(crate) fn used(&mut self, now: Instant) -> (usize, Option<usize>) {
        self.room(now);
        (self.under_way + self.finished.len(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_a_limit_there_is_always_room() {
        let mut pacing = Pacing::new(0);
        for _ in 0..1_000 {
            pacing.start();
            pacing.end(1, Instant::now());
        }
        assert_eq!(pacing.room(Instant::now()), usize::MAX);
        assert!(pacing.finished.is_empty());
    }

    #[test]
    fn a_message_that_never_reached_the_service_frees_its_place() {
        let mut pacing = Pacing::new(1);
        pacing.start();
        assert_eq!(pacing.room(Instant::now()), 0);
        assert_eq!(pacing.next_room(), None);
        pacing.end(0, Instant::now());
        assert_eq!(pacing.room(Instant::now()), 1);
    }

    #[test]
    fn parts_of_one_message_count_and_leave_the_places_of_others_alone() {
        let now = Instant::now();
        let mut pacing = Pacing::new(5);
        pacing.start();
        pacing.start();
        pacing.end(3, now);
        assert_eq!(pacing.room(now), 1, "three presented, one under way");
    }

    #[test]
    fn a_new_limit_counts_what_was_sent_under_the_old_one() {
        let now = Instant::now();
        let mut pacing = Pacing::new(3);
        for _ in 0..3 {
            pacing.start();
        }
        pacing.end(1, now);
        pacing.end(1, now);
        pacing.set_limit(4, now);
        assert_eq!(pacing.room(now), 1, "two sent, one under way");
        pacing.set_limit(1, now);
        assert_eq!(pacing.room(now), 0);
        pacing.end(1, now);
        assert_eq!(pacing.room(now + WINDOW), 1);
    }

    #[test]
    fn a_limit_that_comes_back_waits_a_minute_after_what_was_not_counted() {
        let now = Instant::now();
        let mut pacing = Pacing::new(3);
        pacing.start();
        pacing.end(1, now);
        pacing.set_limit(0, now);
        assert_eq!(pacing.room(now), usize::MAX);
        pacing.start();
        let last = now + Duration::from_secs(10);
        pacing.end(1, last);
        pacing.set_limit(3, last);
        assert_eq!(pacing.room(last), 0);
        assert_eq!(pacing.next_room(), Some(last + WINDOW));
        assert_eq!(pacing.room(last + WINDOW), 3);
    }

    proptest! {
        /// Greedy sending, each message taking as long as it likes, accepted at its very start or end.
        #[test]
        fn no_sixty_seconds_hold_more_than_the_limit(
            limit in 1_u32..8,
            durations in proptest::collection::vec((0_u64..20_000, proptest::bool::ANY), 1..80),
        ) {
            let origin = Instant::now();
            let (mut pacing, mut now) = (Pacing::new(limit), origin);
            let mut accepted = Vec::new();
            for (duration_ms, late) in durations {
                if pacing.room(now) == 0 {
                    now = pacing.next_room().unwrap();
                }
                prop_assert!(pacing.room(now) > 0);
                pacing.start();
                let begun = now;
                now += Duration::from_millis(duration_ms);
                pacing.end(1, now);
                accepted.push(if late { now } else { begun });
            }
            for window in accepted.windows(limit as usize + 1) {
                prop_assert!(window[limit as usize].duration_since(window[0]) >= WINDOW);
            }
        }
    }
}
