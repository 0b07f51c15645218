//! What a remote must not get away with before it hears of a message.

use super::*;

/// How opening fails, and all the remote has heard.
async fn failure(tls: Tls, script: Script) -> (ConnectionError, String) {
    let (connection, far) = begin(tls, script).await;
    let error = connection.err().unwrap();
    let (mut far, mut heard) = far.await.unwrap();
    far.read_to_end(&mut heard).await.unwrap();
    (error, String::from_utf8_lossy(&heard).into_owned())
}

fn until_ehlo(reply: &str) -> Script {
    vec![
        ("", b"220 up.test\r\n".to_vec()),
        ("EHLO relay.test\r\n", reply.into()),
    ]
}

const EHLO: &str = "EHLO relay.test\r\n";

#[tokio::test(start_paused = true)]
async fn without_an_offer_of_starttls_nothing_more_is_said() {
    let (error, heard) = failure(Tls::StartTls, until_ehlo("250-up\r\n250 AUTH XOAUTH2\r\n")).await;
    assert!(
        error.to_string().contains("does not offer STARTTLS"),
        "{error}"
    );
    assert_eq!(heard, EHLO);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_knows_only_helo_is_told_apart() {
    let (error, heard) = failure(Tls::StartTls, until_ehlo("502 5.5.1 what?\r\n")).await;
    let error = error.to_string();
    assert!(error.contains("refused EHLO: 502 5.5.1 what?"), "{error}");
    assert!(
        error.contains("knows only HELO") && error.contains("host and port"),
        "{error}"
    );
    assert_eq!(heard, EHLO, "HELO brings no AUTH");
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_before_the_handshake_ends_the_session() {
    for injected in ["250 injected\r\n", "2", "250-half of a reply\r\n"] {
        let mut script = until_ehlo("250-up\r\n250 STARTTLS\r\n");
        script.push(("STARTTLS\r\n", format!("220 go\r\n{injected}").into()));
        let (error, heard) = failure(Tls::StartTls, script).await;
        assert!(matches!(error, ConnectionError::Injected { .. }), "{error}");
        assert_eq!(heard, format!("{EHLO}STARTTLS\r\n"));
    }
    // Later, it is no TLS record.
    let mut script = until_ehlo("250-up\r\n250 STARTTLS\r\n");
    script.push(("STARTTLS\r\n", b"220 go\r\n".to_vec()));
    script.push(("", b"250 injected\r\n".to_vec()));
    let (near, far) = tokio::io::duplex(16 * 1024);
    let far = tokio::spawn(async move {
        let mut far = far;
        for (expected, answer) in script {
            let mut heard = vec![0; expected.len()];
            far.read_exact(&mut heard).await.unwrap();
            far.write_all(&answer).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut heard = Vec::new();
        let _ = far.read_to_end(&mut heard).await;
        heard
    });
    let error = begin_on(near, Tls::StartTls).await.err().unwrap();
    let ended = matches!(
        error,
        ConnectionError::Injected { .. } | ConnectionError::Handshake { .. }
    );
    assert!(ended, "{error}");
    let heard = far.await.unwrap();
    assert!(memchr::memmem::find(&heard, b"EHLO").is_none(), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_greets_inside_tls_where_tls_comes_first() {
    let (error, heard) = failure(Tls::Implicit, vec![("", b"220 up.test\r\n".to_vec())]).await;
    assert!(
        matches!(error, ConnectionError::Handshake { .. }),
        "{error}"
    );
    assert!(heard.starts_with('\u{16}'), "a ClientHello");
}

/// RFC 8996: TLS 1.1 is no longer spoken, whatever a server would like.
#[tokio::test(start_paused = true)]
async fn old_versions_of_tls_are_refused() {
    for version in [1, 2] {
        // ServerHello with TLS_RSA_WITH_AES_128_CBC_SHA, RFC 4346 section 7.4.1.3.
        let hello = [&[2, 0, 0, 38, 3, version][..], &[7; 32], &[0, 0, 0x2f, 0]].concat();
        let record = [&[22, 3, version, 0, hello.len() as u8][..], &hello].concat();
        let mut script = until_ehlo("250-up\r\n250 STARTTLS\r\n");
        script.push(("STARTTLS\r\n", b"220 go\r\n".to_vec()));
        let (near, mut far) = tokio::io::duplex(16 * 1024);
        let server = tokio::spawn(async move {
            for (expected, answer) in script {
                let mut heard = vec![0; expected.len()];
                far.read_exact(&mut heard).await.unwrap();
                far.write_all(&answer).await.unwrap();
            }
            // The ClientHello has begun.
            let mut start = [0; 5];
            far.read_exact(&mut start).await.unwrap();
            far.write_all(&record).await.unwrap();
            let mut rest = Vec::new();
            let _ = far.read_to_end(&mut rest).await;
        });
        let error = begin_on(near, Tls::StartTls).await.err().unwrap();
        assert!(
            matches!(&error, ConnectionError::Handshake { reason, .. } if reason.contains("Tls1")),
            "{error}"
        );
        server.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn replies_without_end_are_given_up() {
    for (line, count) in [("250-more\r\n", 1_000), ("xxxxxxxxxx", 1_000)] {
        let (error, _) = failure(Tls::StartTls, vec![("", line.repeat(count).into())]).await;
        assert!(
            matches!(
                error,
                ConnectionError::Reply(ReplyError::TooLong | ReplyError::LineTooLong)
            ),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn octets_that_are_no_text_are_survived() {
    let script = vec![("", b"554 5.7.1 gr\xfc\xdfe\x1b[31m\0\r\n".to_vec())];
    let (error, _) = failure(Tls::StartTls, script).await;
    let shown = error.to_string();
    assert!(
        shown.contains("554 5.7.1 gr\u{fffd}\u{fffd}e?[31m?"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up() {
    let begun_at = Instant::now();
    let (error, _) = failure(Tls::StartTls, Vec::new()).await;
    assert!(matches!(error, ConnectionError::Timeout(_)), "{error}");
    assert_eq!(begun_at.elapsed(), Duration::from_mins(1));
}
