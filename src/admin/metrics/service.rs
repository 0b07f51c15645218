//! The relay as a whole: its version, its sessions, what is wrong.

use std::collections::BTreeMap;

use super::page::Page;
use crate::admin::protocol::Status;
use crate::queue::IncidentKind;
use crate::telemetry::Counters;

/// Shown before they are seen, so that the first of them is an increase.
const CODES: [u16; 20] = [
    220, 221, 235, 250, 354, 421, 450, 451, 452, 500, 501, 502, 503, 530, 535, 550, 552, 553, 554,
    555,
];

pub(super) fn show(page: &mut Page, status: &Status, counters: &Counters) {
    page.gauge("exorelay_build_info", "1, with the version of the program.")
        .sample(&[("version", &status.version)], 1_u64);
    page.gauge("exorelay_sessions", "Sessions of clients at the moment.")
        .sample(&[], status.sessions);
    page.counter(
        "exorelay_session_panics_total",
        "Sessions of clients that a defect of the program broke off.",
    )
    .sample(&[], status.session_panics);
    let mut replies = BTreeMap::from(CODES.map(|code| (code, 0)));
    replies.extend(counters.replies.counts());
    let mut family = page.counter(
        "exorelay_smtp_replies_total",
        "Replies to clients, by SMTP reply code.",
    );
    for (code, count) in replies {
        family.sample(&[("code", &code.to_string())], count);
    }
    incidents(page, status, counters);
}

fn incidents(page: &mut Page, status: &Status, counters: &Counters) {
    let mut open = BTreeMap::from(IncidentKind::ALL.map(|kind| (kind.as_str(), 0_u64)));
    for incident in &status.incidents {
        *open.entry(&incident.kind).or_default() += 1;
    }
    let mut family = page.gauge(
        "exorelay_incidents",
        "Incidents that are open, by kind; exorelay status tells of each.",
    );
    for (kind, count) in open {
        family.sample(&[("kind", kind)], count);
    }
    let mut opened = BTreeMap::from(IncidentKind::ALL.map(|kind| (kind.as_str().to_owned(), 0)));
    let counted = counters.incidents.counts().into_iter();
    opened.extend(counted.map(|([kind], count)| (kind, count)));
    let mut family = page.counter(
        "exorelay_incidents_opened_total",
        "Incidents that were opened or opened again, by kind.",
    );
    for (kind, count) in opened {
        family.sample(&[("kind", &kind)], count);
    }
}
