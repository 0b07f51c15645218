//! A person who signed in to an application and what was agreed on: what codes and refresh tokens stand for.

use serde_json::json;

use super::client::App;
use super::clock::Clock;
use super::jwt::signing_input;
use super::random::{RandomError, opaque, stable_guid};
use super::refusal::Refusal;
use super::registration::Registration;
use super::scope::{Access, Scope};
use super::users::User;
use crate::secret::Secret;

#[derive(Clone, Debug)]
pub(super) struct SignIn {
    pub(super) app: App,
    pub(super) user: User,
    /// What the application asked for when the person signed in.
    pub(super) scope: Scope,
    /// Given back in the ID token.
    pub(super) nonce: Option<String>,
}

impl SignIn {
    /// What the next token is for: the same as at the sign-in, or what a request names instead.
    pub(super) fn access(&self, wanted: Option<&Scope>) -> Access {
        wanted.unwrap_or(&self.scope).access()
    }

    /// Who signed in, for the application itself (`OpenID` Connect Core section 2).
    pub(super) fn id_token(
        &self,
        client_id: &str,
        tenant_id: &str,
        clock: &Clock,
    ) -> Result<Secret, RandomError> {
        let now = clock.now().as_second();
        let mut payload = json!({
            "aud": client_id,
            "iss": format!("https://login.microsoftonline.com/{tenant_id}/v2.0"),
            "iat": now,
            "nbf": now,
            "exp": now.saturating_add(3_600),
            "name": self.user.name,
            "oid": self.user.object_id,
            "preferred_username": self.user.name,
            "sub": stable_guid(&[client_id, &self.user.object_id]),
            "tid": tenant_id,
            "ver": "2.0",
        });
        if let (Some(nonce), Some(claims)) = (&self.nonce, payload.as_object_mut()) {
            claims.insert("nonce".to_owned(), nonce.as_str().into());
        }
        let signed = signing_input(&json!({ "typ": "JWT", "alg": "RS256" }), &payload);
        Ok(Secret::new(format!("{signed}.{}", opaque::<256>()?)))
    }
}

/// Whether somebody agreed to what the applications ask for.
pub(super) fn check_consent(registration: &Registration) -> Result<(), Refusal> {
    if registration.consent {
        return Ok(());
    }
    let text = "The user or administrator has not consented to use the application named 'exorelay sandbox'. Send an \
                interactive authorization request for this user and resource.";
    Err(Refusal::grant(65_001, text).suberror("consent_required"))
}

/// A code or token that was given to one application and shown by another.
pub(super) fn of_another_client() -> Refusal {
    Refusal::grant(
        70_000,
        "Provided grant is invalid or malformed: it was issued to another application.",
    )
    .suberror("client_mismatch")
}
