//! What to show of an account.

use tokio::time::Instant;

use crate::delivery::Cause;
use crate::delivery::circuit::Incident;

/// A snapshot of one account's delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Why nothing is sent, if so.
    pub trouble: Option<TroubleStatus>,
    /// Messages that count against the rate at the moment.
    pub sent_last_minute: usize,
    /// The rate, if there is one.
    pub messages_per_minute: Option<usize>,
    /// Connections at work.
    pub busy: usize,
}

/// Why an account sends nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TroubleStatus {
    /// What kind of trouble.
    pub cause: Cause,
    /// In the words of the service, or of the network.
    pub reason: String,
    /// Since when.
    pub since: Instant,
    /// When it is looked into next.
    pub next_probe: Instant,
}

impl Status {
    pub(super) fn new(
        incident: Option<&Incident>,
        sent_last_minute: usize,
        messages_per_minute: Option<usize>,
        busy: usize,
    ) -> Self {
        Self {
            trouble: incident.map(|incident| TroubleStatus {
                cause: incident.cause,
                reason: incident.reason.clone(),
                since: incident.since,
                next_probe: incident.next_probe,
            }),
            sent_last_minute,
            messages_per_minute,
            busy,
        }
    }
}
