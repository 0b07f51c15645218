//! Answers without a token, and no answers.

use super::*;

async fn outcome(
    path: &str,
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: &str,
) -> TokenError {
    let (body, headers) = (body.to_owned(), headers.to_vec());
    let (url, seen) = platform(path, move |_, _| answer(status, &headers, body.clone())).await;
    let error = obtain(&url).await.unwrap_err();
    assert_eq!(seen.lock().unwrap().len(), 1);
    error
}

#[tokio::test]
async fn updates_and_load_pass_by_themselves() {
    for (path, status, headers, seconds) in [
        (VM, 404, vec![], None),
        (VM, 410, vec![], None),
        (VM, 410, vec![("retry-after", "70")], Some(70)),
        (VM, 429, vec![], Some(60)),
        (VM, 500, vec![], None),
        (APP, 429, vec![("retry-after", "5")], Some(5)),
        (APP, 503, vec![], None),
    ] {
        let error = outcome(path, status, &headers, r#"{"error":"unknown"}"#).await;
        assert!(
            matches!(error, TokenError::Retry(RetryError::Busy { status: s, .. }) if s == status),
            "{error:?}"
        );
        assert_eq!(
            error.retry_after(),
            seconds.map(Duration::from_secs),
            "{status}"
        );
        assert!(error.to_string().contains("unknown"), "{error}");
    }
}

#[tokio::test]
async fn refusals_come_with_their_remedy() {
    for (path, status, body, words, remedy) in [
        (
            VM,
            400,
            r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
            "invalid_request: Identity not found",
            "az vm identity assign",
        ),
        (
            VM,
            400,
            r#"{"error":"invalid_request","error_description":"Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"}"#,
            "Multiple user assigned",
            "write the Client ID of one",
        ),
        (
            VM,
            400,
            r#"{"error":"unauthorized_client","error_description":"The client is not authorized to request an access token using this method."}"#,
            "unauthorized_client",
            "az vm identity assign",
        ),
        (
            VM,
            400,
            r#"{"error":"invalid_resource","error_description":"AADSTS500011: The resource principal was not found.","error_codes":[500011]}"#,
            "AADSTS500011",
            "Leave scope in [account.NAME.oauth] empty",
        ),
        (
            VM,
            400,
            r#"{"error":"something_new"}"#,
            "something_new",
            "check client_id and oauth.scope",
        ),
        (
            APP,
            400,
            r#"{"statusCode":400,"message":"No Managed Identity found for specified ClientId/ResourceId/PrincipalId.","correlationId":"c-1"}"#,
            "No Managed Identity found",
            "az webapp identity assign",
        ),
        (
            APP,
            400,
            r#"{"ExceptionMessage":"No MSI found for specified ClientId/ResourceId.","StatusCode":400}"#,
            "No MSI found",
            "az webapp identity assign",
        ),
        (
            APP,
            403,
            r#"{"error":{"code":"Forbidden","message":"wrong header pl4nted-h3ader"}}"#,
            "Forbidden: wrong header (redacted)",
            "IDENTITY_HEADER",
        ),
    ] {
        let error = outcome(path, status, &[], body).await;
        // Entra's own words are known by their number.
        let is_as_expected = if words.starts_with("AADSTS") {
            matches!(error, TokenError::Operator(OperatorError::Refused { .. }))
        } else {
            matches!(error, TokenError::Operator(OperatorError::Platform { .. }))
        };
        assert!(is_as_expected, "{error:?}");
        let shown = error.to_string();
        assert!(shown.contains(words) && shown.contains(remedy), "{shown}");
        assert!(!format!("{shown} {error:?}").contains(HEADER));
    }
    let body =
        r#"{"error":"invalid_request","error_description":"AADSTS50196: The server saw a loop."}"#;
    let error = outcome(VM, 400, &[], body).await;
    assert_eq!(error.retry_after(), Some(Duration::from_mins(5)));
}

#[tokio::test]
async fn another_service_is_told_from_the_platform() {
    for (path, status, headers, body) in [
        // The metadata service of another cloud.
        (
            VM,
            404,
            vec![("content-type", "text/html")],
            "<?xml version=\"1.0\"?><html></html>",
        ),
        (VM, 200, vec![], "<html></html>"),
        (VM, 401, vec![], ""),
        (VM, 403, vec![], "Forbidden"),
        (VM, 302, vec![("location", "http://127.0.0.1:1/")], ""),
        (APP, 404, vec![], ""),
        (APP, 400, vec![], "{\"fault\":1}"),
    ] {
        let error = outcome(path, status, &headers, body).await;
        let TokenError::Operator(OperatorError::Identity(error)) = &error else {
            panic!("{error:?}");
        };
        assert!(
            matches!(error, IdentityError::NotAnEndpoint { status: s, .. } if *s == status),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn success_without_a_token_is_nobodys_to_mend() {
    for (status, body) in [
        (200, ""),
        (200, "{}"),
        (200, r#"{"error":"invalid_request"}"#),
        (200, r#"{"access_token":7}"#),
        (204, ""),
    ] {
        let error = outcome(VM, status, &[], body).await;
        assert!(
            matches!(error, TokenError::Fault(FaultError::NotUnderstood { .. })),
            "{error:?}"
        );
    }
    for body in [
        r#"{"access_token":"a b"}"#,
        r#"{"access_token":"a","token_type":"mac"}"#,
    ] {
        let error = outcome(VM, 200, &[], body).await;
        assert!(
            matches!(error, TokenError::Fault(FaultError::Unusable { .. })),
            "{error:?}"
        );
    }
    let error = outcome(VM, 200, &[], &" ".repeat(70_000)).await;
    assert!(
        matches!(error, TokenError::Fault(FaultError::TooLarge { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn silence_says_that_this_may_be_no_azure_machine() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    // Connected to, and never answered.
    let silent = EndpointUrl::of_platform(&format!("http://{address}{VM}")).unwrap();
    let mut impatient = settings();
    impatient.timeout = Duration::from_millis(50);
    let timeout = managed(&impatient, &silent).obtain().await.unwrap_err();
    drop(listener);
    let closed = obtain(&silent).await.unwrap_err();
    for (error, cause) in [(&timeout, "timed out"), (&closed, "refused")] {
        assert!(
            matches!(error, TokenError::Retry(RetryError::NoPlatform { .. })),
            "{error:?}"
        );
        let report = error.report();
        assert!(report.starts_with("127.0.0.1 gives no answer: if this machine is no Azure VM"));
        assert!(
            report.contains("oauth.identity_endpoint") && report.contains(cause),
            "{report}"
        );
        assert!(!report.contains("http://"), "{report}");
    }

    let arc = EndpointUrl::of_platform(&format!("http://{address}{VM}")).unwrap();
    let mut managed = managed(&settings(), &arc);
    managed.platform = Platform::Arc;
    let error = managed.obtain().await.unwrap_err();
    assert!(error.to_string().contains("himdsd"), "{error}");
    assert!(
        !error.is_like(&TokenError::Operator(OperatorError::Identity(
            IdentityError::Selector
        )))
    );
}

#[test]
fn likeness_of_identity_errors_sees_what_is_different() {
    let error = |error| TokenError::Operator(OperatorError::Identity(error));
    let key = |name: &str| IdentityError::Key {
        path: Path::new(name).to_owned(),
        why: "why".into(),
    };
    assert!(error(key("a")).is_like(&error(key("a"))));
    assert!(!error(key("a")).is_like(&error(IdentityError::Selector)));
}
