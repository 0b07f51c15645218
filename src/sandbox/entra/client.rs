//! Which application asks, and how it proves it (facts D.7 to D.9, D.11).

use super::assertion::TYPE;
use super::jwt::Jwt;
use super::refusal::{Kind, Refusal};
use super::request::Request;
use crate::sandbox::Shared;
use crate::sandbox::content::printable;

/// One of the tenant's two applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum App {
    /// "Web": has secrets and certificates, and must use one.
    Confidential,
    /// "Mobile and desktop": has none, and must not.
    Public,
}

/// How a client proved who it is, the claim `appidacr` (facts D.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum Proof {
    /// Not at all: a public client.
    None,
    /// With a secret.
    Secret,
    /// With an assertion, its own or another provider's.
    Assertion,
}

impl Proof {
    pub(in crate::sandbox) fn as_claim(self) -> &'static str {
        match self {
            Self::None => "0",
            Self::Secret => "1",
            Self::Assertion => "2",
        }
    }
}

impl App {
    pub(super) fn find(shared: &Shared, client_id: &str) -> Result<Self, Refusal> {
        let settings = &shared.settings;
        if client_id == settings.client_id {
            return Ok(Self::Confidential);
        }
        if client_id == settings.public_client_id {
            return Ok(Self::Public);
        }
        let text = format!(
            "Application with identifier '{}' was not found in the directory 'exorelay sandbox'. This can happen if \
             the application has not been installed by the administrator of the tenant or consented to by any user in \
             the tenant. You may have sent your authentication request to the wrong tenant.",
            printable(client_id.as_bytes())
        );
        Err(Refusal::new(Kind::UnauthorizedClient, 700_016, text))
    }

    pub(super) fn id(self, shared: &Shared) -> &str {
        match self {
            Self::Confidential => &shared.settings.client_id,
            Self::Public => &shared.settings.public_client_id,
        }
    }

    /// Checks what the client proves itself with. `endpoint` is the audience of its own assertions.
    pub(super) fn authenticate(
        self,
        shared: &Shared,
        request: &Request,
        endpoint: &str,
    ) -> Result<Proof, Refusal> {
        let secret = request.client_secret();
        let assertion = request.field("client_assertion");
        match (self, secret, assertion) {
            (Self::Public, None, None) => Ok(Proof::None),
            (Self::Public, ..) => {
                let text = "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.";
                Err(Refusal::client(700_025, text))
            }
            (Self::Confidential, None, None) => Err(no_credential()),
            (Self::Confidential, Some(_), Some(_)) => {
                let text = "The request contains both 'client_assertion' and 'client_secret'.";
                Err(Refusal::request(90_023, text))
            }
            (Self::Confidential, Some(secret), None) => {
                if secret == shared.settings.client_secret.reveal() {
                    Ok(Proof::Secret)
                } else {
                    Err(wrong_secret(&shared.settings.client_id))
                }
            }
            (Self::Confidential, None, Some(assertion)) => {
                if request.required("client_assertion_type")? != TYPE {
                    let text = format!("The value of 'client_assertion_type' must be '{TYPE}'.");
                    return Err(Refusal::request(90_023, text));
                }
                check_assertion(shared, assertion, endpoint)?;
                Ok(Proof::Assertion)
            }
        }
    }
}

/// Who names no certificate is asked for its federated credential.
fn check_assertion(shared: &Shared, assertion: &str, endpoint: &str) -> Result<(), Refusal> {
    let entra = &shared.entra;
    let Some(jwt) = Jwt::decode(assertion) else {
        let text = "JWT token is invalid or malformed.";
        return Err(Refusal::client(50_027, text));
    };
    let now = entra.clock.now();
    let client_id = &shared.settings.client_id;
    let is_own =
        jwt.header.x5t.is_some() || jwt.header.x5t_s256.is_some() || jwt.claims.iss == *client_id;
    if is_own {
        let certificates = &entra.certificates;
        entra
            .assertions
            .check(&jwt, client_id, endpoint, certificates, now)
    } else {
        entra.federation.check(&jwt, now)
    }
}

pub(super) fn no_credential() -> Refusal {
    let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
    Refusal::client(7_000_218, text)
}

pub(super) fn wrong_secret(client_id: &str) -> Refusal {
    let text = format!(
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not \
         the client secret ID, for a secret added to app '{client_id}'."
    );
    Refusal::client(7_000_215, text)
}
