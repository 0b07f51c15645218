//! What opens and closes the account's circuit, and what is told of it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Work;
use crate::delivery::circuit::{Circuit, Incident, Recalled};
use crate::delivery::tenant::TenantTrouble;
use crate::delivery::trouble::Trouble;
use crate::delivery::{Cause, Known, Settings, State};
use crate::queue::{Finding, IncidentKind, Incidents, News, ProbePlan, QueueId, Urgency};
use crate::telemetry;

impl Work {
    /// A worker met trouble that is no message's fault.
    pub(super) fn failed(&mut self, trouble: Trouble, now: Instant) {
        self.last_error = Some(trouble.reason.clone());
        // What was given back uncounted is due at once.
        self.look = true;
        if trouble.pause.cause == Cause::Throttle {
            self.tenure.lower_connections(now);
        }
        let known = self.circuit.incident().map_or(0, |incident| incident.count);
        let is_news = self.circuit.fail(trouble, now).is_some();
        let count = self.circuit.incident().map_or(0, |incident| incident.count);
        if count > known {
            self.tell(true, is_news, now);
        }
        let account = self.shared.settings.account.as_str();
        let everybodys = self.circuit.incident();
        if let Some(incident) = everybodys.filter(|incident| incident.trouble.whole_tenant) {
            let next_probe = incident.next_probe;
            self.tenant.pause(account, &incident.trouble, next_probe);
        }
    }

    /// The probe has ended without trouble; `conclusive` when it shows that the account can send.
    pub(super) fn probed(&mut self, conclusive: bool, now: Instant) {
        self.look = true;
        if !conclusive {
            self.circuit.inconclusive(now);
            self.tell(false, false, now);
        } else if let Some(incident) = self.circuit.succeed() {
            self.ready_since = Some(now);
            if incident.trouble.whole_tenant {
                self.tenant.recover();
            }
            let account = self.shared.settings.account.as_str();
            let incidents = self.shared.queue.incidents();
            if let Some(over) = incidents.recovered(IncidentKind::Account, account) {
                let lasted = now.saturating_duration_since(incident.since);
                event(&over.id, account, &incident).log_recovered(lasted);
            }
        }
    }

    /// Another account of the tenant has met trouble that is everybody's, or is over it.
    pub(super) fn heard(&mut self, news: Option<&TenantTrouble>) {
        let now = Instant::now();
        let account = self.shared.settings.account.as_str();
        match news {
            Some(news) if news.account == account => {}
            Some(news) => {
                let adopted = self.circuit.adopt(&news.trouble, news.next_probe, now);
                let is_news = adopted.is_some();
                self.tell(is_news, is_news, now);
            }
            None => {
                let incident = self.circuit.incident();
                if incident.is_some_and(|incident| incident.trouble.whole_tenant) {
                    self.circuit.hurry(now);
                }
            }
        }
    }

    /// A new token mends what a missing or a refused one has broken, perhaps.
    pub(super) fn token_arrived(&mut self) {
        let incident = self.circuit.incident();
        let cause = incident.map(|incident| incident.trouble.pause.cause);
        if matches!(cause, Some(Cause::Token | Cause::Authentication)) {
            self.circuit.hurry(Instant::now());
        }
    }

    /// Goes on the books, and into the log what is news.
    pub(super) fn tell(&self, counts: bool, is_news: bool, now: Instant) {
        let Some(incident) = self.circuit.incident() else {
            return;
        };
        let settings = &self.shared.settings;
        let incidents = self.shared.queue.incidents();
        let (id, news) = incidents.found(finding(settings, incident, now), counts);
        if is_news {
            let retry_in = incident.next_probe.saturating_duration_since(now);
            let event = event(&id, &settings.account, incident);
            match news {
                News::Opened | News::Reopened => event.log_opened(retry_in),
                News::Changed | News::Known => event.log_changed(retry_in),
            }
        }
    }
}

/// What keeps the account from sending since before the start, if it is still the same mailbox.
pub(super) fn recall(settings: &Settings, incidents: &Incidents) -> Option<Circuit> {
    let account = settings.account.as_str();
    let known = incidents.of_account(account)?;
    let probe = known.finding.probe.as_ref();
    let probe = probe.filter(|probe| probe.mailbox.eq_ignore_ascii_case(&settings.mailbox));
    let (Some(probe), Some(trouble)) = (probe, Trouble::of_record(&known.finding)) else {
        incidents.recovered(IncidentKind::Account, account);
        return None;
    };
    let lasted = Timestamp::now().duration_since(known.opened_at);
    let recalled = Recalled {
        lasted: Duration::try_from(lasted).unwrap_or_default(),
        failures: probe.failures,
        next_probe_in: probe.next_in,
        is_adopted: known.finding.urgency == Urgency::Silent,
    };
    tracing::warn!(
        incident = %known.id,
        account,
        state = known.finding.state,
        reason = known.finding.reason,
        "the account could not send when the daemon stopped, and goes on from there"
    );
    Some(Circuit::recalled(trouble, recalled, Instant::now()))
}

fn finding(settings: &Settings, incident: &Incident, now: Instant) -> Finding {
    let Trouble {
        pause,
        known,
        reason,
        ..
    } = &incident.trouble;
    let text = |of: fn(&Known) -> &str| known.as_ref().map(|known| of(known).to_owned());
    Finding {
        kind: IncidentKind::Account,
        account: settings.account.clone(),
        state: pause.state.as_str().to_owned(),
        cause: pause.cause.as_str().to_owned(),
        rule: text(Known::key),
        why: text(Known::why),
        remedy: text(Known::remedy),
        reason: reason.clone(),
        urgency: match pause.state {
            _ if incident.is_adopted => Urgency::Silent,
            State::Blocked => Urgency::Urgent,
            _ => Urgency::Lasting,
        },
        probe: Some(ProbePlan {
            mailbox: settings.mailbox.clone(),
            failures: incident.failures,
            next_in: incident.next_probe.saturating_duration_since(now),
        }),
    }
}

fn event<'a>(id: &'a QueueId, account: &'a str, incident: &'a Incident) -> telemetry::Incident<'a> {
    let known = incident.trouble.known.as_ref();
    telemetry::Incident {
        id: id.as_str(),
        kind: IncidentKind::Account.as_str(),
        account: Some(account),
        reason: &incident.trouble.reason,
        rule: known.map(Known::key),
        why: known.map(Known::why),
        remedy: known.map(Known::remedy),
    }
}
