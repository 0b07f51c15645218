//! Another identity provider, whose tokens the application may show instead of a secret (facts D.9).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use serde_json::json;

use super::assertion::in_time;
use super::jwt::{Jwt, signing_input};
use super::random::RandomError;
use super::refusal::Refusal;
use crate::sandbox::content::printable;
use crate::sandbox::voice::guid;
use crate::secret::Secret;

/// The registered issuer; nobody asks it for its keys, the sandbox has them.
const ISSUER: &str = "https://issuer.sandbox.example";
/// The registered subject, in the form Kubernetes gives it.
const SUBJECT: &str = "system:serviceaccount:mail:exorelay";
/// Entra's default.
const AUDIENCE: &str = "api://AzureADTokenExchange";
const LIFETIME_SECONDS: i64 = 3_600;

/// A token of the other provider's to be made; what is `None` is as the registration demands it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FederatedToken {
    /// `iss`.
    pub issuer: Option<String>,
    /// `sub`.
    pub subject: Option<String>,
    /// `aud`.
    pub audience: Option<String>,
    /// From now to `exp`, in seconds; negative: expired already.
    pub lifetime_seconds: Option<i64>,
}

/// The provider's key, made anew at each start.
pub(in crate::sandbox) struct Federation {
    key: EcdsaKeyPair,
}

impl Federation {
    pub(in crate::sandbox) fn generate() -> Result<Self, RandomError> {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| RandomError)?;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random);
        let key = key.map_err(|_| RandomError)?;
        Ok(Self { key })
    }

    /// A token as the provider would give it, signed with ES256.
    pub(in crate::sandbox) fn issue(
        &self,
        wanted: &FederatedToken,
        now: Timestamp,
    ) -> Result<Secret, RandomError> {
        let lifetime = wanted.lifetime_seconds.unwrap_or(LIFETIME_SECONDS);
        let issued = now.as_second().saturating_add(lifetime.min(0)) - 1;
        let payload = json!({
            "iss": wanted.issuer.as_deref().unwrap_or(ISSUER),
            "sub": wanted.subject.as_deref().unwrap_or(SUBJECT),
            "aud": [wanted.audience.as_deref().unwrap_or(AUDIENCE)],
            "iat": issued,
            "nbf": issued,
            "exp": now.as_second().saturating_add(lifetime),
            "jti": guid(),
        });
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": "sandbox" });
        let signed = signing_input(&header, &payload);
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature.map_err(|_| RandomError)?);
        Ok(Secret::new(format!("{signed}.{signature}")))
    }

    /// Checks the registration first and the signature next, as Entra looks the key up by the issuer. A token may be
    /// shown any number of times while it lives.
    pub(super) fn check(&self, jwt: &Jwt<'_>, now: Timestamp) -> Result<(), Refusal> {
        let claims = &jwt.claims;
        if claims.iss != ISSUER {
            return Err(mismatch(700_211, "issuer", &claims.iss));
        }
        if claims.sub != SUBJECT {
            return Err(mismatch(700_213, "subject", &claims.sub));
        }
        if !claims.aud.contains(AUDIENCE) {
            return Err(mismatch(700_212, "audience", claims.aud.first()));
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key());
        let signed =
            jwt.header.alg == "ES256" && key.verify(jwt.signed.as_bytes(), &jwt.signature).is_ok();
        if !signed {
            let text = "Assertion failed signature validation. [Reason - The provided signature value did not match \
                        the expected signature value.]";
            return Err(Refusal::client(50_013, text));
        }
        in_time(claims, now)
    }
}

fn mismatch(code: u32, what: &str, shown: &str) -> Refusal {
    let shown = printable(shown.as_bytes());
    let text = format!(
        "No matching federated identity record found for presented assertion {what} '{shown}'. Check your federated \
         identity credential Subject, Audience and Issuer against the presented assertion. \
         https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
    );
    Refusal::client(code, text)
}
