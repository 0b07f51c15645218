//! Incidents in the log.

use std::time::Duration;

use super::counters;

/// Mail does not flow, or will not for long, or does again.
#[derive(Clone, Copy, Debug)]
pub struct Incident<'a> {
    /// The same from its opening to its end, also across restarts.
    pub id: &'a str,
    /// What is in trouble.
    pub kind: &'a str,
    /// The account, if it is one.
    pub account: Option<&'a str>,
    /// What happened, in the words of the service or of the network.
    pub reason: &'a str,
    /// The rule that knows it.
    pub rule: Option<&'a str>,
    /// What it means.
    pub why: Option<&'a str>,
    /// How it is mended.
    pub remedy: Option<&'a str>,
}

impl Incident<'_> {
    /// Mail waits; none of it is lost.
    pub fn log_opened(&self, retry_in: Duration) {
        counters().incidents.add([self.kind]);
        tracing::error!(
            event = "incident",
            incident = self.id,
            kind = self.kind,
            account = self.account,
            retry_in_s = retry_in.as_secs(),
            reason = self.reason,
            rule = self.rule,
            why = self.why,
            remedy = self.remedy,
            "incident opened: mail is kept until the account can send again"
        );
    }

    /// Something else keeps it waiting now.
    pub fn log_changed(&self, retry_in: Duration) {
        tracing::error!(
            event = "incident",
            incident = self.id,
            kind = self.kind,
            account = self.account,
            retry_in_s = retry_in.as_secs(),
            reason = self.reason,
            rule = self.rule,
            why = self.why,
            remedy = self.remedy,
            "incident changed: mail is still kept"
        );
    }

    /// A bound of the queue comes near; mail is still taken in.
    pub fn log_near(&self) {
        counters().incidents.add([self.kind]);
        tracing::warn!(
            event = "incident",
            incident = self.id,
            kind = self.kind,
            reason = self.reason,
            why = self.why,
            remedy = self.remedy,
            "incident opened: the queue has little room left"
        );
    }

    /// What an account gets tokens with runs out; it still sends.
    pub fn log_expiry_opened(&self) {
        counters().incidents.add([self.kind]);
        tracing::warn!(
            event = "incident",
            incident = self.id,
            kind = self.kind,
            account = self.account,
            reason = self.reason,
            why = self.why,
            remedy = self.remedy,
            "incident opened: a credential runs out"
        );
    }

    /// A day later it still does.
    pub fn log_expiry(&self) {
        tracing::warn!(
            event = "incident",
            incident = self.id,
            kind = self.kind,
            account = self.account,
            reason = self.reason,
            why = self.why,
            remedy = self.remedy,
            "incident goes on: a credential runs out"
        );
    }

    /// All is well again.
    pub fn log_recovered(&self, lasted: Duration) {
        tracing::info!(
            event = "incident",
            incident = self.id,
            kind = self.kind,
            account = self.account,
            lasted_s = lasted.as_secs(),
            reason = self.reason,
            rule = self.rule,
            "incident recovered"
        );
    }
}
