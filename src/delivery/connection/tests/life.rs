//! How long a connection is kept (facts A.5).

use super::*;

#[tokio::test(start_paused = true)]
async fn fifty_messages_are_enough() {
    let mut script = Script::new();
    for _ in 0..50 {
        script.extend(transaction("250 2.0.0 OK\r\n"));
    }
    let (mut connection, _far) = ready(script).await;
    assert!(!connection.is_used());
    for number in 0..50 {
        assert!(connection.is_fresh(), "{number}");
        send(&mut connection, 10).await.unwrap();
    }
    assert!(connection.is_used() && !connection.is_fresh());
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_are_enough() {
    let (connection, _far) = ready(Script::new()).await;
    advance(Duration::from_secs(599)).await;
    assert!(connection.is_fresh());
    advance(Duration::from_secs(1)).await;
    assert!(!connection.is_fresh());
}

#[tokio::test(start_paused = true)]
async fn five_minutes_before_its_token_a_connection_ends() {
    // Opened as late as the token is handed out; a short one is used for longer, and renewed sooner.
    for (lifetime_s, opened_s, kept_s) in [(3_600, 3_000, 300), (840, 630, 105), (480, 0, 420)] {
        let token = token(Duration::from_secs(lifetime_s));
        advance(Duration::from_secs(opened_s)).await;
        let (connection, _far) = begin(Tls::None, opening()).await;
        let mut connection = connection.unwrap();
        connection
            .authenticate("relay@contoso.com", &token)
            .await
            .unwrap();
        advance(Duration::from_secs(kept_s - 1)).await;
        assert!(connection.is_fresh(), "{lifetime_s}");
        advance(Duration::from_secs(1)).await;
        assert!(!connection.is_fresh(), "{lifetime_s}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_a_minute() {
    let (mut connection, _far) = ready(Script::new()).await;
    let begun_at = Instant::now();
    assert_eq!(connection.rest().await, Rest::LongEnough);
    assert_eq!(begun_at.elapsed(), Duration::from_mins(1));
    assert!(connection.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn whatever_stirs_on_an_idle_connection_ends_it() {
    for said in [
        "",
        "421 4.3.2 Service not active\r\n",
        "451 4.7.0 Timeout waiting for client input\r\n",
        "250 2.0.0 OK\r\n",
        "2",
    ] {
        for rests in [true, false] {
            let (mut connection, far) = ready(Script::new()).await;
            let (mut far, _) = far.await.unwrap();
            assert!(connection.is_quiet().await);
            far.write_all(said.as_bytes()).await.unwrap();
            if said.is_empty() {
                drop(far);
            }
            if rests {
                assert_eq!(connection.rest().await, Rest::Disturbed, "{said:?}");
            }
            assert!(!connection.is_quiet().await, "{said:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_left_says_good_bye_and_does_not_wait_for_ever() {
    for answer in ["221 2.0.0 bye\r\n", ""] {
        let (connection, far) = ready(vec![("QUIT\r\n", answer.into())]).await;
        let begun_at = Instant::now();
        connection.quit().await;
        assert!(begun_at.elapsed() <= Duration::from_secs(3));
        let (_, heard) = far.await.unwrap();
        assert!(heard.ends_with(b"QUIT\r\n"));
    }
}
