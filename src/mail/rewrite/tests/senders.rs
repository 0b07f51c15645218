//! From, Reply-To and Sender.

use proptest::prelude::*;

use super::*;
use crate::mail::rewrite::Remark;

/// `header` before and after, with a body that must not change.
fn header(header: &str, spec: &Spec) -> (String, Changes) {
    const BODY: &str = "\nFrom: not a header\n\nSender: neither\n";
    let (out, changes) = text(&format!("{header}{BODY}"), spec);
    (out.strip_suffix(BODY).unwrap().to_owned(), changes)
}

#[test]
fn what_the_history_keeps_of_from_is_one_line() {
    let (_, changes) = header("From: a@b.e\u{2028}x\u{85}ample\n", &relayed());
    assert_eq!(changes.from.unwrap().old, "a@b.example");
}

#[test]
fn from_is_rewritten_in_its_place() {
    for (before, after) in [
        (
            "Received: x\nFrom: Lobby <scan@contoso.local>\nSubject: =?utf-8?Q?=C3=84?=\n folded\n",
            "Received: x\nFrom: Lobby <relay@contoso.com>\nSubject: =?utf-8?Q?=C3=84?=\n folded\n\
             Reply-To: Lobby <scan@contoso.local>\n",
        ),
        (
            "from : scan@contoso.local\nX-A:1\n",
            "From: <relay@contoso.com>\nX-A:1\nReply-To: <scan@contoso.local>\n",
        ),
        // The name must not pass for an address, here or there.
        (
            "From: \"ceo@contoso.com\" <scan@fabrikam.com>\n",
            "From: \"ceo at contoso.com\" <relay@contoso.com>\n\
             Reply-To: \"ceo at contoso.com\" <scan@fabrikam.com>\n",
        ),
        (
            "From: =?iso-8859-1?Q?J=F6rg?=\n =?utf-8?B?IE3DvGxsZXI=?= <j@b.c>\n",
            "From: =?utf-8?B?SsO2cmcgTcO8bGxlcg==?= <relay@contoso.com>\n\
             Reply-To: =?utf-8?B?SsO2cmcgTcO8bGxlcg==?= <j@b.c>\n",
        ),
        // Raw UTF-8, as many devices write it.
        (
            "From: Büro <j@b.c>\n",
            "From: =?utf-8?B?QsO8cm8=?= <relay@contoso.com>\nReply-To: =?utf-8?B?QsO8cm8=?= <j@b.c>\n",
        ),
        (
            "From: One <a@b.c>, \"Two, T.\" <d@e.f>\n",
            "From: One <relay@contoso.com>\nReply-To: One <a@b.c>, \"Two, T.\" <d@e.f>\n",
        ),
        (
            "From: Team: One <a@b.c>, d@e.f;\n",
            "From: One <relay@contoso.com>\nReply-To: One <a@b.c>, <d@e.f>\n",
        ),
        (
            "From: a@b.c (A. B.)\n",
            "From: \"A. B.\" <relay@contoso.com>\nReply-To: \"A. B.\" <a@b.c>\n",
        ),
        // Several, missing, empty, unparsable.
        (
            "From: a@b.c\nX: 1\nFROM: d@e.f\n",
            "From: <relay@contoso.com>\nX: 1\nReply-To: <a@b.c>\n",
        ),
        (
            "From: nobody\nFrom: a@b.c\n",
            "From: <relay@contoso.com>\nReply-To: <a@b.c>\n",
        ),
        ("Subject: x\n", "Subject: x\nFrom: <relay@contoso.com>\n"),
        ("From:\n", "From: <relay@contoso.com>\n"),
        ("From: <>\n", "From: <relay@contoso.com>\n"),
        (
            "From: Lobby Scanner\n",
            "From: Lobby Scanner <relay@contoso.com>\n",
        ),
        // Already right.
        (
            "From: Me <Relay@Contoso.com>\n",
            "From: Me <Relay@Contoso.com>\n",
        ),
        (
            "From: relay@contoso.com, a@b.c\n",
            "From: <relay@contoso.com>\nReply-To: <relay@contoso.com>, <a@b.c>\n",
        ),
    ] {
        let (found, changes) = header(before, &relayed());
        assert_eq!(found, after, "{before}");
        assert_eq!(
            changes.from.is_some(),
            !found.contains("Relay@"),
            "{before}"
        );
        assert_eq!(
            changes.reply_to.is_some(),
            found.contains("Reply-To"),
            "{before}"
        );
    }
}

