use bytes::BytesMut;

use super::*;
use crate::mail::{BodyType, Mailbox, Recipient, ReversePath};
use crate::smtp::ReplyDecoder;

mod extensions;
mod order;

const EHLO_ALL: &str = "250-up.test Hello\r\n250-SIZE 157286400\r\n250-PIPELINING\r\n250-DSN\r\n\
     250-8BITMIME\r\n250-AUTH LOGIN XOAUTH2\r\n250 SMTPUTF8";

fn client(tls: Tls, auth: bool) -> Client {
    Client::new(ClientSettings {
        ehlo_name: "relay.test".into(),
        tls,
        auth,
    })
}

/// Gives the client replies; the event and the output after the last of them.
fn give(client: &mut Client, replies: &str) -> (Result<Option<Event>, ClientError>, String) {
    let mut buffer = BytesMut::from(replies);
    buffer.extend_from_slice(b"\r\n");
    let mut decoder = ReplyDecoder::new();
    let mut event = Ok(None);
    while let Some(reply) = decoder.decode(&mut buffer).unwrap() {
        assert_eq!(event, Ok(None), "a reply after an event");
        event = client.receive(reply);
    }
    (event, output(client))
}

fn output(client: &mut Client) -> String {
    let mut output = BytesMut::new();
    client.take_output(&mut output);
    String::from_utf8(output.to_vec()).unwrap()
}

/// A client that is ready, with what the last EHLO offered.
fn ready(ehlo: &str) -> Client {
    let mut client = client(Tls::None, false);
    assert_eq!(give(&mut client, "220 up.test").1, "EHLO relay.test\r\n");
    assert_eq!(give(&mut client, ehlo).0, Ok(Some(Event::Ready)));
    client
}

fn envelope(recipients: &[&str]) -> Envelope {
    let recipients = recipients
        .iter()
        .map(|text| Recipient::from(Mailbox::parse(text).unwrap()))
        .collect();
    let reverse_path = ReversePath::parse("s@x").unwrap();
    Envelope::new(reverse_path, recipients, BodyType::SevenBit, false).unwrap()
}

/// The steps and codes of an outcome.
fn fates(event: Result<Option<Event>, ClientError>) -> Vec<(Step, u16)> {
    match event {
        Ok(Some(Event::Outcome(outcome))) => outcome
            .recipients
            .iter()
            .map(|(step, reply)| (*step, reply.code()))
            .collect(),
        other => panic!("no outcome: {other:?}"),
    }
}

#[test]
fn a_session_is_opened_over_starttls_with_a_token() {
    let mut client = client(Tls::StartTls, true);
    assert_eq!(client.expecting(), Some(Step::Greeting));
    assert_eq!(give(&mut client, "220 up.test").1, "EHLO relay.test\r\n");
    let plain = "250-up.test\r\n250-AUTH XOAUTH2\r\n250-PIPELINING\r\n250 STARTTLS";
    assert_eq!(give(&mut client, plain), (Ok(None), "STARTTLS\r\n".into()));
    assert_eq!(client.expecting(), Some(Step::StartTls));
    assert_eq!(
        give(&mut client, "220 2.0.0 go").0,
        Ok(Some(Event::UpgradeTls))
    );
    assert_eq!(client.expecting(), None);
    client.tls_established().unwrap();
    assert_eq!(client.capabilities(), &Capabilities::default());
    assert_eq!(output(&mut client), "EHLO relay.test\r\n");
    assert_eq!(give(&mut client, EHLO_ALL).0, Ok(Some(Event::Authenticate)));
    assert_eq!(client.capabilities().size, Some(157_286_400));
    client
        .authenticate("relay@example.com", &Secret::new("abc.def.ghi"))
        .unwrap();
    let shown = format!("{client:?}");
    assert!(
        !shown.contains("dXNlcj1") && !shown.contains("abc.def"),
        "{shown}"
    );
    assert_eq!(
        output(&mut client),
        "AUTH XOAUTH2 dXNlcj1yZWxheUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciBhYmMuZGVmLmdoaQEB\r\n"
    );
    assert_eq!(give(&mut client, "235 2.7.0 ok").0, Ok(Some(Event::Ready)));
    client.quit().unwrap();
    assert_eq!(output(&mut client), "QUIT\r\n");
    assert_eq!(
        give(&mut client, "221 2.0.0 bye").0,
        Ok(Some(Event::Closed))
    );
}

/// A client that waits for a token.
fn unauthenticated() -> Client {
    let mut client = client(Tls::Implicit, true);
    give(&mut client, "220 up.test").0.unwrap();
    assert_eq!(give(&mut client, EHLO_ALL).0, Ok(Some(Event::Authenticate)));
    client
}

