//! Access tokens: made to look like Entra's, remembered until they expire.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::entra::{
    Clock, Moment, Proof, RandomError, SEND, Shelf, opaque, signing_input, stable_guid,
};
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

/// Whom a token is for, and what for.
#[derive(Clone, Debug)]
pub(super) struct Grant<'a> {
    pub(super) tenant_id: &'a str,
    pub(super) client_id: &'a str,
    /// The resource of the scope.
    pub(super) audience: &'a str,
    /// How the client proved who it is.
    pub(super) proof: Proof,
    pub(super) lifetime: Duration,
    pub(super) holder: Holder,
}

/// On whose behalf a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// The application's own.
    Application {
        /// The claim `roles` has `SMTP.SendAsApp`.
        has_role: bool,
    },
    /// A person's who signed in.
    Person {
        /// The user principal name, in lower case.
        user: String,
        object_id: String,
        /// The claim `scp`.
        permissions: Vec<&'static str>,
    },
}

impl Holder {
    /// Whether a person let the application send mail over SMTP.
    pub(super) fn may_send(&self) -> bool {
        match self {
            Self::Application { .. } => false,
            Self::Person { permissions, .. } => permissions.contains(&SEND),
        }
    }
}

/// Tokens that were issued.
pub(super) struct Tokens {
    issued: Mutex<Shelf<Token>>,
}

