//! Every reply on record, and what is done about it.

mod errors_page;
mod page;
mod records;

use std::collections::BTreeSet;

use bytes::BytesMut;

use super::matching::{without_addresses, without_trailers};
use super::*;
use crate::sandbox;
use crate::smtp::ReplyDecoder;
use records::RECORDS;

const TRAILER: &str =
    "[AM0PR01CA0070.eurprd01.prod.exchangelabs.com 2026-11-20T09:12:20.123Z 08DE2A6028D26C22]";

fn reply(text: &str) -> Reply {
    let mut buffer = BytesMut::from(format!("{text}\r\n").as_str());
    ReplyDecoder::new().decode(&mut buffer).unwrap().unwrap()
}

fn key(step: Step, text: &str) -> &'static str {
    classify(Some(step), &reply(text)).key
}

/// What is done, in a word.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Delivered => "delivered",
        Verdict::RetryMessage => "retry message",
        Verdict::FailRecipient => "fail recipient",
        Verdict::FailMessage => "fail message",
        Verdict::Split => "split",
        Verdict::PauseAccount(_) => "pause account",
        Verdict::PauseTenant(_) => "pause tenant",
        Verdict::RefreshToken(_) => "refresh token",
        Verdict::NewConnection(_) => "new connection",
        Verdict::SendAsDenied => "send as denied",
    }
}

#[test]
fn every_reply_on_record_is_known_for_what_it_is() {
    for (step, text, key, verdict) in RECORDS {
        let rule = classify(Some(*step), &reply(text));
        assert_eq!((rule.key, word(rule.verdict)), (*key, *verdict), "{text}");
    }
}

#[test]
fn trailers_and_letter_case_change_nothing() {
    for (step, text, expected, _) in RECORDS {
        let (codes, words) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap());
        for shape in [
            format!("{text} {TRAILER}"),
            format!("{text} {TRAILER} {TRAILER} {TRAILER}"),
            format!("{text} [Hostname=SANDBOX.sandbox.PROD.OUTLOOK.COM] {TRAILER}"),
            format!("{codes}{}", words.to_uppercase()),
            format!("{codes}{} {TRAILER}", words.to_lowercase()),
        ] {
            assert_eq!(key(*step, &shape), *expected, "{shape}");
            assert_eq!(reply(&shape).to_string(), shape, "the log keeps all of it");
        }
    }
}

#[test]
fn replies_in_several_lines_are_one_text() {
    for (text, expected) in [
        (
            "535-5.7.139 Authentication unsuccessful, SmtpClientAuthentication is\r\n\
             535 5.7.139 disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled",
            "smtp_auth_disabled_for_tenant",
        ),
        (
            "535-5.7.8 Username and Password not accepted. For more information, go to\r\n\
             535 5.7.8  https://support.google.com/mail/?p=BadCredentials x - gsmtp",
            "google_token_refused",
        ),
    ] {
        assert_eq!(key(Step::Auth, text), expected);
    }
}

#[test]
fn stored_replies_are_explained_whatever_stands_before_them() {
    for (step, text, expected, _) in RECORDS {
        let Some(rule) = explain(&reply(text).to_string()) else {
            let rule = classify(Some(*step), &reply(text));
            let nothing_to_say = rule.is_unknown() || reply(text).code() < 400;
            assert!(nothing_to_say, "{text}");
            continue;
        };
        assert_eq!(rule.key, *expected, "{text}");
    }
    for (text, expected) in [
        (
            "the server closes the connection: 421 4.3.2 Service not active",
            Some("server_draining"),
        ),
        (
            "expired in the queue; last: 550 5.1.8 Access denied, bad outbound sender",
            Some("sender_restricted"),
        ),
        ("the connection was lost: unexpected end of file", None),
        ("no answer from the server within 300 s", None),
        ("cannot connect to smtp.office365.com:587: refused", None),
        ("250 2.0.0 OK <1@x> [Hostname=Y]", None),
        ("451 4.9.9 something new", None),
        ("", None),
        ("45", None),
        ("+45 x", None),
        ("999 x", None),
    ] {
        assert_eq!(explain(text).map(|rule| rule.key), expected, "{text}");
    }
}

