//! The Entra side: `POST /{tenant}/oauth2/v2.0/token` for client credentials, with Microsoft's error bodies.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::json;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::ReaderStream;

use super::Shared;
use super::content::printable;
use super::fault::TokenFault;
use super::form;
use super::ledger::Count;
use super::tokens::Grant;
use super::voice::guid;

/// A token request is under 10 kB, even with a signed assertion.
const BODY_MAX_BYTES: usize = 64 * 1024;
/// Resources that the sandbox's tenant knows; a token for Graph is issued, and refused by SMTP (facts D.3, D.4).
const RESOURCES: [&str; 7] = [
    "https://outlook.office365.com",
    "https://outlook.office.com",
    "https://outlook.office365.us",
    "https://partner.outlook.cn",
    "https://graph.microsoft.com",
    "00000002-0000-0ff1-ce00-000000000000",
    "00000003-0000-0000-c000-000000000000",
];

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route(
            "/{tenant}/oauth2/v2.0/token",
            post(token).fallback(not_post),
        )
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
}

async fn token(
    State(shared): State<Arc<Shared>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shared.ledger.count(Count::TokenRequest);
    let mut refuse_secret = false;
    match shared.faults.strike_token() {
        None => {}
        Some(TokenFault::RefuseSecret) => refuse_secret = true,
        Some(TokenFault::Slow(delay)) => wait(&shared, delay).await,
        Some(fault) => return broken(&fault),
    }
    match grant(&shared, &tenant, &headers, &body, refuse_secret) {
        Ok(body) => answer(StatusCode::OK, body.to_string()),
        Err(error) => error.into_response(),
    }
}

async fn not_post(State(shared): State<Arc<Shared>>) -> Response {
    shared.ledger.count(Count::TokenRequest);
    let text = "The endpoint only accepts POST requests.";
    Error::request(900_561, text).into_response()
}

/// Returns early when the sandbox stops.
async fn wait(shared: &Shared, delay: Duration) {
    shared
        .stop
        .run_until_cancelled(tokio::time::sleep(delay))
        .await;
}

/// Checks in the order in which Entra does, and issues a token.
fn grant(
    shared: &Shared,
    tenant: &str,
    headers: &HeaderMap,
    body: &[u8],
    refuse_secret: bool,
) -> Result<serde_json::Value, Error> {
    let settings = &shared.settings;
    let is_form = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| {
            value
                .trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
    let fields = if is_form {
        form::decode(body)
    } else {
        Some(Vec::new())
    };
    let Some(fields) = fields else {
        return Err(Error::request(
            9_002_313,
            "Invalid request. Request is malformed or invalid.",
        ));
    };
    let field = |name: &str| {
        fields
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    };
    let required = |name: &str| field(name).ok_or_else(|| Error::missing(name));

    let grant_type = required("grant_type")?;
    if grant_type != "client_credentials" {
        let text = format!(
            "The app requested an unsupported grant type '{}'.",
            printable(grant_type.as_bytes())
        );
        return Err(Error::new(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            70_003,
            text,
        ));
    }
    let basic = basic_credentials(headers);
    let client_id = match &basic {
        Some((client_id, _)) => client_id.as_str(),
        None => required("client_id")?,
    };
    let scope = required("scope")?;
    check_tenant(tenant, &settings.tenant_id)?;
    if client_id != settings.client_id {
        let text = format!(
            "Application with identifier '{}' was not found in the directory 'exorelay sandbox'. This can happen if \
             the application has not been installed by the administrator of the tenant or consented to by any user in \
             the tenant. You may have sent your authentication request to the wrong tenant.",
            printable(client_id.as_bytes())
        );
        return Err(Error::new(
            StatusCode::BAD_REQUEST,
            "unauthorized_client",
            700_016,
            text,
        ));
    }
    let client_secret = match &basic {
        Some((_, client_secret)) => Some(client_secret.as_str()),
        None => field("client_secret"),
    };
    match client_secret {
        Some(secret) if secret == settings.client_secret.reveal() && !refuse_secret => {}
        Some(_) => {
            let text = format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
                 value, not the client secret ID, for a secret added to app '{}'.",
                settings.client_id
            );
            return Err(Error::new(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                7_000_215,
                text,
            ));
        }
        None => {
            let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
            return Err(Error::new(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                7_000_218,
                text,
            ));
        }
    }
    let audience = resource(scope)?;
    let issued = shared.tokens.issue(Grant {
        tenant_id: &settings.tenant_id,
        client_id: &settings.client_id,
        audience,
        lifetime: settings.token_lifetime,
    });
    let Ok(token) = issued else {
        let text = "Service is temporarily unavailable. Please retry later.";
        return Err(Error::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            90_033,
            text,
        ));
    };
    shared.ledger.count(Count::TokenIssued);
    Ok(json!({
        "token_type": "Bearer",
        "expires_in": settings.token_lifetime.as_secs(),
        "ext_expires_in": settings.token_lifetime.as_secs(),
        "access_token": token.reveal(),
    }))
}

