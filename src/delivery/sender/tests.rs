//! What is decided for which message.

use bytes::BytesMut;

use super::report::note;
use super::*;
use crate::mail::BodyType;
use crate::mail::rewrite::{Changes, FromChange, Remark};
use crate::smtp::{Reply, ReplyDecoder};

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn policy(rewrites: Rewrites) -> SenderPolicy {
    SenderPolicy {
        mailbox: mailbox("relay@contoso.com"),
        rewrites,
        display_name: None,
        reply_to: None,
        signature: Signature::default(),
    }
}

fn path(text: &str) -> ReversePath {
    ReversePath::parse(text).unwrap()
}

fn reply(text: &str) -> Reply {
    let mut buffer = BytesMut::from(format!("{text}\r\n").as_str());
    ReplyDecoder::new().decode(&mut buffer).unwrap().unwrap()
}

#[test]
fn nothing_is_replaced_before_the_service_has_said_so() {
    let authors = ["scan@contoso.com".to_owned()];
    let is_denied = |address: &str| address == "denied@contoso.com";
    let of = |rewrites, reverse_path: &str, authors: &[String]| {
        policy(rewrites).beforehand(&path(reverse_path), authors, is_denied)
    };
    let (never, always, auto) = (Rewrites::Never, Rewrites::Always, Rewrites::WhenDenied);
    assert_eq!(of(auto, "scan@contoso.com", &authors), Replaced::Nobody);
    assert_eq!(of(auto, "", &authors), Replaced::ReversePath);
    assert_eq!(
        of(auto, "denied@contoso.com", &authors),
        Replaced::ReversePath
    );
    let denied = ["a@contoso.com".to_owned(), "denied@contoso.com".to_owned()];
    assert_eq!(of(auto, "scan@contoso.com", &denied), Replaced::From);
    assert_eq!(of(never, "", &denied), Replaced::Nobody);
    assert_eq!(of(always, "scan@contoso.com", &authors), Replaced::From);
}

#[test]
fn a_refusal_replaces_what_the_service_has_seen_and_each_only_once() {
    let auto = policy(Rewrites::WhenDenied);
    let (nobody, in_envelope, from) = (Replaced::Nobody, Replaced::ReversePath, Replaced::From);
    assert_eq!(auto.after_denial(nobody, Step::Mail), Some(in_envelope));
    assert_eq!(auto.after_denial(nobody, Step::EndOfData), Some(from));
    assert_eq!(auto.after_denial(in_envelope, Step::EndOfData), Some(from));
    assert_eq!(auto.after_denial(in_envelope, Step::Rcpt(0)), None);
    assert_eq!(auto.after_denial(from, Step::EndOfData), None);
    assert_eq!(auto.after_denial(from, Step::Mail), None);
    for rewrites in [Rewrites::Never, Rewrites::Always] {
        assert_eq!(policy(rewrites).after_denial(nobody, Step::EndOfData), None);
    }
}

#[test]
fn the_envelope_keeps_a_mailbox_however_it_is_written() {
    let auto = policy(Rewrites::WhenDenied);
    let envelope = |text: &str| {
        let forward_path = mailbox("desk@contoso.com");
        let recipients = vec![forward_path.into()];
        Envelope::new(path(text), recipients, BodyType::SevenBit, false).unwrap()
    };
    let seen = |replaced, text: &str| {
        let envelope = auto.envelope(replaced, &envelope(text));
        envelope.reverse_path().to_string()
    };
    assert_eq!(seen(Replaced::Nobody, ""), "");
    assert_eq!(seen(Replaced::ReversePath, ""), "relay@contoso.com");
    assert_eq!(
        seen(Replaced::From, "scan@contoso.com"),
        "relay@contoso.com"
    );
    assert_eq!(
        seen(Replaced::From, "Relay@Contoso.com"),
        "Relay@Contoso.com"
    );
}

#[test]
fn the_refused_address_is_one_of_the_message() {
    let authors = ["one@b.c".to_owned(), "Two@b.c".to_owned()];
    let about = |step, text: &str, authors: &[String], reverse_path: &str| {
        denial::address(step, &reply(text), authors, &path(reverse_path))
    };
    let names = |address: &str| {
        format!("554 5.2.252 SendAsDenied; relay@b.c not allowed to send as {address}; STOREDRV")
    };
    let end = Step::EndOfData;
    for (text, authors, reverse_path, expected) in [
        (names("two@b.c"), &authors[..], "p@b.c", Some("two@b.c")),
        (names("<p@b.c>"), &authors, "p@b.c", Some("p@b.c")),
        (names("other@b.c"), &authors, "p@b.c", Some("one@b.c")),
        ("550 5.7.60 no".into(), &authors, "p@b.c", Some("one@b.c")),
        (names("other@b.c"), &[], "p@b.c", Some("other@b.c")),
        (names("<>"), &[], "p@b.c", Some("p@b.c")),
        (names("<>"), &[], "", None),
    ] {
        let found = about(end, &text, authors, reverse_path);
        assert_eq!(found.as_deref(), expected, "{text}");
    }
    // The header section is not known to the service yet.
    let early = about(Step::Mail, &names("two@b.c"), &authors, "p@b.c");
    assert_eq!(early.as_deref(), Some("p@b.c"));
}

#[test]
fn a_message_that_anybody_has_got_is_not_sent_again() {
    let denied = || {
        (
            Step::Rcpt(0),
            reply("550 5.7.60 SMTP; Client does not have"),
        )
    };
    let found = [denied(), (Step::EndOfData, reply("250 2.0.0 OK"))];
    assert!(denial::find(&found).is_none());
    let others = [(Step::Rcpt(0), reply("550 5.1.1 who?")), denied()];
    assert!(denial::find(&others).is_some());
    assert!(denial::find(&others[..1]).is_none());
}

#[test]
fn what_was_changed_is_told_in_words() {
    assert_eq!(note(None, None, &[]), None);
    assert_eq!(note(None, Some(&Changes::default()), &[]), None);
    let mut changes = Changes {
        remarks: vec![Remark::NoText],
        ..Changes::default()
    };
    let left = note(None, Some(&changes), &[]).unwrap();
    assert_eq!(left.action, "left_alone");
    assert_eq!(left.detail, Remark::NoText.to_string());
    changes.from = Some(FromChange {
        old: String::new(),
        new: "relay@b.c".into(),
    });
    changes.reply_to = Some("x@b.c".into());
    changes.signed_text = true;
    let denials = ["554 5.2.252 SendAsDenied".to_owned()];
    let done = note(Some(("", "relay@b.c")), Some(&changes), &denials).unwrap();
    assert_eq!(done.action, "rewritten");
    assert_eq!(
        done.detail,
        format!(
            "reverse-path <> replaced by <relay@b.c>; From without an address replaced by relay@b.c; \
             Reply-To x@b.c added; signature appended to the text; {}; after 554 5.2.252 SendAsDenied",
            Remark::NoText
        )
    );
}
