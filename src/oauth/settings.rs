//! What a token source needs to know.

use std::path::PathBuf;
use std::time::Duration;

use oauth2::Scope;

use super::endpoint::{EndpointUrl, EndpointUrlError};
use super::managed;
use super::store::TokenStore;
use crate::proxy::Proxy;
use crate::secret::SecretSource;
use crate::tls::TlsError;

/// One account's way to a token.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The token endpoint, usually from [`super::Cloud::token_url`].
    pub token_url: EndpointUrl,
    /// The client identifier, Entra's "Application (client) ID"; of a managed identity it may be empty.
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
    /// An assertion is signed with the certificate's key, RFC 7523.
    Certificate {
        /// PEM.
        certificate: PathBuf,
        /// PEM; none: it is in the certificate's file.
        key: Option<PathBuf>,
        /// How Entra is to check the signature.
        algorithm: AssertionAlgorithm,
    },
    /// The token of another identity provider is the assertion (facts D.9).
    Federated {
        /// The file that somebody else keeps fresh.
        token_file: PathBuf,
    },
}

/// How an assertion is signed, and how it names its certificate (facts D.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AssertionAlgorithm {
    /// RSASSA-PSS, and the certificate by its SHA-256: what Microsoft documents.
    #[default]
    Ps256,
    /// RSASSA-PKCS1-v1_5, and the certificate by its SHA-1: for older servers.
    Rs256,
}

/// On whose behalf a token is asked for.
#[derive(Clone, Debug)]
pub enum Way {
    /// The application's own: client credentials, RFC 6749 section 4.4.
    ClientCredentials,
    /// That of the machine, which Azure vouches for: no credential, and `client_id` only chooses among
    /// several identities.
    ManagedIdentity(managed::Settings),
    /// A person's who has signed in: what is stored for the account, RFC 6749 section 6.
    Delegated {
        /// Where the refresh token is.
        store: TokenStore,
        /// The account's name.
        account: String,
    },
}

impl Way {
    /// Whether a person has signed in, and can do so again.
    pub(super) fn signs_in(&self) -> bool {
        match self {
            Self::ClientCredentials | Self::ManagedIdentity(_) => false,
            Self::Delegated { .. } => true,
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
    /// The platform's own word for where its tokens are.
    #[error("IDENTITY_ENDPOINT in the environment is {0}")]
    Environment(#[source] EndpointUrlError),
    /// An identity endpoint that says neither what it is nor has what App Service needs.
    #[error(
        "oauth.identity_endpoint is none of a VM's or of Azure Arc (both end in /metadata/identity/oauth2/token), and for one of App Service IDENTITY_HEADER is not in the environment: correct it, or leave it out to have it found"
    )]
    IdentityHeader,
    /// Trust roots.
    #[error(transparent)]
    Tls(TlsError),
    /// The HTTP client refuses its configuration.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),
}

impl AssertionAlgorithm {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Ps256, Self::Rs256];

    /// As in the `alg` of a JWT, RFC 7518 section 3.1.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
        }
    }
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let (credential, no_credential) = match &self.credential {
            Credential::None => ("client_secret", matches!(self.way, Way::ClientCredentials)),
            Credential::Secrets(secrets) => (
                "client_secret",
                secrets.is_empty() || secrets.iter().any(is_blank),
            ),
            Credential::Certificate { certificate, .. } => {
                ("client_certificate", certificate.as_os_str().is_empty())
            }
            Credential::Federated { token_file } => (
                "oauth.federated_token_file",
                token_file.as_os_str().is_empty(),
            ),
        };
        let names_the_app = !matches!(self.way, Way::ManagedIdentity(_));
        let empty = [
            (
                "client_id",
                names_the_app && self.client_id.trim().is_empty(),
            ),
            (credential, no_credential),
            ("oauth.scope", self.scope.trim().is_empty()),
            ("oauth.timeout", self.timeout.is_zero()),
        ];
        match empty.into_iter().find(|(_, empty)| *empty) {
            Some((setting, _)) => Err(SettingsError::Empty { setting }),
            None => Ok(()),
        }
    }

    /// Files whose change may mend what is wrong.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = match &self.credential {
            Credential::None => Vec::new(),
            Credential::Secrets(secrets) => secrets.iter().filter_map(SecretSource::path).collect(),
            Credential::Certificate {
                certificate, key, ..
            } => std::iter::once(certificate).chain(key).cloned().collect(),
            Credential::Federated { token_file } => vec![token_file.clone()],
        };
        match &self.way {
            Way::ClientCredentials | Way::ManagedIdentity(_) => {}
            Way::Delegated { store, account } => files.extend(store.files(account)),
        }
        files
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
