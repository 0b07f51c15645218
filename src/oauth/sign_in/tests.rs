//! Against a strict stand-in for an authorization server, the browser played by hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use oauth2::{PkceCodeChallenge, PkceCodeVerifier};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::oauth::settings::{Credential, Way};
use crate::secret::SecretSource;

mod device;
mod flow;
mod loopback;

const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
const SECRET: &str = "pl4nted~S8Q+/.x";
const REFRESH: &str = "1.pl4nted-refresh";

type Form = HashMap<String, String>;

/// What the authorization server is like, and what it has seen.
#[derive(Debug, Default)]
struct Server {
    /// None: a public client, which must not send one.
    secret: Option<&'static str>,
    /// Left out of the answer, as without `offline_access`.
    no_refresh_token: bool,
    /// An opaque access token, as of a personal account.
    opaque: bool,
    id_token: Option<String>,
    begun: Mutex<Option<Form>>,
    codes: Mutex<Vec<Form>>,
    /// Answers of the token endpoint to a device, in turn; then a token.
    device_answers: Mutex<Vec<(u16, Value)>>,
}

impl Server {
    /// Its address.
    async fn start(self) -> (Arc<Self>, String) {
        let server = Arc::new(self);
        let app = Router::new()
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/devicecode", post(device_code))
            .with_state(Arc::clone(&server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, app).await });
        (server, address)
    }

    fn refuse(&self, form: &Form) -> Option<Response> {
        assert_eq!(form["client_id"], CLIENT);
        match (self.secret, form.get("client_secret").map(String::as_str)) {
            (None, None) => None,
            (Some(expected), Some(given)) if expected == given => None,
            (Some(_), Some(_)) => Some(refusal(401, "invalid_client", 7_000_215)),
            (Some(_), None) => Some(refusal(401, "invalid_client", 7_000_218)),
            (None, Some(_)) => Some(refusal(401, "invalid_client", 700_025)),
        }
    }

    fn tokens(&self, user: &str) -> Response {
        let access_token = if self.opaque {
            "EwBwA8l6BAAUO".to_owned()
        } else {
            jwt(&json!({"unique_name": user, "aud": "https://outlook.office.com"}))
        };
        let mut body = json!({
            "token_type": "Bearer", "expires_in": 3599, "access_token": access_token,
            "scope": "https://outlook.office.com/SMTP.Send",
        });
        if !self.no_refresh_token {
            body["refresh_token"] = REFRESH.into();
        }
        if let Some(id_token) = &self.id_token {
            body["id_token"] = id_token.as_str().into();
        }
        axum::Json(body).into_response()
    }
}

/// RFC 6749 section 3.1: a parameter must not be given twice.
fn form(text: &str) -> Form {
    let mut form = Form::new();
    for (name, value) in oauth2::url::form_urlencoded::parse(text.as_bytes()) {
        let before = form.insert(name.clone().into_owned(), value.into_owned());
        assert_eq!(before, None, "{name} twice");
    }
    form
}

fn jwt(claims: &Value) -> String {
    let payload = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("eyJ0.{payload}.c2ln")
}

fn refusal(status: u16, error: &str, number: u32) -> Response {
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{number}: Some text.\r\nTrace ID: t-1"),
        "error_codes": [number],
    });
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

/// Signs in whom `login_hint` names, and sends the browser back.
async fn authorize(State(server): State<Arc<Server>>, RawQuery(query): RawQuery) -> Response {
    let asked = form(&query.unwrap());
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["client_id"], CLIENT);
    assert_eq!(asked["code_challenge_method"], "S256");
    assert!(!asked["state"].is_empty() && !asked["scope"].is_empty());
    let mut target: oauth2::url::Url = asked["redirect_uri"].parse().unwrap();
    target
        .query_pairs_mut()
        .append_pair("code", "1.AX+/c0de")
        .append_pair("state", &asked["state"])
        .append_pair("session_state", "x");
    *server.begun.lock().unwrap() = Some(asked);
    (StatusCode::FOUND, [("location", target.as_str())]).into_response()
}

async fn token(State(server): State<Arc<Server>>, body: String) -> Response {
    let form = form(&body);
    if let Some(refusal) = server.refuse(&form) {
        return refusal;
    }
    if form["grant_type"] == "urn:ietf:params:oauth:grant-type:device_code" {
        assert_eq!(form["device_code"], "d3v1ce");
        let mut answers = server.device_answers.lock().unwrap();
        if answers.is_empty() {
            return server.tokens("relay@contoso.com");
        }
        let (status, body) = answers.remove(0);
        return (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response();
    }
    assert_eq!(form["grant_type"], "authorization_code");
    let mut codes = server.codes.lock().unwrap();
    codes.push(form.clone());
    let Some(begun) = server.begun.lock().unwrap().take() else {
        return refusal(400, "invalid_grant", 54_005);
    };
    let verifier = PkceCodeVerifier::new(form["code_verifier"].clone());
    if PkceCodeChallenge::from_code_verifier_sha256(&verifier).as_str() != begun["code_challenge"] {
        return refusal(400, "invalid_grant", 501_481);
    }
    if form["redirect_uri"] != begun["redirect_uri"] {
        return refusal(400, "invalid_request", 50_011);
    }
    if form["code"] != "1.AX+/c0de" {
        return refusal(400, "invalid_grant", 70_000);
    }
    server.tokens(&begun["login_hint"])
}

async fn device_code(State(_): State<Arc<Server>>, body: String) -> Response {
    let form = form(&body);
    assert_eq!(form["client_id"], CLIENT);
    assert!(form["scope"].contains("offline_access"));
    axum::Json(json!({
        "device_code": "d3v1ce", "user_code": "ABCD-EFGH",
        "verification_uri": "https://microsoft.com/devicelogin",
        "expires_in": 900, "interval": 5, "message": "To sign in ...",
    }))
    .into_response()
}

fn settings(address: &str, redirect_uri: &str) -> SignInSettings {
    SignInSettings {
        application: Settings {
            token_url: format!("http://{address}/token").parse().unwrap(),
            client_id: CLIENT.to_owned(),
            credential: Credential::None,
            way: Way::ClientCredentials,
            scope: "https://outlook.office.com/SMTP.Send offline_access".to_owned(),
            timeout: Duration::from_mins(1),
            ca_file: None,
            proxy: None,
        },
        authorize_url: AuthUrl::new(format!("http://{address}/authorize")).unwrap(),
        device_code_url: format!("http://{address}/devicecode").parse().unwrap(),
        redirect_uri: RedirectUrl::new(redirect_uri.to_owned()).unwrap(),
        login_hint: "relay@contoso.com".to_owned(),
        parameters: &[],
    }
}

fn secrets(texts: &[&str]) -> Credential {
    let literal = |text: &&str| SecretSource::Literal(Secret::new(*text));
    Credential::Secrets(texts.iter().map(literal).collect())
}

/// What a browser does with an address: status, the `Location` if there is one, and the whole answer.
async fn browse(url: &str) -> (u16, Option<String>, String) {
    let url: oauth2::url::Url = url.parse().unwrap();
    let host = url.host_str().unwrap();
    let port = url.port_or_known_default().unwrap();
    let mut target = url.path().to_owned();
    if let Some(query) = url.query() {
        target = format!("{target}?{query}");
    }
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
    exchange((host, port), request.as_bytes()).await
}

async fn exchange(
    address: impl tokio::net::ToSocketAddrs,
    request: &[u8],
) -> (u16, Option<String>, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let location = answer
        .lines()
        .find_map(|line| line.strip_prefix("location: "))
        .map(str::to_owned);
    (status, location, answer)
}