#[test]
fn reply_to_is_written_only_where_there_is_none() {
    let configured = Spec {
        reply_to: Some(mailbox("desk@contoso.com")),
        ..relayed()
    };
    let dropped = Spec {
        from: Some(FromRewrite {
            mailbox: mailbox("relay@contoso.com"),
            original: Original::Drop,
        }),
        ..Spec::default()
    };
    for (before, spec, after) in [
        (
            "From: a@b.c\nReply-To: d@e.f\n",
            relayed(),
            "From: <relay@contoso.com>\nReply-To: d@e.f\n",
        ),
        (
            "From: a@b.c\nReply-To: d@e.f\n",
            configured.clone(),
            "From: <relay@contoso.com>\nReply-To: d@e.f\n",
        ),
        (
            "From: a@b.c\n",
            configured.clone(),
            "From: <relay@contoso.com>\nReply-To: <desk@contoso.com>\n",
        ),
        (
            "From: relay@contoso.com\n",
            configured,
            "From: relay@contoso.com\nReply-To: <desk@contoso.com>\n",
        ),
        // One without an address is none.
        (
            "Reply-To: \nFrom: a@b.c\n",
            relayed(),
            "From: <relay@contoso.com>\nReply-To: <a@b.c>\n",
        ),
        (
            "From: A <a@b.c>\n",
            dropped,
            "From: A <relay@contoso.com>\n",
        ),
    ] {
        assert_eq!(header(before, &spec).0, after, "{before}");
    }
}

#[test]
fn a_sender_that_is_somebody_else_goes() {
    for (before, after, removed) in [
        (
            "Sender: scan@contoso.local\nFrom: a@b.c\n",
            "From: <relay@contoso.com>\nReply-To: <a@b.c>\n",
            true,
        ),
        (
            "Sender: <RELAY@contoso.com>\nFrom: a@b.c\n",
            "Sender: <RELAY@contoso.com>\nFrom: <relay@contoso.com>\nReply-To: <a@b.c>\n",
            false,
        ),
        (
            "Sender: x@y.z\nFrom: relay@contoso.com\n",
            "From: relay@contoso.com\n",
            true,
        ),
    ] {
        let (found, changes) = header(before, &relayed());
        assert_eq!(
            (found.as_str(), changes.is_sender_removed),
            (after, removed),
            "{before}"
        );
    }
    let kept = "Sender: x@y.z\nFrom: a@b.c\n";
    let reply_to = Spec {
        reply_to: Some(mailbox("d@e.f")),
        ..Spec::default()
    };
    assert_eq!(
        header(kept, &reply_to).0,
        format!("{kept}Reply-To: <d@e.f>\n")
    );
}

#[test]
fn the_configured_name_is_for_a_from_rewritten_or_nameless() {
    let named = Spec {
        display_name: Some("Contoso, Relay".into()),
        ..Spec::default()
    };
    for (before, after) in [
        ("From: a@b.c\n", "From: \"Contoso, Relay\" <a@b.c>\n"),
        ("From: A <a@b.c>\n", "From: A <a@b.c>\n"),
        ("From: a@b.c, d@e.f\n", "From: a@b.c, d@e.f\n"),
        ("From: a@b.c\nFrom: d@e.f\n", "From: a@b.c\nFrom: d@e.f\n"),
        ("From: nobody\n", "From: nobody\n"),
        ("X: 1\n", "X: 1\n"),
    ] {
        let (found, changes) = header(before, &named);
        assert_eq!((found.as_str(), changes.from), (after, None), "{before}");
    }
    let both = Spec {
        display_name: named.display_name,
        ..relayed()
    };
    let (found, changes) = header("From: A <a@b.c>\n", &both);
    assert_eq!(
        found,
        "From: \"Contoso, Relay\" <relay@contoso.com>\nReply-To: A <a@b.c>\n"
    );
    let change = changes.from.unwrap();
    assert_eq!(
        (change.old.as_str(), change.new.as_str()),
        ("a@b.c", "relay@contoso.com")
    );
}

