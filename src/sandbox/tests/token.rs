//! The token endpoint's answers.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

use super::support::start;
use crate::sandbox::{Sandbox, TokenFault};

pub(super) fn http() -> reqwest::Client {
    // Even for plain http the client wants a TLS provider; a second installation is refused, which is as good.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for octet in text.bytes() {
        write!(encoded, "%{octet:02X}").unwrap();
    }
    encoded
}

/// A form with one field replaced, or left out when `value` is empty.
fn form(sandbox: &Sandbox, name: &str, value: &str) -> String {
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", sandbox.client_id()),
        ("client_secret", sandbox.client_secret().reveal()),
        ("scope", "https://outlook.office365.com/.default"),
    ];
    let pairs: Vec<String> = fields
        .into_iter()
        .map(|(known, original)| (known, if known == name { value } else { original }))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    pairs.join("&")
}

pub(super) async fn post(url: &str, body: String) -> reqwest::Result<reqwest::Response> {
    let request = http()
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded");
    request.body(body).send().await
}

pub(super) async fn json(response: reqwest::Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_right_request_gets_a_token_that_smtp_takes() {
    let (sandbox, _folder) =
        start(|settings| settings.token_lifetime = Duration::from_secs(4_321)).await;
    let response = post(&sandbox.token_url(), form(&sandbox, "", ""))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["content-type"],
        "application/json; charset=utf-8"
    );
    let body = json(response).await;
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 4_321);
    assert_eq!(body["ext_expires_in"], 4_321);
    let token = body["access_token"].as_str().unwrap();
    let mut client = super::support::Client::secured(&sandbox).await;
    let response = super::support::xoauth2("any@contoso.com", token);
    client
        .ask(&format!("AUTH XOAUTH2 {response}"), "235 2.7.0")
        .await;
    let stats = sandbox.control().stats();
    assert_eq!((stats.token_requests, stats.tokens_issued), (1, 1));
    assert_eq!(stats.token_requests_by_grant.client_credentials, 1);

    let basic = format!(
        "{}:{}",
        encode(sandbox.client_id()),
        encode(sandbox.client_secret().reveal())
    );
    let basic = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, basic);
    let response = http()
        .post(sandbox.token_url())
        .header("authorization", format!("Basic {basic}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("grant_type=client_credentials&scope=https://outlook.office365.com/.default")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn wrong_requests_are_answered_in_microsofts_shape() {
    let (sandbox, _folder) = start(|_| {}).await;
    for (field, value, status, error, code) in [
        ("grant_type", "", 400, "invalid_request", 900_144),
        (
            "grant_type",
            "password",
            400,
            "unsupported_grant_type",
            70_003,
        ),
        ("client_id", "", 400, "invalid_request", 900_144),
        ("client_id", "another", 400, "unauthorized_client", 700_016),
        ("client_secret", "", 401, "invalid_client", 7_000_218),
        ("client_secret", "wrong", 401, "invalid_client", 7_000_215),
        ("scope", "", 400, "invalid_request", 900_144),
        (
            "scope",
            "https://outlook.office.com/SMTP.Send",
            400,
            "invalid_scope",
            70_011,
        ),
        (
            "scope",
            "https://elsewhere.example/.default",
            400,
            "invalid_resource",
            500_011,
        ),
    ] {
        let response = post(&sandbox.token_url(), form(&sandbox, field, value))
            .await
            .unwrap();
        assert_eq!(response.status(), status, "{field}={value}");
        let body = json(response).await;
        assert_eq!(body["error"], error, "{field}={value}");
        assert_eq!(body["error_codes"][0], code, "{field}={value}");
        let description = body["error_description"].as_str().unwrap();
        assert!(
            description.starts_with(&format!("AADSTS{code}: ")),
            "{description}"
        );
        let ending = format!(
            " Trace ID: {} Correlation ID: {} Timestamp: {}",
            body["trace_id"].as_str().unwrap(),
            body["correlation_id"].as_str().unwrap(),
            body["timestamp"].as_str().unwrap()
        );
        assert!(description.ends_with(&ending), "{description}");
        assert_eq!(
            body["error_uri"],
            format!("https://login.microsoftonline.com/error?code={code}")
        );
    }
    let form = form(&sandbox, "", "");
    for (tenant, code) in [
        ("common", 9_001_023),
        ("organizations", 9_001_023),
        ("not_a_tenant", 900_023),
        ("contoso.com", 90_002),
        ("6f1b7a52-5a9d-4c55-9a3e-0f0c5e1d2b78", 90_002),
    ] {
        let url = format!(
            "http://{}/{tenant}/oauth2/v2.0/token",
            sandbox.http_address()
        );
        let response = post(&url, form.clone()).await.unwrap();
        assert_eq!(response.status(), 400);
        assert_eq!(json(response).await["error_codes"][0], code, "{tenant}");
    }
    let malformed = post(&sandbox.token_url(), format!("{form}&scope=twice"))
        .await
        .unwrap();
    assert_eq!(json(malformed).await["error_codes"][0], 9_002_313);
    let no_form = http()
        .post(sandbox.token_url())
        .body(form)
        .send()
        .await
        .unwrap();
    assert_eq!(json(no_form).await["error_codes"][0], 900_144);
    let get = http().get(sandbox.token_url()).send().await.unwrap();
    assert_eq!(
        (
            get.status().as_u16(),
            json(get).await["error_codes"][0].as_u64()
        ),
        (400, Some(900_561))
    );
    assert_eq!(sandbox.control().stats().tokens_issued, 0);
}

#[tokio::test]
async fn the_endpoint_fails_as_ordered_and_recovers() {
    let (sandbox, _folder) = start(|_| {}).await;
    let url = sandbox.token_url();
    let ask = || post(&url, form(&sandbox, "", ""));
    let order = |fault| sandbox.control().token_fault(Some(fault), Some(1));

    order(TokenFault::Off);
    assert_eq!(ask().await.unwrap().status(), 503);
    order(TokenFault::Cut);
    // Whether the headers come through is up to the HTTP library; the whole answer never does.
    let whole = async { ask().await?.bytes().await };
    assert!(whole.await.is_err());
    order(TokenFault::RefuseSecret);
    let refused = ask().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(json(refused).await["error_codes"][0], 7_000_215);
    order(TokenFault::Throttle {
        retry_after: Some(7),
    });
    let throttled = ask().await.unwrap();
    assert_eq!(
        (
            throttled.status().as_u16(),
            &throttled.headers()["retry-after"]
        ),
        (429, &"7".parse().unwrap())
    );
    order(TokenFault::Html);
    let page = ask().await.unwrap();
    assert_eq!(
        (page.status().as_u16(), &page.headers()["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    order(TokenFault::Garbage);
    let garbage = ask().await.unwrap().bytes().await.unwrap();
    assert!(serde_json::from_slice::<Value>(&garbage).is_err());
    order(TokenFault::Slow(Duration::from_millis(30)));
    let before = std::time::Instant::now();
    assert_eq!(ask().await.unwrap().status(), 200);
    assert!(before.elapsed() >= Duration::from_millis(30));
    assert_eq!(ask().await.unwrap().status(), 200);
}
