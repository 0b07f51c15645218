//! Bounds that come near: somebody should know before mail is refused.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::queue::{Finding, IncidentKind, Incidents, Urgency};
use crate::telemetry;

/// Tells once of a bound that comes near, and once when it is far again; between 70 and 80 % it says
/// nothing, or a queue that sways about the mark would fill the log.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    pub(super) raised: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crossing {
    Up,
    Down,
}

impl Alarm {
    pub(super) fn cross(&self, used: u64, max: u64) -> Option<Crossing> {
        let (used, max) = (u128::from(used) * 10, u128::from(max));
        let raised = self.raised.load(Ordering::Relaxed);
        if !raised && used > 0 && used >= max * 8 {
            let was_raised = self.raised.swap(true, Ordering::Relaxed);
            return (!was_raised).then_some(Crossing::Up);
        }
        if raised && used < max * 7 {
            let was_raised = self.raised.swap(false, Ordering::Relaxed);
            return was_raised.then_some(Crossing::Down);
        }
        None
    }
}

/// Of `max` so much is `used`; for the disk, of what is free so much is not to be touched.
pub(super) fn tell(
    incidents: &Incidents,
    kind: IncidentKind,
    crossing: Crossing,
    used: u64,
    max: u64,
) {
    match crossing {
        Crossing::Up => {
            let finding = finding(kind, used, max);
            let (id, _) = incidents.found(finding.clone(), true);
            let event = telemetry::Incident {
                id: id.as_str(),
                kind: kind.as_str(),
                account: None,
                reason: &finding.reason,
                rule: None,
                why: finding.why.as_deref(),
                remedy: finding.remedy.as_deref(),
            };
            event.log_near();
        }
        Crossing::Down => {
            if let Some(incident) = incidents.recovered(kind, "") {
                let event = telemetry::Incident {
                    id: incident.id.as_str(),
                    kind: kind.as_str(),
                    account: None,
                    reason: &incident.finding.reason,
                    rule: None,
                    why: None,
                    remedy: None,
                };
                event.log_recovered(incident.lasted());
            }
        }
    }
}

fn finding(kind: IncidentKind, used: u64, max: u64) -> Finding {
    let (reason, remedy) = match kind {
        IncidentKind::QueueDisk => (
            format!(
                "the disk that holds the queue is nearly down to queue.min_free_disk: {max} bytes are free, {used} are kept so"
            ),
            "Make room on the disk that holds queue.directory, or lower queue.min_free_disk.",
        ),
        IncidentKind::QueueBytes => (
            format!("the queue is at 80 % of queue.max_bytes: {used} of {max}"),
            "See with exorelay status why mail does not leave; raise queue.max_bytes if the disk has room.",
        ),
        IncidentKind::QueueMessages
        | IncidentKind::Account
        | IncidentKind::Credential
        | IncidentKind::Client => (
            format!("the queue is at 80 % of queue.max_messages: {used} of {max}"),
            "See with exorelay status why mail does not leave; raise queue.max_messages if it is to hold more.",
        ),
    };
    Finding {
        kind,
        account: String::new(),
        state: "warning".to_owned(),
        cause: "room".to_owned(),
        rule: None,
        why: Some(
            "When no room is left, mail is refused with 452 and stays with its sender.".to_owned(),
        ),
        remedy: Some(remedy.to_owned()),
        reason,
        urgency: Urgency::Urgent,
        probe: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_raised_once_and_taken_back_once() {
        let alarm = Alarm::default();
        let crossings = |levels: &[u64]| -> Vec<_> {
            levels
                .iter()
                .filter_map(|used| Some((*used, alarm.cross(*used, 10)?)))
                .collect()
        };
        assert_eq!(
            crossings(&[0, 7, 8, 9, 10, 9, 8, 7, 8]),
            [(8, Crossing::Up)]
        );
        assert_eq!(crossings(&[7, 6, 0, 7]), [(6, Crossing::Down)]);
        assert_eq!(
            crossings(&[10, 0, 10]),
            [(10, Crossing::Up), (0, Crossing::Down), (10, Crossing::Up)]
        );
        assert_eq!(Alarm::default().cross(0, 0), None, "no bound on free space");
    }
}
