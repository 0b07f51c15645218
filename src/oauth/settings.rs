//! What a token source needs to know.

use std::path::PathBuf;
use std::time::Duration;

use oauth2::Scope;

use super::endpoint::EndpointUrl;
use crate::proxy::Proxy;
use crate::secret::SecretSource;
use crate::tls::TlsError;

/// One account's way to a token.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The token endpoint, usually from [`super::Cloud::token_url`].
    pub token_url: EndpointUrl,
    /// The client identifier, Entra's "Application (client) ID".
    pub client_id: String,
    /// What the application proves itself with.
    pub credential: Credential,
    /// On whose behalf.
    pub way: Way,
    /// What the token is for, usually [`super::Cloud::application_scope`].
    pub scope: String,
    /// For one request, from connect to the last byte of the answer.
    pub timeout: Duration,
    /// PEM file of roots to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// What to send requests through; none: what the environment says (`HTTPS_PROXY`, `NO_PROXY`). An
    /// endpoint on loopback is asked directly.
    pub proxy: Option<Proxy>,
}

/// What the application proves itself with (RFC 6749 section 2.3); read anew for every request.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A public client, which can only act for a person who signs in.
    None,
    /// Tried in this order when one is refused.
    Secrets(Vec<SecretSource>),
}

/// On whose behalf a token is asked for.
#[derive(Clone, Debug)]
pub enum Way {
    /// The application's own: client credentials, RFC 6749 section 4.4.
    ClientCredentials,
}

impl Way {
    /// Whether a person has signed in, and can do so again.
    pub(super) fn signs_in(&self) -> bool {
        match self {
            Self::ClientCredentials => false,
        }
    }
}

/// A token source cannot be made of these settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Something that cannot have a default is empty.
    #[error("{setting} is empty: it is needed to obtain a token")]
    Empty {
        /// The setting's name.
        setting: &'static str,
    },
    /// Trust roots.
    #[error(transparent)]
    Tls(TlsError),
    /// The HTTP client refuses its configuration.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let no_secret = match &self.credential {
            Credential::None => matches!(self.way, Way::ClientCredentials),
            Credential::Secrets(secrets) => secrets.is_empty() || secrets.iter().any(is_blank),
        };
        let empty = [
            ("client_id", self.client_id.trim().is_empty()),
            ("client_secret", no_secret),
            ("oauth.scope", self.scope.trim().is_empty()),
            ("oauth.timeout", self.timeout.is_zero()),
        ];
        match empty.into_iter().find(|(_, empty)| *empty) {
            Some((setting, _)) => Err(SettingsError::Empty { setting }),
            None => Ok(()),
        }
    }

    /// The scope, word by word.
    pub(super) fn scopes(&self) -> Vec<Scope> {
        let words = self.scope.split_ascii_whitespace();
        words.map(|word| Scope::new(word.to_owned())).collect()
    }
}

fn is_blank(source: &SecretSource) -> bool {
    matches!(source, SecretSource::Literal(secret) if secret.reveal().is_empty())
}
