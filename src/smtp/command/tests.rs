use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::mail::BodyType;
use crate::mail::dsn::{EnvelopeId, Notify, OriginalRecipient, Ret};

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn mail_from(text: &str) -> Command {
    Command::Mail {
        reverse_path: ReversePath::parse(text).unwrap(),
        parameters: MailParameters::default(),
    }
}

fn rcpt_to(text: &str) -> Command {
    Command::Rcpt {
        forward_path: mailbox(text),
        parameters: RcptParameters::default(),
    }
}

fn mail_with(parameters: MailParameters) -> Command {
    Command::Mail {
        reverse_path: ReversePath::parse("a@b").unwrap(),
        parameters,
    }
}

#[test]
fn commands_are_understood_in_every_usual_spelling() {
    let table: Vec<(&str, Command)> = vec![
        ("HELO", Command::Helo { name: "".into() }),
        (
            "HELO scanner_1",
            Command::Helo {
                name: "scanner_1".into(),
            },
        ),
        (
            "helo John's PC",
            Command::Helo {
                name: "John?s?PC".into(),
            },
        ),
        (
            "EHLO [IPv6:::1] ",
            Command::Ehlo {
                name: "[IPv6:::1]".into(),
            },
        ),
        ("ehlo\ta\x07b", Command::Ehlo { name: "a?b".into() }),
        ("MAIL FROM:<a@b>", mail_from("a@b")),
        ("MAIL FROM: <a@b>  ", mail_from("a@b")),
        ("MAIL FROM:a@b", mail_from("a@b")),
        ("mail from :<a@b>", mail_from("a@b")),
        ("mAiL\tFrOm : a@b", mail_from("a@b")),
        ("MAIL FROM:< a@b >", mail_from("a@b")),
        ("MAIL FROM:<>", mail_from("")),
        ("MAIL FROM: <>", mail_from("")),
        ("MAIL FROM:<@x,@y.z:a@b>", mail_from("a@b")),
        ("MAIL FROM:<@[192.0.2.1]:a@b>", mail_from("a@b")),
        ("MAIL FROM:<\"a> b\"@c>", mail_from("\"a> b\"@c")),
        ("MAIL FROM:\"a b\"@c", mail_from("\"a b\"@c")),
        (
            "MAIL FROM:<müller@bücher.example>",
            mail_from("müller@bücher.example"),
        ),
        ("RCPT TO:<a@b>", rcpt_to("a@b")),
        ("rcpt to: a@b", rcpt_to("a@b")),
        ("RCPT TO:<postmaster@b>", rcpt_to("postmaster@b")),
        ("DATA ", Command::Data),
        ("data", Command::Data),
        ("BDAT 100 LAST", Command::Bdat),
        ("RSET", Command::Rset),
        ("NOOP anything", Command::Noop),
        ("VRFY smith", Command::Vrfy),
        ("EXPN list", Command::Expn),
        ("HELP me", Command::Help),
        ("QUIT", Command::Quit),
        ("STARTTLS", Command::StartTls),
        ("ETRN x", Command::Obsolete),
        (
            "AUTH LOGIN",
            Command::Auth {
                mechanism: "LOGIN".into(),
                initial: None,
            },
        ),
        (
            "AUTH PLAIN AGEAYg==",
            Command::Auth {
                mechanism: "PLAIN".into(),
                initial: Some(Secret::new("AGEAYg==")),
            },
        ),
        ("", Command::Unknown),
        ("XYZZY", Command::Unknown),
        ("MAILFROM", Command::Unknown),
        (" HELO a", Command::Unknown),
        ("GET", Command::Unknown),
    ];
    for (line, command) in table {
        assert_eq!(Command::parse(line.as_bytes()), Ok(command), "{line}");
    }
}

