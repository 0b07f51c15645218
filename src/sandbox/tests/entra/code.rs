//! Authorization code with PKCE.

use serde_json::json;

use super::support::{
    CHALLENGE, KIM, REDIRECT, authorization, browse, claims, code, encoded, fill_in, granted,
    order, redemption, refused, signed_in, smtp, text, with,
};
use crate::sandbox::tests::support::start;
use crate::sandbox::tests::token::http;
use crate::sandbox::{Registration, Sandbox};

fn authorize_url(sandbox: &Sandbox) -> String {
    let fields = encoded(&authorization(sandbox));
    format!("{}?{fields}", sandbox.authorize_url())
}

#[tokio::test]
async fn a_person_signs_in_with_a_browser() {
    let (sandbox, _folder) = start(|_| {}).await;
    let hinted = with(
        &authorization(&sandbox),
        &[("login_hint", "<kim>@contoso.com")],
    );
    let page = browse(&sandbox, &hinted).await;
    assert_eq!(page.status, 200);
    assert!(
        page.page.contains("<form method=\"post\">"),
        "{}",
        page.page
    );
    assert!(
        page.page
            .contains("name=\"user\" value=\"&lt;kim&gt;@contoso.com\""),
        "{}",
        page.page
    );

    let sent = fill_in(&authorize_url(&sandbox), &vec![("user", "Kim@Contoso.com")]).await;
    assert_eq!(sent.status, 302, "{sent:?}");
    assert!(sent.location.as_ref().unwrap().starts_with(REDIRECT));
    assert_eq!(sent.parameter("state").as_deref(), Some("st a+te"));
    let code = sent.parameter("code").unwrap();
    let body = granted(&sandbox, &redemption(&sandbox, &code)).await;
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["scope"], "https://outlook.office.com/SMTP.Send");
    assert!(text(&body, "refresh_token").len() > 1_000);
    assert_eq!(body["id_token"], json!(null));
    let token = text(&body, "access_token");
    let claims = claims(token);
    for (claim, value) in [
        ("aud", json!("https://outlook.office.com")),
        ("scp", json!("SMTP.Send")),
        ("upn", json!(KIM)),
        ("unique_name", json!(KIM)),
        ("appid", json!(sandbox.public_client_id())),
        ("appidacr", json!("0")),
        ("tid", json!(sandbox.tenant_id())),
        ("roles", json!(null)),
    ] {
        assert_eq!(claims[claim], value, "{claim}");
    }
    smtp(&sandbox, KIM, token, "235 ").await;
    assert_eq!(
        sandbox
            .control()
            .stats()
            .token_requests_by_grant
            .authorization_code,
        1
    );
}

#[tokio::test]
async fn who_signed_in_is_told_on_request() {
    let (sandbox, _folder) = start(|_| {}).await;
    let changes = [
        (
            "scope",
            "openid profile https://outlook.office365.com/.default",
        ),
        ("nonce", "n1"),
    ];
    let code = code(&sandbox, KIM, &changes).await;
    let body = granted(&sandbox, &redemption(&sandbox, &code)).await;
    let (id, access) = (
        claims(text(&body, "id_token")),
        claims(text(&body, "access_token")),
    );
    assert_eq!(id["preferred_username"], KIM);
    assert_eq!(id["aud"], sandbox.public_client_id());
    assert_eq!(id["nonce"], "n1");
    assert_eq!(id["oid"], access["oid"]);
    assert_eq!(access["aud"], "https://outlook.office365.com");
    assert_eq!(access["scp"], "SMTP.Send");
    assert_eq!(body["refresh_token"], json!(null), "without offline_access");
    let again = claims(text(
        &signed_in(&sandbox, "KIM@contoso.com").await,
        "access_token",
    ));
    assert_eq!(again["oid"], access["oid"]);
    let other = claims(text(
        &signed_in(&sandbox, "lee@contoso.com").await,
        "access_token",
    ));
    assert_ne!(other["oid"], access["oid"]);
}

#[tokio::test]
async fn a_confidential_client_proves_itself_as_well() {
    let (sandbox, _folder) = start(|_| {}).await;
    let confidential = ("client_id", sandbox.client_id());
    let secret = ("client_secret", sandbox.client_secret().reveal());
    let code = code(&sandbox, KIM, &[confidential]).await;
    let form = redemption(&sandbox, &code);
    let without = with(&form, &[confidential]);
    refused(&sandbox, &without, "invalid_client", 7_000_218).await;
    let wrong = with(&form, &[confidential, ("client_secret", "wrong")]);
    refused(&sandbox, &wrong, "invalid_client", 7_000_215).await;
    // The public client has no secret, and no right to this code.
    let public = with(&form, &[secret]);
    refused(&sandbox, &public, "invalid_client", 700_025).await;
    refused(&sandbox, &form, "invalid_grant", 70_000).await;

    let body = granted(&sandbox, &with(&form, &[confidential, secret])).await;
    let claims = claims(text(&body, "access_token"));
    assert_eq!(claims["appidacr"], "1");
    assert_eq!(claims["appid"], sandbox.client_id());
}

