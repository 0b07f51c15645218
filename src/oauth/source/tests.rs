//! The schedule, on a grant without network and a clock that stands still until everybody waits.

use std::time::Duration;

use tokio::task::JoinSet;

use self::bench::{FakeGrant, bench, bench_with_token};
use super::super::error::{FaultError, RetryError, TokenError};
use super::*;

mod bench;
mod quiet;

/// The paused clock moves only when nobody has anything left to do.
async fn settle() {
    pass(Duration::from_millis(1)).await;
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

fn text(token: Result<AccessToken, Unavailable>) -> String {
    token.unwrap().secret().reveal().to_owned()
}

fn busy(retry_after: Option<Duration>) -> TokenError {
    TokenError::Retry(RetryError::Busy {
        host: "login.example".into(),
        status: 503,
        retry_after,
        response: None,
    })
}

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn thousand_callers_cause_one_request() {
    let bench = bench();
    let mut callers = JoinSet::new();
    for _ in 0..1_000 {
        let source = bench.source.clone();
        callers.spawn(async move { text(source.token().await) });
    }
    settle().await;
    assert_eq!(bench.grant.requests(), 1);
    assert!(callers.try_join_next().is_none());
    bench.grant.open();
    let tokens = callers.join_all().await;
    assert_eq!(tokens.len(), 1_000);
    assert!(tokens.iter().all(|token| token == "token-1"));
    assert_eq!(bench.grant.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn thousand_callers_get_the_error_of_the_one_request() {
    let bench = bench();
    bench.grant.will([Err(busy(None))]);
    let mut callers = JoinSet::new();
    for _ in 0..1_000 {
        let source = bench.source.clone();
        callers.spawn(async move { source.token().await });
    }
    settle().await;
    bench.grant.open();
    for outcome in callers.join_all().await {
        assert!(matches!(outcome, Err(Unavailable::Failing { .. })));
    }
    assert_eq!(bench.grant.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_before_run() {
    let grant = FakeGrant::new();
    let source = TokenSource::with_grant(Box::new(Arc::clone(&grant)));
    let waiting = tokio::time::timeout(HOUR, source.token()).await;
    assert!(waiting.is_err());
    assert_eq!(grant.requests(), 0);
    assert!(matches!(*source.status().borrow(), TokenStatus::Starting));
}

#[tokio::test(start_paused = true)]
async fn renewal_comes_between_half_and_three_quarters_of_life() {
    let bench = bench_with_token([]).await;
    pass(24 * HOUR).await;
    let pauses = bench.grant.pauses();
    assert!(pauses.len() >= 31, "{}", pauses.len());
    for pause in &pauses {
        assert!(*pause >= HOUR / 2 && *pause <= HOUR / 4 * 3 + Duration::from_millis(2));
    }
    // At random: a fixed point would make a fleet of relays ask at once.
    assert!(
        pauses
            .iter()
            .any(|pause| pause.abs_diff(pauses[0]) > MINUTE)
    );
}

#[tokio::test(start_paused = true)]
async fn callers_never_wait_nor_see_less_than_ten_minutes() {
    let bench = bench_with_token([]).await;
    for _ in 0..500 {
        let now = Instant::now();
        let token = bench.source.token().await.unwrap();
        assert_eq!(Instant::now(), now);
        assert!(token.expires_at() - now >= 10 * MINUTE);
        pass(MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_of_five_minutes_serve_too() {
    let bench = bench();
    bench.grant.will((0..200).map(|_| Ok(5 * MINUTE)));
    bench.grant.open();
    for _ in 0..500 {
        let token = bench.source.token().await.unwrap();
        assert!(token.expires_at() - Instant::now() >= Duration::from_secs(74));
        pass(Duration::from_secs(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_of_a_second_do_not_make_a_storm() {
    let bench = bench();
    bench
        .grant
        .will((0..1_000).map(|_| Ok(Duration::from_secs(1))));
    bench.grant.open();
    let token = bench.source.token().await.unwrap();
    pass(10 * MINUTE).await;
    assert!(bench.grant.requests() <= 41, "{}", bench.grant.requests());
    let next = bench.source.token().await.unwrap();
    assert_ne!(token.serial(), next.serial());
    assert!(!next.is_expired(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn failed_renewal_stays_unseen_until_the_token_expires() {
    let bench = bench_with_token([Ok(HOUR)]).await;
    bench.grant.will((0..1_000).map(|_| Err(busy(None))));
    let expires_at = bench.source.token().await.unwrap().expires_at();
    while Instant::now() < expires_at - 2 * MINUTE {
        assert_eq!(text(bench.source.token().await), "token-1");
        pass(MINUTE).await;
    }
    // Under ten minutes, and requests fail: it is all there is.
    let status = bench.source.status().borrow().clone();
    assert!(status.is_usable(Instant::now()));
    assert!(
        matches!(status, TokenStatus::Failing { usable_until: Some(until), .. } if until == expires_at)
    );
    pass(5 * MINUTE).await;
    let error = loop {
        match bench.source.token().await {
            Ok(_) => pass(MINUTE).await,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Unavailable::Failing { .. }));
    assert!(Instant::now() >= expires_at);
    assert!(!bench.source.status().borrow().is_usable(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn token_near_its_end_waits_for_the_request_in_flight() {
    let bench = bench_with_token([Ok(HOUR)]).await;
    bench.grant.close();
    let expires_at = bench.source.token().await.unwrap().expires_at();
    pass(51 * MINUTE).await;
    assert_eq!(bench.grant.requests(), 2);
    let caller = tokio::spawn({
        let source = bench.source.clone();
        async move { text(source.token().await) }
    });
    settle().await;
    assert!(!caller.is_finished());
    bench.grant.open();
    assert_eq!(caller.await.unwrap(), "token-2");
    assert!(Instant::now() < expires_at);
}

#[tokio::test(start_paused = true)]
async fn token_near_its_end_is_handed_out_when_the_request_in_flight_fails() {
    let bench = bench_with_token([Ok(HOUR), Err(busy(None))]).await;
    bench.grant.close();
    pass(51 * MINUTE).await;
    let caller = tokio::spawn({
        let source = bench.source.clone();
        async move { text(source.token().await) }
    });
    settle().await;
    bench.grant.open();
    assert_eq!(caller.await.unwrap(), "token-1");
}

#[tokio::test(start_paused = true)]
async fn callers_in_a_back_off_cause_no_request_and_learn_when_the_next_is() {
    let bench = bench();
    bench.grant.will((0..6).map(|_| Err(busy(None))));
    bench.grant.open();
    settle().await;
    let before = Instant::now();
    for _ in 0..1_000 {
        let Err(Unavailable::Failing { next_try, .. }) = bench.source.token().await else {
            panic!("no token was given yet");
        };
        assert!(next_try > before && next_try <= before + Duration::from_secs(2));
    }
    assert_eq!(Instant::now(), before);
    assert_eq!(bench.grant.requests(), 1);

    // It heals by itself, and whoever watches the status is told.
    let mut status = bench.source.status();
    status
        .wait_for(|status| status.is_usable(Instant::now()))
        .await
        .unwrap();
    assert_eq!(text(bench.source.token().await), "token-7");
    let doubled = [2u64, 4, 8, 16, 32, 64];
    for (pause, seconds) in bench.grant.pauses().into_iter().zip(doubled) {
        let step = Duration::from_secs(seconds);
        assert!(pause >= step / 4 * 3 && pause <= step + Duration::from_millis(2));
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for() {
    let bench = bench();
    bench
        .grant
        .will([Err(busy(Some(20 * MINUTE))), Err(busy(Some(30 * HOUR)))]);
    bench.grant.open();
    pass(3 * HOUR).await;
    let pauses = bench.grant.pauses();
    assert_eq!(pauses[0].as_secs(), 20 * 60);
    assert_eq!(pauses[1].as_secs(), 60 * 60);
}

#[tokio::test(start_paused = true)]
async fn failing_status_keeps_its_beginning() {
    let bench = bench();
    bench
        .grant
        .will((0..9).map(|_| Err(TokenError::Fault(FaultError::Request))));
    bench.grant.open();
    settle().await;
    let TokenStatus::Failing { since: first, .. } = *bench.source.status().borrow() else {
        panic!("the first request failed");
    };
    pass(10 * MINUTE).await;
    let TokenStatus::Failing {
        since,
        next_try,
        usable_until,
        ..
    } = *bench.source.status().borrow()
    else {
        panic!("all requests failed");
    };
    assert_eq!(since, first);
    assert!(next_try > Instant::now() && usable_until.is_none());
}

#[tokio::test(start_paused = true)]
async fn refused_token_forces_exactly_one_renewal() {
    let bench = bench_with_token([]).await;
    let token = bench.source.token().await.unwrap();
    bench.grant.close();
    for _ in 0..1_000 {
        assert_eq!(bench.source.refused(&token), Refusal::Renewing);
    }
    // Not handed out again, although it has almost an hour left.
    let caller = tokio::spawn({
        let source = bench.source.clone();
        async move { source.token().await.unwrap() }
    });
    settle().await;
    assert!(!caller.is_finished());
    bench.grant.open();
    let next = caller.await.unwrap();
    assert_eq!(next.secret().reveal(), "token-2");
    assert_eq!(bench.grant.requests(), 2);

    // The old one is old news; the new one cannot be forced away before a minute is over.
    assert_eq!(bench.source.refused(&token), Refusal::Superseded);
    assert_eq!(bench.source.refused(&next), Refusal::TooSoon);
    assert_eq!(text(bench.source.token().await), "token-2");
    pass(MINUTE).await;
    assert_eq!(bench.grant.requests(), 2);
    assert_eq!(bench.source.refused(&next), Refusal::Renewing);
    assert_eq!(text(bench.source.token().await), "token-3");
    assert_eq!(bench.grant.requests(), 3);
}

#[tokio::test(start_paused = true)]
async fn refused_token_is_not_handed_out_while_its_renewal_fails() {
    let bench = bench_with_token([Ok(HOUR), Err(busy(None)), Err(busy(None))]).await;
    let token = bench.source.token().await.unwrap();
    assert_eq!(bench.source.refused(&token), Refusal::Renewing);
    assert!(matches!(
        bench.source.token().await,
        Err(Unavailable::Failing { .. })
    ));
    assert_eq!(bench.source.refused(&token), Refusal::Renewing);
    settle().await;
    assert_eq!(bench.grant.requests(), 2);
    pass(MINUTE).await;
    assert_eq!(text(bench.source.token().await), "token-4");
}

#[tokio::test(start_paused = true)]
async fn renew_now_ends_a_back_off() {
    let bench = bench();
    bench.grant.will([Err(busy(Some(HOUR)))]);
    bench.grant.open();
    assert!(bench.source.token().await.is_err());
    bench.source.renew_now();
    // The caller waits for the request that was just asked for.
    assert_eq!(text(bench.source.token().await), "token-2");
    assert!(bench.grant.pauses()[0] < MINUTE);
}

#[tokio::test(start_paused = true)]
async fn renew_now_during_a_request_adds_one_only_if_that_fails() {
    let bench = bench();
    bench.grant.will([Err(busy(Some(HOUR))), Ok(HOUR)]);
    settle().await;
    bench.source.renew_now();
    bench.source.renew_now();
    bench.grant.open();
    pass(MINUTE).await;
    assert_eq!(bench.grant.requests(), 2);
    bench.grant.close();
    bench.source.renew_now();
    settle().await;
    bench.source.renew_now();
    bench.grant.open();
    pass(MINUTE).await;
    assert_eq!(bench.grant.requests(), 3);
}

#[tokio::test(start_paused = true)]
async fn shutdown_frees_those_who_wait() {
    let bench = bench();
    let caller = tokio::spawn({
        let source = bench.source.clone();
        async move { source.token().await }
    });
    settle().await;
    bench.shutdown.cancel();
    bench.task.await.unwrap();
    assert!(matches!(caller.await.unwrap(), Err(Unavailable::Stopped)));
    assert!(matches!(
        *bench.source.status().borrow(),
        TokenStatus::Stopped
    ));
}

#[tokio::test(start_paused = true)]
async fn run_that_is_cancelled_beforehand_has_ended() {
    let source = TokenSource::with_grant(Box::new(FakeGrant::new()));
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    source.run(shutdown).await;
    assert!(matches!(source.token().await, Err(Unavailable::Stopped)));
}

#[tokio::test(start_paused = true)]
async fn token_outlives_the_task() {
    let bench = bench_with_token([]).await;
    bench.task.abort();
    assert!(bench.task.await.unwrap_err().is_cancelled());
    assert_eq!(text(bench.source.token().await), "token-1");
    bench.source.renew_now();
    pass(HOUR).await;
    assert!(matches!(
        bench.source.token().await,
        Err(Unavailable::Stopped)
    ));
    assert_eq!(bench.grant.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn second_task_waits_for_the_first_and_takes_over() {
    let bench = bench_with_token([]).await;
    let second = CancellationToken::new();
    let task = tokio::spawn({
        let (source, shutdown) = (bench.source.clone(), second.clone());
        async move { source.run(shutdown).await }
    });
    pass(MINUTE).await;
    assert_eq!(bench.grant.requests(), 1);
    bench.shutdown.cancel();
    bench.task.await.unwrap();
    pass(MINUTE).await;
    assert_eq!(bench.grant.requests(), 2);
    assert!(!matches!(
        *bench.source.status().borrow(),
        TokenStatus::Stopped
    ));
    second.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn debug_shows_no_token() {
    let bench = bench_with_token([]).await;
    let shown = format!("{:?} {:?}", bench.source, bench.source.token().await);
    assert!(!shown.contains("token-1"), "{shown}");
}
