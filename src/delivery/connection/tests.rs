//! A connection and a remote that says what a test wants, in memory and on a clock that stands still.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::advance;

use super::*;
use crate::delivery::Quota;
use crate::delivery::members::Limits;
use crate::mail::{BodyType, Mailbox, ReversePath};
use crate::secret::Secret;
use crate::smtp::ReplyError;
use crate::tls;

use crate::delivery::{Rewrites, SenderPolicy};
use crate::mail::rewrite::Signature;
use crate::queue::Content;

mod life;
mod opening;

/// What the remote waits for, and what it says then.
type Script = Vec<(&'static str, Vec<u8>)>;

/// The remote, once its script has ended: its end of the connection, and all it has read.
type Far = JoinHandle<(DuplexStream, Vec<u8>)>;

/// From the greeting to the AUTH.
fn opening() -> Script {
    vec![
        ("", b"220 up.test\r\n".to_vec()),
        (
            "EHLO relay.test\r\n",
            b"250-up.test\r\n250-PIPELINING\r\n250 AUTH XOAUTH2\r\n".to_vec(),
        ),
        ("\r\n", b"235 2.7.0 ok\r\n".to_vec()),
    ]
}

const ENVELOPE_TAKEN: &str = "250 m\r\n250 r\r\n354 go\r\n";

/// A whole transaction that ends in `last`.
fn transaction(last: &str) -> Script {
    vec![
        ("DATA\r\n", ENVELOPE_TAKEN.into()),
        ("\r\n.\r\n", last.into()),
    ]
}

fn settings(tls: Tls) -> Settings {
    let timeout = Duration::from_mins(1);
    Settings {
        account: "default".into(),
        mailbox: "relay@contoso.com".into(),
        host: "up.test".into(),
        port: 587,
        proxy: None,
        tls,
        ehlo_name: "relay.test".into(),
        connections_max: 1,
        messages_per_minute: 0,
        recipients_per_message_max: 500,
        recipients_per_day: 0,
        timeouts: Timeouts {
            connect: timeout,
            tls: timeout,
            greeting: timeout,
            command: timeout,
            data: timeout,
            body: timeout,
            end_of_data: timeout,
        },
        sender: SenderPolicy {
            mailbox: Mailbox::parse("relay@contoso.com").unwrap(),
            rewrites: Rewrites::Never,
            display_name: None,
            reply_to: None,
            signature: Signature::default(),
        },
    }
}

/// Follows the script; the connection stays open until the result is dropped.
fn remote(mut far: DuplexStream, script: Script) -> Far {
    tokio::spawn(async move {
        let mut heard = Vec::new();
        let mut since = 0;
        for (expected, answer) in script {
            while !heard[since..].ends_with(expected.as_bytes()) {
                let read = far.read_buf(&mut heard).await.unwrap();
                assert!(read > 0, "closed in wait for {expected:?}: {heard:?}");
            }
            since = heard.len();
            if far.write_all(&answer).await.is_err() {
                break;
            }
        }
        (far, heard)
    })
}

async fn begin(tls: Tls, script: Script) -> (Result<Connection, ConnectionError>, Far) {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let far = remote(far, script);
    (begin_on(near, tls).await, far)
}

async fn begin_on(near: DuplexStream, tls: Tls) -> Result<Connection, ConnectionError> {
    let limits = Limits {
        connections: 1,
        messages_per_minute: 0,
        recipients_per_day: 0,
    };
    let slot = Quota::default().begin(limits).slot().await;
    let config = tls::untrusting_client_config().unwrap();
    let wire = Wire::new(near, bytes::BytesMut::new());
    Connection::begin(wire, &settings(tls), &config, slot).await
}

fn token(lifetime: Duration) -> AccessToken {
    AccessToken::new(Secret::new("t"), Instant::now(), lifetime)
}

/// A connection that is authenticated, and a remote that goes on with `script`.
async fn ready(script: Script) -> (Connection, Far) {
    let mut whole = opening();
    whole.extend(script);
    let (connection, far) = begin(Tls::None, whole).await;
    let mut connection = connection.unwrap();
    let token = token(Duration::from_hours(1));
    connection
        .authenticate("relay@contoso.com", &token)
        .await
        .unwrap();
    (connection, far)
}

async fn send(
    connection: &mut Connection,
    size: usize,
) -> Result<TransactionOutcome, Box<Interrupted>> {
    let to = Mailbox::parse("desk@contoso.com").unwrap();
    let from = ReversePath::parse("scanner@contoso.com").unwrap();
    let envelope = Envelope::new(from, vec![to.into()], BodyType::SevenBit, false).unwrap();
    let octets = vec![b'x'; size];
    let mut letter = Letter::plain(Content::Inline(octets.into()), size as u64);
    connection.send(&envelope, &mut letter).await
}

/// The code that decided the one recipient, if one did.
fn decided(interrupted: &Interrupted) -> Option<u16> {
    let fate = interrupted.decided.first()?.as_ref()?;
    Some(fate.1.code())
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_out_and_its_reply_comes_back() {
    let (mut connection, far) = ready(transaction("250 2.0.0 OK\r\n")).await;
    let outcome = send(&mut connection, 100_000).await.unwrap();
    let (step, reply) = &outcome.recipients[0];
    assert_eq!((*step, reply.code()), (Step::EndOfData, 250));
    assert!(connection.is_quiet().await);
    let (_far, heard) = far.await.unwrap();
    assert!(heard.ends_with(b"x\r\n.\r\n"));
}

#[tokio::test(start_paused = true)]
async fn two_final_replies_deliver_nothing_and_leave_a_doubt() {
    for last in [
        "250 2.0.0 OK\r\n250 2.0.0 OK\r\n",
        "250 2.0.0 OK\r\n550 5.7.1 no\r\n",
        "550 5.7.1 no\r\n250 2.0.0 OK\r\n",
        "250 2.0.0 OK\r\n2",
        "250 2.0.0 OK\r\n42",
    ] {
        let (mut connection, _far) = ready(transaction(last)).await;
        let sent = send(&mut connection, 100).await;
        if last.ends_with("42") {
            // A 421 that is still on its way, for all that can be known.
            assert!(sent.is_ok() && !connection.is_quiet().await);
            continue;
        }
        let interrupted = sent.unwrap_err();
        assert!(
            matches!(interrupted.error, ConnectionError::Unasked { .. }),
            "{interrupted:?}"
        );
        assert_eq!(decided(&interrupted), None, "{last:?}");
        assert!(interrupted.uncertain && !interrupted.is_stale(), "{last:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_bye_behind_the_final_reply_takes_nothing_back() {
    let (mut connection, _far) = ready(transaction("250 2.0.0 OK\r\n421 4.3.2 bye\r\n")).await;
    let outcome = send(&mut connection, 100).await.unwrap();
    assert_eq!(outcome.recipients[0].1.code(), 250);
    assert!(
        !connection.is_quiet().await,
        "and no other message is tried on it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_good_bye_in_place_of_the_final_reply_is_no_doubt() {
    let (mut connection, _far) = ready(transaction("421 4.3.2 Service not active\r\n")).await;
    let interrupted = send(&mut connection, 100).await.unwrap_err();
    assert!(!interrupted.uncertain && decided(&interrupted).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_reply_in_the_middle_of_the_content_ends_it_before_its_dot() {
    for (early, code) in [
        (
            "552 5.3.4 Message size exceeds fixed maximum message size\r\n",
            Some(552),
        ),
        ("451 4.3.0 no disk\r\n", Some(451)),
        ("250 2.0.0 OK\r\n", None),
        ("421 4.3.2 bye\r\n", None),
    ] {
        // The remote reads a little, answers, and reads on only when all is over.
        let script = vec![("DATA\r\n", ENVELOPE_TAKEN.into()), ("x", early.into())];
        let (mut connection, far) = ready(script).await;
        let interrupted = send(&mut connection, 1_000_000).await.unwrap_err();
        assert_eq!(decided(&interrupted), code, "{early}");
        assert!(
            !interrupted.uncertain && !interrupted.is_stale(),
            "{interrupted:?}"
        );
        drop(connection);
        let (mut far, mut heard) = far.await.unwrap();
        far.read_to_end(&mut heard).await.unwrap();
        assert!(
            !heard.ends_with(b"\r\n.\r\n"),
            "half a message must not end"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_came_with_the_go_ahead_delivers_nothing() {
    for extra in ["250 2.0.0 OK\r\n", "250-2.0.0"] {
        let both = [ENVELOPE_TAKEN, extra].concat().into_bytes();
        let (mut connection, far) = ready(vec![("DATA\r\n", both)]).await;
        let sending = tokio::spawn(async move { send(&mut connection, 100).await });
        let (mut far, mut heard) = far.await.unwrap();
        if extra.ends_with('\n') {
            let interrupted = sending.await.unwrap().unwrap_err();
            assert!(!interrupted.uncertain && decided(&interrupted).is_none());
            far.read_to_end(&mut heard).await.unwrap();
            assert!(heard.ends_with(b"DATA\r\n"), "not an octet of the content");
        } else {
            drop(far);
            let interrupted = sending.await.unwrap().unwrap_err();
            assert!(matches!(interrupted.error, ConnectionError::Lost(_)));
            assert!(!interrupted.uncertain);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_dot_without_an_answer_leaves_a_doubt() {
    // Closed behind the dot.
    let (mut connection, far) = ready(transaction("")).await;
    let sending = tokio::spawn(async move { send(&mut connection, 100).await });
    drop(far.await.unwrap());
    let interrupted = sending.await.unwrap().unwrap_err();
    assert!(interrupted.uncertain && !interrupted.is_stale());

    // Silent behind the dot.
    let (mut connection, _far) = ready(transaction("")).await;
    let interrupted = send(&mut connection, 100).await.unwrap_err();
    assert!(interrupted.uncertain);
    assert!(matches!(interrupted.error, ConnectionError::Timeout(_)));

    // Closed in the middle of the content, or silent there.
    for closes in [true, false] {
        let script = vec![("DATA\r\n", ENVELOPE_TAKEN.into()), ("x", Vec::new())];
        let (mut connection, far) = ready(script).await;
        let sending = tokio::spawn(async move { send(&mut connection, 1_000_000).await });
        let far = far.await.unwrap();
        if closes {
            drop(far);
        }
        let interrupted = sending.await.unwrap().unwrap_err();
        assert!(!interrupted.uncertain, "{closes}");
    }
}