#[test]
fn a_long_token_goes_in_a_line_of_its_own() {
    let mut client = unauthenticated();
    client
        .authenticate("u@x", &Secret::new("t".repeat(9300)))
        .unwrap();
    assert_eq!(output(&mut client), "AUTH XOAUTH2\r\n");
    let (event, response) = give(&mut client, "334 ");
    assert_eq!(event, Ok(None));
    assert!(response.len() > 12_288 && response.ends_with("\r\n"));
    assert_eq!(give(&mut client, "235 ok").0, Ok(Some(Event::Ready)));
}

#[test]
fn the_two_step_form_is_tried_once() {
    for refusal in ["500 5.5.2 what", "501 5.5.4 too long", "555 no"] {
        let mut client = unauthenticated();
        client.authenticate("u@x", &Secret::new("t")).unwrap();
        output(&mut client);
        assert_eq!(
            give(&mut client, refusal),
            (Ok(None), "AUTH XOAUTH2\r\n".into())
        );
        let (event, _) = give(&mut client, refusal);
        assert!(
            matches!(event, Err(ClientError::AuthRefused { .. })),
            "{event:?}"
        );
    }
}

#[test]
fn an_error_challenge_is_answered_and_the_refusal_reported() {
    let mut client = unauthenticated();
    client.authenticate("u@x", &Secret::new("t")).unwrap();
    output(&mut client);
    assert_eq!(
        give(&mut client, "334 eyJzdGF0dXMiOiI0MDEifQ=="),
        (Ok(None), "\r\n".into())
    );
    assert_eq!(client.expecting(), Some(Step::Auth));
    match give(&mut client, "535 5.7.8 no").0 {
        Err(error @ ClientError::AuthRefused { .. }) => {
            assert_eq!(
                error.refusal().as_deref(),
                Some("535 5.7.8 no (status 401)")
            );
        }
        other => panic!("{other:?}"),
    }
    client.quit().unwrap();
    assert_eq!(output(&mut client), "QUIT\r\n");
}

#[test]
fn opening_fails_for_distinct_causes() {
    use ClientError as Error;

    let open = |tls, replies: &[&str]| {
        let mut client = client(tls, true);
        let events = replies.iter().map(|replies| give(&mut client, replies).0);
        events.last().unwrap().unwrap_err()
    };
    assert!(matches!(
        open(Tls::StartTls, &["554 no"]),
        Error::GreetingRefused { .. }
    ));
    assert!(matches!(
        open(Tls::StartTls, &["421 4.3.2 no"]),
        Error::Goodbye {
            step: Some(Step::Greeting),
            ..
        }
    ));
    assert!(matches!(
        open(Tls::StartTls, &["220 a", "502 no"]),
        Error::EhloRefused { .. }
    ));
    assert_eq!(
        open(Tls::StartTls, &["220 a", EHLO_ALL]),
        Error::StartTlsNotOffered
    );
    assert!(matches!(
        open(Tls::StartTls, &["220 a", "250-a\r\n250 STARTTLS", "454 no"]),
        Error::StartTlsRefused { .. }
    ));
    assert_eq!(
        open(Tls::Implicit, &["220 a", "250-a\r\n250 AUTH LOGIN"]),
        Error::XoauthNotOffered
    );
}

#[test]
fn a_transaction_is_pipelined() {
    let mut client = ready(EHLO_ALL);
    assert_eq!(client.submit(&envelope(&["a@y", "b@y"]), 123), Ok(None));
    assert_eq!(
        output(&mut client),
        "MAIL FROM:<s@x> SIZE=123\r\nRCPT TO:<a@y>\r\nRCPT TO:<b@y>\r\nDATA\r\n"
    );
    assert_eq!(client.expecting(), Some(Step::Mail));
    assert_eq!(give(&mut client, "250 ok\r\n550 5.1.1 no").0, Ok(None));
    assert_eq!(client.expecting(), Some(Step::Rcpt(1)));
    assert_eq!(
        give(&mut client, "250 ok\r\n354 go").0,
        Ok(Some(Event::SendContent))
    );
    assert_eq!(client.expecting(), None);
    client.content_sent().unwrap();
    assert_eq!(client.expecting(), Some(Step::EndOfData));
    let (event, _) = give(&mut client, "250 2.0.0 OK");
    assert_eq!(fates(event), [(Step::Rcpt(0), 550), (Step::EndOfData, 250)]);
    // The server has forgotten the transaction, so no RSET is needed.
    client.submit(&envelope(&["a@y"]), 1).unwrap();
    assert!(output(&mut client).starts_with("MAIL"));
}

