//! The managed identities of Azure's machines.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::support::{Client, start, violations, xoauth2};
use super::token::http;
use crate::sandbox::Sandbox;

const RESOURCE: &str = "resource=https%3A%2F%2Foutlook.office365.com";

/// Status, body, and the file that a challenge names.
async fn get(url: &str, headers: &[(&str, &str)]) -> (u16, Value, Option<String>) {
    let mut request = http().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let challenge = response.headers().get("www-authenticate");
    let file = challenge.map(|value| {
        let file = value.to_str().unwrap().strip_prefix("Basic realm=");
        file.unwrap().to_owned()
    });
    let body = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    (status, body, file)
}

fn vm(sandbox: &Sandbox, more: &str) -> String {
    format!(
        "{}?api-version=2018-02-01&{RESOURCE}{more}",
        sandbox.metadata_url()
    )
}

fn arc(sandbox: &Sandbox) -> String {
    format!(
        "{}?api-version=2020-06-01&{RESOURCE}",
        sandbox.metadata_url()
    )
}

const METADATA: (&str, &str) = ("metadata", "true");

#[tokio::test]
async fn a_vm_gets_a_token_that_smtp_takes_and_gets_it_again() {
    let (sandbox, _folder) =
        start(|settings| settings.token_lifetime = Duration::from_secs(4_321)).await;
    let (status, body, _) = get(&vm(&sandbox, ""), &[METADATA]).await;
    assert_eq!(status, 200);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], "4321");
    let number = |key: &str| body[key].as_str().unwrap().parse::<i64>().unwrap();
    assert_eq!(number("expires_on") - number("not_before"), 4_321);
    let token = body["access_token"].as_str().unwrap();
    let mut client = Client::secured(&sandbox).await;
    let response = xoauth2("any@contoso.com", token);
    client
        .ask(&format!("AUTH XOAUTH2 {response}"), "235 2.7.0")
        .await;

    sandbox.control().revoke_tokens();
    let chosen = vm(&sandbox, &format!("%2F&client_id={}", sandbox.client_id()));
    let (_, again, _) = get(&chosen, &[METADATA]).await;
    assert_eq!(again["access_token"], body["access_token"]);
    assert_eq!(again["expires_on"], body["expires_on"]);
    let mut client = Client::secured(&sandbox).await;
    client
        .ask(&format!("AUTH XOAUTH2 {response}"), "535 ")
        .await;
    let counted = sandbox.control().stats();
    assert_eq!((counted.token_requests, counted.tokens_issued), (2, 1));
    assert_eq!(violations(&sandbox), Vec::<String>::new());
}

#[tokio::test]
async fn an_expired_token_is_replaced() {
    let (sandbox, _folder) = start(|settings| settings.token_lifetime = Duration::ZERO).await;
    let (_, first, _) = get(&vm(&sandbox, ""), &[METADATA]).await;
    let (_, second, _) = get(&vm(&sandbox, ""), &[METADATA]).await;
    assert_ne!(first["access_token"], second["access_token"]);
}

