//! Why there is no token, split by who can mend it.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::aadsts::{self, Class, Entry};
use super::certificate::ClientCertificateError;
use super::federated::FederatedTokenError;
use super::managed::IdentityError;
use super::response::ErrorResponse;
use super::settings::SettingsError;
use super::store::StoreError;
use crate::secret::SecretError;

/// A token could not be obtained.
///
/// Never a message's fault: mail waits until it is mended. Cheap to clone, because every waiting
/// caller gets the same one, and without any secret in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// It passes by itself.
    #[error(transparent)]
    Retry(RetryError),
    /// Somebody has to change something, in Entra or here. Tried again too, because directory changes
    /// take minutes to spread and a replaced secret file is read anew.
    #[error(transparent)]
    Operator(OperatorError),
    /// Our request was wrong, or the answer is not what RFC 6749 allows.
    #[error(transparent)]
    Fault(FaultError),
}

/// Network, load, trouble at the service.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RetryError {
    /// No connection, or lost on the way.
    #[error("cannot reach {host}{}", through(proxy.as_deref()))]
    Unreachable {
        /// The token endpoint's host.
        host: Box<str>,
        /// The proxy that was set, without its login.
        proxy: Option<Box<str>>,
        /// What the HTTP client said.
        source: Arc<reqwest::Error>,
    },
    /// Connected or not, no complete answer in time.
    #[error("{host} did not answer within {} s", limit.as_secs_f32())]
    Timeout {
        /// The token endpoint's host.
        host: Box<str>,
        /// The time it had.
        limit: Duration,
    },
    /// 408, 429 or 5xx; of a VM's identity endpoint also 404 and 410.
    #[error("{host} answers {status}{}", detail(response.as_ref()))]
    Busy {
        /// The token endpoint's host.
        host: Box<str>,
        /// The HTTP status code.
        status: u16,
        /// The time it asks us to stay away.
        retry_after: Option<Duration>,
        /// Its explanation, where it gives one.
        response: Option<Arc<ErrorResponse>>,
    },
    /// `temporarily_unavailable`, `server_error`, or a number that means so.
    #[error("{host} gives no token for now. {}", told(known, known.remedy, response))]
    Unavailable {
        /// The token endpoint's host.
        host: Box<str>,
        /// The time to stay away, asked for or known from the number.
        retry_after: Option<Duration>,
        /// Its own words.
        response: Arc<ErrorResponse>,
        /// What they mean.
        known: &'static Entry,
    },
    /// The platform that should vouch for this machine does not answer.
    #[error("{host} gives no answer: {remedy}")]
    NoPlatform {
        /// The identity endpoint's host.
        host: Box<str>,
        /// What to do, should it stay so.
        remedy: &'static str,
        /// What the HTTP client said.
        source: Arc<reqwest::Error>,
    },
    /// Another process renews the same token, or hangs while it does.
    #[error("another process has held {} for {} s: end it if it hangs", lock.display(), limit.as_secs())]
    Locked {
        /// The account's lock.
        lock: PathBuf,
        /// How long it was waited for.
        limit: Duration,
    },
    /// HTML in place of JSON.
    #[error(
        "{host} answers {status} with a web page in place of a token: a proxy or portal is in between, or token_url is wrong"
    )]
    WebPage {
        /// The token endpoint's host.
        host: Box<str>,
        /// The HTTP status code.
        status: u16,
    },
    /// 3xx. Not followed: the request carries the secret.
    #[error(
        "{host} answers {status} and points elsewhere: a proxy or portal is in between, or token_url is wrong"
    )]
    Redirect {
        /// The token endpoint's host.
        host: Box<str>,
        /// The HTTP status code.
        status: u16,
    },
}

