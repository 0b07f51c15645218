//! Who can mend what, and how it is told.

use super::*;

fn sorted(error: &str, number: Option<u32>) -> TokenError {
    sorted_for(error, number, false)
}

fn sorted_for(error: &str, number: Option<u32>, signs_in: bool) -> TokenError {
    let mut body = serde_json::json!({"error": error, "trace_id": fastrand::u64(..).to_string()});
    if let Some(number) = number {
        body["error_description"] = format!("AADSTS{number}: text").into();
    }
    let response = ErrorResponse::decode(body.to_string().as_bytes(), None).unwrap();
    TokenError::from_response("login.example", response, None, signs_in)
}

#[test]
fn error_responses_are_sorted_by_who_can_mend_them() {
    for (error, number, class) in [
        ("invalid_client", Some(7_000_215), 'O'),
        ("invalid_client", Some(7_000_222), 'O'),
        ("unauthorized_client", Some(700_016), 'O'),
        ("invalid_request", Some(90_002), 'O'),
        // Not in the catalogue: the `error` decides.
        ("invalid_client", Some(1), 'O'),
        ("invalid_request", Some(1), 'O'),
        ("invalid_scope", None, 'O'),
        ("access_denied", None, 'O'),
        ("something_new", None, 'O'),
        ("temporarily_unavailable", None, 'R'),
        ("server_error", Some(90_033), 'R'),
        ("invalid_request", Some(50_196), 'R'),
        ("invalid_request", None, 'F'),
        ("invalid_request", Some(900_144), 'F'),
        ("unsupported_grant_type", None, 'F'),
    ] {
        let sorted = match sorted(error, number) {
            TokenError::Retry(_) => 'R',
            TokenError::Operator(_) => 'O',
            TokenError::Fault(_) => 'F',
        };
        assert_eq!(sorted, class, "{error} {number:?}");
    }
}

#[test]
fn refusal_says_number_meaning_and_remedy_once() {
    let known = aadsts::entry(7_000_215).unwrap();
    let error = sorted("invalid_client", Some(7_000_215));
    assert_eq!(error.response().unwrap().aadsts(), Some(7_000_215));
    assert_eq!(error.known(), Some(known));
    let shown = error.report();
    for part in ["AADSTS7000215: text", known.meaning, known.remedy] {
        assert_eq!(shown.matches(part).count(), 1, "{part} in {shown}");
    }
    assert_eq!(shown.matches("7000215").count(), 1, "{shown}");
    let words = error.words();
    assert!(words.starts_with("invalid_client: AADSTS7000215: text"));
    assert!(!words.contains(known.meaning) && !words.contains("Secret ID"));
}

#[test]
fn an_ended_sign_in_is_the_persons_and_without_one_the_operators() {
    for (error, number) in [
        ("invalid_grant", Some(700_082)),
        ("invalid_grant", Some(50_076)),
        ("invalid_grant", None),
        ("interaction_required", None),
    ] {
        let persons = sorted_for(error, number, true);
        assert!(
            matches!(persons, TokenError::Operator(OperatorError::SignIn { .. })),
            "{persons:?}"
        );
        let remedy = persons.remedy().unwrap();
        assert!(remedy.contains("exorelay login ACCOUNT"), "{remedy}");
        assert!(persons.to_string().contains(remedy));
        let apps = sorted_for(error, number, false);
        assert!(
            matches!(apps, TokenError::Operator(OperatorError::Refused { .. })),
            "{apps:?}"
        );
        assert_eq!(apps.known(), persons.known());
        let remedy = apps.remedy().unwrap();
        assert!(!remedy.contains("exorelay login"), "{remedy}");
        assert!(apps.to_string().contains(remedy));
    }
    // Nobody mends a wrong secret by signing in.
    let wrong = sorted_for("invalid_client", Some(7_000_215), true);
    assert!(matches!(
        wrong,
        TokenError::Operator(OperatorError::Refused { .. })
    ));
}

#[test]
fn every_error_response_has_a_meaning() {
    for (error, number, key) in [
        ("invalid_client", Some(7_000_222), "aadsts7000222"),
        ("invalid_client", Some(1), "oauth_invalid_client"),
        ("invalid_request", Some(1), "oauth_unknown"),
        ("invalid_request", None, "oauth_invalid_request"),
        ("something_new", None, "oauth_unknown"),
        ("server_error", None, "oauth_server_error"),
    ] {
        let error = sorted(error, number);
        assert_eq!(error.known().unwrap().key(), key);
    }
    let busy = |number: Option<u32>| {
        let codes: Vec<u32> = number.into_iter().collect();
        let body = serde_json::json!({"error": "temporarily_unavailable", "error_codes": codes});
        let response = ErrorResponse::decode(body.to_string().as_bytes(), None);
        TokenError::Retry(RetryError::Busy {
            host: "h".into(),
            status: 429,
            retry_after: None,
            response: response.map(Arc::new),
        })
    };
    assert_eq!(busy(Some(90_055)).known(), aadsts::entry(90_055));
    assert_eq!(busy(None).known(), None);
}

#[test]
fn loop_detection_asks_for_minutes() {
    let loop_detected = sorted("invalid_request", Some(50_196));
    assert_eq!(loop_detected.retry_after(), Some(Duration::from_mins(5)));
    assert_eq!(sorted("server_error", None).retry_after(), None);
}

#[test]
fn likeness_looks_past_ids_but_not_past_numbers() {
    let wrong = sorted("invalid_client", Some(7_000_215));
    assert!(wrong.is_like(&sorted("invalid_client", Some(7_000_215))));
    assert!(!wrong.is_like(&sorted("invalid_client", Some(7_000_222))));
    assert!(!wrong.is_like(&sorted("server_error", None)));
    let busy = |status| {
        TokenError::Retry(RetryError::Busy {
            host: "h".into(),
            status,
            retry_after: None,
            response: None,
        })
    };
    assert!(busy(500).is_like(&busy(500)) && !busy(500).is_like(&busy(429)));
}

#[test]
fn report_names_the_causes() {
    let missing = SecretError::File {
        path: "/etc/exorelay/secret".into(),
        source: std::io::Error::from(std::io::ErrorKind::PermissionDenied),
    };
    let error = TokenError::Operator(OperatorError::Secret(Arc::new(missing)));
    assert_eq!(
        error.report(),
        "cannot read the secret file /etc/exorelay/secret: permission denied"
    );
}
