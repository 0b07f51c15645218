//! What stands in an access token, for people who look for a mistake.
//!
//! Clients should treat access tokens as opaque (facts D.4), and those of personal accounts are: nothing that
//! sends mail may depend on what is read here. No signature is checked.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};

use crate::secret::Secret;

/// The claims of an Entra access token that tell what it is good for; absent ones are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// The resource it is for, such as `https://outlook.office365.com`.
    pub aud: String,
    /// Who issued it.
    pub iss: String,
    /// The tenant's id.
    pub tid: String,
    /// The application's id.
    pub appid: String,
    /// Of an application: the object id of its enterprise application, which Exchange has to know.
    pub oid: String,
    /// What the application may do by itself.
    pub roles: Vec<String>,
    /// What it may do for the person who signed in, separated by spaces.
    pub scp: String,
    /// The person who signed in; `unique_name` in older tokens.
    #[serde(alias = "unique_name")]
    pub upn: String,
    /// The same in tokens of version 2 and in id tokens.
    pub preferred_username: String,
    /// Of the person, in id tokens.
    pub email: String,
    /// `1`: with a secret, `2`: with a certificate.
    #[serde(deserialize_with = "text_or_number")]
    pub appidacr: String,
    /// Unix time from which on it is good.
    pub nbf: Option<i64>,
    /// Unix time at which it was issued.
    pub iat: Option<i64>,
    /// Unix time at which it expires.
    pub exp: Option<i64>,
}

impl Claims {
    /// Reads the middle part of a JWT (RFC 7519); `None` when the token is none.
    pub fn decode(token: &Secret) -> Option<Self> {
        let mut parts = token.reveal().split('.');
        let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
        let payload = BASE64_URL_SAFE_NO_PAD
            .decode(payload.trim_end_matches('='))
            .ok()?;
        let mut claims: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&payload).ok()?;
        // Tokens of version 1 may have both names of the person; the newer one counts.
        if claims.contains_key("upn") {
            claims.remove("unique_name");
        }
        serde_json::from_value(claims.into()).ok()
    }

    /// Who signed in; none for an application.
    pub fn person(&self) -> Option<&str> {
        let names = [&self.upn, &self.preferred_username, &self.email];
        names
            .into_iter()
            .map(String::as_str)
            .find(|name| !name.is_empty())
    }
}

/// Entra writes a digit as a text, others may write a number.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        serde_json::Value::Number(number) => number.to_string(),
        _ => String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &serde_json::Value) -> Secret {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
        Secret::new(format!("eyJ0.{payload}.c2ln"))
    }

    #[test]
    fn claims_are_read_from_the_middle() {
        let claims = Claims::decode(&token(&serde_json::json!({
            "aud": "https://outlook.office365.com", "tid": "t", "appid": "a", "oid": "o",
            "roles": ["SMTP.SendAsApp"], "exp": 1_800_000_000, "appidacr": "1", "unique_name": "old@x", "upn": "new@x",
            "unknown": {"is": "ignored"},
        })))
        .unwrap();
        assert_eq!(claims.aud, "https://outlook.office365.com");
        assert_eq!(claims.roles, ["SMTP.SendAsApp"]);
        assert_eq!(
            (claims.upn.as_str(), claims.appidacr.as_str()),
            ("new@x", "1")
        );
        assert_eq!((claims.exp, claims.nbf), (Some(1_800_000_000), None));
    }

    #[test]
    fn unique_name_stands_in_for_upn() {
        let claims = Claims::decode(&token(
            &serde_json::json!({"unique_name": "old@x", "appidacr": 2}),
        ))
        .unwrap();
        assert_eq!(
            (claims.upn.as_str(), claims.appidacr.as_str()),
            ("old@x", "2")
        );
    }

    #[test]
    fn what_is_no_jwt_has_none() {
        for token in ["", "opaque", "a.b", "a.!!.c", "a.bm90IGpzb24.c"] {
            assert_eq!(Claims::decode(&Secret::new(token)), None, "{token}");
        }
    }
}
