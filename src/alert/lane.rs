//! One hook's way through what it has to pass on.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::notice;
use crate::queue::{Alarm, Hook, Owed, Queue, QueueId, Told};

/// Until the second try; it doubles with each that fails ...
const WAIT_FIRST: Duration = Duration::from_secs(30);

/// ... up to this.
const WAIT_MAX: Duration = Duration::from_hours(1);

/// An alarm is given up when it is this old, but not untried.
const AGE_MAX: Duration = Duration::from_hours(24);

/// Carries a notice out of the house.
pub(super) trait Carrier {
    type Error: fmt::Display;

    /// Ends in bounded time. Dropping the future gives it up.
    fn carry(&self, notice: Vec<u8>) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What is owed through one hook, each alarm with its own back-off: one that the other end does not like
/// holds up no other.
#[derive(Debug)]
pub(super) struct Lane {
    hook: Hook,
    queue: Queue,
    tries: HashMap<Key, Try>,
}

type Key = (QueueId, Alarm, i64);

#[derive(Clone, Copy, Debug)]
struct Try {
    at: Instant,
    failures: u32,
    given_up_at: Instant,
}

impl Lane {
    pub(super) fn new(hook: Hook, queue: Queue) -> Self {
        Self {
            hook,
            queue,
            tries: HashMap::new(),
        }
    }

    /// Passes on the first alarm that is due, if there is one; returns when to look again.
    pub(super) async fn step(&mut self, carrier: &impl Carrier, hostname: &str) -> Option<Instant> {
        let (owed, next) = self.next()?;
        if next.at <= Instant::now() {
            self.try_one(carrier, &owed, next, hostname).await;
            return Some(Instant::now());
        }
        Some(next.at)
    }

    /// The alarm that is to be tried first.
    fn next(&mut self) -> Option<(Owed, Try)> {
        let now = Instant::now();
        let owed = self.queue.incidents().owed(self.hook);
        let known = std::mem::take(&mut self.tries);
        for one in &owed {
            let begun = || Try {
                at: now + one.due_in,
                failures: 0,
                given_up_at: now + one.due_in + AGE_MAX.saturating_sub(one.overdue),
            };
            let key = one.key();
            self.tries
                .insert(key, known.get(&key).copied().unwrap_or_else(begun));
        }
        let at = |one: &Owed| self.tries.get(&one.key()).copied();
        let all = owed.into_iter();
        let all = all.filter_map(|one| at(&one).map(|next| (one, next)));
        all.min_by_key(|(_, next)| next.at)
    }

    async fn try_one(&mut self, carrier: &impl Carrier, owed: &Owed, tried: Try, hostname: &str) {
        let incidents = self.queue.incidents();
        // Whoever is told of an id finds it again after a restart. When the disk is what is wrong, better
        // twice than never.
        if let Err(error) = incidents.stored().await {
            tracing::debug!(%error, "an incident is told that could not be stored");
        }
        let (id, alarm) = (owed.incident.id, owed.alarm);
        let (queued_messages, _) = self.queue.used();
        let notice = notice::encode(owed, hostname, queued_messages);
        let outcome = carrier.carry(notice).await;
        let (hook, event) = (word(self.hook), alarm.as_str());
        let told = match outcome {
            Ok(()) => {
                tracing::info!(incident = %id, hook, event, "alarm passed on");
                match alarm {
                    Alarm::Opened => Told::Opened,
                    Alarm::Recovered => Told::Recovered,
                }
            }
            Err(error) => {
                let wait = wait(tried.failures);
                let at = Instant::now() + wait;
                if at < tried.given_up_at {
                    tracing::warn!(
                        incident = %id, hook, event, %error, retry_in_s = wait.as_secs(),
                        "an alarm could not be passed on"
                    );
                    let next = Try {
                        at,
                        failures: tried.failures + 1,
                        ..tried
                    };
                    self.tries.insert(owed.key(), next);
                    return;
                }
                tracing::error!(
                    incident = %id, hook, event, %error,
                    "an alarm was given up: nobody could be reached for a day"
                );
                Told::Nobody
            }
        };
        incidents.told(id, self.hook, told);
    }
}

fn word(hook: Hook) -> &'static str {
    match hook {
        Hook::Command => "command",
        Hook::Webhook => "webhook",
    }
}

/// Up to a quarter is taken off, so that relays which lost the same service do not come back together.
fn wait(failures: u32) -> Duration {
    let step = WAIT_FIRST.saturating_mul(2u32.saturating_pow(failures));
    step.min(WAIT_MAX).mul_f64(1.0 - fastrand::f64() / 4.0)
}

#[cfg(test)]
pub(super) mod tests;
