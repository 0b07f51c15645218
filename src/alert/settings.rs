//! Whom to call, and how.

use crate::oauth::EndpointUrlError;
use crate::secret::Secret;
use crate::tls::TlsError;

use super::command::Command;
use super::webhook::Webhook;

/// What the hooks are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which relay calls.
    pub hostname: String,
    /// Program and arguments; empty: none.
    pub command: Vec<String>,
    /// Chat services put their key into it.
    pub webhook: Option<Secret>,
}

/// There can be no such hook.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not quoted: it holds a key.
    #[error("alert.webhook: not an https URL (http is taken on loopback only)")]
    Url(#[source] EndpointUrlError),
    /// Trust roots.
    #[error("alert.webhook: {0}")]
    Tls(#[source] TlsError),
    /// The HTTP client refuses its configuration.
    #[error("alert.webhook: the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),
}

/// The hooks that are set.
#[derive(Debug, Default)]
pub struct Hooks {
    pub(super) hostname: String,
    pub(super) command: Option<Command>,
    pub(super) webhook: Option<Webhook>,
}

impl Hooks {
    /// Reads the trust store, if there is a web hook; a short blocking read.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let Settings {
            hostname,
            command,
            webhook,
        } = settings;
        Ok(Self {
            hostname,
            command: Command::new(command),
            webhook: webhook.map(Webhook::new).transpose()?,
        })
    }
}
