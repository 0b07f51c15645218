//! The application by itself: client credentials, RFC 6749 section 4.4.

use oauth2::{Scope, TokenResponse};

use super::Granted;
use super::authentication::{Authentication, Proof};
use super::exchange::Exchange;
use crate::oauth::error::TokenError;
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

    pub(super) async fn obtain(&self) -> Result<Granted, TokenError> {
        let request = |proof| self.obtain_with(proof);
        self.authentication.in_turn(request).await
    }

    async fn obtain_with(&self, proof: Proof) -> Result<Granted, TokenError> {
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
