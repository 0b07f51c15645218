//! What opens and closes the account's circuit, and what is told of it.

use tokio::time::Instant;

use super::Work;
use crate::delivery::Cause;
use crate::delivery::circuit::Incident;
use crate::delivery::tenant::TenantTrouble;
use crate::delivery::trouble::Trouble;
use crate::telemetry;

impl Work {
    /// A worker met trouble that is no message's fault.
    pub(super) fn failed(&mut self, trouble: Trouble, now: Instant) {
        let account = self.shared.settings.account.as_str();
        self.last_error = Some(trouble.reason.clone());
        // What was given back uncounted is due at once.
        self.look = true;
        if trouble.pause.cause == Cause::Throttle {
            self.tenure.lower_connections(now);
        }
        if let Some(incident) = self.circuit.fail(trouble, now) {
            log_opened(account, incident, now);
        }
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
        } else if let Some(incident) = self.circuit.succeed() {
            self.ready_since = Some(now);
            if incident.trouble.whole_tenant {
                self.tenant.recover();
            }
            let lasted = now.saturating_duration_since(incident.since);
            event(&self.shared.settings.account, &incident).log_recovered(lasted);
        }
    }

    /// Another account of the tenant has met trouble that is everybody's, or is over it.
    pub(super) fn heard(&mut self, news: Option<&TenantTrouble>) {
        let now = Instant::now();
        let account = self.shared.settings.account.as_str();
        match news {
            Some(news) if news.account == account => {}
            Some(news) => {
                if let Some(incident) = self.circuit.adopt(&news.trouble, news.next_probe, now) {
                    log_opened(account, incident, now);
                }
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
}

fn log_opened(account: &str, incident: &Incident, now: Instant) {
    let retry_in = incident.next_probe.saturating_duration_since(now);
    event(account, incident).log_opened(retry_in);
}

fn event<'a>(account: &'a str, incident: &'a Incident) -> telemetry::Incident<'a> {
    let rule = incident.trouble.rule;
    telemetry::Incident {
        account,
        reason: &incident.trouble.reason,
        rule: rule.map(|rule| rule.key),
        why: rule.map(|rule| rule.sentence),
        remedy: rule.map(|rule| rule.remedy),
    }
}