#[test]
fn parameters_are_typed() {
    let default = MailParameters::default;
    let table = [
        (
            "SIZE=1000",
            MailParameters {
                size_bytes: Some(1000),
                ..default()
            },
        ),
        (
            "SIZE=99999999999999999999",
            MailParameters {
                size_bytes: Some(u64::MAX),
                ..default()
            },
        ),
        (
            "body=8bitmime SMTPUTF8",
            MailParameters {
                body_type: BodyType::EightBitMime,
                smtputf8: true,
                ..default()
            },
        ),
        ("BODY=7BIT AUTH=<> AUTH=a+2Bb@c", default()),
        (
            "RET=HDRS ENVID=a+2Bb",
            MailParameters {
                ret: Some(Ret::Headers),
                envelope_id: Some(EnvelopeId::parse("a+2Bb").unwrap()),
                ..default()
            },
        ),
    ];
    for (words, parameters) in table {
        let line = format!("MAIL FROM:<a@b>  {words} ");
        let command = Command::parse(line.as_bytes());
        assert_eq!(command, Ok(mail_with(parameters)), "{line}");
    }
    let line = b"RCPT TO:<a@b> NOTIFY=success,DELAY ORCPT=rfc822;x+2By@z";
    let Ok(Command::Rcpt { parameters, .. }) = Command::parse(line) else {
        panic!("not understood");
    };
    assert_eq!(
        parameters.notify,
        Some(Notify::On {
            success: true,
            failure: false,
            delay: true
        })
    );
    let original = parameters.original_recipient.unwrap();
    assert_eq!(
        (original.address_type(), original.address()),
        ("rfc822", "x+y@z")
    );
}

#[test]
fn mistakes_have_their_own_errors() {
    use CommandError::{
        ForwardPath, MalformedParameter, NullForwardPath, PostmasterWithoutDomain, ReversePath,
        Syntax, UnknownParameter,
    };
    let table: Vec<(&[u8], CommandError)> = vec![
        (b"MAIL", Syntax(Verb::Mail)),
        (b"MAIL <a@b>", Syntax(Verb::Mail)),
        (b"MAIL FROM", Syntax(Verb::Mail)),
        (b"MAIL FROM:", Syntax(Verb::Mail)),
        (b"MAIL FROM:<a@b", Syntax(Verb::Mail)),
        (b"MAIL FROM:<a@b>SIZE=1", Syntax(Verb::Mail)),
        (b"MAIL FROM:<a@b> =", Syntax(Verb::Mail)),
        (b"MAIL FROM:<\xff@b>", Syntax(Verb::Mail)),
        (b"MAIL TO:<a@b>", Syntax(Verb::Mail)),
        (b"MAIL FROM:<scanner>", ReversePath(MailboxError::NoDomain)),
        (b"MAIL FROM:scanner", ReversePath(MailboxError::NoDomain)),
        (b"MAIL FROM:<a b@c>", ReversePath(MailboxError::Syntax)),
        (b"MAIL FROM:<a\0@c>", ReversePath(MailboxError::Syntax)),
        (b"MAIL FROM:<@x:>", ReversePath(MailboxError::Syntax)),
        (b"MAIL FROM:<@x,a@b>", ReversePath(MailboxError::Syntax)),
        (b"MAIL FROM:<a@b> SIZE", MalformedParameter("SIZE")),
        (b"MAIL FROM:<a@b> SIZE=-1", MalformedParameter("SIZE")),
        (b"MAIL FROM:<a@b> SIZE=1 SIZE=2", MalformedParameter("SIZE")),
        (
            b"MAIL FROM:<a@b> BODY=BINARYMIME",
            MalformedParameter("BODY"),
        ),
        (
            b"MAIL FROM:<a@b> SMTPUTF8=yes",
            MalformedParameter("SMTPUTF8"),
        ),
        (b"MAIL FROM:<a@b> RET=ALL", MalformedParameter("RET")),
        (
            b"MAIL FROM:<a@b> ENVID=a+0D+0A",
            MalformedParameter("ENVID"),
        ),
        (b"MAIL FROM:<a@b> XVERP", UnknownParameter),
        (b"MAIL FROM:<a@b> NOTIFY=NEVER", UnknownParameter),
        (b"RCPT TO:<>", NullForwardPath),
        (b"RCPT TO:<Postmaster>", PostmasterWithoutDomain),
        (b"RCPT TO:<scanner>", ForwardPath(MailboxError::NoDomain)),
        (b"RCPT TO:<a@b> SIZE=1", UnknownParameter),
        (
            b"RCPT TO:<a@b> NOTIFY=NEVER,DELAY",
            MalformedParameter("NOTIFY"),
        ),
        (b"RCPT TO:<a@b> NOTIFY=", Syntax(Verb::Rcpt)),
        (b"RCPT TO:<a@b> ORCPT=a@b", MalformedParameter("ORCPT")),
        (
            b"RCPT TO:<a@b> ORCPT=rfc822;a+0Ab",
            MalformedParameter("ORCPT"),
        ),
        (b"DATA x", Syntax(Verb::Data)),
        (b"QUIT now", Syntax(Verb::Quit)),
        (b"AUTH", Syntax(Verb::Auth)),
        (b"AUTH PLAIN not base64", Syntax(Verb::Auth)),
    ];
    for (line, error) in table {
        let shown = String::from_utf8_lossy(line);
        assert_eq!(Command::parse(line), Err(error), "{shown}");
    }
    let long = format!("RCPT TO:<{}@b>", "a".repeat(65));
    assert_eq!(
        Command::parse(long.as_bytes()),
        Err(ForwardPath(MailboxError::TooLong))
    );
}

