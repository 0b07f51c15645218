//! A daemon that sends for a person who has signed in: the sign-in takes effect at once, and outlives every death.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use exorelay::oauth::TokenStore;
use serde_json::{Value, json};
use support::daemon::{Daemon, exorelay, finish};
use support::within;
use tempfile::TempDir;
use tokio::sync::Notify;

/// Refresh tokens `refresh-0`, `refresh-1`, ... of which one is revoked as soon as a newer one is used.
#[derive(Clone, Default)]
struct Endpoint {
    state: Arc<Mutex<Tokens>>,
    arrived: Arc<Notify>,
}

#[derive(Default)]
struct Tokens {
    issued: usize,
    used: usize,
    refused: usize,
    /// Requests are carried out, and never answered.
    is_mute: bool,
}

impl Endpoint {
    async fn start(&self) -> String {
        let app = Router::new()
            .fallback(Self::answer)
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    async fn answer(State(endpoint): State<Self>, body: String) -> Response {
        let (response, is_mute) = {
            let mut tokens = endpoint.state.lock().unwrap();
            (tokens.exchange(&body), tokens.is_mute)
        };
        if is_mute {
            endpoint.arrived.notify_one();
            std::future::pending::<()>().await;
        }
        response
    }

    fn mute(&self, is_mute: bool) {
        self.state.lock().unwrap().is_mute = is_mute;
    }

    /// How many were issued, and how many requests were refused.
    fn counts(&self) -> (usize, usize) {
        let tokens = self.state.lock().unwrap();
        (tokens.issued, tokens.refused)
    }
}

impl Tokens {
    fn exchange(&mut self, body: &str) -> Response {
        let mut parameters = body.split('&');
        let presented = parameters.find_map(|one| one.strip_prefix("refresh_token=refresh-"));
        let presented: usize = presented.and_then(|one| one.parse().ok()).unwrap();
        if presented < self.used || presented > self.issued {
            self.refused += 1;
            let body =
                json!({"error": "invalid_grant", "error_description": "AADSTS70000: revoked"});
            return (StatusCode::BAD_REQUEST, body.to_string()).into_response();
        }
        self.used = presented;
        self.issued += 1;
        let body = json!({
            "token_type": "Bearer", "expires_in": 3600,
            "access_token": format!("access-{}", self.issued),
            "refresh_token": format!("refresh-{}", self.issued),
        });
        body.to_string().into_response()
    }
}

struct Scene {
    folder: TempDir,
    config: PathBuf,
}

impl Scene {
    fn new(token_url: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("exorelay.toml");
        let text = format!(
            "[listener.local]\naddress = \"127.0.0.1:0\"\n\
             [queue]\ndirectory = \"{0}/queue\"\n[admin]\nsocket = \"{0}/admin.sock\"\n\
             [account.default]\nmailbox = \"relay@contoso.com\"\nclient_id = \"app\"\naccess = \"delegated\"\n\
             oauth.token_url = \"{token_url}\"\n",
            folder.path().display()
        );
        std::fs::write(&config, text).unwrap();
        Self { folder, config }
    }

    fn import(&self, refresh_token: &str) {
        let mut child = exorelay(&self.config)
            .args(["token", "import", "--no-check"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(refresh_token.as_bytes()).unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success());
    }

    fn stored(&self) -> String {
        let store = TokenStore::new(&self.folder.path().join("queue"));
        let stored = store.load("default").unwrap().unwrap();
        stored.refresh_token.reveal().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_takes_effect_while_the_daemon_runs() {
    let endpoint = Endpoint::default();
    let scene = Scene::new(&endpoint.start().await);
    let mut daemon = Daemon::start(&scene.config);
    daemon.wait_for("nobody has signed in for account default: run exorelay login default");
    scene.import("refresh-0");
    daemon.wait_for("an operator had a new token asked for");
    daemon.wait_for("access token obtained");
    assert_eq!(scene.stored(), "refresh-1");
    let (code, text, _) = finish(exorelay(&scene.config).args(["status", "--json"]));
    assert_eq!(code, Some(0));
    let status: Value = serde_json::from_str(&text).unwrap();
    let sign_in = &status["accounts"][0]["token"]["sign_in"];
    assert_eq!(sign_in["origin"], "import");
    assert!(sign_in["renewed_at"].as_str() >= sign_in["obtained_at"].as_str());

    // Another person signs in: the daemon has a good token, and goes over all the same.
    scene.import("refresh-1");
    daemon.wait_for("access token obtained");
    assert_eq!(
        (scene.stored(), endpoint.counts()),
        ("refresh-2".to_owned(), (2, 0))
    );
    assert!(daemon.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_during_and_after_a_renewal_it_keeps_the_sign_in() {
    let endpoint = Endpoint::default();
    let scene = Scene::new(&endpoint.start().await);
    scene.import("refresh-0");
    for round in 1..=3 {
        // The server has made a new token, which nobody will ever learn.
        endpoint.mute(true);
        let daemon = Daemon::start(&scene.config);
        within("the request", endpoint.arrived.notified()).await;
        let before = scene.stored();
        daemon.kill();
        endpoint.mute(false);
        assert_eq!(scene.stored(), before);

        let mut daemon = Daemon::start(&scene.config);
        daemon.wait_for("access token obtained");
        let (issued, refused) = endpoint.counts();
        assert_eq!((issued, refused), (2 * round, 0));
        // On the disk before anybody can have used what came with it.
        assert_eq!(scene.stored(), format!("refresh-{issued}"));
        daemon.kill();
    }
}
