//! What tests and the HTTP interface can order of the login service.

use std::sync::PoisonError;

use super::federation::FederatedToken;
use super::find_aadsts;
use super::orders::Order;
use super::random::RandomError;
use super::refresh::{End, Rotation};
use super::registration::Registration;
use crate::sandbox::Control;
use crate::sandbox::fault::TokenFault;
use crate::secret::Secret;

impl Control {
    /// Orders a refusal of Entra's by its number for the next `count` requests to the token endpoint, in place of an
    /// earlier fault; `false` when the sandbox has no such number, see [`aadsts`](crate::sandbox::aadsts).
    pub fn aadsts_fault(&self, code: u32, count: Option<usize>) -> bool {
        let known = find_aadsts(code);
        if let Some(known) = known {
            self.token_fault(Some(TokenFault::Aadsts(known)), count);
        }
        known.is_some()
    }

    /// What is set for the applications now.
    pub fn registration(&self) -> Registration {
        self.shared.entra.registration()
    }

    /// From now on this is set for the applications.
    pub fn register(&self, registration: Registration) {
        let mut current = self
            .shared
            .entra
            .registration
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = registration;
    }

    /// The next request to the authorize endpoint is answered at once, as if `user` had signed in there. Orders are
    /// carried out in turn; of more than 1,000 the oldest are dropped.
    pub fn sign_in(&self, user: &str) {
        let order = Order::SignIn(user.to_owned());
        self.shared.entra.orders.give(order);
    }

    /// The same, as if somebody had declined.
    pub fn decline_sign_in(&self) {
        self.shared.entra.orders.give(Order::Decline);
    }

    /// Lets a person use another mailbox, as Full Access on a shared one does: `user` is who signs in, `mailbox` what
    /// XOAUTH2 names.
    pub fn grant_access(&self, user: &str, mailbox: &str) {
        self.shared.rights.grant_access(user, mailbox);
    }

    /// What becomes of refresh tokens that are used from now on.
    pub fn set_rotation(&self, rotation: Rotation) {
        self.shared.entra.refresh_tokens.rotate(rotation);
    }

    /// Revokes the refresh tokens of `user`, or everybody's, as a changed password does (AADSTS50173).
    pub fn revoke_sign_ins(&self, user: Option<&str>) {
        self.shared.entra.refresh_tokens.end(user, End::Revoked);
    }

    /// Ages the refresh tokens of `user`, or everybody's, by 90 days (AADSTS700082).
    pub fn expire_sign_ins(&self, user: Option<&str>) {
        self.shared.entra.refresh_tokens.end(user, End::Expired);
    }

    /// Sets Entra's clock ahead of the machine's, or behind it: its `Date` headers, what tokens say, and what it takes
    /// assertions and codes for. What was issued before ages by the difference.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.shared.entra.clock.shift(seconds);
    }

    /// A token of the other identity provider whose tokens the application may show as `client_assertion`.
    pub fn federated_token(&self, wanted: &FederatedToken) -> Result<Secret, RandomError> {
        let now = self.shared.entra.clock.now();
        self.shared.entra.federation.issue(wanted, now)
    }
}
