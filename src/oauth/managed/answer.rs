//! What the platform's answers mean.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use oauth2::basic::{BasicErrorResponse, BasicTokenType};
use oauth2::http::StatusCode;
use oauth2::{HttpResponse, RequestTokenError};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::platform::Platform;
use super::{IdentityError, Managed};
use crate::oauth::error::{FaultError, OperatorError, RetryError, TokenError};
use crate::oauth::grant::Granted;
use crate::oauth::http::{self, Answer, HttpError};
use crate::oauth::response::ErrorResponse;
use crate::secret::Secret;
use crate::tls;

/// As of RFC 6749, but for numbers that are texts as well, and one time more.
#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<Seconds>,
    expires_on: Option<Seconds>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(i64),
    Text(String),
}

impl Seconds {
    fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }
}

impl Managed {
    /// The token, or whose fault it is that there is none. `sent` is what the platform must not be quoted
    /// with.
    pub(super) fn granted(
        &self,
        answer: Result<HttpResponse, HttpError>,
        sent: Option<&Secret>,
    ) -> Result<Granted, TokenError> {
        let response = answer.map_err(|error| self.explain(error, sent))?;
        let now = http::server_time(response.headers()).unwrap_or_else(Timestamp::now);
        let body = Zeroizing::new(response.into_body());
        // The parser's message may quote the token, so it stays behind.
        let Ok(response) = serde_json::from_slice::<TokenResponse>(&body) else {
            return Err(TokenError::Fault(FaultError::NotUnderstood {
                host: self.exchange.endpoint.host().into(),
                status: StatusCode::OK.as_u16(),
            }));
        };
        let lifetime = lifetime(&response, now);
        let token = Zeroizing::new(response.access_token);
        let token_type = match response.token_type {
            Some(other) if !other.eq_ignore_ascii_case("bearer") => {
                BasicTokenType::Extension(other)
            }
            _ => BasicTokenType::Bearer,
        };
        self.exchange.accept(&token_type, &token, lifetime)
    }

    fn explain(&self, error: HttpError, sent: Option<&Secret>) -> TokenError {
        let host = || Box::from(self.exchange.endpoint.host());
        match error {
            HttpError::Transport(error) if tls::certificate_error(&error).is_none() => {
                TokenError::Retry(RetryError::NoPlatform {
                    host: host(),
                    remedy: self.platform.remedy(),
                    // Without the URL: the host is in our message already.
                    source: Arc::new(error.without_url()),
                })
            }
            HttpError::Status(answer) if self.is_passing(answer.status) => {
                TokenError::Retry(RetryError::Busy {
                    host: host(),
                    status: answer.status.as_u16(),
                    retry_after: answer.retry_after,
                    response: words(&answer, sent).map(Arc::new),
                })
            }
            HttpError::Status(answer) if is_refusal(answer.status) => match words(&answer, sent) {
                Some(response) => self.refusal(response, &answer),
                None => self.not_an_endpoint(answer.status),
            },
            HttpError::WebPage(status) => self.not_an_endpoint(status),
            error @ (HttpError::Transport(_) | HttpError::Status(_) | HttpError::TooLarge) => {
                let error = RequestTokenError::<_, BasicErrorResponse>::Request(error);
                self.exchange.explain(error, sent)
            }
        }
    }

    /// A VM's service answers 404 while it is being updated, and 410 for up to 70 seconds of it (facts
    /// D.10). The first six waits of the back-off cover that time.
    fn is_passing(&self, status: StatusCode) -> bool {
        let is_vm = matches!(self.platform, Platform::Vm | Platform::VmOrArc);
        is_vm && matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
    }

    fn refusal(&self, response: ErrorResponse, answer: &Answer) -> TokenError {
        let is_entras = response.aadsts().is_some()
            || matches!(response.error(), "temporarily_unavailable" | "server_error");
        if is_entras {
            let host = self.exchange.endpoint.host();
            return TokenError::from_response(host, response, answer.retry_after, false);
        }
        TokenError::Operator(OperatorError::Platform {
            remedy: self.remedy(&response, answer.status),
            response: Arc::new(response),
        })
    }

    /// These services have words of their own, and few of them are documented.
    fn remedy(&self, response: &ErrorResponse, status: StatusCode) -> &'static str {
        let description = response.description().unwrap_or_default();
        let description = description.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|words| description.contains(words));
        let is_app = matches!(self.platform, Platform::AppService { .. });
        let is_arc = matches!(self.platform, Platform::Arc);
        if says(&["multiple user assigned"]) {
            SEVERAL
        } else if says(&["identity not found", "identity found", "no msi found"]) {
            if is_app { APP_WITHOUT } else { VM_WITHOUT }
        } else if is_app && matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            "IDENTITY_HEADER in the environment must be the one the platform gave to this very process: start the app again"
        } else if is_arc && status == StatusCode::UNAUTHORIZED {
            "the Azure Arc agent does not take its own key: restart it (systemctl restart himdsd)"
        } else if response.error() == "unauthorized_client" {
            VM_WITHOUT
        } else if response.error() == "invalid_resource" {
            "check oauth.scope: exactly one resource, as https://outlook.office365.com/.default"
        } else {
            "check client_id and oauth.scope, and that this machine has that identity"
        }
    }

    fn not_an_endpoint(&self, status: StatusCode) -> TokenError {
        let (host, status) = (self.exchange.endpoint.host().into(), status.as_u16());
        let error = IdentityError::NotAnEndpoint { host, status };
        TokenError::Operator(OperatorError::Identity(error))
    }
}

/// What is neither a success without a token nor "not now".
fn is_refusal(status: StatusCode) -> bool {
    !http::is_busy(status) && (status.is_client_error() || status.is_redirection())
}

/// `expires_on` counts: of a token that the platform has kept for a while, `expires_in` may still be
/// what it was at the beginning. It is a time of day, so it is held against the server's clock first.
fn lifetime(response: &TokenResponse, now: Timestamp) -> Option<Duration> {
    let seconds = |value: &Option<Seconds>| value.as_ref().and_then(Seconds::number);
    let left = seconds(&response.expires_on).map(|end| end.saturating_sub(now.as_second()));
    let left = left.or_else(|| seconds(&response.expires_in))?;
    // What is over has no time left.
    Some(Duration::from_secs(u64::try_from(left).unwrap_or_default()))
}

/// The platform's explanation: RFC 6749's, or one of those that App Service has had.
fn words(answer: &Answer, sent: Option<&Secret>) -> Option<ErrorResponse> {
    ErrorResponse::decode(&answer.body, sent).or_else(|| {
        let body: Value = serde_json::from_slice(&answer.body).ok()?;
        let inner = body.get("error").filter(|error| error.is_object());
        let body = inner.unwrap_or(&body);
        let text = |keys: &[&str]| {
            let mut values = keys.iter().filter_map(|key| body.get(key)?.as_str());
            values.next().map(str::to_owned)
        };
        let description = text(&["message", "Message", "ExceptionMessage"])?;
        let error = text(&["code", "Code"]).unwrap_or_else(|| "refused".to_owned());
        let plain = json!({ "error": error, "error_description": description });
        ErrorResponse::decode(plain.to_string().as_bytes(), sent)
    })
}

const VM_WITHOUT: &str = "assign a managed identity to this machine (az vm identity assign); if it is a user-assigned one, write its Client ID as client_id";
const APP_WITHOUT: &str = "assign a managed identity to the app (az webapp identity assign); if it is a user-assigned one, write its Client ID as client_id";
const SEVERAL: &str = "this machine has several user-assigned identities: write the Client ID of one of them as client_id";
