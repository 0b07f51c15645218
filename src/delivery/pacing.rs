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
}

impl Pacing {
    /// `per_minute` 0 means no pacing.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            limit: (per_minute > 0).then_some(per_minute as usize),
            under_way: 0,
            finished: VecDeque::new(),
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
        limit.saturating_sub(self.under_way + self.finished.len())
    }

    /// When the next place becomes free, unless that hangs on a message under way.
    pub(crate) fn next_room(&self) -> Option<Instant> {
        self.finished.front().map(|end| *end + WINDOW)
    }

    /// A message is on its way.
    pub(crate) fn start(&mut self) {
        self.under_way += 1;
    }

    /// A message was presented to the service, whatever it answered.
    pub(crate) fn finish(&mut self, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        if self.limit.is_some() {
            self.finished.push_back(now);
        }
    }

    /// A message never reached the service.
    pub(crate) fn cancel(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
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
            pacing.finish(Instant::now());
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
        pacing.cancel();
        assert_eq!(pacing.room(Instant::now()), 1);
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
                pacing.finish(now);
                accepted.push(if late { now } else { begun });
            }
            for window in accepted.windows(limit as usize + 1) {
                prop_assert!(window[limit as usize].duration_since(window[0]) >= WINDOW);
            }
        }
    }
}
