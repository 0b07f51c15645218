//! What an administrator of the tenant has set for the two applications (facts D.11, E).

use serde::Deserialize;

/// The applications' registration; it can be changed while the sandbox runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Where a browser may be sent back to. Of `http://localhost` the port is not compared.
    pub redirect_uris: Vec<String>,
    /// "Allow public client flows": needed by device codes.
    pub public_client_flows: bool,
    /// Whether users of other tenants may sign in, through `common` and `organizations`.
    pub multi_tenant: bool,
    /// What the application may do by itself.
    pub permission: Permission,
    /// Whether SMTP.Send was consented to, for applications that act for a person.
    pub consent: bool,
}

/// How the application was allowed to send mail by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// `SMTP.SendAsApp`, which the token names in `roles` (facts E.2).
    #[default]
    AppRole,
    /// RBAC for Applications, which the token does not show (facts E.3).
    Rbac,
    /// Not at all: a token is issued, and SMTP answers 535.
    None,
}

impl Default for Registration {
    /// A single tenant's applications that may do everything.
    fn default() -> Self {
        Self {
            redirect_uris: vec![
                "http://localhost".to_owned(),
                "https://login.microsoftonline.com/common/oauth2/nativeclient".to_owned(),
            ],
            public_client_flows: true,
            multi_tenant: false,
            permission: Permission::AppRole,
            consent: true,
        }
    }
}

impl Registration {
    /// Whether a browser may be sent there: equal octet by octet, but for the port of `localhost` (facts D.11).
    pub(super) fn allows(&self, redirect_uri: &str) -> bool {
        let wanted = on_localhost(redirect_uri);
        let mut registered = self.redirect_uris.iter();
        registered
            .any(|known| known == redirect_uri || wanted.is_some() && on_localhost(known) == wanted)
    }
}

/// Path and query of an `http://localhost` URI, its port taken out.
fn on_localhost(uri: &str) -> Option<&str> {
    let rest = uri.strip_prefix("http://localhost")?;
    let path = match rest.strip_prefix(':') {
        None => rest,
        Some(rest) => {
            let path = rest.trim_start_matches(|octet: char| octet.is_ascii_digit());
            rest.strip_suffix(path)?.parse::<u16>().ok()?;
            path
        }
    };
    match path {
        // No path and the root are the same (RFC 3986 section 6.2.3).
        "" | "/" => Some("/"),
        _ => path.starts_with(['/', '?']).then_some(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_uris_are_compared_as_entra_does() {
        let registration = Registration {
            redirect_uris: vec![
                "http://localhost".into(),
                "http://localhost/OAuth2Callback".into(),
                "https://relay.contoso.com/back?x=1".into(),
            ],
            ..Registration::default()
        };
        for allowed in [
            "http://localhost",
            "http://localhost/",
            "http://localhost:49152",
            "http://localhost:49152/",
            "http://localhost:8400/OAuth2Callback",
            "https://relay.contoso.com/back?x=1",
        ] {
            assert!(registration.allows(allowed), "{allowed}");
        }
        for refused in [
            "http://localhost:8400/oauth2callback",
            "http://localhost:8400/OAuth2Callback/",
            "http://localhost:8400/OAuth2Callback?x=1",
            "http://localhost:/",
            "http://localhost:65536/",
            "http://localhost:80x/",
            "http://localhost:+1/",
            "http://localhost.contoso.com/",
            "https://localhost/",
            "http://127.0.0.1:8400/",
            "http://[::1]:8400/",
            "https://relay.contoso.com:443/back?x=1",
            "https://relay.contoso.com/back",
            "",
        ] {
            assert!(!registration.allows(refused), "{refused}");
        }
    }
}
