//! Whether an account can send: trouble of its token, tenant or network is no message's fault.

use std::time::Duration;

use tokio::time::Instant;

use crate::delivery::trouble::Trouble;
use crate::delivery::{Cause, Probe, State, TroubleStatus};

/// After a probing message that proved nothing: its own recipients were refused, say.
const INCONCLUSIVE_PAUSE: Duration = Duration::from_mins(1);

/// Closed while mail flows; open while the account is paused; one probe decides on closing it.
#[derive(Debug)]
pub(crate) enum Circuit {
    Closed,
    Open(Incident),
    /// One probe is under way.
    Probing(Incident),
}

/// Why and since when an account is paused.
#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) trouble: Trouble,
    pub(crate) since: Instant,
    pub(crate) next_probe: Instant,
    pub(crate) failures: u32,
    /// Failures in all; of several connections that fail together, one.
    pub(crate) count: u64,
    /// Another account of the tenant has met it, and says so.
    pub(crate) is_adopted: bool,
    /// An operator has acted while the probe was under way, perhaps too late for it.
    outdated: bool,
}

/// What is left of an incident after a restart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recalled {
    pub(crate) lasted: Duration,
    pub(crate) failures: u32,
    pub(crate) next_probe_in: Duration,
    pub(crate) is_adopted: bool,
}

impl Incident {
    pub(crate) fn is_probed_by_message(&self) -> bool {
        self.trouble.pause.probe == Probe::Message
    }
}

impl Circuit {
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    pub(crate) fn incident(&self) -> Option<&Incident> {
        match self {
            Self::Closed => None,
            Self::Open(incident) | Self::Probing(incident) => Some(incident),
        }
    }

    /// What an operator makes of it.
    pub(crate) fn state(&self) -> State {
        match self {
            Self::Closed => State::Ready,
            // The probe of a missing token is the request for one.
            Self::Probing(incident) if incident.trouble.pause.cause == Cause::Token => {
                State::Refreshing
            }
            Self::Open(incident) | Self::Probing(incident) => incident.trouble.pause.state,
        }
    }

    /// Takes over what another dispatcher of the same mailbox knows. The settings have changed since,
    /// so what can be tried without harm is tried at once.
    pub(crate) fn resumed(status: TroubleStatus, now: Instant) -> Self {
        let mut circuit = Self::Open(Incident {
            since: status.since,
            next_probe: status.next_probe,
            failures: 1,
            count: 1,
            is_adopted: status.is_adopted,
            outdated: false,
            trouble: Trouble::of_status(status),
        });
        circuit.operator_acted(now);
        circuit
    }

    /// Takes over what a daemon before this one knew. Whoever started this one may have mended it.
    pub(crate) fn recalled(trouble: Trouble, recalled: Recalled, now: Instant) -> Self {
        let wait = recalled
            .next_probe_in
            .min(trouble.pause.longest.mul_f64(1.2));
        let mut circuit = Self::Open(Incident {
            trouble,
            // Before the machine was started there may be no instants.
            since: now.checked_sub(recalled.lasted).unwrap_or(now),
            next_probe: now + wait,
            failures: recalled.failures,
            count: 1,
            is_adopted: recalled.is_adopted,
            outdated: false,
        });
        circuit.operator_acted(now);
        circuit
    }

    /// Something failed that is not the fault of a message. Returns the incident if it is a new one, or
    /// if there is something else to be done about it now.
    pub(crate) fn fail(&mut self, trouble: Trouble, now: Instant) -> Option<&Incident> {
        let before = self.incident();
        let known = before.filter(|before| before.trouble.pause.cause == trouble.pause.cause);
        let failures = known.map_or(0, |known| known.failures);
        let is_news = known.is_none_or(|known| known.trouble.known != trouble.known);
        // Several connections that fail together are one failure: only a probe counts as the next.
        let counts = is_news || matches!(self, Self::Probing(_));
        let since = before.map_or(now, |before| before.since);
        let next_probe = known.map_or(now, |known| known.next_probe);
        let count = before.map_or(0, |before| before.count);
        let is_outdated = before.is_some_and(|before| before.outdated);
        let pause = trouble.pause;
        let mut incident = Incident {
            trouble,
            since,
            next_probe,
            failures,
            count,
            is_adopted: !counts && before.is_some_and(|before| before.is_adopted),
            outdated: false,
        };
        if counts {
            let wait = pause
                .first
                .saturating_mul(1 << failures.min(16))
                .min(pause.longest);
            incident.failures += 1;
            incident.count += 1;
            incident.next_probe = now + wait.mul_f64(0.8 + 0.4 * fastrand::f64());
        }
        if is_outdated {
            incident.next_probe = now;
        }
        *self = Self::Open(incident);
        if is_news { self.incident() } else { None }
    }

    /// Another account of the tenant has met trouble that is everybody's, and finds out at `next_probe`
    /// whether it is over. Returns the incident if it is a new one here.
    pub(crate) fn adopt(
        &mut self,
        trouble: &Trouble,
        next_probe: Instant,
        now: Instant,
    ) -> Option<&Incident> {
        match self {
            Self::Closed => {
                *self = Self::Open(Incident {
                    trouble: trouble.clone(),
                    since: now,
                    next_probe,
                    failures: 1,
                    count: 1,
                    is_adopted: true,
                    outdated: false,
                });
                self.incident()
            }
            Self::Open(incident) => {
                if incident.trouble.known == trouble.known {
                    incident.next_probe = incident.next_probe.max(next_probe);
                }
                None
            }
            Self::Probing(_) => None,
        }
    }

    /// The probe has ended and proved nothing.
    pub(crate) fn inconclusive(&mut self, now: Instant) {
        if let Self::Probing(incident) = self {
            let mut incident = incident.clone();
            incident.next_probe = if incident.outdated {
                now
            } else {
                now + INCONCLUSIVE_PAUSE.min(incident.trouble.pause.first)
            };
            incident.outdated = false;
            *self = Self::Open(incident);
        }
    }

    /// It is time to find out; the caller sends the one probe.
    pub(crate) fn begin_probe(&mut self, now: Instant) -> bool {
        match self {
            Self::Open(incident) if incident.next_probe <= now => {
                *self = Self::Probing(incident.clone());
                true
            }
            _ => false,
        }
    }

    /// Something changed that may have mended the cause: probe now.
    pub(crate) fn hurry(&mut self, now: Instant) {
        if let Self::Open(incident) = self {
            incident.next_probe = incident.next_probe.min(now);
        }
    }

    /// An operator has changed something. A limit of the service is none of that, and a try too many
    /// prolongs it (facts B.3).
    pub(crate) fn operator_acted(&mut self, now: Instant) {
        match self {
            Self::Open(incident) | Self::Probing(incident)
                if incident.trouble.pause.state == State::Throttled => {}
            Self::Probing(incident) => incident.outdated = true,
            Self::Open(_) | Self::Closed => self.hurry(now),
        }
    }

    /// The account can send. Returns the incident that is over, if there was one.
    pub(crate) fn succeed(&mut self) -> Option<Incident> {
        match std::mem::replace(self, Self::Closed) {
            Self::Closed => None,
            Self::Open(incident) | Self::Probing(incident) => Some(incident),
        }
    }
}

#[cfg(test)]
mod tests;
