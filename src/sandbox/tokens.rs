//! Access tokens: made to look like Entra's, remembered until they expire.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls::crypto::SecureRandom;
use serde_json::json;
use tokio::time::Instant;

use super::voice::guid;
use crate::secret::Secret;

/// Tokens that are remembered; the oldest goes first.
const TOKENS_MAX: usize = 10_000;
/// An RS256 signature with a key of 2048 bits.
const SIGNATURE_BYTES: usize = 256;
/// Audiences that Exchange Online takes (facts D.4), besides its bare application id.
pub(super) const OUTLOOK: [&str; 4] = [
    "https://outlook.office365.com",
    "https://outlook.office.com",
    "https://outlook.office365.us",
    "00000002-0000-0ff1-ce00-000000000000",
];

/// No randomness was to be had.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gave no random octets for a token")]
pub struct RandomError;

/// Whom a token is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant<'a> {
    pub(super) tenant_id: &'a str,
    pub(super) client_id: &'a str,
    /// The resource of the scope.
    pub(super) audience: &'a str,
    pub(super) lifetime: Duration,
}

/// Tokens that were issued.
pub(super) struct Tokens {
    random: &'static dyn SecureRandom,
    issued: Mutex<Issued>,
}

#[derive(Default)]
struct Issued {
    by_text: HashMap<String, Token>,
    order: VecDeque<String>,
}

struct Token {
    /// `None`: beyond what the clock can count, so never.
    expires: Option<Instant>,
    for_outlook: bool,
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self {
            random: rustls::crypto::ring::default_provider().secure_random,
            issued: Mutex::default(),
        }
    }

    /// A new token: `header.payload.signature`, about 1.5 kB, with the claims of facts D.4.
    pub(super) fn issue(&self, grant: Grant<'_>) -> Result<Secret, RandomError> {
        let mut signature = [0_u8; SIGNATURE_BYTES];
        self.random.fill(&mut signature).map_err(|_| RandomError)?;
        let mut unique = [0_u8; 32];
        self.random.fill(&mut unique).map_err(|_| RandomError)?;
        let text = encode(grant, &unique, &signature);

        let mut issued = self.lock();
        if issued.order.len() == TOKENS_MAX
            && let Some(oldest) = issued.order.pop_front()
        {
            issued.by_text.remove(&oldest);
        }
        let token = Token {
            expires: Instant::now().checked_add(grant.lifetime),
            for_outlook: OUTLOOK.contains(&grant.audience.trim_end_matches('/')),
        };
        issued.by_text.insert(text.clone(), token);
        issued.order.push_back(text.clone());
        Ok(Secret::new(text))
    }

    /// Whether Exchange would take it: issued here, for Outlook, and not expired.
    pub(super) fn admits(&self, text: &str) -> bool {
        let issued = self.lock();
        issued.by_text.get(text).is_some_and(|token| {
            token.for_outlook && token.expires.is_none_or(|expires| expires > Instant::now())
        })
    }

    /// Forgets every token, as a revoked session does.
    pub(super) fn revoke(&self) {
        *self.lock() = Issued::default();
    }

    fn lock(&self) -> MutexGuard<'_, Issued> {
        // At worst a token is forgotten: a panic elsewhere leaves nothing dangerous half done.
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

fn encode(grant: Grant<'_>, unique: &[u8], signature: &[u8]) -> String {
    let now = Timestamp::now().as_second();
    let key_id = "U2FuZGJveC1rZXktMDAwMDAwMDAwMDA";
    let header = json!({ "typ": "JWT", "alg": "RS256", "x5t": key_id, "kid": key_id });
    let payload = json!({
        "aud": grant.audience,
        "iss": format!("https://sts.windows.net/{}/", grant.tenant_id),
        "iat": now,
        "nbf": now,
        "exp": now.saturating_add_unsigned(grant.lifetime.as_secs()),
        "aio": BASE64_URL_SAFE_NO_PAD.encode(unique),
        "app_displayname": "exorelay sandbox",
        "appid": grant.client_id,
        "appidacr": "1",
        "idp": format!("https://sts.windows.net/{}/", grant.tenant_id),
        "idtyp": "app",
        "oid": guid(),
        "rh": format!("1.{}", BASE64_URL_SAFE_NO_PAD.encode(unique)),
        "roles": ["SMTP.SendAsApp"],
        "sid": guid(),
        "sub": guid(),
        "tid": grant.tenant_id,
        "uti": guid(),
        "ver": "1.0",
        "wids": ["0997a1d0-0d1d-4acb-b408-d5ca73121e90"],
        "xms_ftd": BASE64_URL_SAFE_NO_PAD.encode(unique),
        "xms_idrel": "7 16",
    });
    [
        BASE64_URL_SAFE_NO_PAD.encode(header.to_string()),
        BASE64_URL_SAFE_NO_PAD.encode(payload.to_string()),
        BASE64_URL_SAFE_NO_PAD.encode(signature),
    ]
    .join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(audience: &str) -> Grant<'_> {
        Grant {
            tenant_id: "tenant",
            client_id: "client",
            audience,
            lifetime: Duration::from_mins(1),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_taken_until_they_expire_or_are_revoked() {
        let tokens = Tokens::new();
        let token = tokens
            .issue(grant("https://outlook.office365.com"))
            .unwrap();
        assert!(tokens.admits(token.reveal()));
        assert!(!tokens.admits("eyJ0.eyJ.x"));
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(!tokens.admits(token.reveal()));
        let token = tokens
            .issue(grant("https://outlook.office365.com/"))
            .unwrap();
        assert!(tokens.admits(token.reveal()));
        tokens.revoke();
        assert!(!tokens.admits(token.reveal()));
    }

    #[tokio::test]
    async fn a_graph_token_is_not_for_smtp() {
        let tokens = Tokens::new();
        let token = tokens.issue(grant("https://graph.microsoft.com")).unwrap();
        assert!(!tokens.admits(token.reveal()));
    }

    #[tokio::test]
    async fn tokens_have_the_shape_and_size_of_real_ones() {
        let tokens = Tokens::new();
        let token = tokens
            .issue(grant("https://outlook.office365.com"))
            .unwrap();
        let parts: Vec<&str> = token.reveal().split('.').collect();
        assert_eq!(parts.len(), 3);
        let payload = BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload["roles"][0], "SMTP.SendAsApp");
        assert_eq!(payload["tid"], "tenant");
        assert!(
            (1_300..2_500).contains(&token.reveal().len()),
            "{}",
            token.reveal().len()
        );
    }
}