#[test]
fn look_alikes_are_told_apart() {
    for (step, text, expected) in [
        (
            Step::EndOfData,
            "554 5.2.252 SendAsDenied; relay@contoso.com not allowed to send as scan@contoso.com; STOREDRV",
            "send_as_denied",
        ),
        (
            Step::EndOfData,
            "550 5.2.252 Sender throttled due to continuous send as denied errors.",
            "sender_throttled_send_as",
        ),
        (
            Step::EndOfData,
            "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
            "submission_quota_exceeded",
        ),
        (
            Step::EndOfData,
            "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException",
            "outbound_spam",
        ),
        (
            Step::EndOfData,
            "554 5.2.0 STOREDRV.Submission.Exception:MessageSubmissionExceededException.MapiExceptionMaxSubmissionExceeded",
            "message_too_large",
        ),
        (
            Step::EndOfData,
            "554 5.2.0 STOREDRV.Submission.Exception:SomethingNewException",
            "unknown_refusal",
        ),
        (
            Step::Rcpt(0),
            "552 5.2.2 mailbox full",
            "recipient_mailbox_full",
        ),
        (
            Step::EndOfData,
            "554 5.2.2 mailbox full",
            "sender_mailbox_full",
        ),
        (
            Step::EndOfData,
            "554 5.2.2 Submission quota exceeded",
            "submission_quota_exceeded",
        ),
        (
            Step::EndOfData,
            "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
            "connections_exceeded",
        ),
        (
            Step::EndOfData,
            "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded",
            "recipient_busy",
        ),
        (
            Step::EndOfData,
            "451 4.7.0 Temporary server error. Please try again later. PRX4",
            "proxy_refused",
        ),
        (Step::EndOfData, "451 4.7.0 busy", "unknown_deferral"),
        (
            Step::EndOfData,
            "430 4.7.0 try later",
            "mailbox_access_missing",
        ),
        (
            Step::StartTls,
            "454 4.7.0 TLS not available",
            "unknown_at_connect",
        ),
        (
            Step::Auth,
            "454 4.7.0 Temporary authentication failure",
            "authentication_away",
        ),
    ] {
        assert_eq!(key(step, text), expected, "{text}");
    }
}

#[test]
fn what_no_rule_knows_is_left_to_rfc_5321() {
    for (step, text, expected, verdict) in [
        (Step::Mail, "451 later", "unknown_deferral", "retry message"),
        (
            Step::Data,
            "550 5.9.9 no",
            "unknown_refusal",
            "fail message",
        ),
        (
            Step::Rcpt(3),
            "550 5.9.9 no",
            "unknown_recipient_refusal",
            "fail recipient",
        ),
        (Step::EndOfData, "554", "unknown_refusal", "fail message"),
        (
            Step::Greeting,
            "554 5.7.1 No",
            "unknown_at_connect",
            "pause account",
        ),
        (
            Step::Auth,
            "421 later",
            "unknown_at_auth_later",
            "pause account",
        ),
        (
            Step::Auth,
            "550 5.9.9 no",
            "unknown_at_auth",
            "refresh token",
        ),
    ] {
        let rule = classify(Some(step), &reply(text));
        assert_eq!(
            (rule.key, word(rule.verdict)),
            (expected, verdict),
            "{text}"
        );
        assert!(rule.is_unknown());
    }
}

#[test]
fn an_address_that_a_client_chose_pauses_nothing() {
    let fragments = table::rules()
        .filter(|rule| rule.verdict.pause().is_some())
        .flat_map(|rule| rule.when)
        .flat_map(When::texts);
    for fragment in fragments {
        let address = format!("\"{fragment}\"@contoso.com");
        for (step, text) in [
            (Step::Rcpt(0), format!("550 5.1.1 {address} not found")),
            (Step::EndOfData, format!("554 5.6.0 From {address}; IMC53")),
            (Step::Rcpt(0), format!("452 4.2.2 <{address}> mailbox full")),
        ] {
            let rule = classify(Some(step), &reply(&text));
            assert_eq!(rule.verdict.pause(), None, "{text}: {}", rule.key);
        }
    }
}

