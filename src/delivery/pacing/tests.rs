//! The limit is kept, and used.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;

#[test]
fn without_a_limit_there_is_always_room() {
    let mut pacing = Pacing::new(0);
    for _ in 0..1_000 {
        pacing.start();
        pacing.end(Some(Instant::now()));
    }
    assert_eq!(pacing.room(Instant::now()), usize::MAX);
    assert!(pacing.counted.is_empty());
}

#[test]
fn a_message_that_never_reached_the_service_frees_its_place() {
    let now = Instant::now();
    let mut pacing = Pacing::new(1);
    pacing.start();
    assert_eq!(pacing.room(now), 0);
    assert_eq!(pacing.next_room(), None);
    pacing.end(None);
    assert_eq!(pacing.room(now), 1);
}

#[test]
fn a_slow_reply_costs_no_more_than_the_way_there() {
    let dot = Instant::now();
    let second = Duration::from_secs(1);
    assert_eq!(
        latest_count(Some(dot), 2_000, dot + second / 2),
        dot + second / 2
    );
    assert_eq!(
        latest_count(Some(dot), 2_000, dot + 30 * second),
        dot + second
    );
    // A large one may lie in the kernel's buffers for a while.
    assert_eq!(
        latest_count(Some(dot), 500_000, dot + 30 * second),
        dot + 5 * second
    );
    assert_eq!(
        latest_count(None, 2_000, dot),
        dot,
        "refused before its content"
    );
}

#[test]
fn a_new_limit_counts_what_was_sent_under_the_old_one() {
    let now = Instant::now();
    let mut pacing = Pacing::new(3);
    for _ in 0..3 {
        pacing.start();
    }
    pacing.end(Some(now));
    pacing.end(Some(now));
    pacing.set_limit(4, now);
    assert_eq!(pacing.room(now), 1, "two sent, one under way");
    pacing.set_limit(1, now);
    assert_eq!(pacing.room(now), 0);
    assert_eq!(pacing.next_room(), None, "the one under way takes it all");
    pacing.end(Some(now));
    assert_eq!(pacing.room(now + WINDOW), 1);
}

#[test]
fn a_limit_that_was_lowered_has_room_once_enough_have_gone() {
    let now = Instant::now();
    let second = Duration::from_secs(1);
    let mut pacing = Pacing::new(5);
    for n in 0..5 {
        pacing.count(now + n * second, 1);
    }
    pacing.set_limit(2, now + 5 * second);
    let next = pacing.next_room().unwrap();
    assert_eq!(next, now + 3 * second + WINDOW);
    assert_eq!((pacing.room(next - second), pacing.room(next)), (0, 1));
}

#[test]
fn a_limit_that_comes_back_waits_a_minute_after_what_was_not_counted() {
    let now = Instant::now();
    let mut pacing = Pacing::new(3);
    pacing.start();
    pacing.end(Some(now));
    pacing.set_limit(0, now);
    assert_eq!(pacing.room(now), usize::MAX);
    pacing.start();
    let last = now + Duration::from_secs(10);
    pacing.end(Some(last));
    pacing.set_limit(3, last);
    assert_eq!(pacing.room(last), 0);
    assert_eq!(pacing.next_room(), Some(last + WINDOW));
    assert_eq!(pacing.room(last + WINDOW), 3);
}

#[test]
fn the_forecast_goes_by_the_minute() {
    let now = Instant::now();
    let mut pacing = Pacing::new(30);
    assert_eq!(pacing.forecast(30, now), Some(now));
    assert_eq!(pacing.forecast(31, now), Some(now + WINDOW));
    pacing.count(now, 30);
    let later = now + WINDOW / 2;
    assert_eq!(pacing.forecast(1, later), Some(now + WINDOW));
    assert_eq!(pacing.forecast(600, later), Some(now + 20 * WINDOW));
    assert_eq!(Pacing::new(0).forecast(600, now), None);
}

/// One attempt: when its dot goes out, when the reply comes, and where between start and latest count
/// the service counts it.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    sending_ms: u64,
    replying_ms: u64,
    counted_at: f64,
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let attempt = (0_u64..4_000, 0_u64..20_000, 0.0..=1.0_f64);
    let attempt = attempt.prop_map(|(sending_ms, replying_ms, counted_at)| Attempt {
        sending_ms,
        replying_ms,
        counted_at,
    });
    proptest::collection::vec(attempt, 1..120)
}

