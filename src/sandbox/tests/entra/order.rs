//! Faults, the clock, and the rest of the control interface.

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::support::{Fields, KIM, ask, claims, granted, order, refused, signed_in, text, with};
use crate::sandbox::tests::support::start;
use crate::sandbox::tests::token::{http, post};
use crate::sandbox::{Registration, Sandbox, aadsts};

fn form(sandbox: &Sandbox) -> Fields<'_> {
    vec![
        ("grant_type", "client_credentials"),
        ("client_id", sandbox.client_id()),
        ("client_secret", sandbox.client_secret().reveal()),
        ("scope", "https://outlook.office365.com/.default"),
    ]
}

#[tokio::test]
async fn every_number_can_be_ordered() {
    let (sandbox, _folder) = start(|_| {}).await;
    let form = form(&sandbox);
    assert!(aadsts().len() > 60);
    for known in aadsts() {
        assert!(sandbox.control().aadsts_fault(known.code, Some(1)));
        let (status, body) = ask(&sandbox, &form).await;
        assert_eq!(status, known.status(), "{body}");
        assert_eq!(body["error"], known.error(), "{body}");
        assert_eq!(body["error_codes"][0], known.code, "{body}");
        let description = text(&body, "error_description");
        let start = format!("AADSTS{}: {}", known.code, known.text);
        assert!(description.starts_with(&start), "{description}");
        assert!(description.contains(text(&body, "trace_id")), "{body}");
    }
    assert!(!sandbox.control().aadsts_fault(12_345, None));
    granted(&sandbox, &form).await;
}

#[tokio::test]
async fn a_fault_lasts_as_long_as_it_was_ordered_to() {
    let (sandbox, _folder) = start(|_| {}).await;
    let form = form(&sandbox);
    let fault = |query: &'static str| order(&sandbox, query);
    assert_eq!(fault("/faults/token?aadsts=53003&times=2").await.0, 204);
    for _ in 0..2 {
        refused(&sandbox, &form, "invalid_grant", 53_003).await;
    }
    granted(&sandbox, &form).await;
    assert_eq!(fault("/faults/token?aadsts=7000222").await.0, 204);
    for _ in 0..3 {
        refused(&sandbox, &form, "invalid_client", 7_000_222).await;
    }
    sandbox.control().clear_faults();
    granted(&sandbox, &form).await;
    let (status, text) = fault("/faults/token?aadsts=1").await;
    assert!(status == 404 && text.contains("AADSTS"), "{text}");
    for wrong in [
        "/faults/token",
        "/faults/token?aadsts=x",
        "/faults/token?aadsts=53003&time=2",
        "/entra/signin",
        "/entra/rotation?mode=sideways",
        "/entra/clock?offset=soon",
        "/entra/access?user=a@b",
        "/entra/revoke?who=a@b",
        "/entra/federated-token?key=x",
    ] {
        assert_eq!(fault(wrong).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn the_clock_can_be_wrong() {
    let (sandbox, _folder) = start(|_| {}).await;
    let hour = 3_600;
    assert_eq!(order(&sandbox, "/entra/clock?offset=3600").await.0, 204);
    let ahead = Timestamp::now().as_second() + hour;
    let is_ahead = |second: i64| (ahead..ahead + 60).contains(&second);
    let form = form(&sandbox);
    let response = post(&sandbox.token_url(), super::support::encoded(&form))
        .await
        .unwrap();
    let dates: Vec<_> = response.headers().get_all("date").iter().collect();
    assert_eq!(dates.len(), 1);
    let date = rfc2822::parse(dates[0].to_str().unwrap()).unwrap();
    assert!(is_ahead(date.timestamp().as_second()), "{date}");
    let body = granted(&sandbox, &form).await;
    let claims = claims(text(&body, "access_token"));
    for claim in ["iat", "nbf"] {
        assert!(is_ahead(claims[claim].as_i64().unwrap()), "{claims}");
    }
    let lifetime = claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap();
    assert_eq!(Some(lifetime), body["expires_in"].as_i64());

    sandbox.control().clear_faults();
    let response = http().get(sandbox.token_url()).send().await.unwrap();
    let date = response.headers()["date"].to_str().unwrap();
    let date = rfc2822::parse(date).unwrap().timestamp().as_second();
    assert!(!is_ahead(date));
}

#[tokio::test]
async fn the_tenant_is_checked_in_every_grant() {
    let (sandbox, _folder) = start(|_| {}).await;
    let body = signed_in(&sandbox, KIM).await;
    let refresh = super::support::refreshing(&sandbox, text(&body, "refresh_token"));
    let status = |tenant: &'static str, form: &Fields<'_>| {
        let url = sandbox.token_url().replace(sandbox.tenant_id(), tenant);
        let body = super::support::encoded(form);
        async move {
            let response = post(&url, body).await.unwrap();
            let body = super::super::token::json(response).await;
            body["error_codes"][0].as_u64().unwrap_or_default()
        }
    };
    let by_itself = form(&sandbox);
    for (tenant, for_person, for_application) in [
        ("sandbox.example", 0, 0),
        ("Sandbox.Example", 0, 0),
        ("common", 50_194, 9_001_023),
        ("organizations", 50_194, 9_001_023),
        ("consumers", 9_001_023, 9_001_023),
        ("contoso.com", 90_002, 90_002),
        ("contoso", 900_023, 900_023),
    ] {
        assert_eq!(status(tenant, &refresh).await, for_person, "{tenant}");
        assert_eq!(
            status(tenant, &by_itself).await,
            for_application,
            "{tenant}"
        );
    }
    sandbox.control().register(Registration {
        multi_tenant: true,
        ..Registration::default()
    });
    assert_eq!(status("common", &refresh).await, 0);
    assert_eq!(status("common", &by_itself).await, 9_001_023);
}

#[tokio::test]
async fn a_secret_can_be_refused_in_every_grant() {
    let (sandbox, _folder) = start(|_| {}).await;
    let body = signed_in(&sandbox, KIM).await;
    let fault = crate::sandbox::TokenFault::RefuseSecret;
    sandbox.control().token_fault(Some(fault), None);
    refused(&sandbox, &form(&sandbox), "invalid_client", 7_000_215).await;
    // A public client has none that could be refused.
    let refresh = super::support::refreshing(&sandbox, text(&body, "refresh_token"));
    granted(&sandbox, &refresh).await;
    let unknown = with(&form(&sandbox), &[("grant_type", "password")]);
    refused(&sandbox, &unknown, "unsupported_grant_type", 70_003).await;
    assert_eq!(sandbox.control().stats().token_requests_by_grant.other, 1);
}
