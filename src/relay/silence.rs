//! Clients with `silent_after` that send nothing any more: nobody misses a report that a device no longer sends.
//!
//! The queue knows for how long each has been quiet while mail could be taken in; here somebody is told.

use std::collections::BTreeMap;
use std::future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::view::View;
use crate::config::shown_duration;
use crate::listener::Routing;
use crate::queue::{ClientRecord, Finding, Heard, IncidentKind, Incidents, News, Urgency};
use crate::telemetry;

/// Between two looks at least: close to the mark they would come ever more often.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks at the start, after each reload, when a client has been quiet for too long, and when one that was silent
/// is heard again.
pub(super) async fn watch(view: Arc<View>) {
    let mut changes = view.subscribe();
    let incidents = view.queue.incidents();
    let is_heard = view.queue.heard_waker();
    loop {
        let shown = Arc::clone(&changes.borrow_and_update());
        let heard = view.queue.heard();
        let seen = |name: &str| last_seen(view.queue.clients(), &shown.routing, name);
        look(&incidents, &heard, seen);
        let left = heard.iter().filter_map(Heard::left);
        let next = left.filter(|left| !left.is_zero()).min();
        let due = async {
            match next {
                Some(next) => tokio::time::sleep(next.max(PAUSE)).await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = is_heard.notified() => {}
            changed = changes.changed() => if changed.is_err() {
                return;
            }
        }
    }
}

/// Of the clients of a section, given as those seen last come first, the one seen last.
fn last_seen(clients: Vec<ClientRecord>, routing: &Routing, name: &str) -> Option<ClientRecord> {
    let mut clients = clients.into_iter();
    clients.find(|one| {
        let address = one.client.parse().ok();
        let section = address.and_then(|address| routing.client(address));
        section.is_some_and(|section| section.name == name)
    })
}

/// Opens and ends incidents; `seen` tells what was last seen of a section, be it without a message. Returns the
/// sections of which something was said.
fn look(
    incidents: &Incidents,
    heard: &[Heard],
    seen: impl Fn(&str) -> Option<ClientRecord>,
) -> Vec<String> {
    let mut said = Vec::new();
    let open = incidents.open().into_iter();
    let mut open: BTreeMap<String, Finding> = open
        .filter(|one| one.finding.kind == IncidentKind::Client)
        .map(|one| (one.finding.account.clone(), one.finding))
        .collect();
    for one in heard.iter().filter(|one| one.is_silent()) {
        // Once is enough, also when it is open since before a restart.
        if open.remove(&one.section.name).is_none() {
            tell(incidents, finding(one, seen(&one.section.name).as_ref()));
            said.push(one.section.name.clone());
        }
    }
    // What is left was heard, or is watched no more.
    for name in open.into_keys() {
        if let Some(over) = incidents.recovered(IncidentKind::Client, &name) {
            let event = telemetry::Silence {
                id: over.id.as_str(),
                client: &name,
                reason: &over.finding.reason,
                remedy: None,
            };
            event.log_recovered(over.lasted());
        }
        said.push(name);
    }
    said
}

fn tell(incidents: &Incidents, finding: Finding) {
    let (id, news) = incidents.found(finding.clone(), true);
    if matches!(news, News::Opened | News::Reopened) {
        let event = telemetry::Silence {
            id: id.as_str(),
            client: &finding.account,
            reason: &finding.reason,
            remedy: finding.remedy.as_deref(),
        };
        event.log_opened();
    }
}

fn finding(heard: &Heard, seen: Option<&ClientRecord>) -> Finding {
    Finding {
        kind: IncidentKind::Client,
        account: heard.section.name.clone(),
        state: "silent".to_owned(),
        cause: "silence".to_owned(),
        rule: None,
        why: Some("What a device does not send is missed by nobody until it is needed.".to_owned()),
        remedy: Some(REMEDY.to_owned()),
        reason: reason(heard, seen),
        urgency: Urgency::Urgent,
        probe: None,
    }
}

/// `no message from 10.20.1.15 for 3d, the last on 2026-11-17 14:32 UTC`, and why, as far as it can be told.
fn reason(heard: &Heard, seen: Option<&ClientRecord>) -> String {
    let section = &heard.section;
    let after = shown_duration(section.silent_after.unwrap_or_default());
    let network = section.network.as_str();
    let last = match (heard.last_message_at, &heard.last_client) {
        (Some(at), Some(client)) if client != network => {
            format!("the last on {} from {client}", minute(at))
        }
        (Some(at), _) => format!("the last on {}", minute(at)),
        (None, _) => "and none before".to_owned(),
    };
    let mut reason = format!("no message from {network} for {after}, {last}");
    let is_later = |at: Timestamp| heard.last_message_at.is_none_or(|last| last < at);
    // It is there: the trouble is another one.
    if let Some(seen) = seen.filter(|seen| is_later(seen.last_seen)) {
        let client = &seen.client;
        reason.push_str(&format!(
            "; {client} connected on {}",
            minute(seen.last_seen)
        ));
        let refusal = seen.refusals.first();
        if let Some(refusal) = refusal.filter(|refusal| is_later(refusal.last_at)) {
            reason.push_str(&format!(" and was refused: {}", refusal.reply));
        }
    }
    reason
}

fn minute(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%d %H:%M UTC")
}

const REMEDY: &str = "See that the device has power and network, and that its SMTP settings still name this relay; exorelay clients shows what was seen of it and refused. If it is gone for good, remove its silent_after or its section, and reload.";

#[cfg(test)]
mod tests;