struct Token {
    expires: Moment,
    for_outlook: bool,
    holder: Holder,
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self {
            issued: Mutex::new(Shelf::new(TOKENS_MAX)),
        }
    }

    /// A new token: `header.payload.signature`, about 1.5 kB, with the claims of facts D.4.
    pub(super) fn issue(&self, grant: Grant<'_>, clock: &Clock) -> Result<Secret, RandomError> {
        let text = encode(&grant, clock)?;
        let token = Token {
            expires: clock.moment().after(grant.lifetime),
            for_outlook: OUTLOOK.contains(&grant.audience.trim_end_matches('/')),
            holder: grant.holder,
        };
        self.lock().insert(text.clone(), token);
        Ok(Secret::new(text))
    }

    /// Whose token it is, if Exchange would take it: issued here, for Outlook, and not expired.
    pub(super) fn holder(&self, text: &str, now: Moment) -> Option<Holder> {
        let issued = self.lock();
        let token = issued.get(text)?;
        (token.for_outlook && now < token.expires).then(|| token.holder.clone())
    }

    /// Forgets every token, as a revoked session does.
    pub(super) fn revoke(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Shelf<Token>> {
        // At worst a token is forgotten: a panic elsewhere leaves nothing dangerous half done.
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

fn encode(grant: &Grant<'_>, clock: &Clock) -> Result<String, RandomError> {
    let now = clock.now().as_second();
    let key_id = "U2FuZGJveC1rZXktMDAwMDAwMDAwMDA";
    let header = json!({ "typ": "JWT", "alg": "RS256", "x5t": key_id, "kid": key_id });
    let unique = opaque::<32>()?;
    let issuer = format!("https://sts.windows.net/{}/", grant.tenant_id);
    let mut payload = json!({
        "aud": grant.audience,
        "iss": issuer,
        "iat": now,
        "nbf": now,
        "exp": now.saturating_add_unsigned(grant.lifetime.as_secs()),
        "aio": unique,
        "app_displayname": "exorelay sandbox",
        "appid": grant.client_id,
        "appidacr": grant.proof.as_claim(),
        "rh": format!("1.{unique}"),
        "sid": guid(),
        "tid": grant.tenant_id,
        "uti": guid(),
        "ver": "1.0",
        "xms_ftd": unique,
    });
    if let (Some(claims), Value::Object(more)) = (payload.as_object_mut(), holder_claims(grant)) {
        claims.extend(more);
    }
    let signed = signing_input(&header, &payload);
    Ok(format!("{signed}.{}", opaque::<SIGNATURE_BYTES>()?))
}

/// What differs between a token of an application and one of a person (facts D.4).
fn holder_claims(grant: &Grant<'_>) -> Value {
    match &grant.holder {
        Holder::Application { has_role } => {
            // The service principal's, which is what Exchange must know (facts E.2).
            let object_id = stable_guid(&[grant.tenant_id, "service principal", grant.client_id]);
            let mut claims = json!({
                "idp": format!("https://sts.windows.net/{}/", grant.tenant_id),
                "idtyp": "app",
                "oid": object_id,
                "sub": object_id,
                "wids": ["0997a1d0-0d1d-4acb-b408-d5ca73121e90"],
                "xms_idrel": "7 16",
            });
            // With RBAC for Applications there is no such claim at all.
            if let (true, Some(claims)) = (has_role, claims.as_object_mut()) {
                claims.insert("roles".to_owned(), json!(["SMTP.SendAsApp"]));
            }
            claims
        }
        Holder::Person {
            user,
            object_id,
            permissions,
        } => json!({
            "acr": "1",
            "amr": ["pwd"],
            "idtyp": "user",
            "ipaddr": "127.0.0.1",
            "name": user,
            "oid": object_id,
            "puid": "10032000ABCDEF01",
            "scp": permissions.join(" "),
            "sub": stable_guid(&[grant.client_id, object_id]),
            "unique_name": user,
            "upn": user,
            "xms_idrel": "1 8",
        }),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;

    const APPLICATION: Holder = Holder::Application { has_role: true };

    fn grant(audience: &str, holder: Holder) -> Grant<'_> {
        Grant {
            tenant_id: "tenant",
            client_id: "client",
            audience,
            proof: Proof::Secret,
            lifetime: Duration::from_mins(1),
            holder,
        }
    }

    fn claims(holder: Holder) -> Value {
        let (tokens, clock) = (Tokens::new(), Clock::new());
        let grant = grant("https://outlook.office365.com", holder);
        let token = tokens.issue(grant, &clock).unwrap();
        let token = token.reveal();
        assert!((1_300..2_500).contains(&token.len()), "{}", token.len());
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3);
        let payload = BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
        serde_json::from_slice(&payload).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_taken_until_they_expire_or_are_revoked() {
        let (tokens, clock) = (Tokens::new(), Clock::new());
        let issue = |audience| tokens.issue(grant(audience, APPLICATION), &clock).unwrap();
        let admits = |token: &str| tokens.holder(token, clock.moment()).is_some();
        let token = issue("https://outlook.office365.com");
        assert!(admits(token.reveal()));
        assert!(!admits("eyJ0.eyJ.x"));
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(!admits(token.reveal()));
        let token = issue("https://outlook.office365.com/");
        assert!(admits(token.reveal()));
        clock.shift(60);
        assert!(!admits(token.reveal()));
        let token = issue("00000002-0000-0ff1-ce00-000000000000");
        assert!(admits(token.reveal()));
        tokens.revoke();
        assert!(!admits(token.reveal()));
        let graph = issue("https://graph.microsoft.com");
        assert!(!admits(graph.reveal()));
    }

    #[test]
    fn tokens_look_like_real_ones() {
        let application = claims(APPLICATION);
        assert_eq!(application["roles"], json!(["SMTP.SendAsApp"]));
        assert_eq!(application["tid"], "tenant");
        assert_eq!(application["appidacr"], "1");
        assert_eq!(application["scp"], Value::Null);
        assert_eq!(application["oid"], claims(APPLICATION)["oid"]);

        let rbac = claims(Holder::Application { has_role: false });
        assert_eq!(rbac["roles"], Value::Null);
        assert_eq!(rbac["oid"], application["oid"]);

        let person = claims(Holder::Person {
            user: "kim@contoso.com".into(),
            object_id: "oid".into(),
            permissions: vec!["SMTP.Send", "Mail.Send"],
        });
        assert_eq!(person["scp"], "SMTP.Send Mail.Send");
        assert_eq!(person["upn"], "kim@contoso.com");
        assert_eq!(person["oid"], "oid");
        assert_eq!(person["roles"], Value::Null);
    }
}
