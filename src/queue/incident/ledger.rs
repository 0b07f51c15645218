//! What becomes of what is found: one incident for each thing that is wrong, however often it shows.
//!
//! ```text
//! found ─> opened ──── found again ──> counted, or changed; an alarm only when it becomes urgent
//!            └─> recovered ── found again within FLAP ──> the same one, opened again
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::record::{Finding, Hook, Incident, IncidentKind, Owed, Told, Urgency};
use crate::queue::QueueId;

/// What passes by itself is worth an alarm after this long.
pub(super) const LASTING: Duration = Duration::from_mins(5);

/// What comes back within this long was never over: at most one alarm in that time.
pub(super) const FLAP: Duration = Duration::from_mins(5);

/// Alarms that nobody could be told are given up after this long; what is over is then only history.
const OWED_MAX: Duration = Duration::from_hours(25);

/// Incidents in memory; of those that are over the oldest go first.
const KNOWN_MAX: usize = 1_000;

/// Of an error page that a service took for a reply, the beginning is enough.
const REASON_MAX: usize = 2_000;

/// What a finding was news of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// There was no such incident.
    Opened,
    /// It was over for a moment only.
    Reopened,
    /// It is another rule's or another state now.
    Changed,
    /// It is as it was.
    Known,
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) queue_ms: i64,
    pub(super) wall: Timestamp,
}

/// Every incident that is open, and those lately over.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// In the order of their opening.
    known: Vec<Incident>,
    /// Not on the disk as they are here.
    unsaved: BTreeSet<QueueId>,
}

impl Ledger {
    pub(super) fn new(known: Vec<Incident>) -> Self {
        Self {
            known,
            unsaved: BTreeSet::new(),
        }
    }

    /// `counts`: a failure more, not only something else to be said of the last one.
    pub(super) fn find(
        &mut self,
        mut finding: Finding,
        counts: bool,
        now: Now,
        new_id: impl FnOnce() -> QueueId,
    ) -> (QueueId, News) {
        let end = finding.reason.floor_char_boundary(REASON_MAX);
        finding.reason.truncate(end);
        let of = |one: &&mut Incident| {
            one.finding.kind == finding.kind && one.finding.account == finding.account
        };
        let found = self.known.iter_mut().rev().find(of);
        let found = found.filter(|one| one.is_open() || one.may_reopen(now.queue_ms));
        let (id, news) = if let Some(incident) = found {
            (incident.id, incident.find(finding, counts, now))
        } else {
            let incident = Incident::open(new_id(), finding, now);
            let id = incident.id;
            self.known.push(incident);
            (id, News::Opened)
        };
        self.unsaved.insert(id);
        self.forget(now.queue_ms);
        (id, news)
    }

