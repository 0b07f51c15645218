//! Messages: what came in and what became of it.

use std::collections::BTreeMap;

use super::page::Page;
use crate::admin::protocol::Status;
use crate::telemetry::{Counters, Series};

/// Of accounts and listeners, each with each: beyond, only those are shown that mail has gone through.
const PAIRS_MAX: usize = 1_000;

/// As in the log.
const NOTICES: [&str; 3] = ["delayed", "digest", "failed"];

const MILLISECONDS: f64 = 1e3;

pub(super) fn show(page: &mut Page, status: &Status, counters: &Counters) {
    for (name, help, series) in [
        (
            "exorelay_messages_received_total",
            "Messages accepted from clients and stored, by the account they were routed to (a pool is a+b) and the listener; a message that is split between accounts counts once for each.",
            &counters.received,
        ),
        (
            "exorelay_messages_delivered_total",
            "Messages that the submission service has taken over for every recipient, by account and listener; that of the relay's own notices is called notice.",
            &counters.delivered,
        ),
        (
            "exorelay_messages_deferred_total",
            "Attempts that left a message waiting for another one, by account and listener; a message can be deferred several times.",
            &counters.deferred,
        ),
        (
            "exorelay_messages_failed_total",
            "Messages that ended with at least one recipient refused for good, by account and listener.",
            &counters.failed,
        ),
        (
            "exorelay_messages_expired_total",
            "Messages that were given up because of their age, by account and listener; they are not among the failed.",
            &counters.expired,
        ),
    ] {
        messages(page, name, help, series, status);
    }
    page.histogram(
        "exorelay_delivery_seconds",
        "From the acceptance of a delivered message to the reply that took the last of it over.",
        &counters.delivery_milliseconds(),
        MILLISECONDS,
    );
    let mut notices = BTreeMap::from(NOTICES.map(|kind| (kind.to_owned(), 0)));
    let counted = counters.notices.counts().into_iter();
    notices.extend(counted.map(|([kind], count)| (kind, count)));
    let mut family = page.counter(
        "exorelay_notices_total",
        "Notices to senders that mail failed or is late, by kind; each is queued as a message of its own.",
    );
    for (kind, count) in notices {
        family.sample(&[("kind", &kind)], count);
    }
}

fn messages(
    page: &mut Page,
    name: &'static str,
    help: &'static str,
    series: &Series<2>,
    status: &Status,
) {
    let pairs = status.accounts.len().saturating_mul(status.listeners.len());
    let accounts = status.accounts.iter().filter(|_| pairs <= PAIRS_MAX);
    let mut counts: BTreeMap<_, _> = accounts
        .flat_map(|account| {
            let listeners = status.listeners.iter();
            listeners.map(|listener| ([account.name.clone(), listener.name.clone()], 0))
        })
        .collect();
    counts.extend(series.counts());
    let mut family = page.counter(name, help);
    for ([account, listener], count) in counts {
        family.sample(&[("account", &account), ("listener", &listener)], count);
    }
}
