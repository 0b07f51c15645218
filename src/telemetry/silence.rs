//! A device that has stopped sending.

use std::time::Duration;

use super::counters;

/// A `[client.NAME]` that is watched.
#[derive(Clone, Copy, Debug)]
pub struct Silence<'a> {
    /// The incident's.
    pub id: &'a str,
    /// The NAME.
    pub client: &'a str,
    /// Since when, and what was seen of it since.
    pub reason: &'a str,
    /// What to look at.
    pub remedy: Option<&'a str>,
}

impl Silence<'_> {
    /// Nothing has come from it for too long.
    pub fn log_opened(&self) {
        counters().incidents.add(["client"]);
        tracing::warn!(
            event = "incident",
            incident = self.id,
            kind = "client",
            client = self.client,
            reason = self.reason,
            remedy = self.remedy,
            "incident opened: a client has fallen silent"
        );
    }

    /// A message has come, or nobody waits for one any more.
    pub fn log_recovered(&self, lasted: Duration) {
        tracing::info!(
            event = "incident",
            incident = self.id,
            kind = "client",
            client = self.client,
            lasted_s = lasted.as_secs(),
            reason = self.reason,
            "incident recovered"
        );
    }
}
