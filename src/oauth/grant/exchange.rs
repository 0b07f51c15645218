//! One token endpoint, and what its answers mean.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use oauth2::RequestTokenError;
use oauth2::basic::BasicTokenType;
use oauth2::http::StatusCode;

use super::Granted;
use crate::oauth::endpoint::EndpointUrl;
use crate::oauth::error::{FaultError, OperatorError, RetryError, TokenError};
use crate::oauth::http::{self, Answer, BODY_MAX_BYTES, HttpClient, HttpError};
use crate::oauth::response::ErrorResponse;
use crate::oauth::settings::{Settings, SettingsError};
use crate::oauth::token::LIFETIME_MAX;
use crate::secret::Secret;
use crate::tls::{self, Witness};

/// The way to one token endpoint; every request for a token goes through one of these.
#[derive(Debug)]
pub(in crate::oauth) struct Exchange {
    pub(in crate::oauth) endpoint: EndpointUrl,
    pub(in crate::oauth) http: HttpClient,
    timeout: Duration,
    /// A person can sign in again when the service wants that.
    signs_in: bool,
}

impl Exchange {
    /// Reads the trust store; a short blocking read.
    pub(in crate::oauth) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let http = HttpClient::new(
            &settings.token_url,
            settings.ca_file.as_deref(),
            settings.timeout,
            settings.proxy.as_ref(),
        )?;
        Ok(Self {
            endpoint: settings.token_url.clone(),
            http,
            timeout: settings.timeout,
            signs_in: settings.way.signs_in(),
        })
    }

    /// As [`Self::new`], for an endpoint of the machine's own platform, which no proxy leads to.
    pub(in crate::oauth) fn next_door(
        endpoint: EndpointUrl,
        settings: &Settings,
    ) -> Result<Self, SettingsError> {
        let ca_file = settings.ca_file.as_deref();
        Ok(Self {
            http: HttpClient::direct(&endpoint, ca_file, settings.timeout)?,
            endpoint,
            timeout: settings.timeout,
            signs_in: settings.way.signs_in(),
        })
    }

    /// As [`Exchange::new`], for who wants to know whom it leads to.
    pub(in crate::oauth) fn witnessed(
        settings: &Settings,
    ) -> Result<(Self, Arc<Witness>), SettingsError> {
        let trusted = tls::witnessed_client_config(settings.ca_file.as_deref());
        let (config, witness) = trusted.map_err(SettingsError::Tls)?;
        let (url, proxy) = (&settings.token_url, settings.proxy.as_ref());
        let exchange = Self {
            endpoint: url.clone(),
            http: HttpClient::with_tls(url, &config, settings.timeout, proxy)?,
            timeout: settings.timeout,
            signs_in: settings.way.signs_in(),
        };
        Ok((exchange, witness))
    }

    /// What the endpoint's clock says; none: it says nothing of it.
    pub(in crate::oauth) async fn date(&self) -> Result<Option<Timestamp>, TokenError> {
        let date = self.http.date(&self.endpoint).await;
        date.map_err(|error| self.explain_transport(error))
    }

    /// RFC 6749 section 5.1.
    pub(in crate::oauth) fn accept(
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
    /// `sent` is what the server must not be quoted with, should it repeat it.
    pub(in crate::oauth) fn explain<'s, T>(
        &self,
        error: RequestTokenError<HttpError, T>,
        sent: impl IntoIterator<Item = &'s Secret>,
    ) -> TokenError
    where
        T: oauth2::ErrorResponse + 'static,
    {
        let host = || Box::from(self.endpoint.host());
        match error {
            RequestTokenError::Request(HttpError::Transport(error)) => {
                self.explain_transport(error)
            }
            RequestTokenError::Request(HttpError::Status(answer)) => {
                self.explain_status(&answer, sent)
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

    fn explain_status<'s>(
        &self,
        answer: &Answer,
        sent: impl IntoIterator<Item = &'s Secret>,
    ) -> TokenError {
        let host = self.endpoint.host();
        let status = answer.status;
        let response = ErrorResponse::decode(&answer.body, sent);
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
            Some(response) => {
                TokenError::from_response(host, response, answer.retry_after, self.signs_in)
            }
            None if status.is_client_error() => {
                TokenError::Operator(OperatorError::NotAnEndpoint {
                    host: host_name,
                    status: code,
                })
            }
            None => TokenError::Fault(FaultError::NotUnderstood {
                host: host_name,
                status: code,
            }),
        }
    }
}

/// `expires_in` is only recommended (RFC 6749 section 5.1); an hour is what everybody gives.
pub(super) const LIFETIME_UNSTATED: Duration = Duration::from_hours(1);

/// What Microsoft's own library waits after a 429 without `Retry-After`.
const TOO_MANY_REQUESTS_WAIT: Duration = Duration::from_mins(1);