#[test]
fn every_refusal_is_told_apart() {
    // (replies to MAIL, two RCPT and DATA; output at their end; replies to that; fates)
    type Row = (&'static str, &'static str, &'static str, [(Step, u16); 2]);
    let table: [Row; 5] = [
        (
            "550 m\r\n503 r\r\n503 r\r\n503 d",
            "",
            "",
            [(Step::Mail, 550), (Step::Mail, 550)],
        ),
        (
            "250 m\r\n550 r\r\n452 r\r\n554 d",
            "",
            "",
            [(Step::Rcpt(0), 550), (Step::Rcpt(1), 452)],
        ),
        (
            "250 m\r\n550 r\r\n551 r\r\n354 d",
            ".\r\n",
            "554 e",
            [(Step::Rcpt(0), 550), (Step::Rcpt(1), 551)],
        ),
        (
            "250 m\r\n250 r\r\n551 r\r\n451 d",
            "",
            "",
            [(Step::Data, 451), (Step::Rcpt(1), 551)],
        ),
        (
            "451 m\r\n250 r\r\n250 r\r\n354 d",
            ".\r\n",
            "250 e",
            [(Step::Mail, 451), (Step::Mail, 451)],
        ),
    ];
    for (replies, written, final_reply, expected) in table {
        let mut client = ready(EHLO_ALL);
        client.submit(&envelope(&["a@y", "b@y"]), 1).unwrap();
        output(&mut client);
        let (mut event, output_after) = give(&mut client, replies);
        assert_eq!(output_after, written, "{replies}");
        if !final_reply.is_empty() {
            assert_eq!(
                (event, client.expecting()),
                (Ok(None), Some(Step::EndOfData))
            );
            event = give(&mut client, final_reply).0;
        }
        assert_eq!(fates(event), expected, "{replies}");
        client.submit(&envelope(&["a@y"]), 1).unwrap();
        let next = output(&mut client);
        assert_eq!(
            next.starts_with("RSET\r\nMAIL"),
            final_reply.is_empty(),
            "{next}"
        );
        let (event, _) = give(
            &mut client,
            if final_reply.is_empty() {
                "250 rset\r\n250 m\r\n250 r\r\n354 d"
            } else {
                "250 m\r\n250 r\r\n354 d"
            },
        );
        assert_eq!(event, Ok(Some(Event::SendContent)));
    }
}

#[test]
fn without_pipelining_each_command_waits() {
    let mut client = ready("250 up.test");
    client.submit(&envelope(&["a@y", "b@y"]), 1).unwrap();
    assert_eq!(output(&mut client), "MAIL FROM:<s@x>\r\n");
    assert_eq!(give(&mut client, "250 ok").1, "RCPT TO:<a@y>\r\n");
    assert_eq!(give(&mut client, "550 no").1, "RCPT TO:<b@y>\r\n");
    assert_eq!(give(&mut client, "250 ok").1, "DATA\r\n");
    assert_eq!(give(&mut client, "354 go").0, Ok(Some(Event::SendContent)));
    client.content_sent().unwrap();
    let (event, _) = give(&mut client, "554 5.2.252 SendAsDenied");
    assert_eq!(fates(event), [(Step::Rcpt(0), 550), (Step::EndOfData, 554)]);

    client.submit(&envelope(&["a@y"]), 1).unwrap();
    give(&mut client, "250 ok").0.unwrap();
    // No recipient, no DATA.
    let (event, written) = give(&mut client, "550 no");
    assert_eq!((fates(event).len(), written.as_str()), (1, ""));
    client.submit(&envelope(&["a@y"]), 1).unwrap();
    assert_eq!(output(&mut client), "RSET\r\n");
    assert_eq!(give(&mut client, "250 ok").1, "MAIL FROM:<s@x>\r\n");
    let (event, written) = give(&mut client, "550 no");
    assert_eq!(
        (fates(event), written.as_str()),
        (vec![(Step::Mail, 550)], "")
    );
}

#[test]
fn a_group_stays_within_bounds() {
    let addresses: Vec<String> = (0..1000).map(|index| format!("r{index}@y")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut client = ready(EHLO_ALL);
    client.submit(&envelope(&addresses), 1).unwrap();
    let mut waiting = output(&mut client).lines().count();
    let mut most = waiting;
    for _ in 0..1001 {
        let (event, written) = give(&mut client, "250 ok");
        assert_eq!(event, Ok(None));
        waiting = waiting - 1 + written.lines().count();
        most = most.max(waiting);
    }
    assert_eq!((waiting, most), (1, 100));
    assert_eq!(client.expecting(), Some(Step::Data));
    assert_eq!(give(&mut client, "354 go").0, Ok(Some(Event::SendContent)));
}

#[test]
fn calls_out_of_turn_change_nothing() {
    let mut client = client(Tls::StartTls, true);
    assert_eq!(client.tls_established(), Err(ClientError::OutOfTurn));
    assert_eq!(
        client.authenticate("u", &Secret::new("t")),
        Err(ClientError::OutOfTurn)
    );
    assert_eq!(
        client.submit(&envelope(&["a@y"]), 1),
        Err(ClientError::OutOfTurn)
    );
    assert_eq!(client.content_sent(), Err(ClientError::OutOfTurn));
    assert_eq!(client.reset(), Err(ClientError::OutOfTurn));
    assert_eq!(client.quit(), Err(ClientError::OutOfTurn));
    assert!(!client.has_output());
    assert_eq!(client.expecting(), Some(Step::Greeting));
}
