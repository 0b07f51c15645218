//! A token for who looks into something, beside the daemon's.

use std::sync::Arc;
use std::time::Duration;

use super::error::{FaultError, OperatorError, TokenError};
use super::grant::{Grant, Granted, Obtain};
use super::settings::Settings;
use super::store::StoredToken;
use crate::secret::Secret;

/// One token, and how long it is good for, with one request and no renewal: for commands.
///
/// Of a delegated account the refresh token is renewed with it, under the same lock as the daemon's.
pub async fn obtain_once(settings: Settings) -> Result<(Secret, Duration), TokenError> {
    let Granted { token, lifetime } = grant(settings).await?.obtain().await?;
    Ok((token, lifetime))
}

/// Exchanges a refresh token that was made elsewhere, and stores what comes of it for the account of
/// `settings`, whose way is [`super::Way::Delegated`]. Nothing is stored if the exchange fails.
///
/// Who signed in is taken from the access token if it tells, and `token` does not. Returns the access token,
/// and how long it is good for.
pub async fn import(
    settings: Settings,
    token: StoredToken,
) -> Result<(Secret, Duration), TokenError> {
    let Grant::Delegated(grant) = grant(settings).await? else {
        return Err(TokenError::Fault(FaultError::Request));
    };
    let Granted { token, lifetime } = grant.import(token).await?;
    Ok((token, lifetime))
}

/// Reads the trust store off the runtime's threads.
async fn grant(settings: Settings) -> Result<Grant, TokenError> {
    let made = tokio::task::spawn_blocking(move || Grant::new(settings)).await;
    let made = made.map_err(|_| TokenError::Fault(FaultError::Request))?;
    made.map_err(|error| TokenError::Operator(OperatorError::Settings(Arc::new(error))))
}
