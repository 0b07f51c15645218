//! How a token is obtained.

mod assertion;
pub(super) mod authentication;
mod client_credentials;
pub(super) mod exchange;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use self::client_credentials::ClientCredentials;
use super::error::TokenError;
use super::managed::Managed;
use super::settings::{Settings, SettingsError, Way};
use crate::secret::Secret;

/// One request for a token, whatever it takes: the seam between schedule and network.
pub(super) trait Obtain: Send + Sync {
    /// Ends in bounded time. Dropping the future abandons the request.
    fn obtain(&self) -> ObtainFuture<'_>;
}

pub(super) type ObtainFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Granted, TokenError>> + Send + 'a>>;

/// What the authorization server gave.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) token: Secret,
    pub(super) lifetime: Duration,
}

/// The ways of RFC 6749 and its extensions.
#[derive(Debug)]
pub(super) enum Grant {
    /// The application by itself.
    ClientCredentials(ClientCredentials),
    /// The machine; not of RFC 6749.
    ManagedIdentity(Managed),
}

impl Grant {
    pub(super) fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        match &settings.way {
            Way::ClientCredentials => ClientCredentials::new(settings).map(Self::ClientCredentials),
            Way::ManagedIdentity(way) => Managed::new(&settings, way).map(Self::ManagedIdentity),
        }
    }
}

impl Obtain for Grant {
    fn obtain(&self) -> ObtainFuture<'_> {
        match self {
            Self::ClientCredentials(grant) => Box::pin(grant.obtain()),
            Self::ManagedIdentity(grant) => Box::pin(grant.obtain()),
        }
    }
}

#[cfg(test)]
mod tests;
