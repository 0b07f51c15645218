//! What changes something, over the socket.

use super::*;
use crate::queue::{ImportRequest, Piece, Skip};

async fn post(bench: &Bench, path: &str, kind: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(bench.socket()).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn request() -> ImportRequest {
    ImportRequest {
        reverse_path: "scanner@contoso.com".into(),
        recipients: vec!["desk@contoso.com".into()],
        account: "default".into(),
        smtputf8: false,
        ret: None,
        envelope_id: None,
        held: false,
        last_reply: None,
        listener: "import".into(),
        client: String::new(),
        helo: String::new(),
        tls: None,
        auth_name: None,
        mailbox: "relay@contoso.com".into(),
        hostname: "relay.test".into(),
        detail: None,
    }
}

#[tokio::test]
async fn nothing_is_touched_by_accident() {
    let bench = Bench::start();
    bench.submit(2).await;
    let json = "application/json";
    for (path, body, status, why) in [
        ("/v1/actions/delete", "{}", 400, "no message is named"),
        (
            "/v1/actions/delete",
            r#"{"filter":{}}"#,
            400,
            "no message is named",
        ),
        (
            "/v1/actions/delete",
            r#"{"filter":{"younger":1},"all":true}"#,
            422,
            "younger",
        ),
        (
            "/v1/actions/delete",
            r#"{"all":true,"force":true}"#,
            422,
            "force",
        ),
        (
            "/v1/actions/delete",
            r#"{"ids":["42"]}"#,
            422,
            "not a queue id",
        ),
        (
            "/v1/actions/delete",
            r#"{"all":true,"ids":["0000000000000000"]}"#,
            400,
            "either",
        ),
        ("/v1/actions/delete", "all", 400, "JSON"),
        ("/v1/actions/explode", r#"{"all":true}"#, 404, "explode"),
        ("/v1/export", "{}", 400, "no message is named"),
        ("/v1/import", "", 400, "missing"),
        ("/v1/import", "{}\nx", 400, "size_bytes"),
    ] {
        let answer = post(&bench, path, json, body).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{path} {body}: {answer}");
        assert!(
            answer.contains(r#"{"error":""#) && answer.contains(why),
            "{body}: {answer}"
        );
    }
    let answer = post(
        &bench,
        "/v1/actions/delete",
        "text/plain",
        r#"{"all":true}"#,
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
    let answer = bench.raw("GET /v1/actions/delete").await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert_eq!(bench.queue.used().0, 2);
}

#[tokio::test]
async fn progress_is_told_while_it_happens() {
    let bench = Bench::start();
    let ids = bench.submit(250).await;
    let mut seen = Vec::new();
    let tally = bench
        .client()
        .act(Action::Hold, &Selection::All, |tally| {
            seen.push(tally.seen());
        })
        .await
        .unwrap();
    assert_eq!((tally.selected, tally.touched), (250, 250));
    assert_eq!(seen, [100, 200, 250]);
    let unknown = QueueId::parse("0000000000000000").unwrap();
    let named = Selection::Ids(vec![ids[0], unknown, ids[0]]);
    let tally = bench
        .client()
        .act(Action::Release, &named, |_| {})
        .await
        .unwrap();
    assert_eq!((tally.selected, tally.touched), (2, 1));
    assert_eq!(tally.notes, [(unknown, Skip::Unknown)]);
    let detail = bench.client().show(ids[0]).await.unwrap().unwrap();
    let uid = rustix::process::getuid().as_raw();
    assert!(
        detail.events[1].actor.ends_with(&user_name(uid)),
        "{:?}",
        detail.events
    );
    assert_eq!(detail.events[1].through, "socket");
}

#[tokio::test]
async fn messages_of_any_size_come_and_go_octet_for_octet() {
    let bench = Bench::start();
    let client = bench.client();
    let head = "From: a@b\r\nDate: now\r\nMessage-ID: <1@b>\r\n\r\n";
    let mut contents = vec![head.to_owned()];
    contents
        .extend([10, 9_000, 200_000].map(|lines| format!("{head}{}", "a line\r\n".repeat(lines))));
    for content in &contents {
        let octets = std::io::Cursor::new(content.clone().into_bytes());
        let id = client
            .import(request(), content.len() as u64, octets)
            .await
            .unwrap();
        assert!(client.show(id).await.unwrap().is_some());
    }
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut ends = 0;
    let each = |piece: Piece<'_>| {
        match piece {
            Piece::Total(messages) => assert_eq!(messages, 4),
            Piece::Message(_) => found.push(Vec::new()),
            Piece::Octets(octets) => found.last_mut().unwrap().extend_from_slice(octets),
            Piece::End => ends += 1,
            Piece::Skipped { id, why } => panic!("{id} {why}"),
        }
        ControlFlow::Continue(())
    };
    client.export(&Selection::All, each).await.unwrap();
    assert_eq!(ends, 4);
    for (found, content) in found.iter().zip(&contents) {
        assert!(
            found == content.as_bytes(),
            "{} and {} octets",
            found.len(),
            content.len()
        );
    }
}

#[tokio::test]
async fn half_a_message_is_none_and_a_wrong_one_is_refused() {
    let bench = Bench::start();
    let client = bench.client();
    let half = std::io::Cursor::new(vec![b'x'; 10]);
    let error = client.import(request(), 20, half).await.unwrap_err();
    assert!(error.to_string().contains("10 of 20 bytes came"), "{error}");
    let mut wrong = request();
    wrong.recipients = vec!["nobody".into()];
    let error = client
        .import(wrong, 1, std::io::Cursor::new("x"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::Refused { status: 400, .. }),
        "{error}"
    );
    let huge = std::io::Cursor::new("x");
    let error = client.import(request(), 2 << 30, huge).await.unwrap_err();
    assert!(matches!(error, ClientError::Full { .. }), "{error}");
    assert_eq!(bench.queue.used(), (0, 0));
}

#[tokio::test]
async fn work_ends_with_the_daemon() {
    let bench = Bench::start();
    bench.submit(1_000).await;
    let client = bench.client();
    let ended = client
        .act(Action::Hold, &Selection::All, |_| bench.stop.cancel())
        .await;
    let counts = bench.queue.reader().counts().unwrap();
    let held = counts.accounts["default"]["held"];
    match ended {
        Ok(tally) => assert_eq!((tally.touched, held), (1_000, 1_000)),
        Err(ClientError::BrokenOff { .. }) => assert_eq!(held % 100, 0, "whole steps"),
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn token_is_asked_for_of_an_account_that_there_is() {
    let bench = Bench::start();
    let client = bench.client();
    assert!(client.renew("default").await.unwrap());
    assert!(!client.renew("fabrikam").await.unwrap());
    assert!(!client.renew("../default").await.unwrap());
    let answer = bench.raw("GET /v1/accounts/default/renew").await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    bench.stop.cancel();
}
