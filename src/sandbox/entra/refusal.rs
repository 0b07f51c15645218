//! What is answered instead of a token, in Microsoft's shape (facts D.7).

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::aadsts::Aadsts;
use super::answer::json_answer;
use super::clock::Clock;
use super::random::RandomError;
use crate::sandbox::voice::guid;

/// The values of `error` that Entra uses, each with the status it comes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum Kind {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    InvalidScope,
    InvalidResource,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedResponseType,
    InteractionRequired,
    ConsentRequired,
    LoginRequired,
    AccessDenied,
    AuthorizationPending,
    AuthorizationDeclined,
    SlowDown,
    ExpiredToken,
    BadVerificationCode,
    TemporarilyUnavailable,
    /// `temporarily_unavailable` with 429.
    Throttled,
    ServerError,
}

impl Kind {
    pub(super) const fn error(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidResource => "invalid_resource",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InteractionRequired => "interaction_required",
            Self::ConsentRequired => "consent_required",
            Self::LoginRequired => "login_required",
            Self::AccessDenied => "access_denied",
            Self::AuthorizationPending => "authorization_pending",
            Self::AuthorizationDeclined => "authorization_declined",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::BadVerificationCode => "bad_verification_code",
            Self::TemporarilyUnavailable | Self::Throttled => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }

    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::Throttled => StatusCode::TOO_MANY_REQUESTS,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// One refusal.
#[derive(Clone, Debug)]
pub(in crate::sandbox) struct Refusal {
    pub(super) kind: Kind,
    pub(super) code: u32,
    text: String,
    suberror: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(kind: Kind, code: u32, text: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            text: text.into(),
            suberror: None,
        }
    }

    pub(super) fn request(code: u32, text: impl Into<String>) -> Self {
        Self::new(Kind::InvalidRequest, code, text)
    }

    pub(super) fn client(code: u32, text: impl Into<String>) -> Self {
        Self::new(Kind::InvalidClient, code, text)
    }

    pub(super) fn grant(code: u32, text: impl Into<String>) -> Self {
        Self::new(Kind::InvalidGrant, code, text)
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::request(
            900_144,
            format!("The request body must contain the following parameter: '{name}'."),
        )
    }

    pub(super) fn malformed() -> Self {
        Self::request(
            9_002_313,
            "Invalid request. Request is malformed or invalid.",
        )
    }

    pub(super) fn suberror(mut self, suberror: &'static str) -> Self {
        self.suberror = Some(suberror);
        self
    }

    /// `AADSTSnnn: text Trace ID: .. Correlation ID: .. Timestamp: ..`, and the three by themselves.
    pub(super) fn describe(&self, clock: &Clock) -> Description {
        let (trace_id, correlation_id) = (guid(), guid());
        let timestamp = clock.now().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let Self { code, text, .. } = self;
        let text = format!(
            "AADSTS{code}: {text} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}"
        );
        Description {
            text,
            timestamp,
            trace_id,
            correlation_id,
        }
    }

    /// The body of an endpoint that answers programs.
    pub(super) fn answer(&self, clock: &Clock) -> Response {
        let description = self.describe(clock);
        let code = self.code;
        let mut body = json!({
            "error": self.kind.error(),
            "error_description": description.text,
            "error_codes": [code],
            "timestamp": description.timestamp,
            "trace_id": description.trace_id,
            "correlation_id": description.correlation_id,
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        });
        if let Some(fields) = body.as_object_mut()
            && let Some(suberror) = self.suberror
        {
            fields.insert("suberror".to_owned(), suberror.into());
        }
        json_answer(self.kind.status(), body.to_string())
    }
}

/// What is said to people and in `error_description`.
#[derive(Debug)]
pub(super) struct Description {
    pub(super) text: String,
    timestamp: String,
    trace_id: String,
    correlation_id: String,
}

impl From<&Aadsts> for Refusal {
    fn from(known: &Aadsts) -> Self {
        Self::new(known.kind, known.code, known.text)
    }
}

impl From<RandomError> for Refusal {
    fn from(_: RandomError) -> Self {
        let text = "Service is temporarily unavailable. Please retry later.";
        Self::new(Kind::TemporarilyUnavailable, 90_033, text)
    }
}
