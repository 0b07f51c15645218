//! A sign-in on another device, RFC 8628.

use std::time::Duration;

use oauth2::http::{self, header};
use oauth2::url::form_urlencoded;
use oauth2::{AsyncHttpClient, RequestTokenError, StandardDeviceAuthorizationResponse};
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

use super::error::SignInError;
use super::{Response, SignIn, SignedIn};
use crate::oauth::error::{FaultError, TokenError};
use crate::oauth::grant::authentication::Proof;
use crate::oauth::http::HttpError;
use crate::oauth::response::ErrorResponse;
use crate::secret::Secret;

/// What a person needs to sign in elsewhere.
#[derive(Debug)]
pub struct DeviceCode {
    /// Where to go, in any browser. The server's text.
    pub verification_uri: String,
    /// What to type there. The server's text.
    pub user_code: String,
    /// How long both are good for.
    pub expires_in: Duration,
    interval: Duration,
    code: Secret,
}

/// What asking once more has come to.
#[derive(Debug)]
pub(super) enum Poll<T> {
    Done(T),
    /// Nobody has signed in yet.
    Pending,
    SlowDown,
    Declined(ErrorResponse),
    Expired,
}

impl SignIn {
    /// Asks for a code to be typed elsewhere, RFC 8628 section 3.1.
    pub async fn device_code(&self) -> Result<DeviceCode, SignInError> {
        let asked = self
            .authentication
            .in_turn(&self.exchange.endpoint, |proof| self.ask_for_code(proof))
            .await;
        let details = asked.map_err(|error| self.explain(error))?;
        Ok(DeviceCode {
            verification_uri: details.verification_uri().as_str().to_owned(),
            user_code: details.user_code().secret().clone(),
            expires_in: details.expires_in().min(EXPIRES_IN_MAX),
            interval: details.interval().max(INTERVAL_MIN).min(EXPIRES_IN_MAX),
            code: Secret::new(details.device_code().secret().as_str()),
        })
    }

    async fn ask_for_code(
        &self,
        proof: Proof,
    ) -> Result<StandardDeviceAuthorizationResponse, TokenError> {
        let client = self
            .authentication
            .client(&self.exchange.endpoint, &proof)
            .set_device_authorization_url(self.device_code_url.clone());
        let mut request = client
            .exchange_device_code()
            .add_scopes(self.scopes.iter().cloned());
        for (name, value) in proof.extra_params() {
            request = request.add_extra_param(name, value);
        }
        let response = request.request_async(&self.device.http).await;
        response.map_err(|error| self.device.explain(error, proof.sent()))
    }

    /// Waits until somebody has signed in with `code`. `trouble` is told of failures that are tried again.
    pub async fn wait_for_device(
        &self,
        code: &DeviceCode,
        trouble: impl FnMut(&TokenError),
    ) -> Result<SignedIn, SignInError> {
        let ask = async || {
            let ask = |proof| self.ask_for_token(&code.code, proof);
            self.authentication
                .in_turn(&self.exchange.endpoint, ask)
                .await
        };
        let response = poll(code.interval, code.expires_in, ask, trouble).await;
        self.signed_in(&response.map_err(|failure| match failure {
            Failure::Token(error) => self.explain(error),
            Failure::SignIn(error) => error,
        })?)
    }

    /// One request of RFC 8628 section 3.4; the `oauth2` crate makes it only in a loop of its own, which
    /// takes every status but 200 for a lost connection.
    async fn ask_for_token(
        &self,
        code: &Secret,
        proof: Proof,
    ) -> Result<Poll<Response>, TokenError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", GRANT_TYPE)
            .append_pair("device_code", code.reveal())
            .append_pair("client_id", self.authentication.client_id());
        if let Proof::Secret(secret) = &proof {
            form.append_pair("client_secret", secret.reveal());
        }
        form.extend_pairs(proof.extra_params());
        let request = http::Request::post(self.exchange.endpoint.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.finish().into_bytes())
            .map_err(|_| TokenError::Fault(FaultError::Request))?;
        let error = match self.exchange.http.call(request).await {
            Ok(response) => {
                let status = response.status().as_u16();
                let body = Zeroizing::new(response.into_body());
                return serde_json::from_slice(&body).map(Poll::Done).map_err(|_| {
                    TokenError::Fault(FaultError::NotUnderstood {
                        host: self.exchange.endpoint.host().into(),
                        status,
                    })
                });
            }
            Err(error) => error,
        };
        if let HttpError::Status(answer) = &error
            && let Some(response) = ErrorResponse::decode(&answer.body, proof.sent())
        {
            match response.error() {
                "authorization_pending" => return Ok(Poll::Pending),
                "slow_down" => return Ok(Poll::SlowDown),
                // Entra's word, and that of the RFC.
                "authorization_declined" | "access_denied" => {
                    return Ok(Poll::Declined(response));
                }
                "expired_token" => return Ok(Poll::Expired),
                _ => {}
            }
        }
        let error: RequestTokenError<HttpError, oauth2::basic::BasicErrorResponse> =
            RequestTokenError::Request(error);
        Err(self.exchange.explain(error, proof.sent()))
    }
}

/// Why polling has ended without an answer.
#[derive(Debug)]
pub(super) enum Failure {
    Token(TokenError),
    SignIn(SignInError),
}

/// The schedule of RFC 8628 section 3.5: at least `interval` apart, wider when asked so or in trouble, and
/// once more when the time is over.
///
/// The first question comes at once: a registration that cannot work is then told before anybody has typed
/// a code.
pub(super) async fn poll<T>(
    mut interval: Duration,
    expires_in: Duration,
    mut ask: impl AsyncFnMut() -> Result<Poll<T>, TokenError>,
    mut trouble: impl FnMut(&TokenError),
) -> Result<T, Failure> {
    let deadline = Instant::now() + expires_in;
    let mut backoff = interval;
    loop {
        let pause = match ask().await {
            Ok(Poll::Done(value)) => return Ok(value),
            Ok(Poll::Pending) => {
                backoff = interval;
                interval
            }
            Ok(Poll::SlowDown) => {
                interval += SLOW_DOWN;
                backoff = interval;
                interval
            }
            Ok(Poll::Declined(response)) => {
                return Err(Failure::SignIn(SignInError::Declined {
                    response: Box::new(response),
                }));
            }
            Ok(Poll::Expired) => return Err(Failure::SignIn(SignInError::Expired)),
            Err(error @ TokenError::Retry(_)) => {
                trouble(&error);
                backoff = (backoff * 2).min(BACKOFF_MAX).max(interval);
                backoff.max(error.retry_after().unwrap_or_default())
            }
            Err(error) => return Err(Failure::Token(error)),
        };
        let now = Instant::now();
        if now >= deadline {
            return Err(Failure::SignIn(SignInError::Expired));
        }
        sleep_until(now.checked_add(pause).unwrap_or(deadline).min(deadline)).await;
    }
}

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// RFC 8628 section 3.5.
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// However eager the server is.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Between questions that fail.
const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// Entra gives 15 minutes; nobody sits at a terminal for longer than that.
const EXPIRES_IN_MAX: Duration = Duration::from_hours(1);
