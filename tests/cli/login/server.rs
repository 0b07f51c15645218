//! A strict stand-in for the authorization server, and what a browser does with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use oauth2::url::{Url, form_urlencoded};
use oauth2::{PkceCodeChallenge, PkceCodeVerifier};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bench::{Bench, SECRET};

pub(super) const REFRESH: &str = "1.pl4nted-refresh";
pub(super) const ACCESS: &str = "pl4nted-signature";
const CODE: &str = "1.pl4nted+c0de";

type Form = HashMap<String, String>;

pub(super) struct Server {
    /// Who signs in, whatever the hint says.
    user: &'static str,
    begun: Mutex<Option<Form>>,
}

impl Server {
    /// Starts it, and makes `bench`'s account one that somebody signs in for.
    pub(super) async fn start(bench: &Bench, user: &'static str) -> Arc<Self> {
        let server = Arc::new(Self {
            user,
            begun: Mutex::default(),
        });
        let app = Router::new()
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/devicecode", post(device_code))
            .with_state(Arc::clone(&server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        bench.append(&format!(
            "access = \"delegated\"\n[account.default.oauth]\n\
             authorize_url = \"http://{address}/authorize?prompt=select_account\"\n\
             token_url = \"http://{address}/token\"\ndevice_code_url = \"http://{address}/devicecode\"\n"
        ));
        server
    }

    fn tokens(&self) -> Response {
        let claims = json!({"unique_name": self.user}).to_string();
        let claims = BASE64_URL_SAFE_NO_PAD.encode(claims);
        axum::Json(json!({
            "token_type": "Bearer", "expires_in": 3599, "refresh_token": REFRESH,
            "access_token": format!("eyJ0.{claims}.{ACCESS}"),
        }))
        .into_response()
    }
}

fn form(text: &str) -> Form {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

async fn authorize(State(server): State<Arc<Server>>, RawQuery(query): RawQuery) -> Response {
    let asked = form(&query.unwrap());
    assert_eq!(asked["prompt"], "select_account");
    assert_eq!(asked["login_hint"], "relay@contoso.com");
    assert_eq!(asked["code_challenge_method"], "S256");
    let mut target: Url = asked["redirect_uri"].parse().unwrap();
    target
        .query_pairs_mut()
        .append_pair("code", CODE)
        .append_pair("state", &asked["state"]);
    *server.begun.lock().unwrap() = Some(asked);
    (StatusCode::FOUND, [("location", target.as_str())]).into_response()
}

async fn token(State(server): State<Arc<Server>>, body: String) -> Response {
    let form = form(&body);
    assert_eq!(form["client_secret"], SECRET);
    if form["grant_type"].ends_with(":device_code") {
        assert_eq!(form["device_code"], "d3v1ce");
        return server.tokens();
    }
    assert_eq!(form["grant_type"], "authorization_code");
    let begun = server.begun.lock().unwrap().take().unwrap();
    let verifier = PkceCodeVerifier::new(form["code_verifier"].clone());
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    assert_eq!(challenge.as_str(), begun["code_challenge"]);
    assert_eq!(form["redirect_uri"], begun["redirect_uri"]);
    assert_eq!(form["code"], CODE);
    server.tokens()
}

async fn device_code(body: String) -> Response {
    assert!(form(&body)["scope"].contains("offline_access"));
    axum::Json(json!({
        "device_code": "d3v1ce", "user_code": "ABCD-EFGH", "expires_in": 900, "interval": 5,
        "verification_uri": "https://microsoft.com/devicelogin",
    }))
    .into_response()
}

/// Status, `Location` and the whole answer.
pub(super) async fn browse(url: &str) -> (u16, String, String) {
    let url: Url = url.parse().unwrap();
    let (host, port) = (url.host_str().unwrap(), url.port().unwrap());
    let target = &url[oauth2::url::Position::BeforePath..];
    let mut stream = TcpStream::connect((host, port)).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let mut lines = answer.lines();
    let location = lines.find_map(|line| line.strip_prefix("location: "));
    (status, location.unwrap_or_default().to_owned(), answer)
}
