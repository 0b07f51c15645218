//! Real HTTP against stand-ins on loopback for what Azure gives its machines.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use oauth2::http::StatusCode;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::oauth::error::{FaultError, OperatorError, RetryError};
use crate::oauth::grant::{Obtain, ObtainFuture};
use crate::oauth::settings::{Credential, Way};
use crate::oauth::status::Refusal;
use crate::oauth::{TokenSource, TokenStatus};
use crate::secret::Secret;

mod arc;
mod refusals;

const TOKEN: &str = "eyJ0.pl4nted-token.x-_~";
const HEADER: &str = "pl4nted-h3ader";
const VM: &str = "/metadata/identity/oauth2/token";
const APP: &str = "/msi/token";

/// `GET /path?query` and the headers of one request.
#[derive(Clone, Debug)]
struct Asked {
    line: String,
    headers: Vec<(String, String)>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

type Seen = Arc<Mutex<Vec<Asked>>>;
type Handler = Arc<dyn Fn(usize, &Asked) -> Response + Send + Sync>;

/// Answers request `n` (from 0) with what `handler` makes of it.
async fn platform<H>(path: &str, handler: H) -> (EndpointUrl, Seen)
where
    H: Fn(usize, &Asked) -> Response + Send + Sync + 'static,
{
    async fn answer(State((handler, seen)): State<(Handler, Seen)>, request: Request) -> Response {
        let headers = request.headers().iter();
        let asked = Asked {
            line: format!("{} {}", request.method(), request.uri()),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
        };
        let number = seen.lock().unwrap().len();
        let response = handler(number, &asked);
        seen.lock().unwrap().push(asked);
        response
    }

    let seen = Seen::default();
    let handler: Handler = Arc::new(handler);
    let app = Router::new()
        .fallback(answer)
        .with_state((handler, Arc::clone(&seen)));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}{path}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (EndpointUrl::of_platform(&url).unwrap(), seen)
}

fn settings() -> oauth::Settings {
    oauth::Settings {
        token_url: "https://login.invalid/token".parse().unwrap(),
        client_id: String::new(),
        credential: Credential::None,
        way: Way::ManagedIdentity(Settings::default()),
        scope: "https://outlook.office365.com/.default".to_owned(),
        timeout: Duration::from_mins(1),
        ca_file: None,
        proxy: None,
    }
}

/// In the environment of App Service, which only an endpoint of its form looks at.
fn managed(settings: &oauth::Settings, endpoint: &EndpointUrl) -> Managed {
    let way = Settings {
        endpoint: Some(endpoint.clone()),
    };
    let environment = Environment {
        header: Some(Secret::new(HEADER)),
        ..Environment::default()
    };
    Managed::on(settings, &way, environment).unwrap()
}

async fn obtain(endpoint: &EndpointUrl) -> Result<Granted, TokenError> {
    managed(&settings(), endpoint).obtain().await
}

