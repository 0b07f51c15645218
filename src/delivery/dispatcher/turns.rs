//! When the next message goes: minute, day, and the others of the mailbox decide.

use std::time::Duration;

use tokio::time::Instant;

use super::Work;
use crate::delivery::quota::Leave;
use crate::delivery::status::Throttled;
use crate::delivery::worker::{Job, Report};
use crate::queue::Sender;

/// How often a mailbox that has used up its day looks whether something smaller comes first now.
const THROTTLED_LOOK: Duration = Duration::from_mins(1);

impl Work {
    /// What goes out at once is never more than a day allows.
    pub(super) fn sender(&self) -> Sender {
        let settings = &self.shared.settings;
        let per_message = settings.recipients_per_message_max.max(1);
        let per_day = settings.recipients_per_day as usize;
        Sender {
            mailbox: settings.mailbox.clone(),
            recipients_max: if per_day == 0 {
                per_message
            } else {
                per_message.min(per_day)
            },
        }
    }

    /// Sends the next message, if minute, day and the others of the mailbox leave room for it.
    pub(super) fn deliver(&mut self, now: Instant) -> Option<usize> {
        let recipients = self.ready.front()?.numbers.len() as u64;
        match self.tenure.start(recipients, now) {
            Leave::Go(turn) => {
                self.throttled = None;
                let lease = self.ready.pop_front()?;
                self.give(Job::Deliver(Box::new(lease)), turn)
            }
            Leave::Later => None,
            Leave::NotToday(until) => {
                self.throttle(until, now);
                None
            }
        }
    }

    /// The day is used up. What was leased goes back: it may be hours, and an operator may change it.
    fn throttle(&mut self, until: Instant, now: Instant) {
        let account = self.shared.settings.account.as_str();
        if self.throttled.is_none() {
            let wait_s = until.saturating_duration_since(now).as_secs();
            tracing::warn!(
                account,
                wait_s,
                "recipients_per_day is reached; mail is kept until the last 24 hours leave room"
            );
        }
        let since = self.throttled.map_or(now, |throttled| throttled.since);
        self.throttled = Some(Throttled { since, until });
        self.ready.clear();
        self.look_again_at = Some(until.min(now + THROTTLED_LOOK));
    }

    /// Whether there is something to send, as far as is known.
    pub(super) fn wants(&self, now: Instant) -> bool {
        let is_looking = self.throttled.is_none() && (self.look || self.leasing.is_some());
        let may = self.circuit.is_closed() || self.probe_is_due(now);
        may && !self.idle.is_empty() && (is_looking || !self.ready.is_empty())
    }

    pub(super) fn end_turn(&mut self, report: &Report) {
        if let Some(turn) = self.turns.remove(&report.worker) {
            turn.end(report.heard);
        }
    }
}