#[tokio::test]
async fn a_code_is_redeemed_once_by_who_asked_for_it() {
    let (sandbox, _folder) = start(|_| {}).await;
    let code = code(&sandbox, KIM, &[]).await;
    let form = redemption(&sandbox, &code);
    for (changes, error, number) in [
        (&[("code", "")][..], "invalid_request", 900_144),
        (&[("redirect_uri", "")], "invalid_request", 900_144),
        (&[("code_verifier", "")], "invalid_request", 900_144),
        (&[("code", "1.guessed")], "invalid_grant", 70_000),
        (
            &[("redirect_uri", "http://localhost:49153/")],
            "invalid_client",
            500_112,
        ),
        (&[("code_verifier", CHALLENGE)], "invalid_grant", 501_481),
        (&[("code_verifier", "short")], "invalid_grant", 501_481),
        (
            &[("scope", "https://outlook.office.com/SMTP.Sendd")],
            "invalid_scope",
            70_011,
        ),
    ] {
        refused(&sandbox, &with(&form, changes), error, number).await;
    }
    granted(&sandbox, &form).await;
    refused(&sandbox, &form, "invalid_grant", 54_005).await;
}

#[tokio::test]
async fn a_code_lives_ten_minutes() {
    let (sandbox, _folder) = start(|_| {}).await;
    let first = code(&sandbox, KIM, &[]).await;
    let second = code(&sandbox, KIM, &[]).await;
    sandbox.control().set_clock_offset(590);
    granted(&sandbox, &redemption(&sandbox, &first)).await;
    sandbox.control().set_clock_offset(600);
    let late = redemption(&sandbox, &second);
    refused(&sandbox, &late, "invalid_grant", 70_008).await;
}

#[tokio::test]
async fn a_browser_is_only_sent_to_registered_addresses() {
    let (sandbox, _folder) = start(|_| {}).await;
    for (changes, number) in [
        (&[("client_id", "")][..], 900_144),
        (
            &[("client_id", "6f1b7a52-5a9d-4c55-9a3e-0f0c5e1d2b78")],
            700_016,
        ),
        (&[("redirect_uri", "")], 900_971),
        (&[("redirect_uri", "http://127.0.0.1:49152/")], 50_011),
        (&[("redirect_uri", "http://localhost:49152/back")], 50_011),
        (&[("redirect_uri", "https://evil.example/")], 50_011),
    ] {
        sandbox.control().sign_in(KIM);
        let page = browse(&sandbox, &with(&authorization(&sandbox), changes)).await;
        assert_eq!((page.status, &page.location), (400, &None), "{page:?}");
        assert!(page.page.contains(&format!("AADSTS{number}:")), "{page:?}");
    }
    let registered = json!({"redirect_uris": ["http://localhost/OAuth2Callback?x=1"]});
    register(&sandbox, &registered).await;
    sandbox.control().clear_faults();
    sandbox.control().sign_in(KIM);
    let uri = ("redirect_uri", "http://localhost:8400/OAuth2Callback?x=1");
    let sent = browse(&sandbox, &with(&authorization(&sandbox), &[uri])).await;
    assert!(
        sent.location
            .as_ref()
            .unwrap()
            .starts_with("http://localhost:8400/OAuth2Callback?x=1&code="),
        "{sent:?}"
    );
    register(&sandbox, &json!({"redirect_uris": []})).await;
    let page = browse(&sandbox, &authorization(&sandbox)).await;
    assert!(page.page.contains("AADSTS500113:"), "{page:?}");

    let url = format!(
        "http://{}/common/oauth2/v2.0/authorize",
        sandbox.http_address()
    );
    let page = http().get(url).send().await.unwrap();
    let page = String::from_utf8(page.bytes().await.unwrap().to_vec()).unwrap();
    assert!(page.contains("AADSTS50194:"), "{page}");
}

async fn register(sandbox: &Sandbox, order: &serde_json::Value) {
    let url = format!("http://{}/entra/registration", sandbox.http_address());
    let request = http()
        .post(url)
        .header("content-type", "application/json")
        .body(order.to_string());
    assert_eq!(request.send().await.unwrap().status(), 204, "{order}");
}

