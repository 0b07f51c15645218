//! What is asked of the server only where it is needed, and never without its offer.

use super::*;
use crate::mail::dsn::{EnvelopeId, Notify, OriginalRecipient, Ret};

#[test]
fn an_address_the_server_cannot_take_is_refused_at_once() {
    let ascii_only = "250-up.test\r\n250 PIPELINING";
    let mut client = ready(ascii_only);
    let event = client.submit(&envelope(&["ü@y"]), 1);
    assert_eq!(fates(event), [(Step::Rcpt(0), 553)]);
    client.submit(&envelope(&["ü@y", "b@y"]), 1).unwrap();
    assert_eq!(
        output(&mut client),
        "MAIL FROM:<s@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n"
    );
    assert_eq!(
        give(&mut client, "250 m\r\n250 r\r\n354 d").0,
        Ok(Some(Event::SendContent))
    );
    client.content_sent().unwrap();
    let (event, _) = give(&mut client, "250 ok");
    assert_eq!(fates(event), [(Step::Rcpt(0), 553), (Step::EndOfData, 250)]);

    let mut client = ready(EHLO_ALL);
    client.submit(&envelope(&["ü@y"]), 1).unwrap();
    assert!(output(&mut client).contains("SIZE=1 SMTPUTF8\r\nRCPT TO:<ü@y>"));
}

/// What a server that offers all but `missing` is told of an envelope, or how it is refused.
fn asked(missing: &str, envelope: &Envelope) -> Result<String, Vec<(Step, u16, String)>> {
    let ehlo = EHLO_ALL.replace(missing, "X");
    let mut client = ready(&ehlo);
    match client.submit(envelope, 1).unwrap() {
        None => Ok(output(&mut client)),
        Some(Event::Outcome(outcome)) => {
            assert!(!client.has_output(), "the server hears nothing of it");
            let fates = outcome.recipients.iter();
            let fate = |(step, reply): &(Step, Reply)| {
                (*step, reply.code(), reply.enhanced().unwrap().to_string())
            };
            Err(fates.map(fate).collect())
        }
        Some(event) => panic!("{event:?}"),
    }
}

#[test]
fn eight_bit_content_is_announced_or_not_sent_at_all() {
    let plain = envelope(&["a@y", "b@y"]);
    let eight_bit = plain.clone().with_body_type(BodyType::EightBitMime);
    assert!(!asked("nothing", &plain).unwrap().contains("BODY="));
    assert!(
        asked("nothing", &eight_bit)
            .unwrap()
            .contains(" BODY=8BITMIME")
    );
    assert!(!asked("8BITMIME", &plain).unwrap().contains("BODY="));
    let refused = (Step::Mail, 554, "5.6.3".to_owned());
    assert_eq!(
        asked("8BITMIME", &eight_bit),
        Err(vec![refused.clone(), refused])
    );
}

#[test]
fn a_utf8_header_is_announced_or_not_sent_at_all() {
    let utf8 = envelope(&["a@y"]).with_smtputf8(true);
    assert!(asked("nothing", &utf8).unwrap().contains(" SMTPUTF8\r\n"));
    assert!(
        !asked("nothing", &envelope(&["a@y"]))
            .unwrap()
            .contains("SMTPUTF8")
    );
    let refused = vec![(Step::Mail, 550, "5.6.9".to_owned())];
    assert_eq!(asked("SMTPUTF8", &utf8), Err(refused));
}

#[test]
fn a_sender_the_server_cannot_take_is_refused_for_all() {
    let from = ReversePath::parse("ü@x").unwrap();
    let to = envelope(&["a@y"]).recipients().to_vec();
    let envelope = Envelope::new(from, to, BodyType::SevenBit, false).unwrap();
    assert!(
        asked("nothing", &envelope)
            .unwrap()
            .starts_with("MAIL FROM:<ü@x> SIZE=1 SMTPUTF8\r\n")
    );
    let refused = vec![(Step::Mail, 553, "5.6.7".to_owned())];
    assert_eq!(asked("SMTPUTF8", &envelope), Err(refused));
}

