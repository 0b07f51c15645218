//! STARTTLS and AUTH.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::*;

fn secured(starttls: Demand, auth: Demand, auth_in_plain_text: bool) -> Session {
    let settings = ServerSettings {
        hostname: "relay.test".into(),
        message_size_max_bytes: 1000,
        recipients_max: 2,
        errors_max: 30,
        starttls,
        auth,
        auth_in_plain_text,
    };
    Session::new(Arc::new(settings), false)
}

fn offers(session: &mut Session) -> String {
    let Action::Reply(reply) = receive(session, "EHLO device") else {
        panic!("no reply");
    };
    wire(&reply)
}

fn plain(text: &str) -> String {
    format!("AUTH PLAIN {}", BASE64_STANDARD.encode(text))
}

/// Sends the lines; the last one must lead to these credentials.
fn logs_in(session: &mut Session, lines: &[&str], expected: (&str, &str)) {
    let (last, before) = lines.split_last().unwrap();
    for line in before {
        let Action::Reply(reply) = session.receive(line.as_bytes()) else {
            panic!("{line}");
        };
        assert!(wire(&reply).starts_with("334 "), "{line}");
    }
    match session.receive(last.as_bytes()) {
        Action::CheckLogin { name, password } => {
            assert_eq!((name.as_ref(), password.reveal()), expected, "{lines:?}");
        }
        action => panic!("{lines:?}: {action:?}"),
    }
}

#[test]
fn what_is_offered_follows_from_the_settings() {
    use Demand::{Never, Offered, Required};
    for (starttls, auth, plain_text, expected) in [
        (Never, Never, false, (false, false)),
        (Offered, Never, false, (true, false)),
        (Required, Offered, false, (true, false)),
        (Never, Required, true, (false, true)),
        (Offered, Offered, true, (true, true)),
    ] {
        let mut session = secured(starttls, auth, plain_text);
        let offered = offers(&mut session);
        let found = (
            offered.contains("250-STARTTLS\r\n"),
            offered.matches("AUTH PLAIN LOGIN").count() == 1,
        );
        assert_eq!(found, expected, "{offered}");
        assert!(offered.ends_with("250 HELP\r\n"));
    }
}

#[test]
fn nothing_of_before_survives_the_handshake() {
    let mut session = secured(Demand::Required, Demand::Offered, false);
    dialogue(
        &mut session,
        &[
            ("MAIL FROM:<a@b.test>", "530 5.7.0"),
            ("EHLO before", "250-"),
            ("MAIL FROM:<a@b.test>", "530 5.7.0"),
            ("AUTH PLAIN AGEAYg==", "530 5.7.0"),
            ("NOOP", "250 "),
            ("RSET", "250 "),
            ("STARTTLS now", "501 "),
        ],
    );
    assert!(matches!(session.receive(b"STARTTLS"), Action::StartTls(_)));
    session.tls_started();
    assert_eq!(session.helo_name(), None);
    assert_eq!(session.protocol(), "SMTP");
    let offered = offers(&mut session);
    assert!(!offered.contains("STARTTLS") && offered.contains("AUTH PLAIN LOGIN"));
    assert_eq!(session.protocol(), "ESMTPS");
    dialogue(
        &mut session,
        &[
            ("STARTTLS", "503 5.5.1"),
            ("MAIL FROM:<a@b.test>", "250 "),
            ("AUTH LOGIN", "503 5.5.1"),
        ],
    );
}

#[test]
fn starttls_in_mid_transaction_ends_the_transaction() {
    let mut session = secured(Demand::Offered, Demand::Never, false);
    dialogue(
        &mut session,
        &[("EHLO x", "250-"), ("MAIL FROM:<a@b.test>", "250 ")],
    );
    assert!(matches!(session.receive(b"STARTTLS"), Action::StartTls(_)));
    session.tls_started();
    assert!(!session.in_transaction());
    dialogue(&mut session, &[("RCPT TO:<c@d.test>", "503 ")]);
}

