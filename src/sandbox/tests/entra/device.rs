//! Device codes.

use serde_json::Value;

use super::support::{
    Browsed, Fields, KIM, SEND, claims, encoded, fill_in, granted, refused, smtp, text, with,
};
use crate::sandbox::tests::support::start;
use crate::sandbox::tests::token::{http, json, post};
use crate::sandbox::{Registration, Sandbox};

async fn begin(sandbox: &Sandbox, client_id: &str, scope: &str) -> (u16, Value) {
    let form = vec![("client_id", client_id), ("scope", scope)];
    let response = post(&sandbox.device_code_url(), encoded(&form))
        .await
        .unwrap();
    (response.status().as_u16(), json(response).await)
}

async fn begun(sandbox: &Sandbox) -> Value {
    let (status, body) = begin(sandbox, sandbox.public_client_id(), SEND).await;
    assert_eq!(status, 200, "{body}");
    body
}

fn poll<'a>(sandbox: &'a Sandbox, begun: &'a Value) -> Fields<'a> {
    vec![
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", sandbox.public_client_id()),
        ("device_code", text(begun, "device_code")),
    ]
}

async fn answer(begun: &Value, fields: &[(&str, &str)]) -> Browsed {
    let form = with(&vec![("user_code", text(begun, "user_code"))], fields);
    fill_in(text(begun, "verification_uri"), &form).await
}

#[tokio::test]
async fn a_device_gets_its_token_once_somebody_signed_in_elsewhere() {
    let (sandbox, _folder) = start(|_| {}).await;
    let begun = begun(&sandbox).await;
    assert_eq!(
        (&begun["expires_in"], &begun["interval"]),
        (&900.into(), &5.into())
    );
    assert_eq!(text(&begun, "user_code").len(), 9);
    let page = text(&begun, "verification_uri");
    assert_eq!(
        page,
        format!("http://{}/devicelogin", sandbox.http_address())
    );
    let message = text(&begun, "message");
    assert!(message.contains(page) && message.contains(text(&begun, "user_code")));
    let shown = http()
        .get(page)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let shown = String::from_utf8(shown.to_vec()).unwrap();
    assert!(shown.contains("name=\"user_code\"") && shown.contains("name=\"user\""));

    let form = poll(&sandbox, &begun);
    refused(&sandbox, &form, "authorization_pending", 70_016).await;
    sandbox.control().set_clock_offset(5);
    refused(&sandbox, &form, "authorization_pending", 70_016).await;
    let user_code = text(&begun, "user_code").to_ascii_lowercase();
    let done = answer(&begun, &[("user_code", &user_code), ("user", KIM)]).await;
    assert_eq!(done.status, 200, "{done:?}");
    sandbox.control().set_clock_offset(10);
    let body = granted(&sandbox, &form).await;
    let token = text(&body, "access_token");
    assert_eq!(claims(token)["upn"], KIM);
    assert_eq!(claims(token)["appidacr"], "0");
    smtp(&sandbox, KIM, token, "235 ").await;
    assert!(body["refresh_token"].is_string());
    sandbox.control().set_clock_offset(15);
    refused(&sandbox, &form, "invalid_grant", 54_005).await;
    let again = answer(&begun, &[("user", KIM)]).await;
    assert!(again.page.contains("AADSTS70018:"), "{again:?}");
    let stats = sandbox.control().stats();
    assert_eq!(stats.token_requests_by_grant.device_code, 4);
}

#[tokio::test]
async fn who_asks_too_often_must_slow_down() {
    let (sandbox, _folder) = start(|_| {}).await;
    let begun = begun(&sandbox).await;
    let form = poll(&sandbox, &begun);
    refused(&sandbox, &form, "authorization_pending", 70_016).await;
    refused(&sandbox, &form, "slow_down", 70_016).await;
    // Now it is ten seconds, from the question that came too early.
    sandbox.control().set_clock_offset(6);
    refused(&sandbox, &form, "slow_down", 70_016).await;
    sandbox.control().set_clock_offset(6 + 15);
    refused(&sandbox, &form, "authorization_pending", 70_016).await;
}

