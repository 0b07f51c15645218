//! How the application proves who it is, RFC 6749 section 2.3.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, ExtraTokenFields,
    StandardRevocableToken, StandardTokenResponse,
};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::assertion::Assertion;
use crate::oauth::blocking::{Blocking, LIMIT, Overdue};
use crate::oauth::certificate::{ClientCertificate, ClientCertificateError};
use crate::oauth::endpoint::EndpointUrl;
use crate::oauth::error::{FaultError, OperatorError, TokenError};
use crate::oauth::federated::read_federated_token;
use crate::oauth::settings::{AssertionAlgorithm, Credential};
use crate::secret::{Secret, SecretSource};

/// A client of the `oauth2` crate that knows its token endpoint.
pub(in crate::oauth) type Client = oauth2::Client<
    BasicErrorResponse,
    Response,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// The token response of RFC 6749 section 5.1, with the addition of OIDC.
pub(in crate::oauth) type Response = StandardTokenResponse<Additions, BasicTokenType>;

/// Beside the tokens.
#[derive(Serialize, Deserialize)]
pub(in crate::oauth) struct Additions {
    /// Only where the scope `openid` was asked for.
    id_token: Option<String>,
}

impl ExtraTokenFields for Additions {}

impl Additions {
    /// Tells who has signed in.
    pub(in crate::oauth) fn id_token(&self) -> Option<Secret> {
        self.id_token.as_deref().map(Secret::new)
    }
}

impl fmt::Debug for Additions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Additions").finish_non_exhaustive()
    }
}

/// An application and what it proves itself with.
#[derive(Debug)]
pub(in crate::oauth) struct Authentication {
    client_id: ClientId,
    credential: Credential,
    reading: Blocking,
    /// What was last said about the certificate, to say it once.
    warned: Mutex<Option<String>>,
}

/// What goes into one request.
#[derive(Debug)]
pub(in crate::oauth) enum Proof {
    /// A public client has none.
    None,
    /// `client_secret`.
    Secret(Secret),
    /// `client_assertion`, RFC 7521 section 4.2.
    Assertion(Secret),
}

impl Proof {
    /// What an answer must not be quoted with.
    pub(in crate::oauth) fn sent(&self) -> Option<&Secret> {
        match self {
            Self::None => None,
            Self::Secret(sent) | Self::Assertion(sent) => Some(sent),
        }
    }

    /// Parameters that the `oauth2` crate does not know.
    pub(in crate::oauth) fn extra_params(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::None | Self::Secret(_) => Vec::new(),
            Self::Assertion(assertion) => vec![
                ("client_assertion_type", JWT_BEARER.to_owned()),
                ("client_assertion", assertion.reveal().to_owned()),
            ],
        }
    }
}

impl Authentication {
    pub(in crate::oauth) fn new(client_id: String, credential: Credential) -> Self {
        Self {
            client_id: ClientId::new(client_id),
            credential,
            reading: Blocking::new(),
            warned: Mutex::new(None),
        }
    }

    /// How many proofs there are to be tried in turn: `0..choices()` for [`Self::proof`]; at least one.
    pub(in crate::oauth) fn choices(&self) -> usize {
        match &self.credential {
            Credential::None | Credential::Certificate { .. } | Credential::Federated { .. } => 1,
            Credential::Secrets(secrets) => secrets.len(),
        }
    }

    /// Tries the proofs in order, until one is not refused.
    pub(in crate::oauth) async fn in_turn<T, F>(
        &self,
        endpoint: &EndpointUrl,
        request: impl Fn(Proof) -> F,
    ) -> Result<T, TokenError>
    where
        F: Future<Output = Result<T, TokenError>>,
    {
        let mut refused: Option<TokenError> = None;
        for choice in 0..self.choices() {
            let outcome = match self.proof(choice, endpoint).await {
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

    /// Reads what the settings name, anew for each request to `endpoint`, so that a replaced file heals by
    /// itself.
    pub(in crate::oauth) async fn proof(
        &self,
        choice: usize,
        endpoint: &EndpointUrl,
    ) -> Result<Proof, OperatorError> {
        match &self.credential {
            Credential::None => Ok(Proof::None),
            Credential::Secrets(secrets) => {
                let Some(source) = secrets.get(choice) else {
                    return Err(OperatorError::SecretTimeout { limit: LIMIT });
                };
                self.secret(source).await.map(Proof::Secret)
            }
            Credential::Certificate {
                certificate,
                key,
                algorithm,
            } => {
                let signed = self.assertion(certificate, key.as_deref(), *algorithm, endpoint);
                signed.await.map(Proof::Assertion)
            }
            Credential::Federated { token_file } => {
                self.federated(token_file).await.map(Proof::Assertion)
            }
        }
    }

    /// A client that sends `proof` along.
    pub(in crate::oauth) fn client(&self, endpoint: &EndpointUrl, proof: &Proof) -> Client {
        let client = oauth2::Client::new(self.client_id.clone())
            .set_token_uri(endpoint.to_token_url())
            // Both ways are allowed; the body is the one Microsoft documents.
            .set_auth_type(AuthType::RequestBody);
        match proof {
            Proof::None | Proof::Assertion(_) => client,
            Proof::Secret(secret) => {
                client.set_client_secret(ClientSecret::new(secret.reveal().to_owned()))
            }
        }
    }

    pub(in crate::oauth) fn client_id(&self) -> &str {
        &self.client_id
    }

    async fn secret(&self, source: &SecretSource) -> Result<Secret, OperatorError> {
        let source = source.clone();
        let read = self.read(move || source.read()).await?;
        read.map_err(|error| OperatorError::Secret(Arc::new(error)))
    }

    async fn assertion(
        &self,
        certificate: &Path,
        key: Option<&Path>,
        algorithm: AssertionAlgorithm,
        endpoint: &EndpointUrl,
    ) -> Result<Secret, OperatorError> {
        let (certificate, key) = (certificate.to_owned(), key.map(Path::to_owned));
        let (client_id, audience) = (self.client_id.clone(), endpoint.clone());
        let now = Timestamp::now();
        let sign = move || {
            let certificate = ClientCertificate::read(&certificate, key.as_deref())?;
            let assertion = Assertion {
                client_id: &client_id,
                audience: audience.as_str(),
                now,
            };
            match assertion.sign(&certificate, algorithm) {
                Ok(signed) => Ok((signed, certificate.warning(now))),
                Err(source) => Err(ClientCertificateError::Sign { source }),
            }
        };
        match self.read(sign).await? {
            Ok((signed, warning)) => {
                self.warn_once(warning);
                Ok(signed)
            }
            Err(error) => Err(OperatorError::ClientCertificate(Arc::new(error))),
        }
    }

    /// Entra judges certificates, so one that looks bad from here is sent all the same.
    fn warn_once(&self, warning: Option<String>) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = warning.as_ref().filter(|_| *warned != warning) {
            warn!("{text}");
        }
        *warned = warning;
    }

    async fn federated(&self, token_file: &Path) -> Result<Secret, OperatorError> {
        let path = token_file.to_owned();
        let read = self.read(move || read_federated_token(&path)).await?;
        read.map_err(|error| OperatorError::FederatedToken(Arc::new(error)))
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

/// RFC 7523 section 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
