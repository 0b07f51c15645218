//! The application by itself: client credentials, RFC 6749 section 4.4.

use oauth2::{Scope, TokenResponse};
use tracing::warn;

use super::Granted;
use super::authentication::{Authentication, concerns_the_secret};
use super::exchange::Exchange;
use crate::oauth::error::{FaultError, TokenError};
use crate::oauth::settings::{Settings, SettingsError};

#[derive(Debug)]
pub(in crate::oauth) struct ClientCredentials {
    exchange: Exchange,
    authentication: Authentication,
    scopes: Vec<Scope>,
}

impl ClientCredentials {
    pub(in crate::oauth) fn new(settings: Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            exchange: Exchange::new(&settings)?,
            scopes: settings.scopes(),
            authentication: Authentication::new(settings.client_id, settings.credential),
        })
    }

    /// Tries the proofs in order, until one is not refused.
    pub(super) async fn obtain(&self) -> Result<Granted, TokenError> {
        let mut refused: Option<TokenError> = None;
        for choice in 0..self.authentication.choices() {
            match self.obtain_with(choice).await {
                Ok(granted) => {
                    if let Some(error) = refused {
                        let error = error.report();
                        warn!(
                            error,
                            "a client secret was refused, a later one was accepted"
                        );
                    }
                    return Ok(granted);
                }
                // The first secret is the one meant to be used, so it is its failure that is told.
                Err(error) if concerns_the_secret(&error) => {
                    refused.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        // There is at least one to be tried.
        Err(refused.unwrap_or(TokenError::Fault(FaultError::Request)))
    }

    async fn obtain_with(&self, choice: usize) -> Result<Granted, TokenError> {
        let proof = self
            .authentication
            .proof(choice, &self.exchange.endpoint)
            .await;
        let proof = proof.map_err(TokenError::Operator)?;
        let client = self.authentication.client(&self.exchange.endpoint, &proof);
        let mut request = client
            .exchange_client_credentials()
            .add_scopes(self.scopes.iter().cloned());
        for (name, value) in proof.extra_params() {
            request = request.add_extra_param(name, value);
        }
        let response = request
            .request_async(&self.exchange.http)
            .await
            .map_err(|error| self.exchange.explain(error, proof.sent()))?;
        self.exchange.accept(
            response.token_type(),
            response.access_token().secret(),
            response.expires_in(),
        )
    }
}
