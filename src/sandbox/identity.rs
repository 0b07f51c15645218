//! What Azure gives to its own machines: tokens from an endpoint next door, in three protocols (facts D.10).
//!
//! A VM and Azure Arc have the same path and are told apart by the version that is asked for. Behind all of them is one
//! identity, which is system-assigned or chosen by its client id. As in Azure its token is kept until it expires, and
//! given again even when Exchange takes it no more.

mod kept;
mod keys;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use self::kept::{Kept, KeptTokens};
use self::keys::Keys;
use super::Shared;
use super::content::printable;
use super::form;
use super::ledger::{Count, GrantType};
use super::tokens::OUTLOOK;

pub(super) const METADATA_PATH: &str = "/metadata/identity/oauth2/token";
pub(super) const APP_SERVICE_PATH: &str = "/msi/token";

const VM_VERSION: &str = "2018-02-01";
const ARC_VERSIONS: [&str; 2] = ["2019-11-01", "2020-06-01"];
const APP_SERVICE_VERSION: &str = "2019-08-01";
/// A token for it is given, and refused by SMTP.
const GRAPH: &str = "https://graph.microsoft.com";
const NOT_FOUND: &str = "Identity not found";
/// Not an SMTP connection.
const OVER_HTTP: u64 = 0;

/// What the platform keeps between requests.
#[derive(Debug)]
pub(super) struct Platform {
    kept: KeptTokens,
    keys: Keys,
}

impl Platform {
    /// The keys of Azure Arc go into a folder of `directory`.
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            kept: KeptTokens::default(),
            keys: Keys::new(directory),
        }
    }

    /// Removes what was left in the folder. Blocking.
    pub(super) fn sweep(&self) {
        self.keys.sweep();
    }
}

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route(METADATA_PATH, get(metadata))
        .route(APP_SERVICE_PATH, get(app_service))
}

/// A VM's, or Arc's.
async fn metadata(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    shared
        .ledger
        .count(Count::TokenRequest(GrantType::ManagedIdentity));
    let outcome = ask_metadata(&shared, query.as_deref(), &headers).await;
    answered(outcome, Refusal::body)
}

