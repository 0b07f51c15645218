//! What a source does without being asked: it keeps a sign-in alive, and sees that a file has changed.

use std::path::PathBuf;

use super::super::super::error::OperatorError;
use super::bench::{Bench, bench_watching};
use super::*;

const DAY: Duration = Duration::from_hours(24);

fn nobody_signed_in() -> TokenError {
    let account = "default".into();
    TokenError::Operator(OperatorError::NotSignedIn { account })
}

#[tokio::test(start_paused = true)]
async fn relay_without_mail_never_comes_near_the_end_of_a_sign_in() {
    // A day is the longest life of a token that a tenant's policy allows, 90 days that of a refresh token.
    let bench = bench_with_token((0..200).map(|_| Ok(DAY))).await;
    pass(100 * DAY).await;
    let pauses = bench.grant.pauses();
    assert!(pauses.len() >= 133, "{}", pauses.len());
    assert!(pauses.iter().all(|pause| *pause < DAY));
}

async fn fail_for_an_hour(folder: &std::path::Path, error: TokenError) -> (Bench, PathBuf) {
    let secret = folder.join("secret");
    std::fs::write(&secret, "old").unwrap();
    let bench = bench_watching(vec![secret.clone()]);
    bench.grant.will((0..20).map(|_| Err(error.clone())));
    bench.grant.open();
    pass(HOUR).await;
    (bench, secret)
}

#[tokio::test(start_paused = true)]
async fn replaced_file_is_tried_within_seconds_while_somebody_has_to_act() {
    let folder = tempfile::tempdir().unwrap();
    let (bench, secret) = fail_for_an_hour(folder.path(), nobody_signed_in()).await;
    let requests = bench.grant.requests();
    // Back-off is at its minutes by now; what has not changed is not tried more often.
    assert!(requests < 20, "{requests}");
    std::fs::write(&secret, "and new").unwrap();
    // The failure after that is a first one again, and waits as short as that.
    for more in 1..=2 {
        let asked = Instant::now();
        while bench.grant.requests() < requests + more {
            pass(Duration::from_secs(1)).await;
        }
        assert!(asked.elapsed() <= Duration::from_secs(11));
    }
    // The file is as it was tried; from here on it is the back-off again.
    pass(2 * MINUTE).await;
    assert!(bench.grant.requests() <= requests + 6);
}

#[tokio::test(start_paused = true)]
async fn file_is_no_reason_to_ask_a_service_in_trouble_again() {
    let folder = tempfile::tempdir().unwrap();
    let (bench, secret) = fail_for_an_hour(folder.path(), busy(Some(HOUR))).await;
    let requests = bench.grant.requests();
    std::fs::write(&secret, "and new").unwrap();
    pass(MINUTE).await;
    assert!(bench.grant.requests() <= requests + 1);
}

#[tokio::test(start_paused = true)]
async fn file_is_not_looked_at_while_all_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    let bench = bench_watching(vec![secret.clone()]);
    bench.grant.open();
    bench.source.token().await.unwrap();
    std::fs::write(&secret, "new").unwrap();
    pass(MINUTE).await;
    assert_eq!(bench.grant.requests(), 1);
}