#[test]
fn every_form_of_plain_and_login_gives_the_same_credentials() {
    let word = |text: &str| BASE64_STANDARD.encode(text);
    let (name, password) = (word("scanner"), word("pass:w\u{f6}rd"));
    let message = word("\0scanner\0pass:w\u{f6}rd");
    let forms: [&[&str]; 8] = [
        &[&format!("AUTH PLAIN {message}")],
        &["AUTH PLAIN", &message],
        &["auth plain", &format!("{message}  ")],
        &[&plain("scanner\0scanner\0pass:w\u{f6}rd")],
        &["AUTH LOGIN", &name, &password],
        &[&format!("AUTH LOGIN {name}"), &password],
        &[
            "Auth Login",
            name.trim_end_matches('='),
            password.trim_end_matches('='),
        ],
        &[&format!("AUTH PLAIN {}", message.trim_end_matches('='))],
    ];
    for lines in forms {
        let mut session = secured(Demand::Never, Demand::Required, true);
        dialogue(
            &mut session,
            &[("EHLO x", "250-"), ("MAIL FROM:<a@b.test>", "530 5.7.0")],
        );
        logs_in(&mut session, lines, ("scanner", "pass:w\u{f6}rd"));
        assert_eq!(session.login_name(), None);
        let Action::Reply(reply) = session.login_checked(Ok(())) else {
            panic!("no reply");
        };
        assert!(wire(&reply).starts_with("235 2.7.0"));
        assert_eq!(
            (session.login_name(), session.protocol()),
            (Some("scanner"), "ESMTPA")
        );
        dialogue(
            &mut session,
            &[
                ("AUTH LOGIN", "503 "),
                ("EHLO again", "250-"),
                ("MAIL FROM:<a@b.test>", "250 "),
            ],
        );
    }
}

#[test]
fn prompts_of_login_are_those_of_everybody() {
    let mut session = secured(Demand::Never, Demand::Offered, true);
    dialogue(
        &mut session,
        &[
            ("AUTH LOGIN", "334 VXNlcm5hbWU6\r\n"),
            ("c2Nhbm5lcg==", "334 UGFzc3dvcmQ6\r\n"),
            ("*", "501 5.7.0"),
            ("AUTH PLAIN", "334 \r\n"),
            ("*", "501 5.7.0"),
            ("NOOP", "250 "),
        ],
    );
}

#[test]
fn what_is_no_login_ends_the_exchange() {
    for (lines, expected) in [
        (vec!["AUTH CRAM-MD5"], "504 5.5.4"),
        (vec!["AUTH XOAUTH2 dXNlcj1h"], "504 5.5.4"),
        (vec!["AUTH"], "501 5.5.4"),
        (vec!["AUTH PLAIN =="], "501 5.5.2"),
        (vec!["AUTH PLAIN ="], "501 5.5.2"),
        (vec!["AUTH PLAIN AGE="], "501 5.5.2"),
        (vec!["AUTH PLAIN", "not base64!"], "501 5.5.2"),
        (vec!["AUTH LOGIN ="], "501 5.5.2"),
        (vec!["AUTH LOGIN", "/////w=="], "501 5.5.2"),
    ] {
        let mut session = secured(Demand::Never, Demand::Offered, true);
        let (last, before) = lines.split_last().unwrap();
        for line in before {
            receive(&mut session, line);
        }
        dialogue(&mut session, &[(last, expected), ("NOOP", "250 ")]);
    }
    // To act for somebody else, no name, one part too many.
    for message in ["other\0a\0b", "\0\0b", "\0a\0b\0c"] {
        let mut session = secured(Demand::Never, Demand::Offered, true);
        dialogue(&mut session, &[(&plain(message), "501 5.5.2")]);
    }
}

#[test]
fn wrong_passwords_count_as_errors_and_a_line_too_long_ends_the_exchange() {
    let mut session = secured(Demand::Never, Demand::Offered, true);
    let refusal = Reply::new(535, None, "no");
    for _ in 0..30 {
        logs_in(&mut session, &[&plain("\0a\0b")], ("a", "b"));
        assert_eq!(
            session.login_checked(Err(refusal.clone())),
            Action::Reply(refusal.clone())
        );
    }
    dialogue(&mut session, &[("AUTH LOGIN", "334 ")]);
    assert!(matches!(session.line_too_long(), Action::Close(_)));
    dialogue(&mut session, &[("NOOP", "250 ")]);
}

#[test]
fn auth_is_refused_where_it_is_not_offered() {
    let mut session = secured(Demand::Offered, Demand::Offered, false);
    dialogue(&mut session, &[("AUTH PLAIN AGEAYg==", "538 5.7.11")]);
    let mut session = secured(Demand::Never, Demand::Never, true);
    dialogue(
        &mut session,
        &[
            ("AUTH PLAIN AGEAYg==", "502 5.5.1"),
            ("STARTTLS", "502 5.5.1"),
        ],
    );
    assert!(matches!(session.login_checked(Ok(())), Action::Reply(_)));
    assert_eq!(session.login_name(), None);
}
