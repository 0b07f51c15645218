//! How a token is obtained.

mod assertion;
pub(super) mod authentication;
mod client_credentials;
pub(super) mod delegated;
pub(super) mod exchange;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::watch;

use self::client_credentials::ClientCredentials;
use self::delegated::Delegated;
use super::error::TokenError;
use super::managed::Managed;
use super::settings::{Settings, SettingsError, Way};
use super::store::SignIn;
use crate::secret::Secret;

/// One request for a token, whatever it takes: the seam between schedule and network.
pub(super) trait Obtain: Send + Sync {
    /// Ends in bounded time. Dropping the future abandons the request.
    fn obtain(&self) -> ObtainFuture<'_>;

    /// The sign-in that tokens are obtained with, once it is known; `None` where nobody signs in.
    fn sign_in(&self) -> Option<watch::Receiver<Option<SignIn>>> {
        None
    }
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
    ClientCredentials(Box<ClientCredentials>),
    /// For a person who has signed in.
    Delegated(Delegated),
    /// The machine; not of RFC 6749.
    ManagedIdentity(Box<Managed>),
}

impl Grant {
    pub(super) fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        match settings.way {
            Way::ClientCredentials => {
                let grant = ClientCredentials::new(settings)?;
                Ok(Self::ClientCredentials(Box::new(grant)))
            }
            Way::Delegated {
                ref store,
                ref account,
            } => {
                let (store, account) = (store.clone(), account.clone());
                Delegated::new(settings, store, account).map(Self::Delegated)
            }
            Way::ManagedIdentity(ref way) => {
                let grant = Managed::new(&settings, way)?;
                Ok(Self::ManagedIdentity(Box::new(grant)))
            }
        }
    }
}

impl Obtain for Grant {
    fn obtain(&self) -> ObtainFuture<'_> {
        match self {
            Self::ClientCredentials(grant) => Box::pin(grant.obtain()),
            Self::Delegated(grant) => Box::pin(grant.obtain()),
            Self::ManagedIdentity(grant) => Box::pin(grant.obtain()),
        }
    }

    fn sign_in(&self) -> Option<watch::Receiver<Option<SignIn>>> {
        match self {
            Self::ClientCredentials(_) | Self::ManagedIdentity(_) => None,
            Self::Delegated(grant) => Some(grant.sign_in()),
        }
    }
}

#[cfg(test)]
mod tests;
