use bytes::BytesMut;

use super::*;

mod secured;

fn session() -> Session {
    Session::new(
        Arc::new(ServerSettings {
            hostname: "relay.test".into(),
            message_size_max_bytes: 1000,
            recipients_max: 2,
            errors_max: 3,
            starttls: Demand::Never,
            auth: Demand::Never,
            auth_in_plain_text: false,
        }),
        false,
    )
}

fn wire(reply: &Reply) -> String {
    let mut output = BytesMut::new();
    reply.encode(&mut output);
    String::from_utf8(output.to_vec()).unwrap()
}

/// Receives a line as a shell that accepts every sender and recipient.
fn receive(session: &mut Session, line: &str) -> Action {
    match session.receive(line.as_bytes()) {
        Action::CheckSender { .. } => session.sender_checked(Ok(())),
        Action::CheckRecipient { .. } => session.recipient_checked(Ok(())),
        action => action,
    }
}

/// The dialogue goes as written: lines of the client, and how each reply begins.
fn dialogue(session: &mut Session, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        match receive(session, line) {
            Action::Reply(reply) | Action::Close(reply) | Action::ReceiveContent { reply, .. } => {
                let reply = wire(&reply);
                assert!(reply.starts_with(expected), "{line}: {reply}");
            }
            action => panic!("{line}: {action:?}"),
        }
    }
}

const QUEUED: Reply = Reply::new(250, None, "Ok: queued as 1");

#[test]
fn the_extensions_are_listed() {
    let mut session = session();
    assert_eq!(
        wire(&session.greeting()),
        "220 relay.test ESMTP exorelay\r\n"
    );
    let Action::Reply(reply) = receive(&mut session, "EHLO printer.test") else {
        panic!("no reply");
    };
    assert_eq!(
        wire(&reply),
        "250-relay.test greets you\r\n250-SIZE 1000\r\n250-PIPELINING\r\n250-8BITMIME\r\n\
         250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250 HELP\r\n"
    );
    assert_eq!(session.helo_name(), Some("printer.test"));
    assert!(session.is_esmtp());
    dialogue(&mut session, &[("HELO", "250 relay.test\r\n")]);
    assert_eq!(session.helo_name(), None);
    assert!(!session.is_esmtp());
}

#[test]
fn a_transaction_yields_its_envelope() {
    let mut session = session();
    dialogue(
        &mut session,
        &[
            ("EHLO a", "250-"),
            (
                "MAIL FROM:<s@x> SIZE=1000 BODY=8BITMIME SMTPUTF8",
                "250 2.1.0 ",
            ),
            ("RCPT TO:<@hop:a@y>", "250 2.1.5 "),
            ("RCPT TO:<ü@y>", "250 2.1.5 "),
        ],
    );
    assert!(session.in_transaction());
    let Action::ReceiveContent { reply, envelope } = receive(&mut session, "DATA") else {
        panic!("no content wanted");
    };
    assert_eq!(reply.code(), 354);
    assert_eq!(envelope.reverse_path().to_string(), "s@x");
    let recipients: Vec<&str> = envelope
        .recipients()
        .iter()
        .map(|recipient| recipient.forward_path.as_str())
        .collect();
    assert_eq!(recipients, ["a@y", "ü@y"]);
    assert_eq!(envelope.body_type(), BodyType::EightBitMime);
    assert!(envelope.smtputf8());
    assert_eq!(session.content_received(QUEUED), Action::Reply(QUEUED));
    assert!(!session.in_transaction());
    dialogue(
        &mut session,
        &[("RCPT TO:<a@y>", "503 5.5.1 "), ("QUIT", "221 2.0.0 ")],
    );
}

#[test]
fn order_is_kept() {
    let table: [&[(&str, &str)]; 7] = [
        // A device that never says HELO is served.
        &[
            ("MAIL FROM:<a@b>", "250"),
            ("RCPT TO:<a@b>", "250"),
            ("DATA", "354"),
        ],
        &[("RCPT TO:<a@b>", "503 5.5.1"), ("DATA", "503 5.5.1")],
        &[
            ("MAIL FROM:<a@b>", "250"),
            ("MAIL FROM:<a@b>", "503 5.5.1"),
            ("RCPT TO:<a@b>", "250"),
        ],
        &[
            ("MAIL FROM:<a@b>", "250"),
            ("DATA", "554 5.5.1"),
            ("MAIL FROM:<a@b>", "250"),
        ],
        &[
            ("MAIL FROM:<a@b>", "250"),
            ("RSET", "250 2.0.0"),
            ("RCPT TO:<a@b>", "503"),
        ],
        &[
            ("MAIL FROM:<a@b>", "250"),
            ("EHLO x", "250-"),
            ("RCPT TO:<a@b>", "503"),
        ],
        &[
            ("MAIL FROM:<a@b>", "250"),
            ("NOOP x", "250 2.0.0"),
            ("VRFY a", "252 2.1.5"),
            ("RCPT TO:<a@b>", "250"),
        ],
    ];
    for lines in table {
        dialogue(&mut session(), lines);
    }
}