#[tokio::test]
async fn a_vm_is_strict() {
    let (sandbox, _folder) = start(|_| {}).await;
    let base = sandbox.metadata_url();
    let good = vm(&sandbox, "");
    for (url, headers, error) in [
        (good.clone(), vec![], "bad_request_102"),
        (good.clone(), vec![("metadata", "True")], "bad_request_102"),
        (
            good.clone(),
            vec![METADATA, ("x-forwarded-for", "10.0.0.1")],
            "invalid_request",
        ),
        (
            format!("{good}&{RESOURCE}"),
            vec![METADATA],
            "invalid_request",
        ),
        (format!("{good}&scope=x"), vec![METADATA], "invalid_request"),
        (
            format!("{base}?{RESOURCE}"),
            vec![METADATA],
            "invalid_request",
        ),
        (
            format!("{base}?api-version=2018-02-01"),
            vec![METADATA],
            "invalid_request",
        ),
        (
            format!("{base}?api-version=2019-08-01&{RESOURCE}"),
            vec![METADATA],
            "invalid_request",
        ),
        (
            vm(&sandbox, "%2F.default"),
            vec![METADATA],
            "invalid_resource",
        ),
        (base.clone(), vec![METADATA], "invalid_request"),
    ] {
        let before = violations(&sandbox).len();
        let (status, body, _) = get(&url, &headers).await;
        assert_eq!(
            (status, &body["error"]),
            (400, &error.into()),
            "{url} {headers:?}"
        );
        assert_eq!(violations(&sandbox).len(), before + 1, "{url} {headers:?}");
    }
    let before = violations(&sandbox).len();
    let (status, body, _) = get(&vm(&sandbox, "&client_id=another"), &[METADATA]).await;
    assert_eq!(status, 400);
    assert_eq!(body["error_description"], "Identity not found");
    assert_eq!(violations(&sandbox).len(), before);
    assert_eq!(sandbox.control().stats().tokens_issued, 0);
}

#[tokio::test]
async fn an_app_gets_a_token_for_its_header() {
    let (sandbox, _folder) = start(|_| {}).await;
    let base = sandbox.app_service_url();
    let good = format!("{base}?api-version=2019-08-01&{RESOURCE}");
    let header = [("x-identity-header", sandbox.identity_header().reveal())];
    let (status, body, _) = get(&good, &header).await;
    assert_eq!(status, 200);
    assert!(body["expires_on"].as_str().unwrap().parse::<i64>().is_ok());
    assert_eq!(body["expires_in"], Value::Null);
    assert_eq!(violations(&sandbox), Vec::<String>::new());

    let other = format!("{good}&client_id=another");
    let (status, body, _) = get(&other, &header).await;
    assert_eq!(status, 400);
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .starts_with("No Managed Identity found")
    );
    for (url, headers, expected) in [
        (good.clone(), &[][..], 401),
        (good.clone(), &[("x-identity-header", "wrong")], 401),
        (
            format!("{base}?api-version=2018-02-01&{RESOURCE}"),
            &header,
            400,
        ),
    ] {
        let (status, body, _) = get(&url, headers).await;
        assert_eq!(
            (status, &body["statusCode"]),
            (expected, &expected.into()),
            "{url}"
        );
    }
    assert_eq!(violations(&sandbox).len(), 3);
}

#[tokio::test]
async fn arc_wants_to_be_told_a_key() {
    let (sandbox, folder) = start(|_| {}).await;
    let (status, body, file) = get(&arc(&sandbox), &[METADATA]).await;
    assert_eq!(
        (status, &body["error"]),
        (401, &"unauthorized_client".into())
    );
    let file = file.unwrap();
    let path = Path::new(&file);
    assert_eq!(path.parent().unwrap(), folder.path().join("arc"));
    assert_eq!(path.extension().unwrap(), "key");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let authorization = format!("Basic {}", std::fs::read_to_string(path).unwrap());
    let with_key = [METADATA, ("authorization", authorization.as_str())];
    let (status, body, _) = get(&arc(&sandbox), &with_key).await;
    assert_eq!(status, 200);
    assert!(body["access_token"].is_string());
    // Used up, and another one is named.
    assert!(!path.exists());
    let (status, _, next) = get(&arc(&sandbox), &with_key).await;
    assert_eq!(status, 401);
    assert_ne!(next.as_ref(), Some(&file));

    let (status, body, _) = get(&format!("{}&client_id=x", arc(&sandbox)), &with_key).await;
    assert_eq!((status, &body["error"]), (400, &"invalid_request".into()));
    for _ in 0..30 {
        get(&arc(&sandbox), &[METADATA]).await;
    }
    let keys = || {
        std::fs::read_dir(folder.path().join("arc"))
            .unwrap()
            .count()
    };
    assert_eq!(keys(), 16);
    sandbox.shutdown().await;
    assert_eq!(keys(), 0);
}