async fn ask_metadata(
    shared: &Shared,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Value, Refusal> {
    // Whom a proxy leads here is not the machine itself.
    if headers.contains_key("x-forwarded-for") {
        let text = "Requests with the header X-Forwarded-For are not served.";
        return Err(broken_rule(shared, "invalid_request", text));
    }
    if headers.get("metadata").is_none_or(|value| value != "true") {
        let text = "Required metadata header not specified";
        return Err(broken_rule(shared, "bad_request_102", text));
    }
    let question = Question::read(shared, query)?;
    let version = question.version.as_str();
    if version == VM_VERSION {
        return Ok(vm_answer(
            &shared.settings.client_id,
            &question.answer(shared)?,
        ));
    }
    if !ARC_VERSIONS.contains(&version) {
        return Err(wrong_version(shared, version));
    }
    if question.client_id.is_some() {
        let text = "Only the system-assigned identity is supported.";
        return Err(broken_rule(shared, "invalid_request", text));
    }
    let known = match headers.get(AUTHORIZATION) {
        Some(value) => shared.identity.keys.take(value.as_bytes()).await,
        None => false,
    };
    if !known {
        return Err(Refusal::challenge(shared.identity.keys.make().await));
    }
    Ok(vm_answer(
        &shared.settings.client_id,
        &question.answer(shared)?,
    ))
}

async fn app_service(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    shared
        .ledger
        .count(Count::TokenRequest(GrantType::ManagedIdentity));
    let outcome = ask_app_service(&shared, query.as_deref(), &headers);
    answered(outcome, Refusal::app_service_body)
}

fn ask_app_service(
    shared: &Shared,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Value, Refusal> {
    let settings = &shared.settings;
    let header = headers.get("x-identity-header");
    if header.is_none_or(|value| value != settings.identity_header.reveal()) {
        let text = "The header X-IDENTITY-HEADER is missing or wrong.";
        return Err(Refusal {
            status: StatusCode::UNAUTHORIZED,
            ..broken_rule(shared, "unauthorized", text)
        });
    }
    let question = Question::read(shared, query)?;
    if question.version != APP_SERVICE_VERSION {
        return Err(wrong_version(shared, &question.version));
    }
    let kept = question.answer(shared)?;
    Ok(json!({
        "access_token": kept.token.reveal(),
        "client_id": settings.client_id,
        "expires_on": kept.expires_on().to_string(),
        "resource": kept.resource,
        "token_type": "Bearer",
    }))
}

/// Numbers are texts, and `expires_in` is what it was when the token was made.
fn vm_answer(client_id: &str, kept: &Kept) -> Value {
    json!({
        "access_token": kept.token.reveal(),
        "client_id": client_id,
        "expires_in": kept.lifetime.as_secs().to_string(),
        "ext_expires_in": kept.lifetime.as_secs().to_string(),
        "expires_on": kept.expires_on().to_string(),
        "not_before": kept.issued_at.as_second().to_string(),
        "resource": kept.resource,
        "token_type": "Bearer",
    })
}

/// The parameters that all of them have.
struct Question {
    version: String,
    resource: String,
    client_id: Option<String>,
}

impl Question {
    fn read(shared: &Shared, query: Option<&str>) -> Result<Self, Refusal> {
        let refuse = |text: &str| broken_rule(shared, "invalid_request", text);
        let fields = form::decode(query.unwrap_or_default().as_bytes());
        let Some(fields) = fields else {
            return Err(refuse("The query is malformed."));
        };
        let (mut version, mut resource, mut client_id) = (None, None, None);
        for (name, value) in fields {
            match name.as_str() {
                "api-version" => version = Some(value),
                "resource" => resource = Some(value),
                "client_id" => client_id = Some(value),
                _ => {
                    let name = printable(name.as_bytes());
                    return Err(refuse(&format!("The parameter '{name}' is not known.")));
                }
            }
        }
        Ok(Self {
            version: version
                .ok_or_else(|| refuse("Required parameter api-version not specified"))?,
            resource: resource
                .ok_or_else(|| refuse("Required audience parameter not specified"))?,
            client_id,
        })
    }

    /// The token for the resource.
    fn answer(&self, shared: &Shared) -> Result<Kept, Refusal> {
        let settings = &shared.settings;
        let is_mine = |id: &String| id.eq_ignore_ascii_case(&settings.client_id);
        if self.client_id.as_ref().is_some_and(|id| !is_mine(id)) {
            return Err(Refusal::new("invalid_request", NOT_FOUND));
        }
        let bare = self.resource.trim_end_matches('/');
        if !OUTLOOK.contains(&bare) && bare != GRAPH {
            let text = format!(
                "AADSTS500011: The resource principal named {} was not found in the tenant named exorelay sandbox.",
                printable(self.resource.as_bytes())
            );
            return Err(broken_rule(shared, "invalid_resource", &text));
        }
        let kept = shared.identity.kept.get(shared, &self.resource);
        kept.ok_or_else(|| Refusal {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            ..Refusal::new(
                "unknown",
                "Failed to retrieve token from the Active directory.",
            )
        })
    }
}

fn wrong_version(shared: &Shared, version: &str) -> Refusal {
    let version = printable(version.as_bytes());
    let text = format!("The api-version '{version}' is not supported here.");
    broken_rule(shared, "invalid_request", &text)
}

/// A refusal of what no client may do.
fn broken_rule(shared: &Shared, error: &'static str, text: &str) -> Refusal {
    let what = format!("a request for a managed identity is refused: {text}");
    shared.ledger.violated(OVER_HTTP, what);
    Refusal::new(error, text)
}

struct Refusal {
    status: StatusCode,
    error: &'static str,
    text: String,
    challenge: Option<HeaderValue>,
}

impl Refusal {
    fn new(error: &'static str, text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error,
            text: text.into(),
            challenge: None,
        }
    }

    /// Arc's, or none when the key cannot be left.
    fn challenge(realm: Option<HeaderValue>) -> Self {
        let status = match realm {
            Some(_) => StatusCode::UNAUTHORIZED,
            None => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            status,
            challenge: realm,
            ..Self::new("unauthorized_client", "Missing Basic Authorization header")
        }
    }

    /// As RFC 6749 has it.
    fn body(&self) -> Value {
        json!({ "error": self.error, "error_description": self.text })
    }

    /// App Service says the same in a form of its own.
    fn app_service_body(&self) -> Value {
        let text = if self.text == NOT_FOUND {
            "No Managed Identity found for specified ClientId/ResourceId/PrincipalId."
        } else {
            &self.text
        };
        json!({ "statusCode": self.status.as_u16(), "message": text })
    }
}

fn answered(outcome: Result<Value, Refusal>, words: fn(&Refusal) -> Value) -> Response {
    let (status, body, challenge) = match outcome {
        Ok(body) => (StatusCode::OK, body, None),
        Err(refusal) => (refusal.status, words(&refusal), refusal.challenge),
    };
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        ),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let mut response = (status, headers, body.to_string()).into_response();
    response
        .headers_mut()
        .extend(challenge.map(|challenge| (WWW_AUTHENTICATE, challenge)));
    response
}
