//! How a token is obtained.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use oauth2::basic::{BasicClient, BasicTokenType};
use oauth2::http::StatusCode;
use oauth2::{
    AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, RequestTokenError, Scope,
    TokenResponse,
};
use tokio::sync::Semaphore;
use tracing::warn;

use super::endpoint::EndpointUrl;
use super::error::{FaultError, OperatorError, RetryError, TokenError};
use super::http::{self, Answer, BODY_MAX_BYTES, HttpClient, HttpError};
use super::response::ErrorResponse;
use super::settings::{Settings, SettingsError};
use super::token::LIFETIME_MAX;
use crate::secret::{Secret, SecretSource};
use crate::tls;

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

/// The ways of RFC 6749 and its extensions; certificates, signed-in users and managed identities
/// will be further variants.
#[derive(Debug)]
pub(super) enum Grant {
    /// Client credentials with a secret, RFC 6749 section 4.4.
    ClientSecret(ClientSecretGrant),
}

#[derive(Debug)]
pub(super) struct ClientSecretGrant {
    endpoint: EndpointUrl,
    http: HttpClient,
    client_id: ClientId,
    scopes: Vec<Scope>,
    secrets: Vec<SecretSource>,
    timeout: Duration,
    /// One permit: a file that never lets itself be read occupies one thread, not all of them.
    reading: Arc<Semaphore>,
}

type Client =
    BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

impl Grant {
    pub(super) fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let http = HttpClient::new(
            &settings.token_url,
            settings.ca_file.as_deref(),
            settings.timeout,
            settings.proxy.as_ref(),
        )?;
        Ok(Self::ClientSecret(ClientSecretGrant {
            endpoint: settings.token_url,
            http,
            client_id: ClientId::new(settings.client_id),
            scopes: settings
                .scope
                .split_ascii_whitespace()
                .map(|scope| Scope::new(scope.to_owned()))
                .collect(),
            secrets: settings.client_secrets,
            timeout: settings.timeout,
            reading: Arc::new(Semaphore::new(1)),
        }))
    }
}

impl Obtain for Grant {
    fn obtain(&self) -> ObtainFuture<'_> {
        match self {
            Self::ClientSecret(grant) => Box::pin(grant.obtain()),
        }
    }
}

impl ClientSecretGrant {
    /// Tries the secrets in order, until one is not refused.
    async fn obtain(&self) -> Result<Granted, TokenError> {
        let mut refused: Option<TokenError> = None;
        for source in &self.secrets {
            match self.obtain_with(source).await {
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
        // The settings have at least one secret.
        Err(refused.unwrap_or(TokenError::Fault(FaultError::Request)))
    }

    async fn obtain_with(&self, source: &SecretSource) -> Result<Granted, TokenError> {
        let secret = self.read(source).await.map_err(TokenError::Operator)?;
        let client: Client = BasicClient::new(self.client_id.clone())
            .set_client_secret(ClientSecret::new(secret.reveal().to_owned()))
            .set_token_uri(self.endpoint.to_token_url())
            // Both ways are allowed; the body is the one Microsoft documents.
            .set_auth_type(AuthType::RequestBody);
        let response = client
            .exchange_client_credentials()
            .add_scopes(self.scopes.iter().cloned())
            .request_async(&self.http)
            .await
            .map_err(|error| self.explain(error, &secret))?;
        self.accept(
            response.token_type(),
            response.access_token().secret(),
            response.expires_in(),
        )
    }

    /// Anew for each request, so that a replaced file heals by itself.
    async fn read(&self, source: &SecretSource) -> Result<Secret, OperatorError> {
        let late = || OperatorError::SecretTimeout { limit: READ_LIMIT };
        let permit = Arc::clone(&self.reading)
            .try_acquire_owned()
            .map_err(|_| late())?;
        let source = source.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let secret = source.read();
            drop(permit);
            secret
        });
        match tokio::time::timeout(READ_LIMIT, reading).await {
            Ok(Ok(secret)) => secret.map_err(|error| OperatorError::Secret(Arc::new(error))),
            // The runtime is shutting down, or reading panicked: nothing was read either way.
            Ok(Err(_)) | Err(_) => Err(late()),
        }
    }

