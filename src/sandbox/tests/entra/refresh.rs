//! Refresh tokens.

use serde_json::Value;

use super::support::{
    KIM, ask, claims, code, granted, order, redemption, refreshing, refused, signed_in, smtp, text,
    with,
};
use crate::sandbox::tests::support::start;
use crate::sandbox::{Registration, Rotation, Sandbox};

const DAY: i64 = 86_400;

async fn refreshed(sandbox: &Sandbox, refresh_token: &str) -> String {
    let body = granted(sandbox, &refreshing(sandbox, refresh_token)).await;
    text(&body, "refresh_token").to_owned()
}

#[tokio::test]
async fn every_use_brings_a_new_one_and_the_old_stays_good() {
    let (sandbox, _folder) = start(|_| {}).await;
    let body = signed_in(&sandbox, KIM).await;
    let first = text(&body, "refresh_token");
    let body = granted(&sandbox, &refreshing(&sandbox, first)).await;
    let second = text(&body, "refresh_token");
    assert_ne!(first, second);
    assert_eq!(body["scope"], "https://outlook.office.com/SMTP.Send");
    smtp(&sandbox, KIM, text(&body, "access_token"), "235 ").await;
    let third = refreshed(&sandbox, second).await;
    for token in [first, second, &third] {
        refreshed(&sandbox, token).await;
    }
    assert_eq!(
        sandbox
            .control()
            .stats()
            .token_requests_by_grant
            .refresh_token,
        5
    );
}

#[tokio::test]
async fn strict_rotation_ends_the_old_one_once_the_new_one_was_used() {
    let (sandbox, _folder) = start(|_| {}).await;
    assert_eq!(order(&sandbox, "/entra/rotation?mode=strict").await.0, 204);
    let body = signed_in(&sandbox, KIM).await;
    let first = text(&body, "refresh_token");
    let lost = refreshed(&sandbox, first).await;
    // Whoever crashed before the new one was stored still has the old one.
    let second = refreshed(&sandbox, first).await;
    let third = refreshed(&sandbox, &second).await;
    refused(
        &sandbox,
        &refreshing(&sandbox, first),
        "invalid_grant",
        70_000,
    )
    .await;
    refreshed(&sandbox, &second).await;
    refreshed(&sandbox, &third).await;
    refused(
        &sandbox,
        &refreshing(&sandbox, &second),
        "invalid_grant",
        70_000,
    )
    .await;
    refreshed(&sandbox, &lost).await;

    sandbox.control().set_rotation(Rotation::Lenient);
    refreshed(&sandbox, first).await;
}

#[tokio::test]
async fn tokens_end_by_age_and_by_revocation() {
    let (sandbox, _folder) = start(|_| {}).await;
    let kim = signed_in(&sandbox, KIM).await;
    let lee = signed_in(&sandbox, "lee@contoso.com").await;
    let (kim, lee) = (text(&kim, "refresh_token"), text(&lee, "refresh_token"));
    sandbox.control().set_clock_offset(89 * DAY);
    let kept_alive = refreshed(&sandbox, kim).await;
    sandbox.control().set_clock_offset(90 * DAY);
    refused(
        &sandbox,
        &refreshing(&sandbox, kim),
        "invalid_grant",
        700_082,
    )
    .await;
    refreshed(&sandbox, &kept_alive).await;
    sandbox.control().set_clock_offset(0);

    assert_eq!(
        order(&sandbox, "/entra/revoke?user=KIM@contoso.com")
            .await
            .0,
        204
    );
    let (status, body) = ask(&sandbox, &refreshing(&sandbox, &kept_alive)).await;
    assert_eq!(
        (status, &body["error_codes"][0]),
        (400, &Value::from(50_173))
    );
    assert_eq!(
        (&body["error"], &body["suberror"]),
        (&"invalid_grant".into(), &"bad_token".into())
    );
    refreshed(&sandbox, lee).await;
    assert_eq!(order(&sandbox, "/entra/expire").await.0, 204);
    refused(
        &sandbox,
        &refreshing(&sandbox, lee),
        "invalid_grant",
        700_082,
    )
    .await;
    // A new sign-in is not concerned.
    let body = signed_in(&sandbox, KIM).await;
    refreshed(&sandbox, text(&body, "refresh_token")).await;
    assert_eq!(order(&sandbox, "/entra/revoke").await.0, 204);
    let form = refreshing(&sandbox, text(&body, "refresh_token"));
    refused(&sandbox, &form, "invalid_grant", 50_173).await;
}

#[tokio::test]
async fn a_token_belongs_to_one_client() {
    let (sandbox, _folder) = start(|_| {}).await;
    let confidential = ("client_id", sandbox.client_id());
    let secret = ("client_secret", sandbox.client_secret().reveal());
    let body = signed_in(&sandbox, KIM).await;
    let form = refreshing(&sandbox, text(&body, "refresh_token"));
    let (_, answer) = ask(&sandbox, &with(&form, &[confidential, secret])).await;
    assert_eq!(answer["error_codes"][0], 70_000);
    assert_eq!(answer["suberror"], "client_mismatch");
    refused(&sandbox, &with(&form, &[secret]), "invalid_client", 700_025).await;
    refused(
        &sandbox,
        &with(&form, &[("refresh_token", "")]),
        "invalid_request",
        900_144,
    )
    .await;
    refused(
        &sandbox,
        &with(&form, &[("refresh_token", "x")]),
        "invalid_grant",
        70_000,
    )
    .await;

    let code = code(&sandbox, KIM, &[confidential]).await;
    let form = with(&redemption(&sandbox, &code), &[confidential, secret]);
    let body = granted(&sandbox, &form).await;
    let form = refreshing(&sandbox, text(&body, "refresh_token"));
    let form = with(&form, &[confidential]);
    refused(&sandbox, &form, "invalid_client", 7_000_218).await;
    let body = granted(&sandbox, &with(&form, &[secret])).await;
    assert_eq!(claims(text(&body, "access_token"))["appidacr"], "1");
}

#[tokio::test]
async fn a_token_is_good_for_other_resources_one_at_a_time() {
    let (sandbox, _folder) = start(|_| {}).await;
    let body = signed_in(&sandbox, KIM).await;
    let form = refreshing(&sandbox, text(&body, "refresh_token"));
    let graph = with(&form, &[("scope", "https://graph.microsoft.com/Mail.Send")]);
    let body = granted(&sandbox, &graph).await;
    let token = text(&body, "access_token");
    assert_eq!(claims(token)["aud"], "https://graph.microsoft.com");
    smtp(&sandbox, KIM, token, "535 5.7.3 ").await;
    for (scope, error, code) in [
        (
            "https://graph.microsoft.com/Mail.Send https://outlook.office.com/SMTP.Send",
            "invalid_scope",
            700_022,
        ),
        ("https://outlook.office.com/Smtp", "invalid_scope", 70_011),
        (
            "https://other.example/.default",
            "invalid_resource",
            500_011,
        ),
    ] {
        refused(&sandbox, &with(&form, &[("scope", scope)]), error, code).await;
    }
    sandbox.control().register(Registration {
        consent: false,
        ..Registration::default()
    });
    refused(&sandbox, &form, "invalid_grant", 65_001).await;
}