    /// It is over. Returns the incident, if there was one.
    pub(super) fn recover(
        &mut self,
        kind: IncidentKind,
        account: &str,
        now: Now,
    ) -> Option<Incident> {
        let of = |one: &&mut Incident| {
            one.is_open() && one.finding.kind == kind && one.finding.account == account
        };
        let incident = self.known.iter_mut().find(of)?;
        incident.recovered_ms = Some(now.queue_ms);
        incident.recovered_at = Some(now.wall);
        incident.next_probe_ms = None;
        self.unsaved.insert(incident.id);
        Some(incident.clone())
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &Incident> {
        self.known.iter().filter(|one| one.is_open())
    }

    pub(super) fn owed(&self, hook: Hook, now_ms: i64) -> Vec<Owed> {
        let owed = self.known.iter().filter_map(|incident| {
            let (alarm, due_ms) = incident.owed(hook)?;
            Some(Owed {
                incident: incident.clone(),
                alarm,
                due_ms,
                due_in: span(now_ms, due_ms),
                overdue: span(due_ms, now_ms),
            })
        });
        owed.collect()
    }

    pub(super) fn told(&mut self, id: QueueId, hook: Hook, told: Told) {
        if let Some(incident) = self.known.iter_mut().find(|one| one.id == id) {
            *incident.told_mut(hook) = told;
            self.unsaved.insert(id);
        }
    }

    /// Nobody is there to be told by `hook`: what is over is nobody's business any more.
    pub(super) fn nobody_listens(&mut self, hook: Hook) -> bool {
        let mut any = false;
        for incident in self.known.iter_mut().filter(|one| !one.is_open()) {
            let told = incident.told_mut(hook);
            if matches!(told, Told::Nothing | Told::Opened) {
                *told = Told::Nobody;
                self.unsaved.insert(incident.id);
                any = true;
            }
        }
        any
    }

    pub(super) fn take_unsaved(&mut self) -> Vec<Incident> {
        // As nearly always.
        if self.unsaved.is_empty() {
            return Vec::new();
        }
        let unsaved = std::mem::take(&mut self.unsaved);
        let known = self.known.iter();
        known
            .filter(|one| unsaved.contains(&one.id))
            .cloned()
            .collect()
    }

    /// They could not be stored.
    pub(super) fn give_back(&mut self, unsaved: impl IntoIterator<Item = QueueId>) {
        self.unsaved.extend(unsaved);
    }

    /// Only what is on the disk as it is.
    fn forget(&mut self, now_ms: i64) {
        let oldest_ms = now_ms.saturating_sub(millis(OWED_MAX));
        let mut excess = self.known.len().saturating_sub(KNOWN_MAX);
        let unsaved = &self.unsaved;
        self.known.retain(|one| {
            let Some(over_ms) = one.recovered_ms else {
                return true;
            };
            let stays = over_ms >= oldest_ms && excess == 0 || unsaved.contains(&one.id);
            excess = excess.saturating_sub(usize::from(!stays));
            stays
        });
    }
}

impl Incident {
    fn open(id: QueueId, finding: Finding, now: Now) -> Self {
        let mut incident = Self {
            id,
            count: 1,
            opened_at: now.wall,
            last_at: now.wall,
            recovered_at: None,
            recovered_ms: None,
            next_probe_ms: None,
            alarm_ms: None,
            was_urgent: false,
            told_command: Told::Nothing,
            told_webhook: Told::Nothing,
            finding,
        };
        incident.plan(now.queue_ms);
        incident
    }

    fn may_reopen(&self, now_ms: i64) -> bool {
        let over_ms = self.recovered_ms;
        over_ms.is_some_and(|over_ms| now_ms < over_ms.saturating_add(millis(FLAP)))
    }

    fn find(&mut self, finding: Finding, counts: bool, now: Now) -> News {
        let before = &self.finding;
        let is_same = (&before.state, &before.cause, &before.rule)
            == (&finding.state, &finding.cause, &finding.rule);
        self.finding = finding;
        self.last_at = now.wall;
        self.count += u64::from(counts);
        let was_over = self.recovered_ms.take();
        self.recovered_at = None;
        if let Some(over_ms) = was_over {
            self.reopen(over_ms);
        }
        self.plan(now.queue_ms);
        match was_over {
            Some(_) => News::Reopened,
            None if is_same => News::Known,
            None => News::Changed,
        }
    }

    /// Whoever was told that it is over is not called again before it has shown that it is not.
    fn reopen(&mut self, over_ms: i64) {
        for hook in [Hook::Command, Hook::Webhook] {
            match self.told(hook) {
                Told::Nothing | Told::Opened => {}
                told @ (Told::Recovered | Told::Nobody) => {
                    if told == Told::Recovered {
                        self.alarm_ms = Some(over_ms.saturating_add(millis(FLAP)));
                        self.was_urgent = true;
                    }
                    *self.told_mut(hook) = Told::Nothing;
                }
            }
        }
    }

    /// When it is worth an alarm, and when the account is tried next.
    fn plan(&mut self, now_ms: i64) {
        let probe = self.finding.probe.as_ref();
        self.next_probe_ms = probe.map(|probe| now_ms.saturating_add(millis(probe.next_in)));
        match self.finding.urgency {
            Urgency::Silent => {}
            Urgency::Lasting => {
                let due_ms = now_ms.saturating_add(millis(LASTING));
                self.alarm_ms.get_or_insert(due_ms);
            }
            Urgency::Urgent if self.was_urgent => {}
            Urgency::Urgent => {
                self.was_urgent = true;
                self.alarm_ms = Some(now_ms);
                // It was told as something that passes by itself.
                for hook in [Hook::Command, Hook::Webhook] {
                    let told = self.told_mut(hook);
                    if *told == Told::Opened {
                        *told = Told::Nothing;
                    }
                }
            }
        }
    }
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// None backwards.
pub(super) fn span(from_ms: i64, to_ms: i64) -> Duration {
    Duration::from_millis(to_ms.saturating_sub(from_ms).max(0) as u64)
}