/// An attempt under way; the first to end is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    replied: Reverse<Instant>,
    dot: Instant,
    latest: Instant,
    counted: Instant,
}

/// Greedy sending over `connections` as long as there are attempts. Now and then the process dies with
/// what is under way, and starts from what the queue has kept: whole seconds, and leases taken for now.
/// Returns when the service counted each.
fn counted_by_the_service(
    limit: u32,
    connections: usize,
    attempts: &[Attempt],
    crashes: &[usize],
) -> Vec<Instant> {
    let origin = Instant::now();
    let mut now = origin;
    let mut pacing = Pacing::new(limit);
    let mut under_way: BinaryHeap<UnderWay> = BinaryHeap::new();
    let mut rows: Vec<Instant> = Vec::new();
    let mut counted = Vec::new();
    for (number, attempt) in attempts.iter().enumerate() {
        if crashes.contains(&number) {
            now += Duration::from_millis(attempt.sending_ms / 4);
            for dead in under_way.drain() {
                // Without its dot nothing more of it arrives; with it, all that is on its way.
                let is_whole = dead.dot <= now;
                counted.push(if is_whole {
                    dead.counted
                } else {
                    dead.counted.min(now)
                });
                rows.push(now);
            }
            pacing = Pacing::new(limit);
            for at in &rows {
                // As in the queue: the end of its second, but nothing of the future.
                let second = at.duration_since(origin).as_secs() + 1;
                let row = origin + Duration::from_secs(second);
                pacing.recall(now.saturating_duration_since(row), 1, now);
            }
        }
        while under_way.len() >= connections || pacing.room(now) == 0 {
            let next_end = under_way.peek().map(|one| one.replied.0);
            let next_room = pacing.next_room().filter(|_| under_way.len() < connections);
            if let Some(room) = next_room
                && next_end.is_none_or(|end| room < end)
            {
                now = now.max(room);
                continue;
            }
            let ended = under_way.pop().unwrap();
            now = now.max(ended.replied.0);
            pacing.end(Some(ended.latest));
            counted.push(ended.counted);
            rows.push(now);
        }
        pacing.start();
        let dot = now + Duration::from_millis(attempt.sending_ms);
        let replied = dot + Duration::from_millis(attempt.replying_ms);
        let latest = latest_count(Some(dot), 2_000, replied);
        under_way.push(UnderWay {
            replied: Reverse(replied),
            dot,
            latest,
            counted: now + latest.duration_since(now).mul_f64(attempt.counted_at),
        });
    }
    counted.extend(under_way.drain().map(|one| one.counted));
    counted.sort();
    counted
}

proptest! {
    /// Whenever the service counts, and at whatever moments the process dies.
    #[test]
    fn no_sixty_seconds_hold_more_than_the_limit(
        limit in 1_u32..8,
        connections in 1_usize..4,
        attempts in attempts(),
        crashes in proptest::collection::vec(0_usize..120, 0..4),
    ) {
        let counted = counted_by_the_service(limit, connections, &attempts, &crashes);
        for window in counted.windows(limit as usize + 1) {
            let span = window[limit as usize].duration_since(window[0]);
            prop_assert!(span >= WINDOW, "{span:?}");
        }
    }
}

#[test]
fn a_slow_service_is_used_to_29_of_30_a_minute() {
    for (replying_ms, jitter_ms) in [(300, 100), (1_000, 500), (2_000, 1_000), (4_000, 2_000)] {
        let attempt = |number: u64| Attempt {
            sending_ms: 40 + number % 7 * 30,
            replying_ms: replying_ms + number * 7_919 % jitter_ms,
            counted_at: 0.9,
        };
        let attempts: Vec<_> = (0..900).map(attempt).collect();
        let counted = counted_by_the_service(30, 3, &attempts, &[]);
        // From the first of one wave to the first of another.
        let took = counted[870].duration_since(counted[0]);
        let per_minute = 870.0 / took.as_secs_f64() * 60.0;
        assert!(
            per_minute >= 29.0,
            "{per_minute} with replies after {replying_ms} ms"
        );
    }
}
