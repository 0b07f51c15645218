//! Why there is no token, split by who can mend it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use super::aadsts::{self, Class};
use super::response::ErrorResponse;
use super::settings::SettingsError;
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
    /// 408, 429 or 5xx.
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
    #[error("{host} gives no token for now: {response}")]
    Unavailable {
        /// The token endpoint's host.
        host: Box<str>,
        /// The time to stay away, asked for or known from the number.
        retry_after: Option<Duration>,
        /// Its explanation.
        response: Arc<ErrorResponse>,
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
    #[error("{response}; {remedy}")]
    Refused {
        /// Microsoft's own words.
        response: Arc<ErrorResponse>,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The account's settings do not make a request.
    #[error(transparent)]
    Settings(Arc<SettingsError>),
    /// The client secret cannot be read.
    #[error(transparent)]
    Secret(Arc<SecretError>),
    /// The client secret's file does not let itself be read in time (a network file system that hangs).
    #[error("the client secret could not be read within {} s: check the disk it is on", limit.as_secs_f32())]
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
}

/// Ours, or the server's against RFC 6749.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FaultError {
    /// The authorization server calls the request malformed.
    #[error("the token request is malformed: {0}")]
    Refused(Arc<ErrorResponse>),
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
    /// Sorts an error response of the authorization server.
    pub(super) fn from_response(
        host: &str,
        response: ErrorResponse,
        retry_after: Option<Duration>,
    ) -> Self {
        let known = response.aadsts().and_then(aadsts::entry);
        let response = Arc::new(response);
        let class = known.map_or_else(|| class_of(&response), |entry| entry.class);
        match class {
            Class::Wait(least) => Self::Retry(RetryError::Unavailable {
                host: host.into(),
                retry_after: retry_after.max(Some(least)).filter(|wait| !wait.is_zero()),
                response,
            }),
            Class::Operator => Self::Operator(OperatorError::Refused {
                remedy: known.map_or_else(|| remedy_for(response.error()), |entry| entry.remedy),
                response,
            }),
            Class::Ours => Self::Fault(FaultError::Refused(response)),
        }
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
            | Self::Operator(OperatorError::Refused { response, .. })
            | Self::Fault(FaultError::Refused(response)) => Some(response),
            Self::Retry(_) | Self::Operator(_) | Self::Fault(_) => None,
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
            (Self::Retry(a), Self::Retry(b)) => same_variant(a, b) && ids(self) == ids(other),
            (Self::Operator(a), Self::Operator(b)) => same_variant(a, b) && ids(self) == ids(other),
            (Self::Fault(a), Self::Fault(b)) => same_variant(a, b) && ids(self) == ids(other),
            _ => false,
        }
    }
}

/// RFC 6749 section 5.2, for a number that is not in the catalogue or no number at all.
fn class_of(response: &ErrorResponse) -> Class {
    match response.error() {
        "temporarily_unavailable" | "server_error" => Class::Wait(Duration::ZERO),
        // With a number it is nearly always a wrong setting; without, the server means our syntax.
        "invalid_request" if response.aadsts().is_none() => Class::Ours,
        "unsupported_grant_type" | "unsupported_response_type" => Class::Ours,
        _ => Class::Operator,
    }
}

fn remedy_for(error: &str) -> &'static str {
    match error {
        "invalid_client" => "check client_id and client_secret",
        "unauthorized_client" => {
            "check that the app exists in this tenant and is allowed to sign in"
        }
        "invalid_scope" | "invalid_resource" | "invalid_target" => "check scope",
        "interaction_required" | "consent_required" | "login_required" => {
            "a person has to sign in or consent once more"
        }
        _ => "compare tenant_id, client_id and scope with the app's registration in Entra",
    }
}

fn detail(response: Option<&Arc<ErrorResponse>>) -> String {
    response.map_or_else(String::new, |response| format!(": {response}"))
}

fn same_variant<T>(a: &T, b: &T) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(error: &str, number: Option<u32>) -> TokenError {
        let mut body =
            serde_json::json!({"error": error, "trace_id": fastrand::u64(..).to_string()});
        if let Some(number) = number {
            body["error_description"] = format!("AADSTS{number}: text").into();
        }
        let response = ErrorResponse::decode(body.to_string().as_bytes(), None).unwrap();
        TokenError::from_response("login.example", response, None)
    }

    #[test]
    fn error_responses_are_sorted_by_who_can_mend_them() {
        for (error, number, class) in [
            ("invalid_client", Some(7_000_215), 'O'),
            ("invalid_client", Some(7_000_222), 'O'),
            ("unauthorized_client", Some(700_016), 'O'),
            ("invalid_request", Some(90_002), 'O'),
            // Not in the catalogue: the `error` decides.
            ("invalid_client", Some(1), 'O'),
            ("invalid_request", Some(1), 'O'),
            ("invalid_scope", None, 'O'),
            ("access_denied", None, 'O'),
            ("something_new", None, 'O'),
            ("temporarily_unavailable", None, 'R'),
            ("server_error", Some(90_033), 'R'),
            ("invalid_request", Some(50_196), 'R'),
            ("invalid_request", None, 'F'),
            ("invalid_request", Some(900_144), 'F'),
            ("unsupported_grant_type", None, 'F'),
        ] {
            let sorted = match sorted(error, number) {
                TokenError::Retry(_) => 'R',
                TokenError::Operator(_) => 'O',
                TokenError::Fault(_) => 'F',
            };
            assert_eq!(sorted, class, "{error} {number:?}");
        }
    }

    #[test]
    fn refusal_says_number_words_and_remedy() {
        let error = sorted("invalid_client", Some(7_000_215));
        assert_eq!(error.response().unwrap().aadsts(), Some(7_000_215));
        assert!(error.to_string().contains("AADSTS7000215: text"));
        assert!(error.to_string().contains("Value, not its Secret ID"));
    }

    #[test]
    fn loop_detection_asks_for_minutes() {
        let loop_detected = sorted("invalid_request", Some(50_196));
        assert_eq!(loop_detected.retry_after(), Some(Duration::from_mins(5)));
        assert_eq!(sorted("server_error", None).retry_after(), None);
    }

    #[test]
    fn likeness_looks_past_ids_but_not_past_numbers() {
        let wrong = sorted("invalid_client", Some(7_000_215));
        assert!(wrong.is_like(&sorted("invalid_client", Some(7_000_215))));
        assert!(!wrong.is_like(&sorted("invalid_client", Some(7_000_222))));
        assert!(!wrong.is_like(&sorted("server_error", None)));
        let busy = |status| {
            TokenError::Retry(RetryError::Busy {
                host: "h".into(),
                status,
                retry_after: None,
                response: None,
            })
        };
        assert!(busy(500).is_like(&busy(500)) && !busy(500).is_like(&busy(429)));
    }

    #[test]
    fn report_names_the_causes() {
        let missing = SecretError::File {
            path: "/etc/exorelay/secret".into(),
            source: std::io::Error::from(std::io::ErrorKind::PermissionDenied),
        };
        let error = TokenError::Operator(OperatorError::Secret(Arc::new(missing)));
        assert_eq!(
            error.report(),
            "cannot read the secret file /etc/exorelay/secret: permission denied"
        );
    }
}
