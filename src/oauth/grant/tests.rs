//! Real HTTP against a token endpoint on loopback, in real time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::net::TcpListener;

use super::exchange::LIFETIME_UNSTATED;
use super::*;
use crate::oauth::endpoint::EndpointUrl;
use crate::oauth::error::{FaultError, OperatorError, RetryError};
use crate::oauth::http::BODY_MAX_BYTES;
use crate::oauth::settings::{AssertionAlgorithm, Credential};
use crate::oauth::token::LIFETIME_MAX;
use crate::secret::SecretSource;
use crate::tls;
use oauth2::http::StatusCode;

mod assertions;
mod credentials;
mod delegated;
mod network;
mod proxies;

const SECRET: &str = "pl4nted~S8Q+/.x";
const TOKEN: &str = "eyJ0.pl4nted-token.x-_~";

type Seen = Arc<Mutex<Vec<(Vec<(String, String)>, String)>>>;
type Handler = Arc<dyn Fn(usize, &str) -> Response + Send + Sync>;

/// Answers request `n` (from 0) with what `handler` makes of its body; remembers headers and body.
async fn endpoint<H>(handler: H) -> (EndpointUrl, Seen)
where
    H: Fn(usize, &str) -> Response + Send + Sync + 'static,
{
    async fn answer(State((handler, seen)): State<(Handler, Seen)>, request: Request) -> Response {
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let body = axum::body::to_bytes(request.into_body(), 65_536)
            .await
            .unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let number = seen.lock().unwrap().len();
        let response = handler(number, &body);
        seen.lock().unwrap().push((headers, body));
        response
    }

    let seen = Seen::default();
    let handler: Handler = Arc::new(handler);
    let app = Router::new()
        .fallback(answer)
        .with_state((handler, Arc::clone(&seen)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/tenant/token", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url.parse().unwrap(), seen)
}

fn settings(token_url: EndpointUrl) -> Settings {
    Settings {
        token_url,
        client_id: "11111111-2222-3333-4444-555555555555".to_owned(),
        credential: Credential::Secrets(vec![literal(SECRET)]),
        way: Way::ClientCredentials,
        scope: "https://outlook.office365.com/.default".to_owned(),
        timeout: Duration::from_mins(1),
        ca_file: None,
        proxy: None,
    }
}

fn literal(text: &str) -> SecretSource {
    SecretSource::Literal(Secret::new(text))
}

async fn obtain(settings: Settings) -> Result<Granted, TokenError> {
    Grant::new(settings).unwrap().obtain().await
}

/// What becomes of one answer.
async fn outcome<R>(status: u16, headers: &[(&'static str, &'static str)], body: R) -> TokenError
where
    R: Into<String>,
{
    let (body, headers) = (body.into(), headers.to_vec());
    let (url, _) = endpoint(move |_, _| answer(status, &headers, body.clone())).await;
    obtain(settings(url)).await.unwrap_err()
}

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    let mut response = (status, body).into_response();
    response.headers_mut().remove("content-type");
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

fn token_response(token: &str) -> Response {
    let body = json!({
        "token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token,
    });
    answer(200, &JSON, body.to_string())
}

fn refusal(number: u32, error: &str) -> String {
    json!({
        "error": error,
        "error_description": format!("AADSTS{number}: Some text.\r\nTrace ID: t-1\r\nCorrelation ID: c-1"),
        "error_codes": [number],
        "trace_id": "t-1",
        "correlation_id": "c-1",
    })
    .to_string()
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json; charset=utf-8")];

#[tokio::test]
async fn request_is_that_of_rfc_6749_with_the_secret_in_the_body() {
    let (url, seen) = endpoint(|_, _| token_response(TOKEN)).await;
    let granted = obtain(settings(url)).await.unwrap();
    assert_eq!(granted.token.reveal(), TOKEN);
    assert_eq!(granted.lifetime, Duration::from_secs(3599));

    let seen = seen.lock().unwrap();
    let (headers, body) = seen.first().unwrap();
    assert_eq!(
        body,
        "grant_type=client_credentials\
         &scope=https%3A%2F%2Foutlook.office365.com%2F.default\
         &client_id=11111111-2222-3333-4444-555555555555\
         &client_secret=pl4nted%7ES8Q%2B%2F.x"
    );
    assert!(headers.iter().all(|(name, _)| name != "authorization"));
    let agent = headers.iter().find(|(name, _)| name == "user-agent");
    assert!(agent.unwrap().1.starts_with("exorelay/"));
}

#[tokio::test]
async fn busy_servers_are_retried_after_what_they_ask() {
    for (status, headers, seconds) in [
        (429, vec![("retry-after", "17")], Some(17)),
        (429, vec![], Some(60)),
        (
            503,
            vec![
                ("retry-after", "Fri, 20 Nov 2026 10:02:00 GMT"),
                ("date", "Fri, 20 Nov 2026 10:00:00 GMT"),
            ],
            Some(120),
        ),
        (500, vec![], None),
        (502, vec![("content-type", "text/html")], None),
    ] {
        let error = outcome(status, &headers, "<html>busy</html>").await;
        assert!(
            matches!(error, TokenError::Retry(RetryError::Busy { status: s, .. }) if s == status),
            "{error:?}"
        );
        assert_eq!(
            error.retry_after(),
            seconds.map(Duration::from_secs),
            "{status}"
        );
    }
    let error = outcome(503, &JSON, refusal(90_033, "temporarily_unavailable")).await;
    assert!(
        error
            .to_string()
            .contains("AADSTS90033: Some text. Trace ID: t-1")
    );
}

#[tokio::test]
async fn refusals_of_entra_are_sorted_and_kept() {
    for (status, number, error) in [
        (401, 7_000_215, "invalid_client"),
        (401, 7_000_222, "invalid_client"),
        (400, 700_016, "unauthorized_client"),
        (400, 90_002, "invalid_request"),
        (400, 7_000_112, "unauthorized_client"),
    ] {
        let error = outcome(status, &JSON, refusal(number, error)).await;
        let TokenError::Operator(OperatorError::Refused { response, known }) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(response.aadsts(), Some(number));
        assert_eq!(known.number(), Some(number));
        assert!(error.to_string().contains("Correlation ID: c-1"));
        assert!(error.to_string().contains(known.remedy));
    }
    let error = outcome(400, &JSON, refusal(50_196, "invalid_request")).await;
    assert_eq!(error.retry_after(), Some(Duration::from_mins(5)));
    let error = outcome(400, &JSON, refusal(900_144, "invalid_request")).await;
    assert!(matches!(
        error,
        TokenError::Fault(FaultError::Refused { .. })
    ));
}

#[tokio::test]
async fn what_is_no_token_endpoint_is_recognised() {
    for (status, headers, body) in [
        (
            200,
            vec![("content-type", "text/html")],
            "<!doctype html><title>Sign in</title>",
        ),
        (200, JSON.to_vec(), "  <html></html>"),
        (403, vec![], "<html>blocked by policy</html>"),
    ] {
        let error = outcome(status, &headers, body).await;
        assert!(
            matches!(error, TokenError::Retry(RetryError::WebPage { status: s, .. }) if s == status),
            "{error:?}"
        );
    }
    for (status, body) in [(404, ""), (400, "Bad Request"), (400, "{\"fault\":1}")] {
        let error = outcome(status, &[], body).await;
        assert!(
            matches!(
                error,
                TokenError::Operator(OperatorError::NotAnEndpoint { .. })
            ),
            "{error:?}"
        );
    }
    for (status, body) in [
        (200, ""),
        (200, "{}"),
        (200, "{\"error\":\"invalid_client\"}"),
        (
            200,
            "{\"access_token\":\"x\",\"token_type\":\"Bearer\",\"expires_in\":\"3599\"}",
        ),
        (204, ""),
    ] {
        let error = outcome(status, &JSON, body).await;
        assert!(
            matches!(error, TokenError::Fault(FaultError::NotUnderstood { .. })),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let (elsewhere, visits) = endpoint(|_, _| token_response(TOKEN)).await;
    let (url, _) = endpoint(move |_, _| {
        let mut response = answer(307, &[], String::new());
        let target = elsewhere.as_str().parse().unwrap();
        response.headers_mut().insert("location", target);
        response
    })
    .await;
    let error = obtain(settings(url)).await.unwrap_err();
    assert!(matches!(
        error,
        TokenError::Retry(RetryError::Redirect { status: 307, .. })
    ));
    assert!(visits.lock().unwrap().is_empty());
}

#[tokio::test]
async fn tokens_that_cannot_be_used_are_refused() {
    for (body, word) in [
        (
            json!({"access_token": "a\u{1}b", "token_type": "Bearer"}),
            "ASCII",
        ),
        (
            json!({"access_token": "a b", "token_type": "Bearer"}),
            "ASCII",
        ),
        (json!({"access_token": "", "token_type": "Bearer"}), "ASCII"),
        (
            json!({"access_token": "abc", "token_type": "mac"}),
            "bearer",
        ),
        (
            json!({"access_token": "abc", "token_type": "bearer", "expires_in": 0}),
            "expired",
        ),
    ] {
        let error = outcome(200, &JSON, body.to_string()).await;
        assert!(matches!(
            error,
            TokenError::Fault(FaultError::Unusable { .. })
        ));
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[tokio::test]
async fn lifetimes_are_bounded_and_have_a_default() {
    for (expires_in, lifetime) in [
        (json!(null), LIFETIME_UNSTATED),
        (json!(u64::MAX), LIFETIME_MAX),
        (json!(300), Duration::from_mins(5)),
    ] {
        let body = json!({"access_token": "abc", "token_type": "bearer", "expires_in": expires_in});
        let (url, _) = endpoint(move |_, _| answer(200, &JSON, body.to_string())).await;
        assert_eq!(obtain(settings(url)).await.unwrap().lifetime, lifetime);
    }
}

#[tokio::test]
async fn body_is_read_up_to_a_limit() {
    let padded = |length: usize| {
        let empty = json!({"access_token": "abc", "token_type": "Bearer", "pad": ""}).to_string();
        let pad = "x".repeat(length - empty.len());
        json!({"access_token": "abc", "token_type": "Bearer", "pad": pad}).to_string()
    };
    let (url, _) = endpoint(move |n, _| answer(200, &JSON, padded(BODY_MAX_BYTES + n))).await;
    let grant = Grant::new(settings(url)).unwrap();
    assert_eq!(grant.obtain().await.unwrap().token.reveal(), "abc");
    let error = grant.obtain().await.unwrap_err();
    assert!(matches!(
        error,
        TokenError::Fault(FaultError::TooLarge { .. })
    ));
}

#[test]
fn incomplete_settings_are_refused_by_name() {
    let url: EndpointUrl = "http://127.0.0.1/token".parse().unwrap();
    let full = || settings(url.clone());
    let cases = [
        (
            "client_id",
            Settings {
                client_id: String::new(),
                ..full()
            },
        ),
        (
            "client_secret",
            Settings {
                credential: Credential::Secrets(Vec::new()),
                ..full()
            },
        ),
        (
            "client_secret",
            Settings {
                credential: Credential::Secrets(vec![literal(SECRET), literal("")]),
                ..full()
            },
        ),
        (
            "client_certificate",
            Settings {
                credential: Credential::Certificate {
                    certificate: PathBuf::new(),
                    key: None,
                    algorithm: AssertionAlgorithm::Ps256,
                },
                ..full()
            },
        ),
        (
            "oauth.federated_token_file",
            Settings {
                credential: Credential::Federated {
                    token_file: PathBuf::new(),
                },
                ..full()
            },
        ),
        (
            "oauth.scope",
            Settings {
                scope: " ".to_owned(),
                ..full()
            },
        ),
        (
            "oauth.timeout",
            Settings {
                timeout: Duration::ZERO,
                ..full()
            },
        ),
    ];
    for (name, settings) in cases {
        let error = Grant::new(settings).unwrap_err();
        assert!(error.to_string().starts_with(name), "{error}");
    }
    let mut settings = settings("https://127.0.0.1/token".parse().unwrap());
    settings.ca_file = Some(PathBuf::from("/nonexistent/ca.pem"));
    assert!(matches!(Grant::new(settings), Err(SettingsError::Tls(_))));
}
