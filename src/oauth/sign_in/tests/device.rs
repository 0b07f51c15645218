//! The device code: its schedule on a clock of its own, its requests over HTTP.

use tokio::time::Instant;

use super::super::device::{Failure, Poll, poll};
use super::*;
use crate::oauth::error::RetryError;
use crate::oauth::response::ErrorResponse;

fn timeout() -> TokenError {
    TokenError::Retry(RetryError::Timeout {
        host: "login.example".into(),
        limit: Duration::from_secs(30),
    })
}

fn busy(seconds: u64) -> TokenError {
    TokenError::Retry(RetryError::Busy {
        host: "login.example".into(),
        status: 429,
        retry_after: Some(Duration::from_secs(seconds)),
        response: None,
    })
}

fn response(error: &str) -> ErrorResponse {
    let body = json!({ "error": error }).to_string();
    ErrorResponse::decode(body.as_bytes(), None).unwrap()
}

/// When was asked, in seconds from the start, how often trouble was told, and what came of it.
async fn run(
    expires_in_s: u64,
    answers: Vec<Result<Poll<&'static str>, TokenError>>,
) -> (Vec<u64>, usize, Result<&'static str, Failure>) {
    let start = Instant::now();
    let (mut asked, mut troubles) = (Vec::new(), 0);
    let mut answers = answers.into_iter();
    let ended = poll(
        Duration::from_secs(5),
        Duration::from_secs(expires_in_s),
        async || {
            asked.push(start.elapsed().as_secs());
            answers.next().unwrap_or(Ok(Poll::Pending))
        },
        |_| troubles += 1,
    )
    .await;
    (asked, troubles, ended)
}

#[tokio::test(start_paused = true)]
async fn pending_is_asked_again_at_the_interval() {
    let answers = vec![
        Ok(Poll::Pending),
        Ok(Poll::Pending),
        Ok(Poll::Done("token")),
    ];
    let (asked, _, ended) = run(900, answers).await;
    assert_eq!(asked, [0, 5, 10]);
    assert_eq!(ended.unwrap(), "token");
}

#[tokio::test(start_paused = true)]
async fn slow_down_adds_five_seconds_for_good() {
    let answers = vec![
        Ok(Poll::SlowDown),
        Ok(Poll::Pending),
        Ok(Poll::SlowDown),
        Ok(Poll::Pending),
        Ok(Poll::Done("token")),
    ];
    assert_eq!(run(900, answers).await.0, [0, 10, 20, 35, 50]);
}

#[tokio::test(start_paused = true)]
async fn trouble_is_retried_with_growing_waits_until_it_passes() {
    let answers = vec![
        Err(timeout()),
        Err(timeout()),
        Ok(Poll::Pending),
        Err(busy(90)),
        Ok(Poll::Done("token")),
    ];
    let (asked, troubles, ended) = run(900, answers).await;
    assert_eq!(asked, [0, 10, 30, 35, 125]);
    assert_eq!(troubles, 3);
    assert_eq!(ended.unwrap(), "token");
}

#[tokio::test(start_paused = true)]
async fn time_ends_it_with_one_last_question() {
    let (asked, _, ended) = run(12, Vec::new()).await;
    assert_eq!(asked, [0, 5, 10, 12]);
    assert!(matches!(ended, Err(Failure::SignIn(SignInError::Expired))));

    let broken: Vec<_> = (0..100).map(|_| Err(timeout())).collect();
    let (asked, _, ended) = run(900, broken).await;
    assert_eq!(asked.last(), Some(&900));
    assert!(asked.len() < 25, "{asked:?}");
    assert!(matches!(ended, Err(Failure::SignIn(SignInError::Expired))));
}

#[tokio::test(start_paused = true)]
async fn refusals_end_it_at_once() {
    let declined = Poll::Declined(response("authorization_declined"));
    let (asked, _, ended) = run(900, vec![Ok(Poll::Pending), Ok(declined)]).await;
    assert_eq!(asked, [0, 5]);
    assert!(matches!(
        ended,
        Err(Failure::SignIn(SignInError::Declined { .. }))
    ));

    let expired = vec![Ok(Poll::Pending), Ok(Poll::Expired)];
    let (_, _, ended) = run(900, expired).await;
    assert!(matches!(ended, Err(Failure::SignIn(SignInError::Expired))));

    let refused = TokenError::from_response("h", response("invalid_client"), None, true);
    let (asked, troubles, ended) = run(900, vec![Err(refused)]).await;
    assert_eq!((asked.len(), troubles), (1, 0));
    assert!(matches!(ended, Err(Failure::Token(_))));
}

/// Over HTTP, with one answer before the token.
async fn one_answer(status: u16, body: Value) -> Result<SignedIn, SignInError> {
    let server = Server {
        secret: Some(SECRET),
        device_answers: Mutex::new(vec![(status, body)]),
        ..Server::default()
    };
    let (_, address) = server.start().await;
    let mut settings = settings(&address, "http://localhost");
    settings.application.credential = secrets(&["0ld", SECRET]);
    let sign_in = SignIn::new(settings).unwrap();
    let code = sign_in.device_code().await.unwrap();
    sign_in.wait_for_device(&code, |_| ()).await
}

#[tokio::test]
async fn code_is_shown_and_redeemed() {
    let server = Server::default();
    let (_, address) = server.start().await;
    let sign_in = SignIn::new(settings(&address, "http://localhost")).unwrap();
    let code = sign_in.device_code().await.unwrap();
    assert_eq!(code.verification_uri, "https://microsoft.com/devicelogin");
    assert_eq!(code.user_code, "ABCD-EFGH");
    assert_eq!(code.expires_in, Duration::from_mins(15));
    assert!(!format!("{code:?}").contains("d3v1ce"));
    let signed_in = sign_in.wait_for_device(&code, |_| ()).await.unwrap();
    assert_eq!(signed_in.refresh_token.reveal(), REFRESH);
    assert_eq!(signed_in.user.as_deref(), Some("relay@contoso.com"));
}

#[tokio::test]
async fn answers_of_the_token_endpoint_are_told_apart() {
    for error in ["authorization_declined", "access_denied"] {
        let ended = one_answer(400, json!({ "error": error })).await;
        assert!(
            matches!(ended, Err(SignInError::Declined { .. })),
            "{ended:?}"
        );
    }
    for body in [
        json!({"error": "expired_token"}),
        json!({"error": "invalid_grant", "error_description": "AADSTS70019: expired"}),
    ] {
        let ended = one_answer(400, body).await;
        assert!(matches!(ended, Err(SignInError::Expired)), "{ended:?}");
    }
    let public = "AADSTS7000218: The request body must contain ...";
    let ended = one_answer(
        401,
        json!({"error": "invalid_request", "error_description": public}),
    );
    let shown = ended.await.unwrap_err().to_string();
    assert!(shown.contains("allow public client flows"), "{shown}");
    let ended = one_answer(200, json!({"token_type": "Bearer"})).await;
    assert!(
        matches!(ended, Err(SignInError::Token(TokenError::Fault(_)))),
        "{ended:?}"
    );
}