    /// RFC 6749 section 5.1.
    fn accept(
        &self,
        token_type: &BasicTokenType,
        token: &str,
        expires_in: Option<Duration>,
    ) -> Result<Granted, TokenError> {
        let lifetime = expires_in.unwrap_or(LIFETIME_UNSTATED).min(LIFETIME_MAX);
        let why = if *token_type != BasicTokenType::Bearer {
            Some("it is not a bearer token")
        } else if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            // Anything else would break out of the XOAUTH2 string, whose separator is %x01.
            Some("it is not visible ASCII")
        } else if lifetime.is_zero() {
            Some("it has expired already")
        } else {
            None
        };
        match why {
            None => Ok(Granted {
                token: Secret::new(token),
                lifetime,
            }),
            Some(why) => Err(TokenError::Fault(FaultError::Unusable {
                host: self.endpoint.host().into(),
                why,
            })),
        }
    }

    /// Finds out whose fault it is; nothing of the answer's raw body goes into the error.
    fn explain<T>(&self, error: RequestTokenError<HttpError, T>, secret: &Secret) -> TokenError
    where
        T: oauth2::ErrorResponse + 'static,
    {
        let host = || Box::from(self.endpoint.host());
        match error {
            RequestTokenError::Request(HttpError::Transport(error)) => {
                self.explain_transport(error)
            }
            RequestTokenError::Request(HttpError::Status(answer)) => {
                explain_status(self.endpoint.host(), &answer, secret)
            }
            RequestTokenError::Request(HttpError::WebPage(status)) => {
                TokenError::Retry(RetryError::WebPage {
                    host: host(),
                    status: status.as_u16(),
                })
            }
            RequestTokenError::Request(HttpError::TooLarge) => {
                TokenError::Fault(FaultError::TooLarge {
                    host: host(),
                    limit_bytes: BODY_MAX_BYTES,
                })
            }
            // Only a 200 gets as far as being parsed. The body stays behind: it may hold a token, and
            // even the parser's message may quote it.
            RequestTokenError::ServerResponse(_) | RequestTokenError::Parse(..) => {
                TokenError::Fault(FaultError::NotUnderstood {
                    host: host(),
                    status: StatusCode::OK.as_u16(),
                })
            }
            RequestTokenError::Other(_) => TokenError::Fault(FaultError::Request),
        }
    }

    fn explain_transport(&self, error: reqwest::Error) -> TokenError {
        let host = self.endpoint.host().into();
        if let Some(reason) = tls::certificate_error(&error) {
            let reason = reason.to_string().into();
            return TokenError::Operator(OperatorError::Certificate { host, reason });
        }
        TokenError::Retry(if error.is_timeout() {
            let limit = self.timeout;
            RetryError::Timeout { host, limit }
        } else {
            // Without the URL: the host is in our message already.
            let source = Arc::new(error.without_url());
            let proxy = self.http.proxy().map(Box::from);
            RetryError::Unreachable {
                host,
                proxy,
                source,
            }
        })
    }
}

fn explain_status(host: &str, answer: &Answer, secret: &Secret) -> TokenError {
    let status = answer.status;
    let response = ErrorResponse::decode(&answer.body, Some(secret));
    let (host_name, code) = (Box::from(host), status.as_u16());
    if http::is_busy(status) {
        let silent_limit =
            (status == StatusCode::TOO_MANY_REQUESTS).then_some(TOO_MANY_REQUESTS_WAIT);
        return TokenError::Retry(RetryError::Busy {
            host: host_name,
            status: code,
            retry_after: answer.retry_after.or(silent_limit),
            response: response.map(Arc::new),
        });
    }
    if status.is_redirection() {
        return TokenError::Retry(RetryError::Redirect {
            host: host_name,
            status: code,
        });
    }
    match response {
        Some(response) => TokenError::from_response(host, response, answer.retry_after),
        None if status.is_client_error() => TokenError::Operator(OperatorError::NotAnEndpoint {
            host: host_name,
            status: code,
        }),
        None => TokenError::Fault(FaultError::NotUnderstood {
            host: host_name,
            status: code,
        }),
    }
}

/// Whether another secret could do better.
fn concerns_the_secret(error: &TokenError) -> bool {
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

/// For a small file; longer means that its file system hangs.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// `expires_in` is only recommended (RFC 6749 section 5.1); an hour is what everybody gives.
const LIFETIME_UNSTATED: Duration = Duration::from_hours(1);

/// What Microsoft's own library waits after a 429 without `Retry-After`.
const TOO_MANY_REQUESTS_WAIT: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests;