#[tokio::test]
async fn a_device_is_told_what_became_of_its_code() {
    let (sandbox, _folder) = start(|_| {}).await;
    let declined = begun(&sandbox).await;
    let done = answer(&declined, &[("decline", "yes")]).await;
    assert_eq!(done.status, 200, "{done:?}");
    let form = poll(&sandbox, &declined);
    refused(&sandbox, &form, "authorization_declined", 65_004).await;

    let forgotten = begun(&sandbox).await;
    sandbox.control().set_clock_offset(900);
    let form = poll(&sandbox, &forgotten);
    refused(&sandbox, &form, "expired_token", 70_020).await;
    let late = answer(&forgotten, &[("user", KIM)]).await;
    assert!(late.page.contains("AADSTS70020:"), "{late:?}");
    let guessed = with(&form, &[("device_code", "guessed")]);
    refused(&sandbox, &guessed, "bad_verification_code", 70_018).await;
    let missing = with(&form, &[("device_code", "")]);
    refused(&sandbox, &missing, "invalid_request", 900_144).await;
}

#[tokio::test]
async fn the_page_lets_people_try_again() {
    let (sandbox, _folder) = start(|settings| settings.users = vec![KIM.into()]).await;
    let begun = begun(&sandbox).await;
    for (fields, number) in [
        (&[("user_code", "AAAAAAAAA"), ("user", KIM)][..], 70_018),
        (&[("user", "lee@contoso.com")], 50_034),
        (&[], 50_034),
    ] {
        let page = answer(&begun, fields).await;
        assert_eq!(page.status, 400);
        assert!(page.page.contains(&format!("AADSTS{number}:")), "{page:?}");
        assert!(page.page.contains("<form"), "{page:?}");
    }
    sandbox.control().register(Registration {
        consent: false,
        ..Registration::default()
    });
    let page = answer(&begun, &[("user", KIM)]).await;
    assert!(page.page.contains("AADSTS65001:"), "{page:?}");
    sandbox.control().register(Registration::default());
    assert_eq!(answer(&begun, &[("user", KIM)]).await.status, 200);
    granted(&sandbox, &poll(&sandbox, &begun)).await;
}

#[tokio::test]
async fn device_codes_are_for_public_clients() {
    let (sandbox, _folder) = start(|_| {}).await;
    let (status, begun) = begin(&sandbox, sandbox.client_id(), SEND).await;
    assert_eq!(status, 200, "{begun}");
    let public = poll(&sandbox, &begun);
    let confidential = with(&public, &[("client_id", sandbox.client_id())]);
    refused(&sandbox, &confidential, "invalid_client", 7_000_218).await;
    refused(&sandbox, &public, "invalid_grant", 70_000).await;

    sandbox.control().register(Registration {
        public_client_flows: false,
        ..Registration::default()
    });
    let (_, begun) = begin(&sandbox, sandbox.public_client_id(), SEND).await;
    let form = poll(&sandbox, &begun);
    refused(&sandbox, &form, "invalid_client", 7_000_218).await;
}

#[tokio::test]
async fn a_wrong_beginning_is_refused() {
    let (sandbox, _folder) = start(|_| {}).await;
    let public = sandbox.public_client_id();
    for (client_id, scope, code) in [
        ("somebody", SEND, 700_016),
        (public, "https://outlook.office.com/SMTP.Sent", 70_011),
        (
            public,
            "https://outlook.office.com/SMTP.Send Mail.Send",
            700_022,
        ),
        (public, "https://other.example/.default", 500_011),
    ] {
        let (status, body) = begin(&sandbox, client_id, scope).await;
        assert_eq!(
            (status, &body["error_codes"][0]),
            (400, &code.into()),
            "{body}"
        );
    }
    let url = sandbox.device_code_url();
    let response = post(&url, format!("client_id={public}")).await.unwrap();
    assert_eq!(json(response).await["error_codes"][0], 900_144);
}