/// Extensions as clients use them, in any order that RFC 5321 section 4.1.4 allows.
#[test]
fn any_command_may_come_at_any_time_and_disturbs_nothing() {
    let open = [
        ("EHLO a", "250-"),
        ("MAIL FROM:<a@b> AUTH=<>", "250 2.1.0 "),
        ("RCPT TO:<c@d>", "250 2.1.5 "),
    ];
    for (line, expected, is_open_after) in [
        ("NOOP", "250 2.0.0 ", true),
        ("noop with words", "250 2.0.0 ", true),
        ("HELP", "214 2.0.0 ", true),
        ("HELP MAIL", "214 2.0.0 ", true),
        ("VRFY <c@d>", "252 2.1.5 ", true),
        ("EXPN staff", "502 5.5.1 ", true),
        ("BDAT 5 LAST", "502 5.5.1 ", true),
        ("RSET now", "501 5.5.4 ", true),
        ("", "500 5.5.2 ", true),
        ("RSET ", "250 2.0.0 ", false),
        ("EHLO again", "250-", false),
        ("HELO again", "250 relay.test", false),
    ] {
        let mut session = session();
        dialogue(&mut session, &[(line, expected)]);
        dialogue(&mut session, &open);
        dialogue(&mut session, &[(line, expected)]);
        let after = if is_open_after { "354" } else { "503 5.5.1 " };
        dialogue(&mut session, &[("DATA", after)]);
    }
}

#[test]
fn helo_after_ehlo_is_the_one_that_counts() {
    let mut session = session();
    dialogue(&mut session, &[("EHLO a", "250-"), ("HELO b", "250 ")]);
    assert_eq!(
        (session.helo_name(), session.protocol()),
        (Some("b"), "SMTP")
    );
    dialogue(&mut session, &[("EHLO c", "250-")]);
    assert_eq!(
        (session.helo_name(), session.protocol()),
        (Some("c"), "ESMTP")
    );
    assert!(session.is_greeted());
}

/// RFC 4954 section 5: a server that offers AUTH takes it, and one that trusts nobody with it ignores it.
#[test]
fn the_auth_parameter_is_taken_and_ignored() {
    for value in ["<>", "a@b", "e+3Dmc2@example.com"] {
        let line = format!("MAIL FROM:<a@b> AUTH={value} BODY=8BITMIME");
        let mut session = session();
        let Action::CheckSender { reverse_path, .. } = session.receive(line.as_bytes()) else {
            panic!("{line} was refused");
        };
        assert_eq!(reverse_path.to_string(), "a@b");
    }
}

#[test]
fn each_mistake_has_its_reply() {
    for (line, expected) in [
        ("XYZZY", "500 5.5.2 "),
        ("EXPN x", "502 5.5.1 "),
        ("BDAT 1 LAST", "502 5.5.1 "),
        ("STARTTLS", "502 5.5.1 "),
        ("AUTH PLAIN AGEAYg==", "502 5.5.1 "),
        ("AUTH ?", "502 5.5.1 "),
        ("TURN", "502 5.5.1 "),
        ("HELP", "214 2.0.0 "),
        ("DATA now", "501 5.5.4 "),
        ("MAIL FROM", "501 5.5.4 "),
        ("MAIL FROM:<scanner>", "553 5.1.7 "),
        ("MAIL FROM:<a b@c>", "553 5.1.7 "),
        ("MAIL FROM:<ü@b>", "553 5.6.7 "),
        ("MAIL FROM:<a@b> SIZE=1001", "552 5.3.4 "),
        ("MAIL FROM:<a@b> SIZE=x", "501 5.5.4 "),
        ("MAIL FROM:<a@b> RET=SOME", "501 5.5.4 "),
        ("MAIL FROM:<a@b> XVERP", "555 5.5.4 "),
    ] {
        dialogue(&mut session(), &[(line, expected)]);
    }
    for (line, expected) in [
        ("RCPT TO:<>", "501 5.1.3 "),
        ("RCPT TO:<Postmaster>", "550 5.1.3 "),
        ("RCPT TO:<jane>", "553 5.1.3 "),
        ("RCPT TO:<ü@b>", "553 5.6.7 "),
        ("RCPT TO:<a@b> NOTIFY=NEVER,DELAY", "501 5.5.4 "),
    ] {
        dialogue(&mut session(), &[("MAIL FROM:<>", "250"), (line, expected)]);
    }
    let Action::Reply(reply) = session().line_too_long() else {
        panic!("no reply");
    };
    assert_eq!(reply.code(), 500);
}

