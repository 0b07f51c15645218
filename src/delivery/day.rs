//! Recipients over a rolling day.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The service counts over 24 hours, sliding (facts B.1).
const DAY: Duration = Duration::from_hours(24);

/// What is counted together, and leaves together: so a day is a list of bounded length.
const GRAIN: Duration = Duration::from_mins(1);

/// Counts recipients of one mailbox: each of each message, repeats included.
///
/// As with [`Pacing`](super::pacing::Pacing), they count from the start of their message.
#[derive(Debug, Default)]
pub(crate) struct Day {
    /// None: the upstream has no such limit, or the operator does not care. Counted all the same.
    limit: Option<u64>,
    under_way: u64,
    counted: u64,
    /// With the end of each grain, oldest first.
    grains: VecDeque<(Instant, u64)>,
}

impl Day {
    /// 0 means no limit.
    pub(crate) fn set_limit(&mut self, per_day: u32) {
        self.limit = (per_day > 0).then_some(per_day.into());
    }

    /// Since when there has been, or will be, room for a message to so many. None: only once what is
    /// under way has ended.
    pub(crate) fn room_for(&mut self, recipients: u64, now: Instant) -> Option<Instant> {
        self.forget(now);
        let Some(limit) = self.limit else {
            return Some(now);
        };
        // More than a whole day allows goes out when the day is empty: no other day will be better.
        let mut excess = (self.used() + recipients.min(limit)).saturating_sub(limit);
        if excess == 0 {
            return Some(now);
        }
        for (end, count) in &self.grains {
            excess = excess.saturating_sub(*count);
            if excess == 0 {
                return Some(*end + DAY);
            }
        }
        None
    }

    /// A message for so many is on its way.
    pub(crate) fn start(&mut self, recipients: u64) {
        self.under_way += recipients;
    }

    /// A message for `recipients` has ended; so many of them count.
    pub(crate) fn end(&mut self, recipients: u64, counted: u64, now: Instant) {
        self.under_way = self.under_way.saturating_sub(recipients);
        self.count(now, counted);
    }

    /// So many were submitted at `at`; calls come in the order of time.
    pub(crate) fn count(&mut self, at: Instant, recipients: u64) {
        if recipients == 0 {
            return;
        }
        self.counted += recipients;
        match self.grains.back_mut() {
            Some((end, count)) if *end >= at => *count += recipients,
            _ => self.grains.push_back((at + GRAIN, recipients)),
        }
    }

    /// Recipients of the last day, and the limit if there is one.
    pub(crate) fn usage(&mut self, now: Instant) -> (u64, Option<u64>) {
        self.forget(now);
        (self.used(), self.limit)
    }

    /// When the last of so many recipients can have been sent, if all goes well.
    pub(crate) fn forecast(&mut self, recipients: u64, now: Instant) -> Option<Instant> {
        let Some(limit) = self.limit else {
            return Some(now);
        };
        let days = u32::try_from(recipients.saturating_sub(1) / limit).unwrap_or(u32::MAX);
        let last = recipients.saturating_sub(u64::from(days) * limit);
        let first = self.room_for(last, now)?;
        first.checked_add(DAY.checked_mul(days)?)
    }

    fn used(&self) -> u64 {
        self.under_way + self.counted
    }

    fn forget(&mut self, now: Instant) {
        while let Some((end, count)) = self.grains.front()
            && now.saturating_duration_since(*end) >= DAY
        {
            self.counted = self.counted.saturating_sub(*count);
            self.grains.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(limit: u32) -> Day {
        let mut day = Day::default();
        day.set_limit(limit);
        day
    }

    #[test]
    fn a_message_waits_until_all_of_it_fits() {
        let now = Instant::now();
        let hour = Duration::from_hours(1);
        let mut day = day(100);
        day.count(now, 40);
        day.count(now + hour, 40);
        let later = now + 2 * hour;
        assert_eq!(day.room_for(20, later), Some(later));
        let first_gone = now + GRAIN + DAY;
        assert_eq!(day.room_for(21, later), Some(first_gone));
        assert_eq!(day.room_for(61, later), Some(first_gone + hour));
        assert_eq!(day.room_for(60, first_gone), Some(first_gone));
        assert_eq!(day.usage(first_gone), (40, Some(100)));
    }

    #[test]
    fn what_is_under_way_counts_and_what_was_refused_is_given_back() {
        let now = Instant::now();
        let mut day = day(10);
        day.start(8);
        assert_eq!(day.room_for(3, now), None, "nobody knows when");
        day.end(8, 0, now);
        assert_eq!(day.room_for(10, now), Some(now));
    }

    #[test]
    fn more_than_a_day_allows_goes_out_on_an_empty_day() {
        let now = Instant::now();
        let mut day = day(10);
        assert_eq!(day.room_for(500, now), Some(now));
        day.count(now, 1);
        assert_eq!(day.room_for(500, now), Some(now + GRAIN + DAY));
    }

    #[test]
    fn without_a_limit_it_is_counted_for_the_day_one_is_set() {
        let now = Instant::now();
        let mut day = day(0);
        day.count(now, 50);
        assert_eq!(day.room_for(1_000_000, now), Some(now));
        day.set_limit(60);
        assert_eq!(day.room_for(11, now), Some(now + GRAIN + DAY));
    }

    #[test]
    fn a_queue_of_days_is_foreseen() {
        let now = Instant::now();
        let mut day = day(100);
        assert_eq!(day.forecast(100, now), Some(now));
        assert_eq!(day.forecast(201, now), Some(now + 2 * DAY));
        day.count(now, 100);
        assert_eq!(day.forecast(150, now), Some(now + GRAIN + 2 * DAY));
    }

    proptest! {
        /// Greedy sending for days, and never more than the limit in any twenty-four hours.
        #[test]
        fn no_day_holds_more_than_the_limit(
            limit in 20_u32..60,
            messages in proptest::collection::vec((1_u64..20, 0_u64..7_200), 1..200),
        ) {
            let origin = Instant::now();
            let (mut day, mut now) = (day(limit), origin);
            let mut sent: Vec<(Instant, u64)> = Vec::new();
            for (recipients, pause_s) in messages {
                now += Duration::from_secs(pause_s);
                now = now.max(day.room_for(recipients, now).unwrap());
                day.start(recipients);
                day.end(recipients, recipients, now);
                sent.push((now, recipients));
                let last_day = sent.iter().filter(|(at, _)| now.duration_since(*at) < DAY);
                prop_assert!(last_day.map(|(_, count)| count).sum::<u64>() <= u64::from(limit));
                prop_assert!(day.grains.len() <= 1_442);
            }
        }
    }
}