#[test]
fn wishes_for_notices_are_passed_on_where_they_are_understood() {
    let mut first = Recipient::from(Mailbox::parse("a@y").unwrap());
    first.notify = Notify::parse("FAILURE,DELAY");
    first.original_recipient = OriginalRecipient::parse("rfc822;front+2Bdesk@y");
    let second = Recipient::from(Mailbox::parse("b@y").unwrap());
    let envelope = Envelope::new(
        ReversePath::Null,
        vec![first, second],
        BodyType::SevenBit,
        false,
    );
    let envelope = envelope
        .unwrap()
        .with_dsn(Some(Ret::Headers), EnvelopeId::parse("QQ+2B1"));
    assert_eq!(
        asked("SIZE", &envelope).unwrap(),
        "MAIL FROM:<> RET=HDRS ENVID=QQ+2B1\r\n\
         RCPT TO:<a@y> NOTIFY=FAILURE,DELAY ORCPT=rfc822;front+2Bdesk@y\r\n\
         RCPT TO:<b@y>\r\nDATA\r\n"
    );
    assert_eq!(
        asked("DSN", &envelope).unwrap(),
        "MAIL FROM:<> SIZE=1\r\nRCPT TO:<a@y>\r\nRCPT TO:<b@y>\r\nDATA\r\n"
    );
}

/// A client that has sent `count` RCPTs or fewer, after replies to MAIL and to the first of them.
fn crowded(ehlo: &str, count: usize, replies: &str) -> (Client, String) {
    let addresses: Vec<String> = (0..count).map(|index| format!("r{index}@y")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut client = ready(ehlo);
    client.submit(&envelope(&addresses), 1).unwrap();
    output(&mut client);
    let (event, written) = give(&mut client, replies);
    assert_eq!(event, Ok(None));
    (client, written)
}

#[test]
fn who_finds_no_room_is_left_for_another_transaction() {
    for refusal in ["452 4.5.3 Too many recipients", "452 full", "552 5.5.3 no"] {
        let (mut client, written) = crowded("250 up.test", 4, "250 m\r\n250 r0");
        assert_eq!(written, "RCPT TO:<r0@y>\r\nRCPT TO:<r1@y>\r\n");
        assert_eq!(give(&mut client, refusal).1, "DATA\r\n", "{refusal}");
        assert_eq!(give(&mut client, "354 go").0, Ok(Some(Event::SendContent)));
        client.content_sent().unwrap();
        let Ok(Some(Event::Outcome(outcome))) = give(&mut client, "250 ok").0 else {
            panic!("no outcome");
        };
        assert_eq!(outcome.left_over(), [1, 2, 3], "{refusal}");
        assert_eq!(outcome.recipients[0].0, Step::EndOfData);
        client.submit(&envelope(&["a@y"]), 1).unwrap();
        assert!(output(&mut client).starts_with("MAIL"), "still in step");
    }
}

#[test]
fn what_was_pipelined_is_answered_and_nothing_more_is_asked() {
    // 100 commands at a time: MAIL and 99 RCPTs are out.
    let (mut client, mut written) = crowded(EHLO_ALL, 300, "250 m\r\n250 r0");
    assert_eq!(written.lines().count(), 2);
    for _ in 0..100 {
        written = give(&mut client, "452 4.5.3 Too many recipients").1;
    }
    assert_eq!(written, "", "DATA went out after the first of them");
    assert_eq!(client.expecting(), Some(Step::Data));
    assert_eq!(give(&mut client, "354 go").0, Ok(Some(Event::SendContent)));
    client.content_sent().unwrap();
    let Ok(Some(Event::Outcome(outcome))) = give(&mut client, "250 ok").0 else {
        panic!("no outcome");
    };
    assert_eq!(outcome.left_over(), (1..300).collect::<Vec<_>>());
}

#[test]
fn nobody_is_left_over_where_nobody_was_taken_or_the_reply_means_something_else() {
    for (replies, expected) in [
        ("250 m\r\n452 4.5.3 a\r\n452 4.5.3 b\r\n503 d", 0),
        ("250 m\r\n250 a\r\n452 4.3.1 full\r\n451 d", 0),
        ("250 m\r\n250 a\r\n552 5.2.2 mailbox full\r\n451 d", 0),
        ("250 m\r\n250 a\r\n452 4.5.3 b\r\n451 d", 1),
    ] {
        let mut client = ready(EHLO_ALL);
        client.submit(&envelope(&["a@y", "b@y"]), 1).unwrap();
        output(&mut client);
        let Ok(Some(Event::Outcome(outcome))) = give(&mut client, replies).0 else {
            panic!("no outcome: {replies}");
        };
        assert_eq!(outcome.left_over().len(), expected, "{replies}");
    }
}
