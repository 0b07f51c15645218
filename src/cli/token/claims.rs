//! What an access token says, in words.

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::text::{local_time, since};
use crate::oauth::Claims;

/// What may be shown of an access token.
#[derive(Debug, Serialize)]
pub(super) struct TokenClaims {
    /// It tells nothing, as those of personal accounts and of Google.
    opaque: bool,
    audience: Option<String>,
    issuer: Option<String>,
    tenant: Option<String>,
    application: Option<String>,
    object_id: Option<String>,
    roles: Vec<String>,
    scopes: Vec<String>,
    user: Option<String>,
    issued_at: Option<Timestamp>,
    expires_at: Timestamp,
    #[serde(skip)]
    proof: Option<&'static str>,
}

impl TokenClaims {
    /// `expires_at` is what the server said beside the token.
    pub(super) fn of(claims: Option<Claims>, expires_at: Timestamp) -> Self {
        let opaque = claims.is_none();
        let claims = claims.unwrap_or_default();
        let told = |text: String| Some(text).filter(|text| !text.is_empty());
        let time = |second: Option<i64>| second.and_then(|at| Timestamp::from_second(at).ok());
        Self {
            opaque,
            audience: told(claims.aud),
            issuer: told(claims.iss),
            tenant: told(claims.tid),
            application: told(claims.appid),
            object_id: told(claims.oid),
            roles: claims.roles,
            scopes: claims.scp.split_whitespace().map(str::to_owned).collect(),
            user: told(claims.upn),
            issued_at: time(claims.iat),
            expires_at: time(claims.exp).unwrap_or(expires_at),
            proof: match claims.appidacr.as_str() {
                "0" => Some("as a public client"),
                "1" => Some("with a secret"),
                "2" => Some("with a certificate"),
                _ => None,
            },
        }
    }

    /// Labels and texts; `is_delegated` tells what is to be expected.
    pub(super) fn lines(&self, is_delegated: bool, now: Timestamp) -> Vec<(&'static str, String)> {
        let mut lines = vec![(
            "Token",
            format!(
                "obtained just now, good for {} (until {})",
                since(now, self.expires_at),
                local_time(self.expires_at)
            ),
        )];
        if self.opaque {
            let text = "cannot be read: of a personal account, of Google, or encrypted";
            lines.push(("Claims", text.to_owned()));
            return lines;
        }
        let absent = || "not told".to_owned();
        let mut line =
            |label, text: Option<String>| lines.push((label, text.unwrap_or_else(absent)));
        line("Audience", self.audience.clone());
        line("Tenant", self.tenant.clone());
        let proof = self.proof.map(|proof| format!(", {proof}"));
        let application = self.application.as_ref();
        line(
            "Application",
            application.map(|id| format!("{id}{}", proof.unwrap_or_default())),
        );
        if is_delegated {
            line("Person", self.user.clone());
            line("Scopes", Some(list(&self.scopes, NO_SCOPE)));
        } else {
            let object_id = self.object_id.as_ref();
            line(
                "Object id",
                object_id.map(|id| format!("{id} ({OBJECT_ID})")),
            );
            line("Roles", Some(list(&self.roles, NO_ROLE)));
        }
        lines
    }
}

fn list(words: &[String], none: &str) -> String {
    if words.is_empty() {
        none.to_owned()
    } else {
        words.join(", ")
    }
}

const OBJECT_ID: &str = "of the enterprise application: the ObjectId for New-ServicePrincipal";
const NO_ROLE: &str =
    "none: right with RBAC for Applications, else grant SMTP.SendAsApp and consent";
const NO_SCOPE: &str = "none: SMTP.Send is needed, see oauth.scope";

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn text(claims: Option<Claims>, is_delegated: bool) -> String {
        let shown = TokenClaims::of(claims, at(4_000));
        let lines = shown.lines(is_delegated, at(400));
        let lines: Vec<String> = lines
            .into_iter()
            .map(|(label, text)| format!("{label}: {text}"))
            .collect();
        lines.join("\n")
    }

    #[test]
    fn application_is_told_its_object_id_and_rights() {
        let claims = Claims {
            aud: "https://outlook.office365.com".into(),
            appid: "app".into(),
            appidacr: "2".into(),
            oid: "object".into(),
            exp: Some(7_600),
            ..Claims::default()
        };
        let shown = text(Some(claims.clone()), false);
        for line in [
            "good for 2h",
            "Audience: https://outlook.office365.com",
            "Tenant: not told",
            "Application: app, with a certificate",
            "Object id: object (of the enterprise application",
            "Roles: none: right with RBAC",
        ] {
            assert!(shown.contains(line), "{line} in {shown}");
        }
        let roles = vec!["SMTP.SendAsApp".into()];
        let shown = text(Some(Claims { roles, ..claims }), false);
        assert!(shown.contains("Roles: SMTP.SendAsApp"), "{shown}");
    }

    #[test]
    fn person_is_told_scopes() {
        let claims = Claims {
            upn: "relay@contoso.com".into(),
            scp: "SMTP.Send User.Read".into(),
            oid: "object".into(),
            ..Claims::default()
        };
        let shown = text(Some(claims), true);
        assert!(shown.contains("Person: relay@contoso.com"), "{shown}");
        assert!(shown.contains("Scopes: SMTP.Send, User.Read"), "{shown}");
        assert!(!shown.contains("New-ServicePrincipal"), "{shown}");
        assert!(text(Some(Claims::default()), true).contains("SMTP.Send is needed"));
    }

    #[test]
    fn opaque_token_has_a_life_and_nothing_else() {
        let shown = text(None, true);
        assert!(shown.contains("good for 1h") && shown.contains("cannot be read"));
        assert_eq!(shown.lines().count(), 2);
    }
}
