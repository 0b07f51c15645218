//! `token import`, `token show`, `token forget`: against a token endpoint of its own, with and without a daemon.

use std::io::Write;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::bench::{Bench, SECRET, answer, ask, assert_complains, assert_exit, stderr, stdout};

const CLIENT: &str = "66666666-7777-8888-9999-000000000000";

/// Takes the latest refresh token only, and remembers what it was sent.
#[derive(Clone, Default)]
struct Endpoint {
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    async fn start() -> (Self, String) {
        let endpoint = Self::default();
        let app = Router::new()
            .fallback(async |State(endpoint): State<Self>, body: String| endpoint.answer(&body))
            .with_state(endpoint.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (endpoint, url)
    }

    fn answer(&self, body: &str) -> Response {
        let mut bodies = self.bodies.lock().unwrap();
        let number = bodies.len();
        bodies.push(body.to_owned());
        if body.contains("grant_type=client_credentials") {
            let claims = json!({
                "aud": "https://outlook.office365.com", "tid": "tenant", "appid": CLIENT, "oid": "object-id",
                "roles": ["SMTP.SendAsApp"], "appidacr": "1",
            });
            return granted(&claims, None);
        }
        if !body.contains(&format!("refresh_token=1.pl4nted-{number}&")) {
            let text = "AADSTS700082: The refresh token has expired due to inactivity.";
            let body = json!({"error": "invalid_grant", "error_description": text});
            return (StatusCode::BAD_REQUEST, body.to_string()).into_response();
        }
        let claims = json!({
            "aud": "https://outlook.office.com", "appid": CLIENT, "scp": "SMTP.Send", "upn": "Relay@contoso.com",
        });
        granted(&claims, Some(format!("1.pl4nted-{}", number + 1)))
    }

    fn requests(&self) -> usize {
        self.bodies.lock().unwrap().len()
    }
}

fn granted(claims: &Value, refresh_token: Option<String>) -> Response {
    let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    let token = format!("eyJ0pl4nted.{claims}.pl4nted");
    let mut body = json!({"token_type": "Bearer", "expires_in": 3600, "access_token": token});
    if let Some(refresh_token) = refresh_token {
        body["refresh_token"] = refresh_token.into();
    }
    body.to_string().into_response()
}

/// A command with `text` on its standard input.
async fn feed(bench: &Bench, arguments: &[&str], text: &str) -> Output {
    let mut command = bench.command(arguments);
    let text = text.to_owned();
    let fed = tokio::task::spawn_blocking(move || {
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // One that refuses before it reads may be gone already.
        let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
        child.wait_with_output().unwrap()
    });
    discreet(fed.await.unwrap())
}

/// No output of any command may hold a token.
#[track_caller]
fn discreet(output: Output) -> Output {
    for text in [stdout(&output), stderr(&output)] {
        assert!(!text.contains("pl4nted"), "{text}");
    }
    output
}

async fn json_of(bench: &Bench, arguments: &[&str]) -> Value {
    let output = discreet(ask(bench, arguments).await);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn imported_token_is_tried_stored_shown_and_forgotten() {
    let (endpoint, url) = Endpoint::start().await;
    let bench = Bench::delegated(&url);
    let output = discreet(ask(&bench, &["token", "show"]).await);
    assert_complains(
        &output,
        1,
        &["nobody has signed in for account default: run exorelay login default"],
    );

    let output = feed(&bench, &["token", "import"], " 1.pl4nted-0\r\n").await;
    assert_exit(&output, 0);
    assert_eq!(
        stdout(&output),
        "account default: refresh token stored, and it works, for Relay@contoso.com\n\
         no daemon runs; the next one uses it\n"
    );
    let stored = std::fs::read_to_string(bench.sign_in_file()).unwrap();
    assert!(stored.contains("1.pl4nted-1"), "what came of the one try");

    let output = discreet(ask(&bench, &["token", "show"]).await);
    assert_exit(&output, 0);
    let page = stdout(&output);
    for line in [
        "Account     default (relay@contoso.com), delegated\n",
        "Signed in   as Relay@contoso.com elsewhere, imported ",
        "Renewed     ",
        &format!("For         the application {CLIENT}\n"),
        "Token       obtained just now, good for 59m (until ",
        "Audience    https://outlook.office.com\n",
        "Scopes      SMTP.Send\n",
    ] {
        assert!(
            page.contains(line) || page.contains(&line.replace("59m", "1h")),
            "{line} in {page}"
        );
    }
    let shown = json_of(&bench, &["token", "show", "--json"]).await;
    assert_eq!(shown["sign_in"]["origin"], "import");
    assert_eq!(shown["sign_in"]["user"], "Relay@contoso.com");
    assert_eq!(shown["token"]["scopes"], json!(["SMTP.Send"]));
    assert_eq!(shown["error"], Value::Null);
    // Each look has renewed the sign-in, and stored it.
    assert_eq!(endpoint.requests(), 3);
    let stored = std::fs::read_to_string(bench.sign_in_file()).unwrap();
    assert!(stored.contains("1.pl4nted-3"));

    let output = ask(&bench, &["token", "forget"]).await;
    assert_complains(&output, 2, &["no terminal", "--yes"]);
    let output = ask(&bench, &["token", "forget", "default", "--yes"]).await;
    assert_eq!(stdout(&output), "account default: sign-in forgotten\n");
    assert!(!bench.sign_in_file().exists());
    let output = ask(&bench, &["token", "forget", "--yes"]).await;
    assert_complains(&output, 1, &["nothing to forget"]);
}

#[tokio::test]
async fn token_that_does_not_work_is_not_stored() {
    let (endpoint, url) = Endpoint::start().await;
    let bench = Bench::delegated(&url);
    let output = feed(&bench, &["token", "import"], "1.of-last-year").await;
    assert_complains(
        &output,
        69,
        &[
            "nothing was stored",
            "AADSTS700082",
            "exorelay login default",
        ],
    );
    for text in ["", "{\"refresh_token\": 1}", "eyJ0pl4nted.e30.pl4nted"] {
        let output = feed(&bench, &["token", "import", "--no-check"], text).await;
        assert_exit(&output, 1);
        assert_eq!(stderr(&output).lines().count(), 1, "{output:?}");
    }
    assert!(!bench.sign_in_file().exists());
    assert_eq!(endpoint.requests(), 1);

    let output = feed(&bench, &["token", "import", "--no-check"], "1.pl4nted-1").await;
    assert_exit(&output, 0);
    assert!(stdout(&output).starts_with("account default: refresh token stored, untried\n"));
    let shown = json_of(&bench, &["token", "show", "--json"]).await;
    assert_eq!(shown["token"]["audience"], "https://outlook.office.com");
    // Nothing says who it was of.
    assert_eq!(shown["sign_in"]["user"], Value::Null);
}

#[tokio::test]
async fn key_seals_what_is_stored_and_is_needed_again() {
    let (_, url) = Endpoint::start().await;
    let bench = Bench::delegated(&url);
    let key = bench.config().with_file_name("token-key");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    let section = format!("[token_store]\nkey = {{ file = \"{}\" }}\n", key.display());
    bench.append(&section);
    let output = feed(&bench, &["token", "import"], "1.pl4nted-0").await;
    assert_exit(&output, 0);
    let stored = std::fs::read_to_string(bench.sign_in_file()).unwrap();
    assert!(
        !stored.contains("pl4nted") && !stored.contains("contoso"),
        "{stored}"
    );
    let shown = json_of(&bench, &["token", "show", "--json"]).await;
    assert_eq!(shown["sign_in"]["user"], "Relay@contoso.com");

    std::fs::write(&key, "fedcba9876543210fedcba9876543210\n").unwrap();
    let output = ask(&bench, &["token", "show"]).await;
    assert_complains(&output, 1, &["cannot be decrypted with token_store.key"]);
    std::fs::write(&key, "short\n").unwrap();
    let output = ask(&bench, &["token", "show"]).await;
    assert_complains(
        &output,
        1,
        &["token_store.key: has 5 characters", "openssl rand"],
    );
    let output = ask(&bench, &["config", "check"]).await;
    assert_exit(&output, 78);
    assert!(
        stderr(&output).contains("token_store.key: has 5 characters"),
        "{output:?}"
    );
    std::fs::remove_file(&key).unwrap();
    let output = ask(&bench, &["token", "show"]).await;
    assert_complains(
        &output,
        1,
        &["token_store.key: cannot read the secret file"],
    );
}

#[tokio::test]
async fn daemon_is_told_of_a_new_sign_in() {
    let (_, url) = Endpoint::start().await;
    let bench = Bench::delegated(&url);
    bench.append(
        "[account.other]\nmailbox = \"x@contoso.com\"\nclient_id = \"x\"\naccess = \"delegated\"\n",
    );
    let queue = bench.queue();
    let stop = answer(&bench, &queue).await;
    let output = feed(&bench, &["token", "import"], "1.pl4nted-0").await;
    assert!(
        stdout(&output).contains("the daemon goes over to it now"),
        "{output:?}"
    );
    let arguments = ["token", "import", "other", "--no-check"];
    let output = feed(&bench, &arguments, "1.pl4nted").await;
    assert!(
        stdout(&output).contains("does not have this account yet"),
        "{output:?}"
    );
    let output = ask(&bench, &["token", "forget", "--yes"]).await;
    assert!(
        stdout(&output).contains("until its access token expires"),
        "{output:?}"
    );
    stop.cancel();
}

#[tokio::test]
async fn application_shows_its_claims_and_signs_nobody_in() {
    let (_, url) = Endpoint::start().await;
    let bench = Bench::new();
    bench.append(&format!("oauth.token_url = \"{url}\"\n"));
    let output = discreet(ask(&bench, &["token", "show"]).await);
    assert_exit(&output, 0);
    for line in [
        &format!("Application {CLIENT}, with a secret\n"),
        "Object id   object-id (of the enterprise application: the ObjectId for New-ServicePrincipal)\n",
        "Roles       SMTP.SendAsApp\n",
    ] {
        assert!(stdout(&output).contains(line), "{line} in {output:?}");
    }
    assert!(!stdout(&output).contains(SECRET));
    let shown = json_of(&bench, &["token", "show", "--json"]).await;
    assert_eq!(shown["token"]["object_id"], "object-id");
    assert_eq!(shown["sign_in"], Value::Null);

    for command in [&["token", "import"][..], &["token", "forget", "--yes"]] {
        let output = feed(&bench, command, "1.pl4nted").await;
        assert_complains(&output, 78, &["access = \"application\"", "\"delegated\""]);
    }
}

#[test]
fn account_that_is_not_there_is_told_which_are() {
    let bench = Bench::new();
    bench.append(
        "[account.other]\nmailbox = \"x@contoso.com\"\nclient_id = \"x\"\naccess = \"delegated\"\n",
    );
    for command in ["import", "show", "forget"] {
        let output = bench.exorelay(&["token", command, "nobody"]);
        assert_complains(&output, 2, &["[account.nobody]", "default, other"]);
    }
}

#[tokio::test]
async fn endpoint_that_is_away_is_another_matter_than_a_wrong_token() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    drop(listener);
    let bench = Bench::delegated(&url);
    let output = feed(&bench, &["token", "import"], "1.pl4nted-0").await;
    assert_complains(
        &output,
        69,
        &["nothing was stored", "cannot reach 127.0.0.1"],
    );
    let arguments = ["token", "import", "--no-check"];
    assert_exit(&feed(&bench, &arguments, "1.pl4nted-0").await, 0);
    let shown = discreet(ask(&bench, &["token", "show", "--json"]).await);
    assert_exit(&shown, 69);
    let page: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(page["token"], Value::Null);
    assert!(page["error"].as_str().unwrap().contains("cannot reach"));
    assert_eq!(page["sign_in"]["origin"], "import");
}
