//! Replies that come out of turn.

use super::*;

#[test]
fn what_was_decided_survives_an_error() {
    for (last, is_goodbye) in [("421 4.3.2 bye", true), ("354 what", false)] {
        let mut client = ready(EHLO_ALL);
        client.submit(&envelope(&["a@y", "b@y", "c@y"]), 1).unwrap();
        let replies = format!("250 ok\r\n550 5.1.1 no\r\n250 ok\r\n{last}");
        let error = give(&mut client, &replies).0.unwrap_err();
        match error {
            ClientError::Goodbye { step, .. } => assert!(is_goodbye && step == Some(Step::Rcpt(2))),
            ClientError::Unexpected { step, .. } => {
                assert!(!is_goodbye && step == Some(Step::Rcpt(2)));
            }
            other => panic!("{other:?}"),
        }
        let decided = client.take_decided();
        assert_eq!(decided.len(), 3);
        let first = decided[0].as_ref();
        let first = first.map(|(step, reply)| (*step, reply.code()));
        // Out of step: the 550 may have answered something else.
        assert_eq!(first, is_goodbye.then_some((Step::Rcpt(0), 550)));
        assert_eq!(decided[1..], [None, None]);
    }
}

#[test]
fn a_reply_nobody_waits_for_is_an_error() {
    let mut idle = ready(EHLO_ALL);
    assert!(matches!(
        give(&mut idle, "451 4.7.0 Timeout waiting for client input").0,
        Err(ClientError::Unexpected { step: None, .. })
    ));
}

#[test]
fn a_reply_before_the_end_of_the_content_never_delivers() {
    for (early, decided) in [
        ("250 2.0.0 OK", None),
        ("354 go on", None),
        ("421 4.3.2 closing", None),
        ("552 5.3.4 too large", Some(552)),
        ("451 4.3.0 no disk", Some(451)),
    ] {
        let mut client = ready(EHLO_ALL);
        client.submit(&envelope(&["a@y", "b@y"]), 1).unwrap();
        let replies = "250 m\r\n550 a\r\n250 b\r\n354 d";
        assert_eq!(give(&mut client, replies).0, Ok(Some(Event::SendContent)));
        let error = give(&mut client, early).0.unwrap_err();
        assert_eq!(
            matches!(error, ClientError::CutShort { .. }),
            decided.is_some(),
            "{error}"
        );
        // In the middle of the content a command would be content.
        assert_eq!(client.quit(), Err(ClientError::OutOfTurn));
        assert_eq!(client.content_sent(), Err(ClientError::OutOfTurn));
        let fates = client.take_decided();
        let codes: Vec<_> = fates
            .iter()
            .map(|fate| fate.as_ref().map(|(_, reply)| reply.code()))
            .collect();
        let first = (!early.starts_with(['2', '3'])).then_some(550);
        assert_eq!(codes, [first, decided], "{early}");
    }
}

#[test]
fn one_reply_too_many_never_delivers() {
    // Wherever an extra 250 slips in, it is found out at the latest where a 354 is due.
    for ehlo in [EHLO_ALL, "250 up.test"] {
        let replies = ["250 m", "250 a", "250 b", "354 d", "250 2.0.0 OK"];
        for at in 0..4 {
            let mut replies = replies.to_vec();
            replies.insert(at, "250 extra");
            let mut client = ready(ehlo);
            client.submit(&envelope(&["a@y", "b@y"]), 1).unwrap();
            let mut error = None;
            for reply in replies {
                match give(&mut client, reply).0 {
                    Ok(None) => {}
                    Ok(Some(event)) => panic!("{event:?} with an extra reply at {at}"),
                    Err(found) => {
                        error = Some(found);
                        break;
                    }
                }
            }
            assert!(
                matches!(error, Some(ClientError::Unexpected { .. })),
                "{at}: {error:?}"
            );
            assert_eq!(client.take_decided(), [None, None]);
        }
    }
}
