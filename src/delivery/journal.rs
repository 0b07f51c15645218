//! What an attempt led to, for the log.

use crate::delivery::attempt::Reasons;
use crate::queue::{Disposition, MessageState, Outcome, Retry, Settlement};
use crate::telemetry::Attempted;

/// One event for each kind of outcome; what was not decided is said by the incident.
pub(super) fn log(
    outcome: &Outcome,
    settlement: &Settlement,
    reasons: Reasons,
    id: &str,
    account: &str,
    attempt: u32,
) {
    let changes = settlement.note.as_ref().map(|note| note.detail.as_str());
    for disposition in [
        Disposition::Delivered,
        Disposition::Deferred,
        Disposition::Failed,
    ] {
        let concerned = || {
            settlement
                .recipients
                .iter()
                .filter(|one| one.disposition == disposition)
        };
        let Some(first) = concerned().next() else {
            continue;
        };
        let rule = reasons.of(disposition);
        let event = Attempted {
            queue_id: id,
            account,
            remote: &settlement.remote,
            recipients: concerned().count(),
            attempt,
            reply: &first.reply,
            why: rule.map(|rule| rule.sentence),
            remedy: rule.map(|rule| rule.remedy),
            changes,
        };
        match disposition {
            Disposition::Delivered => event.log_delivered(outcome.age),
            Disposition::Deferred if outcome.expired => event.log_expired(),
            Disposition::Deferred => event.log_deferred(outcome.retry_in),
            Disposition::Failed => event.log_failed(),
        }
    }
    // The account or the network was in trouble before there was a word about anybody.
    if settlement.recipients.is_empty() {
        let event = Attempted {
            queue_id: id,
            account,
            remote: &settlement.remote,
            recipients: 0,
            attempt,
            reply: &settlement.reply,
            why: None,
            remedy: None,
            changes,
        };
        match (settlement.retry, outcome.state) {
            (Retry::WithoutCounting | Retry::Rest { .. }, _) => event.log_undecided(),
            (_, MessageState::Deferred) => event.log_deferred(outcome.retry_in),
            _ if outcome.expired => event.log_expired(),
            _ => {}
        }
    }
}