/// For the operator.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OperatorError {
    /// The authorization server refused the app, its secret, or what it asks for.
    #[error("{}", told(known, remedy_of(known), response))]
    Refused {
        /// Its own words.
        response: Arc<ErrorResponse>,
        /// What they mean.
        known: &'static Entry,
    },
    /// The machine's own platform refused, in words that no catalogue has.
    #[error("{response}; {remedy}")]
    Platform {
        /// Its own words.
        response: Arc<ErrorResponse>,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A person's sign-in is over; nothing but another one helps.
    #[error("{}", told(known, known.remedy, response))]
    SignIn {
        /// The service's own words.
        response: Arc<ErrorResponse>,
        /// What they mean.
        known: &'static Entry,
    },
    /// There is no refresh token.
    #[error("nobody has signed in for account {account}: run exorelay login {account}")]
    NotSignedIn {
        /// The account's name.
        account: Box<str>,
    },
    /// A refresh token is worth nothing for another application.
    #[error(
        "the stored sign-in is for the application {signed_in}, and client_id is {configured}: put the old client_id back, or run exorelay login {account}"
    )]
    OtherClient {
        /// The account's name.
        account: Box<str>,
        /// The application that the person has signed in to.
        signed_in: Box<str>,
        /// The one in the settings.
        configured: Box<str>,
    },
    /// The stored sign-in cannot be read.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The refresh token that came with an access token cannot be saved: neither is used before it is, for
    /// the old one may then be worthless, and a crash would leave nothing.
    #[error("the renewed sign-in cannot be saved, so it is not used yet: {0}")]
    NotSaved(Arc<StoreError>),
    /// The folder of the sign-in does not answer (a network file system that hangs).
    #[error("{} did not answer within {} s: check the disk it is on", path.display(), limit.as_secs())]
    StoreTimeout {
        /// The file.
        path: PathBuf,
        /// The time it had.
        limit: Duration,
    },
    /// The settings for a single token cannot be used.
    #[error(transparent)]
    Settings(Arc<SettingsError>),
    /// The client secret cannot be read.
    #[error(transparent)]
    Secret(Arc<SecretError>),
    /// The client certificate or its key cannot be used.
    #[error(transparent)]
    ClientCertificate(Arc<ClientCertificateError>),
    /// The other identity provider's token cannot be read.
    #[error(transparent)]
    FederatedToken(Arc<FederatedTokenError>),
    /// A file of the credential does not let itself be read in time (a network file system that hangs).
    #[error("the client secret, certificate or token could not be read within {} s: check the disk it is on", limit.as_secs_f32())]
    SecretTimeout {
        /// The time it had.
        limit: Duration,
    },
    /// TLS: the certificate is not for this host, expired, or from an unknown issuer.
    #[error(
        "the certificate of {host} is not trusted ({reason}): if a proxy inspects TLS here, name its CA in ca_file; check this machine's clock"
    )]
    Certificate {
        /// The token endpoint's host.
        host: Box<str>,
        /// What is wrong with it.
        reason: Box<str>,
    },
    /// A 4xx without the JSON of an authorization server.
    #[error(
        "{host} answers {status}, and not as a token endpoint does: check token_url, and the proxy if there is one"
    )]
    NotAnEndpoint {
        /// The token endpoint's host.
        host: Box<str>,
        /// The HTTP status code.
        status: u16,
    },
    /// The machine has no identity that could be used.
    #[error(transparent)]
    Identity(IdentityError),
}

/// Ours, or the server's against RFC 6749.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FaultError {
    /// The authorization server calls the request malformed.
    #[error("the token request is malformed. {}", told(known, known.remedy, response))]
    Refused {
        /// Its own words.
        response: Arc<ErrorResponse>,
        /// What they mean.
        known: &'static Entry,
    },
    /// Success without a token that can be read. The body stays out: it may hold one.
    #[error("{host} answers {status} with a body that is not a token response")]
    NotUnderstood {
        /// The token endpoint's host.
        host: Box<str>,
        /// The HTTP status code.
        status: u16,
    },
    /// Far more than a token needs.
    #[error("{host} answers with more than {limit_bytes} bytes")]
    TooLarge {
        /// The token endpoint's host.
        host: Box<str>,
        /// How much is read at most.
        limit_bytes: usize,
    },
    /// A token that XOAUTH2 cannot carry.
    #[error("{host} gives a token that cannot be used: {why}")]
    Unusable {
        /// The token endpoint's host.
        host: Box<str>,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The request could not even be built.
    #[error("the token request cannot be built")]
    Request,
}

fn through(proxy: Option<&str>) -> String {
    proxy.map_or_else(String::new, |proxy| {
        format!(" through the proxy {proxy} (check smtp.proxy, and that it allows this host)")
    })
}

impl TokenError {
    /// Sorts an error response of the authorization server. `signs_in`: a person can mend it by signing
    /// in again.
    pub(super) fn from_response(
        host: &str,
        response: ErrorResponse,
        retry_after: Option<Duration>,
        signs_in: bool,
    ) -> Self {
        let known = aadsts::explain(&response);
        let response = Arc::new(response);
        match known.class {
            Class::Wait(least) => Self::Retry(RetryError::Unavailable {
                host: host.into(),
                retry_after: retry_after.max(Some(least)).filter(|wait| !wait.is_zero()),
                response,
                known,
            }),
            Class::SignInAgain if signs_in => {
                Self::Operator(OperatorError::SignIn { response, known })
            }
            Class::SignInAgain | Class::Operator => {
                Self::Operator(OperatorError::Refused { response, known })
            }
            Class::Ours => Self::Fault(FaultError::Refused { response, known }),
        }
    }

    /// A refusal as Entra gives it, for tests of other rooms.
    #[cfg(test)]
    pub(crate) fn sample(error: &str, number: u32, signs_in: bool) -> Self {
        let body = serde_json::json!({
            "error": error,
            "error_description": format!("AADSTS{number}: text"),
        });
        let response = ErrorResponse::decode(body.to_string().as_bytes(), None);
        let response = response.expect("an error response");
        Self::from_response("login.example", response, None, signs_in)
    }

