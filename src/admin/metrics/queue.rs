//! The queue: what waits, how much room is left, and the disk.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::page::Page;
use super::seconds_until;
use crate::admin::protocol::QueueStatus;
use crate::queue::MessageState;
use crate::telemetry::Distribution;

const MICROSECONDS: f64 = 1e6;

pub(super) fn show(page: &mut Page, queue: &QueueStatus, now: Timestamp) {
    if queue.error.is_none() {
        waiting(page, queue, now);
    }
    page.gauge(
        "exorelay_queue_bytes",
        "Content that counts against queue.max_bytes: of messages that wait or are being taken in.",
    )
    .sample(&[], queue.bytes);
    page.gauge("exorelay_queue_limit_messages", "queue.max_messages.")
        .sample(&[], queue.limit_messages);
    page.gauge("exorelay_queue_limit_bytes", "queue.max_bytes.")
        .sample(&[], queue.limit_bytes);
    page.gauge(
        "exorelay_queue_full",
        "Whether new mail is refused for lack of room, with 452.",
    )
    .sample(&[], queue.full.is_some());
    page.gauge(
        "exorelay_queue_unreadable",
        "Whether the queue's database cannot be read, so that what waits is not known.",
    )
    .sample(&[], queue.error.is_some());
    let commits = &queue.commits;
    let distribution = Distribution {
        count: commits.count,
        sum: commits.microseconds,
        buckets: commits.by_microseconds.clone(),
    };
    page.histogram(
        "exorelay_queue_commit_seconds",
        "Transactions that changed the queue, each from its beginning until it was on stable storage.",
        &distribution,
        MICROSECONDS,
    );
}

/// From the database.
fn waiting(page: &mut Page, queue: &QueueStatus, now: Timestamp) {
    let states = [
        MessageState::Ready,
        MessageState::Sending,
        MessageState::Deferred,
        MessageState::Held,
        MessageState::Failed,
    ];
    let mut messages = BTreeMap::from(states.map(|state| (state.as_str(), 0)));
    for (state, count) in queue.counts.values().flatten() {
        *messages.entry(state).or_default() += count;
    }
    let mut family = page.gauge(
        "exorelay_queue_messages",
        "Messages in the queue, by state; failed ones are kept for inspection and do not count against queue.max_messages.",
    );
    for (state, count) in messages {
        family.sample(&[("state", state)], count);
    }
    let oldest = queue.oldest_received_at;
    page.gauge(
        "exorelay_queue_oldest_seconds",
        "Age of the oldest message that waits, held ones included; 0 if none does.",
    )
    .sample(&[], oldest.map_or(0, |then| seconds_until(now, then)));
    page.gauge(
        "exorelay_queue_stray_messages",
        "Messages that wait for accounts which the settings do not name: nobody sends them.",
    )
    .sample(&[], queue.unknown_accounts.values().sum::<u64>());
    page.gauge(
        "exorelay_queue_quarantined_messages",
        "Messages that are damaged and were set aside; exorelay queue verify tells of them.",
    )
    .sample(&[], queue.quarantined);
}