#[test]
fn other_protocols_are_recognized() {
    for line in [
        &b"GET / HTTP/1.1"[..],
        b"POST /x HTTP/1.1",
        b"CONNECT relay:2525 HTTP/1.1",
        b"BREW /pot HTTP/1.0",
        b"Host: localhost:2525",
        b"Content-Type: text/plain",
        b"X-Header:x",
        b"MAIL: x",
        b"\x16\x03\x01\x02\x00\x01",
    ] {
        assert_eq!(Command::parse(line), Err(CommandError::NotSmtp));
    }
}

#[test]
fn a_client_name_is_cut_at_255_octets() {
    let line = format!("EHLO a{}", "ü".repeat(300));
    let Ok(Command::Ehlo { name }) = Command::parse(line.as_bytes()) else {
        panic!("not understood");
    };
    assert_eq!(name.len(), 255);
}

#[test]
fn an_auth_response_is_not_shown() {
    let shown = format!("{:?}", Command::parse(b"AUTH PLAIN AGEAYg=="));
    assert!(shown.contains("PLAIN") && !shown.contains("AGEAYg"));
}

/// xtext in its longest form.
fn all_hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, octet| {
        write!(hex, "+{octet:02X}").unwrap();
        hex
    })
}

fn any_mail_parameters() -> impl Strategy<Value = MailParameters> {
    let id = proptest::option::of("[ -~]{1,30}");
    (
        proptest::option::of(any::<u64>()),
        any::<(bool, bool, Option<bool>)>(),
        id,
    )
        .prop_map(
            |(size_bytes, (eight_bit, smtputf8, full), id)| MailParameters {
                size_bytes,
                body_type: if eight_bit {
                    BodyType::EightBitMime
                } else {
                    BodyType::SevenBit
                },
                smtputf8,
                ret: full.map(|full| if full { Ret::Full } else { Ret::Headers }),
                envelope_id: id.map(|id| {
                    let hex = all_hex(&id);
                    EnvelopeId::parse(&hex).unwrap()
                }),
            },
        )
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(
        local in "[a-z+=]{1,10}|\"[a-z >:]{0,8}\"",
        parameters in any_mail_parameters(),
        events in proptest::option::of(1..8_u8),
        original in proptest::option::of("[ -~ü]{1,20}"),
    ) {
        let address = mailbox(&format!("{local}@contoso.com"));
        let reverse_path = ReversePath::Mailbox(address.clone());
        let mut wire = BytesMut::new();
        encode_mail(&reverse_path, &parameters, &mut wire);
        let mail = Command::Mail { reverse_path, parameters };
        prop_assert_eq!(Command::parse(wire.strip_suffix(b"\r\n").unwrap()), Ok(mail));

        let parameters = RcptParameters {
            notify: events.map(|bits| Notify::On {
                success: bits & 1 != 0,
                failure: bits & 2 != 0,
                delay: bits & 4 != 0,
            }),
            original_recipient: original.map(|text| {
                let hex = all_hex(&text);
                OriginalRecipient::parse(&format!("utf-8;{hex}")).unwrap()
            }),
        };
        let mut wire = BytesMut::new();
        encode_rcpt(&address, &parameters, &mut wire);
        let rcpt = Command::Rcpt { forward_path: address, parameters };
        prop_assert_eq!(Command::parse(wire.strip_suffix(b"\r\n").unwrap()), Ok(rcpt));
    }

    #[test]
    fn hostile_lines_never_yield_a_control(
        verb in prop_oneof![Just("MAIL FROM:"), Just("RCPT TO:<"), Just("EHLO "), Just("")],
        line in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let line = [verb.as_bytes(), &line].concat();
        match Command::parse(&line) {
            Ok(Command::Helo { name } | Command::Ehlo { name }) => {
                prop_assert!(!name.chars().any(char::is_control));
            }
            Ok(Command::Rcpt { forward_path, .. }) => {
                prop_assert!(!forward_path.as_str().chars().any(char::is_control));
            }
            _ => {}
        }
    }
}