fn answer(status: u16, headers: &[(&'static str, &str)], body: impl Into<String>) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    let mut response = (status, body.into()).into_response();
    response.headers_mut().remove("content-type");
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

fn token_response() -> Response {
    let body = json!({
        "access_token": TOKEN, "token_type": "Bearer", "resource": "https://outlook.office365.com",
        "expires_on": (Timestamp::now().as_second() + 86_399).to_string(),
    });
    answer(200, &[], body.to_string())
}

#[tokio::test]
async fn a_vm_is_asked_with_metadata_and_resource() {
    let (url, seen) = platform(VM, |_, _| token_response()).await;
    let granted = obtain(&url).await.unwrap();
    assert_eq!(granted.token.reveal(), TOKEN);

    let mut chosen = settings();
    chosen.client_id = "11111111-2222-3333-4444-555555555555".to_owned();
    managed(&chosen, &url).obtain().await.unwrap();

    let seen = seen.lock().unwrap();
    let line =
        format!("GET {VM}?api-version=2018-02-01&resource=https%3A%2F%2Foutlook.office365.com");
    assert_eq!(seen[0].line, line);
    assert_eq!(
        seen[1].line,
        format!("{line}&client_id=11111111-2222-3333-4444-555555555555")
    );
    assert_eq!(seen[0].header("metadata"), Some("true"));
    for foreign in ["authorization", "x-identity-header", "x-forwarded-for"] {
        assert_eq!(seen[0].header(foreign), None, "{foreign}");
    }
}

#[tokio::test]
async fn an_app_is_asked_with_its_header() {
    let (url, seen) = platform(APP, |_, _| token_response()).await;
    let managed = managed(&settings(), &url);
    assert_eq!(managed.obtain().await.unwrap().token.reveal(), TOKEN);
    let seen = seen.lock().unwrap();
    assert_eq!(
        seen[0].line,
        format!("GET {APP}?api-version=2019-08-01&resource=https%3A%2F%2Foutlook.office365.com")
    );
    assert_eq!(seen[0].header("x-identity-header"), Some(HEADER));
    assert_eq!(seen[0].header("metadata"), None);
    assert!(!format!("{managed:?}").contains(HEADER));
}

#[tokio::test]
async fn lifetime_is_what_is_left_of_a_token_kept_by_the_platform() {
    // Noon, by the server's clock; ours is elsewhere.
    let date = "Fri, 20 Nov 2026 12:00:00 GMT";
    let noon = "2026-11-20T12:00:00Z"
        .parse::<Timestamp>()
        .unwrap()
        .as_second();
    for (expires_in, expires_on, lifetime_s) in [
        (json!("86399"), json!((noon + 600).to_string()), 600),
        (json!(86_399), json!(noon + 600), 600),
        (json!("86399"), json!(null), 86_399),
        (json!(3_599), json!("11/20/2026 1:00:00 PM +00:00"), 3_599),
        (json!(null), json!(null), 3_600),
    ] {
        let body = json!({
            "access_token": TOKEN, "token_type": "bearer", "expires_in": expires_in, "expires_on": expires_on,
        });
        let (url, _) = platform(VM, move |_, _| {
            answer(200, &[("date", date)], body.to_string())
        })
        .await;
        let granted = obtain(&url).await.unwrap();
        assert_eq!(
            granted.lifetime,
            Duration::from_secs(lifetime_s),
            "{expires_on}"
        );
    }
    for expires_on in [noon, noon - 60, i64::MIN] {
        let body = json!({"access_token": TOKEN, "expires_in": "86399", "expires_on": expires_on});
        let (url, _) = platform(VM, move |_, _| {
            answer(200, &[("date", date)], body.to_string())
        })
        .await;
        let error = obtain(&url).await.unwrap_err();
        assert!(matches!(
            error,
            TokenError::Fault(FaultError::Unusable { .. })
        ));
        assert!(error.to_string().contains("expired"), "{error}");
    }
}

#[test]
fn resource_is_the_scope_without_its_default() {
    for (scope, expected) in [
        (
            "https://outlook.office365.com/.default",
            "https://outlook.office365.com",
        ),
        (
            "https://outlook.office365.com//.default",
            "https://outlook.office365.com/",
        ),
        (
            " https://outlook.office365.us/ ",
            "https://outlook.office365.us/",
        ),
        (
            "00000002-0000-0ff1-ce00-000000000000",
            "00000002-0000-0ff1-ce00-000000000000",
        ),
    ] {
        assert_eq!(resource(scope), expected);
    }
}

#[tokio::test]
async fn no_proxy_is_asked() {
    let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut settings = settings();
    settings.proxy = Some(
        format!("http://{}", proxy.local_addr().unwrap())
            .parse()
            .unwrap(),
    );
    settings.timeout = Duration::from_millis(50);
    // RFC 5737: nobody's. The path is a VM's.
    let url = EndpointUrl::of_platform(&format!("https://192.0.2.1{VM}")).unwrap();
    let managed = managed(&settings, &url);
    let asked = tokio::select! {
        outcome = managed.obtain() => outcome.is_ok(),
        _ = proxy.accept() => true,
    };
    assert!(!asked);
}

/// The platform keeps its token, so that a renewal brings what was refused; that must not become a loop.
#[tokio::test]
async fn a_refused_token_that_comes_again_is_asked_for_once() {
    struct Way(Managed);
    impl Obtain for Way {
        fn obtain(&self) -> ObtainFuture<'_> {
            Box::pin(self.0.obtain())
        }
    }

    let (url, seen) = platform(VM, |_, _| token_response()).await;
    let source = TokenSource::with_grant(Box::new(Way(managed(&settings(), &url))));
    let shutdown = CancellationToken::new();
    let task = tokio::spawn({
        let (source, shutdown) = (source.clone(), shutdown.clone());
        async move { source.run(shutdown).await }
    });
    let first = source.token().await.unwrap();
    assert_eq!(source.refused(&first), Refusal::Renewing);
    let second = source.token().await.unwrap();
    assert_eq!(second.secret(), first.secret());
    assert_eq!(source.refused(&first), Refusal::Superseded);
    for _ in 0..100 {
        assert_eq!(source.refused(&second), Refusal::TooSoon);
        assert_eq!(source.token().await.unwrap().serial(), second.serial());
    }
    assert!(matches!(
        *source.status().borrow(),
        TokenStatus::Valid { .. }
    ));
    shutdown.cancel();
    task.await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 2);
}