#[tokio::test]
async fn other_faults_are_told_the_application() {
    let (sandbox, _folder) = start(|_| {}).await;
    for (changes, error, number) in [
        (&[("response_type", "")][..], "invalid_request", 900_144),
        (
            &[("response_type", "code id_token")],
            "unsupported_response_type",
            70_005,
        ),
        (&[("response_mode", "fragment")], "invalid_request", 70_007),
        (&[("scope", "")], "invalid_request", 900_144),
        (
            &[("scope", "https://outlook.office.com/SMTP.SendAsApp")],
            "invalid_scope",
            70_011,
        ),
        (
            &[("scope", "https://outlook.example/SMTP.Send")],
            "invalid_resource",
            500_011,
        ),
        (&[("code_challenge", "")], "invalid_request", 50_147),
        (&[("code_challenge", "short")], "invalid_request", 501_491),
        (
            &[("code_challenge_method", "plain")],
            "invalid_request",
            501_491,
        ),
        (&[("code_challenge_method", "")], "invalid_request", 501_491),
        (&[("prompt", "please")], "invalid_request", 90_023),
        (&[("prompt", "none")], "login_required", 50_058),
    ] {
        let sent = browse(&sandbox, &with(&authorization(&sandbox), changes)).await;
        assert_eq!(sent.status, 302, "{sent:?}");
        assert_eq!(sent.parameter("error").as_deref(), Some(error), "{sent:?}");
        let description = sent.parameter("error_description").unwrap();
        assert!(
            description.starts_with(&format!("AADSTS{number}: ")),
            "{description}"
        );
        assert_eq!(sent.parameter("state").as_deref(), Some("st a+te"));
        assert_eq!(sent.parameter("code"), None);
    }
    for malformed in ["client_id=a&client_id=b", "scope=a b", "x"] {
        let url = format!("{}?{malformed}", sandbox.authorize_url());
        let page = http().get(url).send().await.unwrap();
        assert_eq!(page.status(), 400, "{malformed}");
    }
}

#[tokio::test]
async fn people_do_what_was_ordered() {
    let (sandbox, _folder) = start(|settings| {
        settings.mailboxes = vec!["relay@contoso.com".into()];
        settings.users = vec![KIM.into()];
    })
    .await;
    let url = authorize_url(&sandbox);
    assert_eq!(order(&sandbox, "/entra/decline").await.0, 204);
    assert_eq!(
        order(&sandbox, "/entra/signin?user=kim@contoso.com")
            .await
            .0,
        204
    );
    let declined = browse(&sandbox, &authorization(&sandbox)).await;
    assert_eq!(
        declined.parameter("error").as_deref(),
        Some("access_denied")
    );
    let description = declined.parameter("error_description").unwrap();
    assert!(description.starts_with("AADSTS65004: "), "{description}");
    let signed_in = browse(
        &sandbox,
        &with(&authorization(&sandbox), &[("prompt", "none")]),
    )
    .await;
    assert!(signed_in.parameter("code").is_some(), "{signed_in:?}");
    // Both orders are carried out: the page is back.
    assert_eq!(browse(&sandbox, &authorization(&sandbox)).await.status, 200);

    let declined = fill_in(&url, &vec![("user", ""), ("decline", "yes")]).await;
    assert_eq!(
        declined.parameter("error").as_deref(),
        Some("access_denied")
    );
    for stranger in ["relay@contoso.com", "lee@contoso.com", ""] {
        let page = fill_in(&url, &vec![("user", stranger)]).await;
        assert_eq!((page.status, &page.location), (400, &None), "{stranger}");
        assert!(page.page.contains("AADSTS50034:"), "{}", page.page);
        assert!(page.page.contains("<form"), "{}", page.page);
    }
    assert_eq!(fill_in(&url, &vec![("user", KIM)]).await.status, 302);
}

#[tokio::test]
async fn without_consent_there_is_no_code_and_no_token() {
    let (sandbox, _folder) = start(|_| {}).await;
    let code = code(&sandbox, KIM, &[]).await;
    sandbox.control().register(Registration {
        consent: false,
        ..Registration::default()
    });
    sandbox.control().sign_in(KIM);
    let sent = browse(&sandbox, &authorization(&sandbox)).await;
    assert_eq!(sent.parameter("error").as_deref(), Some("consent_required"));
    let description = sent.parameter("error_description").unwrap();
    assert!(description.starts_with("AADSTS65001: "), "{description}");
    let form = redemption(&sandbox, &code);
    refused(&sandbox, &form, "invalid_grant", 65_001).await;
}
