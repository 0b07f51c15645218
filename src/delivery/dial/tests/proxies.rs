//! Through a proxy that says what a test wants.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Dials `host` through `proxy`, whose side `serve` plays.
async fn through<F, S>(proxy: &str, host: &str, serve: S) -> Result<Dialed<DuplexStream>, String>
where
    S: FnOnce(DuplexStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let proxy: Proxy = proxy.parse().unwrap();
    let mut stage = stage(&[("192.0.2.9:1080", Fate::Connects(NOW))]);
    let addresses = stage.names.remove("up").unwrap();
    // The target's name is not resolved here.
    stage.names.insert("proxy".to_owned(), addresses);
    let far_ends = Arc::clone(&stage.far_ends);
    let dialing = dial(&stage, (host, 587), Some(&proxy), LIMIT);
    tokio::pin!(dialing);
    let far = loop {
        if let Some(far) = far_ends.lock().unwrap().pop() {
            break far;
        }
        tokio::select! {
            biased;
            ended = &mut dialing => return ended.map_err(|error| error.to_string()),
            () = tokio::task::yield_now() => {}
        }
    };
    let serving = tokio::spawn(serve(far));
    let dialed = dialing.await.map_err(|error| error.to_string());
    if dialed.is_err() {
        // Whatever it was asked was right, or the error would be another.
        serving.abort();
    } else {
        serving.await.unwrap();
    }
    dialed
}

/// Expects octets and answers with others, in turn; then keeps the connection open for a while.
async fn play(mut far: DuplexStream, script: Vec<(Vec<u8>, Vec<u8>)>) {
    for (expected, answer) in script {
        let mut heard = vec![0; expected.len()];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, expected, "{}", String::from_utf8_lossy(&heard));
        far.write_all(&answer).await.unwrap();
    }
}

const GREETING: &[u8] = b"220 up.test\r\n";

fn asks_for_up() -> Vec<u8> {
    [&[5, 1, 0, 3, 2][..], b"up", &587_u16.to_be_bytes()].concat()
}

fn granted() -> Vec<u8> {
    [&[5, 0, 0, 1, 10, 0, 0, 1, 4, 0][..], GREETING].concat()
}

async fn first_words(mut dialed: Dialed<DuplexStream>) -> Vec<u8> {
    let mut words = dialed.early.to_vec();
    words.resize(GREETING.len(), 0);
    let (_, rest) = words.split_at_mut(dialed.early.len());
    dialed.stream.read_exact(rest).await.unwrap();
    words
}

#[tokio::test(start_paused = true)]
async fn socks5_resolves_the_name_and_leaves_the_greeting_alone() {
    let script = vec![(vec![5, 1, 0], vec![5, 0]), (asks_for_up(), granted())];
    let dialed = through("socks5://proxy:1080", "up", |far| play(far, script)).await;
    assert_eq!(first_words(dialed.unwrap()).await, GREETING);

    // Whatever address the proxy connects from.
    for bound in [&[3, 4, b'h', b'o', b's', b't'][..], &[4; 17]] {
        let answer = [&[5, 0, 0], bound, &[0, 0], GREETING].concat();
        let script = vec![(vec![5, 1, 0], vec![5, 0]), (asks_for_up(), answer)];
        let dialed = through("socks5://proxy:1080", "up", |far| play(far, script)).await;
        assert_eq!(first_words(dialed.unwrap()).await, GREETING);
    }
}

#[tokio::test(start_paused = true)]
async fn socks5_takes_addresses_as_addresses() {
    for (host, asked) in [
        ("192.0.2.1", vec![5, 1, 0, 1, 192, 0, 2, 1, 2, 75]),
        (
            "2001:db8::1",
            [
                &[5, 1, 0, 4, 0x20, 1, 0x0d, 0xb8][..],
                &[0; 11],
                &[1, 2, 75],
            ]
            .concat(),
        ),
    ] {
        let script = vec![(vec![5, 1, 0], vec![5, 0]), (asked, granted())];
        let dialed = through("socks5://proxy:1080", host, |far| play(far, script)).await;
        assert_eq!(first_words(dialed.unwrap()).await, GREETING, "{host}");
    }
}

