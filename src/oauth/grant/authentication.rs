//! How the application proves who it is, RFC 6749 section 2.3.

use std::sync::Arc;

use oauth2::basic::BasicClient;
use oauth2::{AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet};
use tracing::warn;

use crate::oauth::blocking::{Blocking, LIMIT, Overdue};
use crate::oauth::endpoint::EndpointUrl;
use crate::oauth::error::{FaultError, OperatorError, TokenError};
use crate::oauth::settings::Credential;
use crate::secret::{Secret, SecretSource};

/// A client of the `oauth2` crate that knows its token endpoint.
pub(in crate::oauth) type Client =
    BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// An application and what it proves itself with.
#[derive(Debug)]
pub(in crate::oauth) struct Authentication {
    client_id: ClientId,
    credential: Credential,
    reading: Blocking,
}

/// What goes into one request.
#[derive(Debug)]
pub(in crate::oauth) enum Proof {
    /// A public client has none.
    None,
    /// `client_secret`.
    Secret(Secret),
}

impl Proof {
    /// What an answer must not be quoted with.
    pub(in crate::oauth) fn sent(&self) -> Option<&Secret> {
        match self {
            Self::None => None,
            Self::Secret(secret) => Some(secret),
        }
    }

    /// Parameters that the `oauth2` crate does not know.
    pub(in crate::oauth) fn extra_params(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::None | Self::Secret(_) => Vec::new(),
        }
    }
}

impl Authentication {
    pub(in crate::oauth) fn new(client_id: String, credential: Credential) -> Self {
        Self {
            client_id: ClientId::new(client_id),
            credential,
            reading: Blocking::new(),
        }
    }

    /// How many proofs there are to be tried in turn: `0..choices()` for [`Self::proof`]; at least one.
    pub(in crate::oauth) fn choices(&self) -> usize {
        match &self.credential {
            Credential::None => 1,
            Credential::Secrets(secrets) => secrets.len(),
        }
    }

    /// Tries the proofs in order, until one is not refused.
    pub(in crate::oauth) async fn in_turn<T, F>(
        &self,
        request: impl Fn(Proof) -> F,
    ) -> Result<T, TokenError>
    where
        F: Future<Output = Result<T, TokenError>>,
    {
        let mut refused: Option<TokenError> = None;
        for choice in 0..self.choices() {
            let outcome = match self.proof(choice).await {
                Ok(proof) => request(proof).await,
                Err(error) => Err(TokenError::Operator(error)),
            };
            match outcome {
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

    /// Reads what the settings name, anew for each request, so that a replaced file heals by itself.
    pub(in crate::oauth) async fn proof(&self, choice: usize) -> Result<Proof, OperatorError> {
        match &self.credential {
            Credential::None => Ok(Proof::None),
            Credential::Secrets(secrets) => {
                let Some(source) = secrets.get(choice) else {
                    return Err(OperatorError::SecretTimeout { limit: LIMIT });
                };
                self.secret(source).await.map(Proof::Secret)
            }
        }
    }

    /// A client that sends `proof` along.
    pub(in crate::oauth) fn client(&self, endpoint: &EndpointUrl, proof: &Proof) -> Client {
        let client = BasicClient::new(self.client_id.clone())
            .set_token_uri(endpoint.to_token_url())
            // Both ways are allowed; the body is the one Microsoft documents.
            .set_auth_type(AuthType::RequestBody);
        match proof {
            Proof::None => client,
            Proof::Secret(secret) => {
                client.set_client_secret(ClientSecret::new(secret.reveal().to_owned()))
            }
        }
    }

    async fn secret(&self, source: &SecretSource) -> Result<Secret, OperatorError> {
        let source = source.clone();
        let read = self.read(move || source.read()).await?;
        read.map_err(|error| OperatorError::Secret(Arc::new(error)))
    }

    /// A small blocking read, off the runtime's threads and in bounded time.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, OperatorError> {
        let read = self.reading.run(read).await;
        read.map_err(|Overdue| OperatorError::SecretTimeout { limit: LIMIT })
    }
}

/// Whether another proof could do better.
pub(in crate::oauth) fn concerns_the_secret(error: &TokenError) -> bool {
    match error {
        TokenError::Operator(OperatorError::Refused { response, .. }) => {
            response.error() == "invalid_client"
        }
        TokenError::Operator(OperatorError::Secret(_) | OperatorError::SecretTimeout { .. }) => {
            true
        }
        TokenError::Operator(_) | TokenError::Retry(_) | TokenError::Fault(_) => false,
    }
}
