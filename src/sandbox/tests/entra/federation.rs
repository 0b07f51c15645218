//! Client credentials with another provider's token.

use super::assertion::form;
use super::support::{claims, granted, order, refused, smtp, text};
use crate::sandbox::tests::support::start;
use crate::sandbox::{FederatedToken, Sandbox};

async fn minted(sandbox: &Sandbox, query: &str) -> String {
    let (status, token) = order(sandbox, &format!("/entra/federated-token{query}")).await;
    assert_eq!(status, 200, "{token}");
    token
}

#[tokio::test]
async fn another_providers_token_is_taken_while_it_lives() {
    let (sandbox, _folder) = start(|_| {}).await;
    let token = minted(&sandbox, "").await;
    // A token is read from a file that is replaced now and then: it may be shown again.
    for _ in 0..2 {
        let body = granted(&sandbox, &form(&sandbox, &token)).await;
        let token = text(&body, "access_token");
        assert_eq!(claims(token)["appidacr"], "2");
        smtp(&sandbox, "relay@contoso.com", token, "235 ").await;
    }
    sandbox.control().set_clock_offset(3_601);
    refused(&sandbox, &form(&sandbox, &token), "invalid_client", 700_024).await;
}

#[tokio::test]
async fn a_token_that_does_not_match_the_registration_is_refused() {
    let (sandbox, _folder) = start(|_| {}).await;
    for (query, code) in [
        ("?issuer=https://elsewhere.example", 700_211),
        ("?audience=api://AzureADTokenExchangeUSGov", 700_212),
        ("?subject=system:serviceaccount:mail:other", 700_213),
        ("?subject=System:ServiceAccount:mail:exorelay", 700_213),
        ("?lifetime=-1", 700_024),
    ] {
        let token = minted(&sandbox, query).await;
        refused(&sandbox, &form(&sandbox, &token), "invalid_client", code).await;
    }
    // Another sandbox's key is another provider's.
    let (other, _folder) = start(|_| {}).await;
    let token = other
        .control()
        .federated_token(&FederatedToken::default())
        .unwrap();
    refused(
        &sandbox,
        &form(&sandbox, token.reveal()),
        "invalid_client",
        50_013,
    )
    .await;
}