#[test]
fn surplus_recipients_are_left_for_another_transaction() {
    let mut session = session();
    let mut lines = vec![
        ("MAIL FROM:<a@b>", "250"),
        ("RCPT TO:<c@d>", "250"),
        ("RCPT TO:<e@f>", "250"),
    ];
    lines.extend([("RCPT TO:<g@h>", "452 4.5.3 "); 20]);
    lines.push(("DATA", "354"));
    dialogue(&mut session, &lines);
}

#[test]
fn commands_without_end_and_without_a_message_end_the_session() {
    let mut session = session();
    for _ in 0..999 {
        dialogue(&mut session, &[("NOOP", "250")]);
    }
    let message = [
        ("MAIL FROM:<>", "250"),
        ("RCPT TO:<a@b>", "250"),
        ("DATA", "354"),
    ];
    dialogue(&mut session, &message);
    assert_eq!(session.content_received(QUEUED), Action::Reply(QUEUED));
    for _ in 0..200 {
        let lines = ["NOOP", "RSET", "EHLO x", "VRFY a", "HELP"];
        dialogue(&mut session, &lines.map(|line| (line, "2")));
    }
    dialogue(&mut session, &[("MAIL FROM:<a@b>", "250")]);
    assert!(matches!(receive(&mut session, "NOOP"), Action::Close(reply) if reply.code() == 421));
    assert!(!session.in_transaction());
}

#[test]
fn the_shell_has_a_say() {
    let refusal = || Reply::new(550, None, "no");
    let mut session = session();
    assert_eq!(
        session.receive(b"MAIL FROM:<a@b> SIZE=7"),
        Action::CheckSender {
            reverse_path: ReversePath::parse("a@b").unwrap(),
            size_bytes: Some(7)
        }
    );
    assert_eq!(
        session.sender_checked(Err(refusal())),
        Action::Reply(refusal())
    );
    dialogue(
        &mut session,
        &[("RCPT TO:<a@b>", "503"), ("MAIL FROM:<a@b>", "250")],
    );
    assert_eq!(
        session.receive(b"RCPT TO:<c@d>"),
        Action::CheckRecipient {
            mailbox: Mailbox::parse("c@d").unwrap()
        }
    );
    assert_eq!(
        session.recipient_checked(Err(refusal())),
        Action::Reply(refusal())
    );
    dialogue(&mut session, &[("RCPT TO:<e@f>", "250")]);
    let Action::ReceiveContent { envelope, .. } = receive(&mut session, "DATA") else {
        panic!("no content wanted");
    };
    assert_eq!(envelope.recipients().len(), 1);
}

#[test]
fn a_verdict_nobody_asked_for_changes_nothing() {
    let mut session = session();
    assert!(matches!(session.sender_checked(Ok(())), Action::Reply(reply) if reply.code() == 503));
    dialogue(&mut session, &[("MAIL FROM:<a@b>", "250")]);
    assert!(
        matches!(session.recipient_checked(Ok(())), Action::Reply(reply) if reply.code() == 503)
    );
    dialogue(&mut session, &[("RCPT TO:<a@b>", "250"), ("DATA", "354")]);
}

#[test]
fn errors_close_the_session_and_accepted_mail_forgives_them() {
    let mut erring = session();
    dialogue(&mut erring, &[("X", "500"), ("X", "500"), ("X", "500")]);
    assert!(
        matches!(erring.receive(b"X"), Action::Close(reply) if wire(&reply).starts_with("421 4.7.0 "))
    );

    let mut session = session();
    dialogue(&mut session, &[("X", "500"), ("X", "500"), ("X", "500")]);
    dialogue(
        &mut session,
        &[
            ("MAIL FROM:<>", "250"),
            ("RCPT TO:<a@b>", "250"),
            ("DATA", "354"),
        ],
    );
    session.content_received(QUEUED);
    dialogue(&mut session, &[("X", "500")]);
}

#[test]
fn other_protocols_are_cut_off() {
    for line in ["POST / HTTP/1.1", "Host: localhost"] {
        assert_eq!(session().receive(line.as_bytes()), Action::CutOff);
    }
}
