//! Whether an account can send: trouble of its token, tenant or network is no message's fault.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::delivery::TroubleStatus;

/// What keeps an account from sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The host cannot be reached, or does not speak as it should. Messages grow older meanwhile.
    Network,
    /// There is no access token.
    Token,
    /// The service refuses to authenticate.
    Authentication,
    /// The service asks for fewer connections.
    Throttle,
    /// The service takes nothing from this mailbox or tenant for now: a quota, a block, a right
    /// that is missing.
    Service,
}

impl Cause {
    /// Whether messages grow older meanwhile (promise 4).
    pub(crate) fn ages_mail(self) -> bool {
        matches!(self, Self::Network)
    }

    /// Whether only a message can show that it is over: authentication succeeds all the while.
    pub(crate) fn is_probed_by_message(self) -> bool {
        matches!(self, Self::Throttle | Self::Service)
    }

    /// The first and the longest pause between two probes.
    fn pauses(self) -> (Duration, Duration) {
        match self {
            // A host that is being replaced is away for a moment; one connection costs little.
            Self::Network => (Duration::from_secs(1), Duration::from_mins(5)),
            // The token source has a back-off of its own and wakes us when it succeeds.
            Self::Token => (Duration::from_secs(5), Duration::from_mins(1)),
            // Directory changes need minutes, and repeated failures look like an attack.
            Self::Authentication => (Duration::from_mins(1), Duration::from_mins(15)),
            Self::Throttle => (Duration::from_secs(15), Duration::from_mins(5)),
            // Every refused try may prolong the block (facts B.3).
            Self::Service => (Duration::from_mins(15), Duration::from_hours(4)),
        }
    }
}

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
    pub(crate) cause: Cause,
    pub(crate) reason: String,
    pub(crate) since: Instant,
    pub(crate) next_probe: Instant,
    failures: u32,
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

    /// Takes over what another dispatcher of the same mailbox knows. The settings have changed since,
    /// so what can be tried without harm is tried at once.
    pub(crate) fn resumed(trouble: TroubleStatus, now: Instant) -> Self {
        let mut circuit = Self::Open(Incident {
            cause: trouble.cause,
            reason: trouble.reason,
            since: trouble.since,
            next_probe: trouble.next_probe,
            failures: 1,
        });
        if !trouble.cause.is_probed_by_message() {
            circuit.hurry(now);
        }
        circuit
    }

    /// Something failed that is not the fault of a message. Returns the incident if it is a new one.
    pub(crate) fn fail(&mut self, cause: Cause, reason: String, now: Instant) -> Option<&Incident> {
        let known = self
            .incident()
            .filter(|incident| incident.cause == cause)
            .cloned();
        let opened = known.is_none();
        // Several connections that fail together are one failure: only a probe counts as the next.
        let counts = opened || matches!(self, Self::Probing(_));
        let mut incident = known.unwrap_or_else(|| Incident {
            cause,
            reason: String::new(),
            since: self.incident().map_or(now, |incident| incident.since),
            next_probe: now,
            failures: 0,
        });
        incident.reason = reason;
        if counts {
            let (first, longest) = cause.pauses();
            let pause = first
                .saturating_mul(1 << incident.failures.min(16))
                .min(longest);
            incident.failures += 1;
            incident.next_probe = now + pause.mul_f64(0.8 + 0.4 * fastrand::f64());
        }
        *self = Self::Open(incident);
        if opened { self.incident() } else { None }
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

    /// The account can send. Returns the incident that is over, if there was one.
    pub(crate) fn succeed(&mut self) -> Option<Incident> {
        match std::mem::replace(self, Self::Closed) {
            Self::Closed => None,
            Self::Open(incident) | Self::Probing(incident) => Some(incident),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_together_are_one_incident_and_one_step_of_back_off() {
        let now = Instant::now();
        let mut circuit = Circuit::Closed;
        assert!(
            circuit
                .fail(Cause::Network, "no route".into(), now)
                .is_some()
        );
        let first = circuit.incident().unwrap().next_probe;
        for _ in 0..10 {
            assert!(
                circuit
                    .fail(Cause::Network, "no route".into(), now)
                    .is_none()
            );
        }
        assert_eq!(circuit.incident().unwrap().next_probe, first);
        assert!(!circuit.begin_probe(now));
        assert!(circuit.begin_probe(first));
        assert!(!circuit.begin_probe(first), "one probe at a time");
        assert!(
            circuit
                .fail(Cause::Network, "no route".into(), first)
                .is_none()
        );
        let second = circuit.incident().unwrap().next_probe;
        assert!(
            second - first >= Duration::from_millis(1_600),
            "the pause doubles"
        );
        assert!(circuit.begin_probe(second));
        assert_eq!(circuit.succeed().unwrap().since, now);
        assert!(circuit.is_closed());
        assert!(circuit.succeed().is_none());
    }

    #[test]
    fn pauses_end_at_a_longest_one() {
        let mut now = Instant::now();
        let mut circuit = Circuit::Closed;
        for _ in 0..40 {
            circuit.fail(Cause::Authentication, "535".into(), now);
            now = circuit.incident().unwrap().next_probe;
            assert!(circuit.begin_probe(now));
        }
        circuit.fail(Cause::Authentication, "535".into(), now);
        assert!(circuit.incident().unwrap().next_probe - now <= Duration::from_mins(18));
    }

    #[test]
    fn new_settings_are_tried_at_once_unless_a_try_may_do_harm() {
        let now = Instant::now();
        for (cause, at_once) in [
            (Cause::Network, true),
            (Cause::Token, true),
            (Cause::Authentication, true),
            (Cause::Throttle, false),
            (Cause::Service, false),
        ] {
            let mut old = Circuit::Closed;
            old.fail(cause, "because".into(), now);
            let trouble = TroubleStatus::of(&old).unwrap();
            let mut new = Circuit::resumed(trouble.clone(), now);
            assert_eq!(TroubleStatus::of(&new).unwrap().since, trouble.since);
            assert_eq!(new.begin_probe(now), at_once, "{cause:?}");
        }
    }

    #[test]
    fn a_change_hurries_the_probe() {
        let now = Instant::now();
        let mut circuit = Circuit::Closed;
        circuit.fail(Cause::Authentication, "535".into(), now);
        circuit.hurry(now);
        assert!(circuit.begin_probe(now));
    }
}
