//! What a token source needs to know.

use std::path::PathBuf;
use std::time::Duration;

use super::endpoint::EndpointUrl;
use crate::proxy::Proxy;
use crate::secret::SecretSource;
use crate::tls::TlsError;

/// One account's way to a token: client credentials with a secret (RFC 6749 section 4.4).
#[derive(Clone, Debug)]
pub struct Settings {
    /// The token endpoint, usually from [`super::Cloud::token_url`].
    pub token_url: EndpointUrl,
    /// The client identifier, Entra's "Application (client) ID".
    pub client_id: String,
    /// Tried in this order when one is refused; each is read anew for every request.
    pub client_secrets: Vec<SecretSource>,
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
        let no_secret = self.client_secrets.is_empty()
            || self.client_secrets.iter().any(
                |source| matches!(source, SecretSource::Literal(secret) if secret.reveal().is_empty()),
            );
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
}