/// HTTP Basic, both parts form-encoded (RFC 6749 section 2.3.1).
fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let decoded = BASE64_STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let at = memchr::memchr(b':', &decoded)?;
    let (client_id, client_secret) = decoded.split_at(at);
    Some((
        form::component(client_id)?,
        form::component(client_secret.get(1..)?)?,
    ))
}

fn check_tenant(tenant: &str, known: &str) -> Result<(), Error> {
    if tenant.eq_ignore_ascii_case(known) {
        return Ok(());
    }
    let shown = printable(tenant.as_bytes());
    if matches!(tenant, "common" | "organizations" | "consumers") {
        let text = format!(
            "The grant type is not supported over the /{shown} endpoint. Please use the tenant-specific endpoint."
        );
        return Err(Error::request(9_001_023, text));
    }
    let name = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'.';
    let is_guid = tenant.len() == 36 && tenant.bytes().filter(|&octet| octet == b'-').count() == 4;
    if !tenant.bytes().all(name) || !(is_guid || tenant.contains('.')) {
        let text = format!(
            "Specified tenant identifier '{shown}' is neither a valid DNS name, nor a valid external domain."
        );
        return Err(Error::request(900_023, text));
    }
    let text = format!(
        "Tenant '{shown}' not found. Check to make sure you have the correct tenant ID and are signing into the \
         correct cloud. Check with your subscription administrator, this may happen if there are no active \
         subscriptions for the tenant."
    );
    Err(Error::request(90_002, text))
}

/// The resource of `RESOURCE/.default`, the only scope that client credentials may ask for.
fn resource(scope: &str) -> Result<&str, Error> {
    let Some(resource) = scope
        .strip_suffix("/.default")
        .filter(|resource| !resource.contains(' '))
    else {
        let text = format!(
            "The provided request must include a 'scope' input parameter. The provided value for the input parameter \
             'scope' is not valid. The scope {} is not valid.",
            printable(scope.as_bytes())
        );
        return Err(Error::new(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            70_011,
            text,
        ));
    };
    if RESOURCES.contains(&resource.trim_end_matches('/')) {
        return Ok(resource);
    }
    let text = format!(
        "The resource principal named {} was not found in the tenant named exorelay sandbox. This can happen if the \
         application has not been installed by the administrator of the tenant or consented to by any user in the \
         tenant. You might have sent your authentication request to the wrong tenant.",
        printable(resource.as_bytes())
    );
    Err(Error::new(
        StatusCode::BAD_REQUEST,
        "invalid_resource",
        500_011,
        text,
    ))
}

/// A refusal in Microsoft's shape (facts D.7).
#[derive(Debug)]
struct Error {
    status: StatusCode,
    /// The value of `error`.
    kind: &'static str,
    code: u32,
    text: String,
}

impl Error {
    fn new(status: StatusCode, kind: &'static str, code: u32, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            status,
            kind,
            code,
            text,
        }
    }

    fn request(code: u32, text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", code, text)
    }

    fn missing(name: &str) -> Self {
        Self::request(
            900_144,
            format!("The request body must contain the following parameter: '{name}'."),
        )
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Self {
            status,
            kind,
            code,
            text,
        } = self;
        let (trace_id, correlation_id) = (guid(), guid());
        let timestamp = Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let body = json!({
            "error": kind,
            "error_description": format!(
                "AADSTS{code}: {text} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}"
            ),
            "error_codes": [code],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        });
        answer(status, body.to_string())
    }
}

fn answer(status: StatusCode, body: impl Into<Body>) -> Response {
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        ),
        (
            CACHE_CONTROL,
            HeaderValue::from_static("no-store, no-cache"),
        ),
        (PRAGMA, HeaderValue::from_static("no-cache")),
        (
            HeaderName::from_static("x-ms-request-id"),
            HeaderValue::from_str(&guid()).unwrap_or(HeaderValue::from_static("sandbox")),
        ),
    ];
    (status, headers, body.into()).into_response()
}

/// Answers that are none.
fn broken(fault: &TokenFault) -> Response {
    match fault {
        TokenFault::Cut => {
            let body = Body::from_stream(ReaderStream::new(Cut { sent: false }));
            answer(StatusCode::OK, body)
        }
        TokenFault::Throttle { retry_after } => {
            let text = "The server is temporarily unavailable because there are too many requests to the server.";
            let error = Error::new(
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                90_055,
                text,
            );
            let mut response = error.into_response();
            if let Some(seconds) = retry_after {
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(*seconds));
            }
            response
        }
        TokenFault::Html => {
            let page = "<!DOCTYPE html><html><head><title>Sign in to the network</title></head>\
                        <body><h1>Sign in to the network</h1></body></html>";
            ([(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
        }
        TokenFault::Garbage => answer(StatusCode::OK, GARBAGE),
        // The last two never come here: `token` answers them.
        TokenFault::Off | TokenFault::RefuseSecret | TokenFault::Slow(_) => {
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

const GARBAGE: &str = r#"{"token_type":"Bearer","expires_in":"#;

/// Half an answer, then a failure: the server closes the connection.
struct Cut {
    sent: bool,
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.sent {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.sent = true;
        buf.put_slice(GARBAGE.as_bytes());
        Poll::Ready(Ok(()))
    }
}
