//! One token, for commands that want to look at it.

use std::sync::Arc;
use std::time::Duration;

use super::error::{OperatorError, TokenError};
use super::grant::{Grant, Granted, Obtain};
use super::settings::Settings;
use crate::secret::Secret;

/// Asks once, without schedule or retries: the token and its lifetime.
pub async fn obtain_once(settings: Settings) -> Result<(Secret, Duration), TokenError> {
    let grant = Grant::new(settings)
        .map_err(|error| TokenError::Operator(OperatorError::Settings(Arc::new(error))))?;
    let Granted { token, lifetime } = grant.obtain().await?;
    Ok((token, lifetime))
}