#[test]
fn rows_are_whole_and_their_keys_are_names() {
    let mut keys = BTreeSet::new();
    for rule in table::rules().chain(table::FALLBACKS) {
        let is_name = rule
            .key
            .bytes()
            .all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'_');
        assert!(is_name, "{}", rule.key);
        assert!(keys.insert(rule.key), "{} twice", rule.key);
        for text in [rule.sentence, rule.remedy] {
            assert!(
                text.len() > 20 && text.ends_with('.'),
                "{}: {text}",
                rule.key
            );
            assert!(!text.contains('\n'), "{}", rule.key);
        }
        assert!(
            !rule.sentence.trim_end_matches('.').contains(". "),
            "{}",
            rule.key
        );
    }
    for rule in table::rules() {
        assert!(!rule.when.is_empty() && !rule.is_unknown(), "{}", rule.key);
    }
}

#[test]
fn every_condition_of_every_rule_decides_some_reply() {
    let said: Vec<Said> = RECORDS
        .iter()
        .map(|(step, text, ..)| Said::of(Some(*step), &reply(text)))
        .collect();
    let mut taken = BTreeSet::new();
    for said in &said {
        let mut conditions = table::rules().flat_map(|rule| rule.when);
        if let Some(first) = conditions.position(|when| when.takes(said)) {
            taken.insert(first);
        }
    }
    let rows = table::rules().flat_map(|rule| rule.when.iter().map(move |when| (rule.key, when)));
    for (number, (key, when)) in rows.enumerate() {
        assert!(taken.contains(&number), "{key}: {when} is never the first");
    }
    let keys: BTreeSet<_> = RECORDS.iter().map(|(.., key, _)| *key).collect();
    for rule in table::FALLBACKS {
        assert!(keys.contains(rule.key), "{}", rule.key);
    }
}

#[test]
fn trailers_are_only_what_exchange_appends() {
    for (text, expected) in [
        (format!("a {TRAILER}"), "a"),
        (format!("a {TRAILER} {TRAILER}"), "a"),
        ("a [Hostname=X.y.PROD.OUTLOOK.COM]".into(), "a"),
        ("a [host.outlook.com]".into(), "a"),
        ("a [EndDiagnosticData]".into(), "a [EndDiagnosticData]"),
        (
            "a [10.0.0.1 is not welcome]".into(),
            "a [10.0.0.1 is not welcome]",
        ),
        ("a [b] c".into(), "a [b] c"),
        ("]".into(), "]"),
        (TRAILER.into(), ""),
    ] {
        assert_eq!(without_trailers(&text), expected);
    }
}

#[test]
fn addresses_are_taken_out_whole() {
    for (text, expected) in [
        ("Denied; a@b.c not as d@e; X", "Denied;  not as ; X"),
        ("<a@b> no", "<> no"),
        ("\"a b\"@c no", " no"),
        ("no \"a @ b\"@c", "no"),
        ("no \"a@b c\"@d, yes", "no , yes"),
        ("@", ""),
        ("a@", ""),
        ("none here", "none here"),
    ] {
        assert_eq!(
            without_addresses(text).trim_end(),
            expected.trim_end(),
            "{text}"
        );
    }
}

#[test]
fn the_sandbox_says_what_the_rules_know() {
    let mut named = BTreeSet::new();
    for documented in sandbox::documented() {
        assert!(named.insert(documented.name), "{} twice", documented.name);
        let step = match documented.at {
            sandbox::Step::Ehlo => Step::Ehlo,
            sandbox::Step::Auth => Step::Auth,
            sandbox::Step::Mail => Step::Mail,
            sandbox::Step::Rcpt => Step::Rcpt(0),
            sandbox::Step::EndOfData => Step::EndOfData,
            other => panic!("{other:?}"),
        };
        assert_eq!(key(step, documented.text), documented.name);
        // What an address asks for at RCPT must lead to the same.
        if step != Step::EndOfData && step != Step::Ehlo {
            assert_eq!(key(Step::Rcpt(0), documented.text), documented.name);
        }
    }
    // Everything but what has no wording of its own: a catch-all, and words of ours.
    let missing: Vec<_> = table::rules()
        .map(|rule| rule.key)
        .filter(|key| !named.contains(key))
        .collect();
    assert_eq!(
        missing,
        [
            "sender_throttled",
            "from_cannot_be_rewritten",
            "smtputf8_not_offered"
        ]
    );
}