    /// The least time until the next try that the server asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Retry(
                RetryError::Busy { retry_after, .. } | RetryError::Unavailable { retry_after, .. },
            ) => *retry_after,
            Self::Retry(_) | Self::Operator(_) | Self::Fault(_) => None,
        }
    }

    /// What the authorization server said, when it was it that refused.
    pub fn response(&self) -> Option<&ErrorResponse> {
        match self {
            Self::Retry(RetryError::Busy { response, .. }) => response.as_deref(),
            Self::Retry(RetryError::Unavailable { response, .. })
            | Self::Operator(
                OperatorError::Refused { response, .. }
                | OperatorError::Platform { response, .. }
                | OperatorError::SignIn { response, .. },
            )
            | Self::Fault(FaultError::Refused { response, .. }) => Some(response),
            Self::Retry(_) | Self::Operator(_) | Self::Fault(_) => None,
        }
    }

    /// What the catalogue knows of it; `None` where nobody but us has words for it.
    pub fn known(&self) -> Option<&'static Entry> {
        match self {
            Self::Retry(RetryError::Unavailable { known, .. })
            | Self::Operator(
                OperatorError::Refused { known, .. } | OperatorError::SignIn { known, .. },
            )
            | Self::Fault(FaultError::Refused { known, .. }) => Some(known),
            // Without a number, status and header say it all.
            Self::Retry(RetryError::Busy { response, .. }) => {
                aadsts::entry(response.as_ref()?.aadsts()?)
            }
            Self::Retry(_) | Self::Operator(_) | Self::Fault(_) => None,
        }
    }

    /// How it is mended, as far as the catalogue knows. `ACCOUNT` in it stands for the account's name
    /// ([`aadsts::addressed`]).
    pub fn remedy(&self) -> Option<&'static str> {
        let known = self.known()?;
        Some(match self {
            Self::Operator(OperatorError::Refused { .. }) => remedy_of(known),
            Self::Retry(_) | Self::Operator(_) | Self::Fault(_) => known.remedy,
        })
    }

    /// What happened, in the words of the service or of the network: [`TokenError::report`] without
    /// what [`TokenError::known`] and [`TokenError::remedy`] add to it.
    pub fn words(&self) -> String {
        match self {
            Self::Retry(RetryError::Unavailable { host, response, .. }) => {
                format!("{host} gives no token for now: {response}")
            }
            Self::Operator(
                OperatorError::Refused { response, .. } | OperatorError::SignIn { response, .. },
            )
            | Self::Fault(FaultError::Refused { response, .. }) => response.to_string(),
            Self::Retry(_) | Self::Operator(_) | Self::Fault(_) => self.report(),
        }
    }

    /// The message with its causes, in one line.
    pub fn report(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors repeat their cause in their own message.
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        line
    }

    /// Whether both tell an operator the same, whatever their trace ids and times.
    pub fn is_like(&self, other: &Self) -> bool {
        let ids = |error: &Self| {
            error
                .response()
                .map(|response| (response.error().to_owned(), response.aadsts()))
        };
        match (self, other) {
            (
                Self::Retry(RetryError::Busy { status: a, .. }),
                Self::Retry(RetryError::Busy { status: b, .. }),
            ) if a != b => false,
            // Which file, and what about it.
            (
                Self::Operator(
                    OperatorError::ClientCertificate(_) | OperatorError::FederatedToken(_),
                ),
                Self::Operator(
                    OperatorError::ClientCertificate(_) | OperatorError::FederatedToken(_),
                ),
            ) => self.to_string() == other.to_string(),
            (
                Self::Operator(OperatorError::Identity(a)),
                Self::Operator(OperatorError::Identity(b)),
            ) => a == b,
            (Self::Retry(a), Self::Retry(b)) => same_variant(a, b) && ids(self) == ids(other),
            (Self::Operator(a), Self::Operator(b)) => same_variant(a, b) && ids(self) == ids(other),
            (Self::Fault(a), Self::Fault(b)) => same_variant(a, b) && ids(self) == ids(other),
            _ => false,
        }
    }
}

/// Meaning and remedy, which are ours, then the service's words, which name number and ids.
fn told(known: &Entry, remedy: &str, response: &ErrorResponse) -> String {
    format!("{} {remedy} ({response})", known.meaning)
}

/// Where no person signs in, nobody can do so again.
fn remedy_of(known: &'static Entry) -> &'static str {
    match known.class {
        Class::SignInAgain => {
            "Compare tenant_id, client_id and the credential with the app's registration in Entra: nobody signs in for this account, the app does so by itself."
        }
        Class::Wait(_) | Class::Operator | Class::Ours => known.remedy,
    }
}

fn detail(response: Option<&Arc<ErrorResponse>>) -> String {
    response.map_or_else(String::new, |response| format!(": {response}"))
}

fn same_variant<T>(a: &T, b: &T) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

#[cfg(test)]
mod tests;
