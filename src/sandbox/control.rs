//! The handle by which tests and the HTTP interface look at the sandbox and order faults.

use std::sync::Arc;

use super::Shared;
use super::entra::{Permission, Proof, RandomError};
use super::fault::{Fault, Step, TokenFault};
use super::ledger::{Message, Stats, Violation};
use super::replies;
use super::rights::SendAs;
use super::settings::Settings;
use super::tokens::{Grant, Holder};
use crate::secret::Secret;

/// The scope's resource of a token for Exchange Online.
const OUTLOOK: &str = "https://outlook.office365.com";

/// Looks at a running sandbox and orders faults; cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    pub(super) shared: Arc<Shared>,
}

impl Control {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What the sandbox was started with.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Orders a fault for the next `count` times that a session comes to `step`; `None`: for good. Orders for one step
    /// are carried out in turn. Of more than 1,000 orders that wait for one step the oldest are dropped.
    pub fn smtp_fault(&self, step: Step, fault: Fault, count: Option<usize>) {
        self.shared.faults.order_smtp(step, fault, count);
    }

    /// Orders a documented reply, by name or enhanced code, where Exchange gives it; `false` when there is none.
    pub fn documented_fault(&self, name: &str, count: Option<usize>) -> bool {
        let known = replies::find(name);
        if let Some(known) = known {
            self.smtp_fault(known.at, Fault::Reply(known.text.to_owned()), count);
        }
        known.is_some()
    }

    /// Orders a fault for the next `count` requests to the token endpoint, in place of an earlier one; `None` as
    /// `fault`: it is well again.
    pub fn token_fault(&self, fault: Option<TokenFault>, count: Option<usize>) {
        self.shared.faults.order_token(fault, count);
    }

    /// From now on mailboxes may send as these only.
    pub fn set_send_as(&self, send_as: SendAs) {
        self.shared.rights.set(send_as);
    }

    /// Takes every order back: faults, people who would sign in, the clock, strict rotation.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
        self.shared.entra.recover();
    }

    /// A token as the token endpoint gives it to the application itself, for tests without that endpoint.
    pub fn issue_token(&self) -> Result<Secret, RandomError> {
        let settings = self.settings();
        let has_role = self.registration().permission == Permission::AppRole;
        let grant = Grant {
            tenant_id: &settings.tenant_id,
            client_id: &settings.client_id,
            audience: OUTLOOK,
            proof: Proof::Secret,
            lifetime: settings.token_lifetime,
            holder: Holder::Application { has_role },
        };
        self.shared.tokens.issue(grant, &self.shared.entra.clock)
    }

    /// Makes every token issued so far worthless; the next AUTH with one gets 535.
    pub fn revoke_tokens(&self) {
        self.shared.tokens.revoke();
    }

    /// The last 10,000 messages, oldest first.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.shared.ledger.messages()
    }

    /// A message by its number.
    pub fn message(&self, number: u64) -> Option<Arc<Message>> {
        self.shared.ledger.message(number)
    }

    /// Waits until `count` messages have come since the start or the last clearing, and lists them.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub async fn wait_for_messages(&self, count: u64) -> Vec<Arc<Message>> {
        self.shared.ledger.wait_for_messages(count).await
    }

    /// Empties the list and removes the files of what was listed.
    pub async fn clear_messages(&self) {
        let messages = self.shared.ledger.clear_messages();
        self.shared.inbox.remove(messages).await;
    }

    /// The first 1,000 violations.
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.ledger.violations()
    }

    /// Counts since the start.
    pub fn stats(&self) -> Stats {
        self.shared.ledger.stats()
    }
}