#[tokio::test(start_paused = true)]
async fn socks5_gives_user_name_and_password_where_they_are_asked_for() {
    let asked = b"\x01\x02me\x07hunter2".to_vec();
    let proxy = "socks5://me:hunter2@proxy:1080";
    let script = vec![
        (vec![5, 2, 0, 2], vec![5, 2]),
        (asked.clone(), vec![1, 0]),
        (asks_for_up(), granted()),
    ];
    let dialed = through(proxy, "up", |far| play(far, script)).await;
    assert_eq!(first_words(dialed.unwrap()).await, GREETING);

    let script = vec![(vec![5, 2, 0, 2], vec![5, 2]), (asked, vec![1, 1])];
    let error = through(proxy, "up", |far| play(far, script))
        .await
        .unwrap_err();
    assert!(
        error.starts_with("the proxy socks5://proxy:1080 refuses the user name"),
        "{error}"
    );
    assert!(!error.contains("hunter2"));

    for (proxy, offer) in [
        ("socks5://proxy:1080", vec![5, 1, 0]),
        (proxy, vec![5, 2, 0, 2]),
    ] {
        let login = proxy.contains('@');
        let script = vec![(offer, vec![5, 0xff])];
        let error = through(proxy, "up", |far| play(far, script))
            .await
            .unwrap_err();
        assert_eq!(error.contains("wants to know who asks"), !login, "{error}");
        assert_eq!(error.contains("refuses the user name"), login, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_tells_the_proxy_from_the_target() {
    for (reply, words) in [
        (2, "does not allow connections to up:587"),
        (7, "does not allow connections to up:587"),
        (1, "cannot reach up:587 (SOCKS5 reply 1"),
        (4, "cannot reach up:587 (SOCKS5 reply 4: host unreachable)"),
        (
            5,
            "cannot reach up:587 (SOCKS5 reply 5: connection refused)",
        ),
    ] {
        let answer = vec![5, reply, 0, 1, 0, 0, 0, 0, 0, 0];
        let script = vec![(vec![5, 1, 0], vec![5, 0]), (asks_for_up(), answer)];
        let error = through("socks5://proxy:1080", "up", |far| play(far, script)).await;
        let error = error.unwrap_err();
        assert!(
            error.starts_with("the proxy socks5://proxy:1080 "),
            "{error}"
        );
        assert!(error.contains(words), "{error}");
    }
    for (answer, words) in [
        (
            "403 Forbidden",
            "does not allow connections to up:587 (HTTP/1.1 403 Forbidden)",
        ),
        (
            "502 Bad Gateway",
            "cannot reach up:587 (HTTP/1.1 502 Bad Gateway)",
        ),
        ("504 Gateway Timeout", "cannot reach up:587"),
        ("407 Authentication Required", "wants to know who asks"),
        ("302 \x1b[31mFound", "(HTTP/1.1 302 ?[31mFound)"),
    ] {
        let answer = format!("HTTP/1.1 {answer}\r\nX: y\r\n\r\n<html>").into_bytes();
        let script = vec![(
            b"CONNECT up:587 HTTP/1.1\r\nHost: up:587\r\n\r\n".to_vec(),
            answer,
        )];
        let error = through("http://proxy:1080", "up", |far| play(far, script)).await;
        let error = error.unwrap_err();
        assert!(error.starts_with("the proxy http://proxy:1080 "), "{error}");
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn http_connect_gives_the_greeting_that_came_with_its_answer() {
    let asked = "CONNECT up:587 HTTP/1.1\r\nHost: up:587\r\n\r\n";
    let answer = [
        b"HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n",
        GREETING,
    ]
    .concat();
    let script = vec![(asked.into(), answer)];
    let dialed = through("http://proxy:1080", "up", |far| play(far, script)).await;
    let dialed = dialed.unwrap();
    assert_eq!(dialed.early, GREETING);
    assert_eq!(first_words(dialed).await, GREETING);

    let asked = "CONNECT [2001:db8::1]:587 HTTP/1.1\r\nHost: [2001:db8::1]:587\r\n\
         Proxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n";
    let script = vec![(asked.into(), b"HTTP/1.1 200\r\n\r\n".to_vec())];
    let proxy = "http://me:p%40ss@proxy:1080";
    let dialed = through(proxy, "2001:db8::1", |far| play(far, script)).await;
    assert!(dialed.unwrap().early.is_empty());

    let refusal = b"HTTP/1.1 407 No\r\n\r\n".to_vec();
    let asked = asked.replace("[2001:db8::1]", "up").into_bytes();
    let script = vec![(asked, refusal)];
    let error = through(proxy, "up", |far| play(far, script))
        .await
        .unwrap_err();
    assert!(
        error.contains("refuses the user name and password"),
        "{error}"
    );
    assert!(!error.contains("p@ss") && !error.contains("p%40ss"));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_proxy_is_found_out() {
    let endless = [&b"HTTP/1.1 200 OK\r\nX: "[..], &[b'x'; 9_000]].concat();
    for (proxy, asked, answer, words) in [
        (
            "http://proxy:1080",
            1,
            GREETING.to_vec(),
            "does not speak HTTP",
        ),
        ("http://proxy:1080", 1, endless, "does not speak HTTP"),
        (
            "http://proxy:1080",
            1,
            b"HTTP/1.1 x\r\n\r\n".to_vec(),
            "does not speak HTTP",
        ),
        ("http://proxy:1080", 1, Vec::new(), "closed the connection"),
        (
            "socks5://proxy:1080",
            3,
            GREETING.to_vec(),
            "does not speak SOCKS5",
        ),
        (
            "socks5://proxy:1080",
            3,
            vec![4, 0],
            "does not speak SOCKS5",
        ),
        ("socks5://proxy:1080", 3, vec![5], "closed the connection"),
    ] {
        let serve = async move |mut far: DuplexStream| {
            let mut heard = vec![0; asked];
            far.read_exact(&mut heard).await.unwrap();
            far.write_all(&answer).await.unwrap();
        };
        let error = through(proxy, "up", serve).await.unwrap_err();
        assert!(error.contains(words), "{error}");
        assert!(
            error.contains("check the scheme and port in smtp.proxy"),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_proxy_and_one_that_is_not_there_are_given_up() {
    let begun_at = Instant::now();
    let silent = async |far: DuplexStream| {
        pending::<()>().await;
        drop(far);
    };
    let error = through("socks5://proxy:1080", "up", silent)
        .await
        .unwrap_err();
    assert!(error.contains("gave no connection within 30 s"), "{error}");
    assert_eq!(begun_at.elapsed(), LIMIT);

    let error = through("http://elsewhere:1080", "up", silent)
        .await
        .unwrap_err();
    assert!(
        error.starts_with("cannot connect to the proxy http://elsewhere:1080: the name cannot"),
        "{error}"
    );
}