#[test]
fn long_names_are_folded() {
    let name = "a fairly long name with, among others, commas ".repeat(4);
    let (found, _) = header(&format!("From: \"{name}\" <a@b.c>\n"), &relayed());
    assert!(found.lines().all(|line| line.len() <= 78), "{found}");
    assert!(found.lines().count() > 4);
}

#[test]
fn a_message_without_header_section_gets_one() {
    let none = [
        ("just text\n", "From: <relay@contoso.com>\n\njust text\n"),
        ("\nbody\n", "From: <relay@contoso.com>\n\nbody\n"),
        ("", "From: <relay@contoso.com>\n\n"),
        ("Subject: x", "Subject: x\nFrom: <relay@contoso.com>\n\n"),
        (
            "Subject: x\ntext\n",
            "Subject: x\nFrom: <relay@contoso.com>\n\ntext\n",
        ),
    ];
    for (before, after) in none {
        let spec = relayed();
        let (out, _, _) = pass(&crlf(before), &spec, 3).unwrap();
        assert_eq!(out, crlf(after), "{before}");
    }
}

#[test]
fn a_huge_header_section_is_refused_or_passed() {
    let line = format!("X-Pad: {}\n", "x".repeat(900));
    let fits = format!("{}From: a@b.c\n\nbody\n", line.repeat(250));
    let (out, _, _) = pass(&crlf(&fits), &relayed(), 4096).unwrap();
    assert_eq!(
        out,
        crlf(&fits.replace(
            "From: a@b.c\n",
            "From: <relay@contoso.com>\nReply-To: <a@b.c>\n"
        ))
    );

    let huge = crlf(&format!("From: a@b.c\n{}\nbody\n", line.repeat(300)));
    assert_eq!(pass(&huge, &relayed(), 4096), Err(Refusal::HeaderTooLong));
    let (out, changes, _) = pass(&huge, &signed("sig", ""), 4096).unwrap();
    assert_eq!((out, changes.remarks), (huge, vec![Remark::HeaderTooLong]));

    let endless = [b"X: ".to_vec(), vec![b'x'; 1_000_000]].concat();
    assert_eq!(
        pass(&endless, &relayed(), 4096),
        Err(Refusal::HeaderTooLong)
    );
    assert_eq!(pass(&endless, &Spec::default(), 4096).unwrap().0, endless);
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("Subject: a\r\n b\r\n".to_owned()),
        Just("X-Odd :\t1\r\n".to_owned()),
        Just("From: A <a@b.c>\r\n".to_owned()),
        Just("From:\r\n =?utf-8?Q?=C3=9C?= <a@b.c>,\r\n d@e.f\r\n".to_owned()),
        Just("Sender: x@y.z\r\n".to_owned()),
        Just("Reply-To: r@b.c\r\n".to_owned()),
        "From: [ -~]{0,60}\r\n",
        "X-[a-z]{1,5}: [ -~]{0,60}\r\n",
    ]
}

proptest! {
    #[test]
    fn nothing_but_the_senders_ever_changes(
        lines in proptest::collection::vec(line(), 0..8),
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut content = lines.concat().into_bytes();
        content.extend_from_slice(b"\r\n");
        content.extend_from_slice(&body);
        let (out, _, max) = pass(&content, &relayed(), 11).unwrap();
        prop_assert!(out.ends_with(&[&b"\r\n"[..], &body].concat()));
        prop_assert!(out.len() as u64 <= content.len() as u64 + max);
        let others = |content: &[u8]| -> Vec<Vec<u8>> {
            crate::mail::rewrite::section::fields(content)
                .filter(|f| !["From", "Reply-To", "Sender"].iter().any(|name| f.is(name)))
                .map(|field| field.octets.to_vec())
                .collect()
        };
        prop_assert_eq!(others(&out), others(&content));
        let message = MessageParser::new().parse_headers(&out[..out.len() - body.len()]).unwrap();
        let from = message.from().unwrap();
        prop_assert_eq!(from.iter().count(), 1);
        let address = from.first().unwrap().address().unwrap().to_ascii_lowercase();
        prop_assert_eq!(address, "relay@contoso.com");
    }
}
