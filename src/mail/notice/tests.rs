//! Notices as their readers see them: every one is taken apart again by a parser of its own.

use jiff::Zoned;
use mail_parser::{Address, Message, MessageParser, MimeHeaders};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Zoned {
    text.parse().unwrap()
}

fn heading(date: &Zoned) -> Heading<'_> {
    Heading {
        from: "relay@contoso.com",
        to: "scanner@contoso.com",
        hostname: "relay.contoso.local",
        id: "01K9Z3X4T5ABCDEF",
        date,
    }
}

fn failed<'a>(address: &'a str, reply: &'a str) -> Undelivered<'a> {
    Undelivered {
        address,
        original: None,
        reply: Some(reply),
        last_attempt: None,
        sentence: None,
        remedy: None,
    }
}

/// A notice of failure with everything that can be known.
fn notice<'a>(date: &'a Zoned, recipients: &'a [Undelivered<'a>], header: &'a [u8]) -> Notice<'a> {
    Notice {
        kind: NoticeKind::Failed,
        heading: heading(date),
        about: Original {
            id: "01K9Z3X4T5000001",
            reverse_path: "scanner@contoso.com",
            subject: Some("Scan from lobby"),
            message_id: Some("<1@scanner>"),
            envelope_id: Some("QQ314159"),
            received: date,
            origin: "10.20.1.15 (scanner)",
            delivered: 2,
            given_up: None,
        },
        recipients,
        recipients_left_out: 0,
        remote: Some("smtp.office365.com"),
        returned: Returned::Headers(header),
    }
}

fn parse(content: &[u8]) -> Message<'_> {
    for line in content.split(|octet| *octet == b'\n') {
        assert!(line.len() <= 999, "{} octets in a line", line.len());
        let whole = line.is_empty() || line.ends_with(b"\r") || line == b"\n";
        assert!(whole, "a bare LF");
        let inside = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!inside.contains(&b'\r'), "a bare CR");
    }
    MessageParser::new().parse(content).unwrap()
}

/// The parts of a report: content type and decoded text.
fn parts(message: &Message<'_>) -> Vec<(String, String)> {
    let described = |part: &mail_parser::MessagePart<'_>| {
        let kind = part.content_type().unwrap();
        let name = format!("{}/{}", kind.ctype(), kind.subtype().unwrap());
        (name, String::from_utf8_lossy(part.contents()).into_owned())
    };
    message.parts.iter().skip(1).map(described).collect()
}

fn mailbox_of<'m>(address: Option<&'m Address<'m>>) -> (&'m str, &'m str) {
    let one = address.and_then(|address| address.first()).unwrap();
    (one.name().unwrap_or_default(), one.address().unwrap())
}

#[test]
fn a_report_has_the_shape_of_rfc_3464_and_says_what_happened() {
    let date = at("2026-11-20T10:00:00+01:00[+01:00]");
    let last = at("2026-11-20T09:59:00+01:00[+01:00]");
    let reply =
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup";
    let recipients = [
        Undelivered {
            original: Some(("rfc822", "Bob@contoso.com")),
            last_attempt: Some(&last),
            sentence: Some("There is no such address in your organisation."),
            remedy: Some("Check the address and send the message again."),
            ..failed("bob@contoso.com", reply)
        },
        failed("eve@contoso.com", reply),
    ];
    let header = b"Subject: Scan from lobby\r\nFrom: scanner@contoso.com\r\n";
    let composed = notice(&date, &recipients, header).compose();
    assert!(composed.content.is_ascii());
    let message = parse(&composed.content);

    assert_eq!(message.subject(), Some("Undelivered: Scan from lobby"));
    assert_eq!(composed.subject, "Undelivered: Scan from lobby");
    let from = ("Mail Delivery System", "relay@contoso.com");
    assert_eq!(mailbox_of(message.from()), from);
    assert_eq!(mailbox_of(message.to()), ("", "scanner@contoso.com"));
    assert_eq!(
        message.date().unwrap().to_rfc3339(),
        "2026-11-20T10:00:00+01:00"
    );
    assert_eq!(
        message.message_id(),
        Some("01K9Z3X4T5ABCDEF@relay.contoso.local")
    );
    assert_eq!(
        composed.message_id,
        "<01K9Z3X4T5ABCDEF@relay.contoso.local>"
    );
    assert_eq!(message.in_reply_to().as_text(), Some("1@scanner"));
    assert_eq!(message.references().as_text(), Some("1@scanner"));
    let header = |name: &str| message.header_raw(name).unwrap().trim().to_owned();
    assert_eq!(header("Auto-Submitted"), "auto-replied");
    assert_eq!(header("X-Auto-Response-Suppress"), "All");
    assert_eq!(header("MIME-Version"), "1.0");
    let kind = message.content_type().unwrap();
    assert_eq!(
        (kind.ctype(), kind.subtype()),
        ("multipart", Some("report"))
    );
    assert_eq!(kind.attribute("report-type"), Some("delivery-status"));

    let parts = parts(&message);
    let kinds: Vec<&str> = parts.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "text/plain",
            "message/delivery-status",
            "text/rfc822-headers"
        ]
    );
    let unwrapped = parts[0].1.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "This is the mail relay relay.contoso.local.",
        "Subject: Scan from lobby",
        "Accepted: Fri, 20 Nov 2026 10:00:00 +0100 from 10.20.1.15 (scanner)",
        "Not delivered to bob@contoso.com eve@contoso.com smtp.office365.com said",
        reply,
        "What it means: There is no such address in your organisation.",
        "What can be done: Check the address and send the message again.",
        "2 other recipients have got the message.",
        "exorelay queue retry 01K9Z3X4T5000001",
    ] {
        assert!(unwrapped.contains(words), "{words:?} in\n{}", parts[0].1);
    }
    assert_eq!(
        unwrapped.matches(reply).count(),
        1,
        "one reply is told once"
    );
    let unfolded = parts[1].1.replace("\r\n ", " ");
    assert_eq!(
        unfolded,
        format!(
            "Reporting-MTA: dns; relay.contoso.local\r\n\
             Original-Envelope-Id: QQ314159\r\n\
             Arrival-Date: Fri, 20 Nov 2026 10:00:00 +0100\r\n\
             \r\n\
             Original-Recipient: rfc822; Bob@contoso.com\r\n\
             Final-Recipient: rfc822; bob@contoso.com\r\n\
             Action: failed\r\n\
             Status: 5.1.10\r\n\
             Remote-MTA: dns; smtp.office365.com\r\n\
             Diagnostic-Code: smtp; {reply}\r\n\
             Last-Attempt-Date: Fri, 20 Nov 2026 09:59:00 +0100\r\n\
             Final-Log-ID: 01K9Z3X4T5000001\r\n\
             \r\n\
             Final-Recipient: rfc822; eve@contoso.com\r\n\
             Action: failed\r\n\
             Status: 5.1.10\r\n\
             Remote-MTA: dns; smtp.office365.com\r\n\
             Diagnostic-Code: smtp; {reply}\r\n\
             Final-Log-ID: 01K9Z3X4T5000001\r\n"
        )
    );
    assert_eq!(
        parts[2].1,
        "Subject: Scan from lobby\r\nFrom: scanner@contoso.com\r\n"
    );
}

#[test]
fn a_delay_says_that_nothing_has_to_be_done_and_how_long_it_is_tried() {
    let date = at("2026-11-20T10:00:00+01:00[+01:00]");
    let end = at("2026-11-22T06:00:00+01:00[+01:00]");
    let recipients = [
        failed("bob@contoso.com", "451 4.7.0 Temporary server error"),
        Undelivered {
            reply: None,
            ..failed("eve@contoso.com", "")
        },
    ];
    let mut notice = notice(&date, &recipients, b"");
    notice.kind = NoticeKind::Delayed;
    notice.about.given_up = Some(&end);
    let composed = notice.compose();
    let message = parse(&composed.content);
    assert_eq!(message.subject(), Some("Delayed: Scan from lobby"));
    let parts = parts(&message);
    assert_eq!(parts.len(), 2, "there was nothing to return");
    let (text, report) = (&parts[0].1, &parts[1].1);
    let unwrapped = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "still being tried, and nothing has to be done",
        "Not yet delivered to bob@contoso.com smtp.office365.com said 451 4.7.0",
        "Not yet delivered to eve@contoso.com It has not been tried yet",
        "cannot be delivered until Sun, 22 Nov 2026 06:00:00 +0100",
    ] {
        assert!(unwrapped.contains(words), "{words:?} in\n{text}");
    }
    assert!(
        report.contains("Action: delayed\r\nStatus: 4.7.0\r\n"),
        "{report}"
    );
    assert!(
        report.contains("Action: delayed\r\nStatus: 4.0.0\r\n"),
        "{report}"
    );
    let until = "Will-Retry-Until: Sun, 22 Nov 2026 06:00:00 +0100\r\n";
    assert_eq!(report.matches(until).count(), 2, "{report}");
}

#[test]
fn what_expired_and_what_no_server_said_is_told_apart() {
    let date = at("2026-11-20T10:00:00+01:00[+01:00]");
    let recipients = [
        failed("a@b.example", "expired in the queue; last: 451 4.7.0 busy"),
        failed(
            "c@b.example",
            "expired in the queue; last: connection refused",
        ),
    ];
    let composed = notice(&date, &recipients, b"").compose();
    let message = parse(&composed.content);
    let report = &parts(&message)[1].1;
    for fields in [
        "Status: 4.4.7\r\nRemote-MTA: dns; smtp.office365.com\r\nDiagnostic-Code: smtp; 451 4.7.0 busy\r\n",
        "Diagnostic-Code: x-exorelay; connection refused\r\n",
    ] {
        assert!(report.contains(fields), "{fields} in\n{report}");
    }
}

#[test]
fn addresses_subjects_and_replies_beyond_ascii_arrive_whole() {
    let date = at("2026-11-20T10:00:00+01:00[+01:00]");
    let recipients = [failed(
        "müller@bücher.example",
        "550 5.1.1 unbekannt: müller",
    )];
    let header = "Subject: Größe\r\nTo: müller@bücher.example\r\n".as_bytes();
    let mut notice = notice(&date, &recipients, header);
    let subject =
        "Größe der Lieferung, und noch viel mehr, was in keine Zeile passt: 用户@例子.广告";
    notice.about.subject = Some(subject);
    let composed = notice.compose();
    assert!(
        composed.content.is_ascii(),
        "nobody needs 8BITMIME to take it"
    );
    let message = parse(&composed.content);
    assert_eq!(
        message.subject().unwrap(),
        format!("Undelivered: {subject}")
    );
    let parts = parts(&message);
    assert!(
        parts[0].1.contains("  müller@bücher.example\n")
            || parts[0].1.contains("  müller@bücher.example\r\n")
    );
    assert!(parts[0].1.contains("550 5.1.1 unbekannt: müller"));
    assert!(
        parts[1]
            .1
            .contains("Final-Recipient: utf-8; m\\x{FC}ller@b\\x{FC}cher.example\r\n")
    );
    assert_eq!(parts[2].1.as_bytes(), header);

    notice.heading.to = "müller@bücher.example";
    let composed = notice.compose();
    let message = parse(&composed.content);
    assert_eq!(mailbox_of(message.to()).1, "müller@bücher.example");
}

#[test]
fn nothing_from_outside_begins_a_field_or_a_part() {
    let date = at("2026-11-20T10:00:00+01:00[+01:00]");
    let evil = "550 5.7.1 no\r\nBcc: x@y\r\n\r\n--=_01K9Z3X4T5ABCDEF\r\nContent-Type: text/html\r\n\r\n<b>";
    let recipients = [Undelivered {
        original: Some(("rfc822\r\nX: y", "a\r\n\r\nb")),
        sentence: Some("one\r\n--=_01K9Z3X4T5ABCDEF--\r\ntwo"),
        remedy: Some(evil),
        ..failed("bob@contoso.com", evil)
    }];
    let header = b"Subject: x\r\n--=_01K9Z3X4T5ABCDEF\r\nContent-Type: text/html\r\n";
    let mut notice = notice(&date, &recipients, header);
    notice.about.subject = Some(evil);
    notice.about.message_id = Some("<a\r\nBcc: x@y>");
    notice.about.envelope_id = Some(evil);
    notice.about.origin = evil;
    notice.about.reverse_path = evil;
    notice.remote = Some(evil);
    notice.heading.hostname = evil;
    notice.heading.to = "a@b\r\nBcc: x@y";
    let composed = notice.compose();
    let message = parse(&composed.content);
    for name in ["Bcc", "X", "In-Reply-To", "References"] {
        assert!(message.header_raw(name).is_none(), "{name}");
    }
    let kinds: Vec<String> = parts(&message).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(
        kinds,
        [
            "text/plain",
            "message/delivery-status",
            "text/rfc822-headers"
        ]
    );
    let report = &parts(&message)[1].1;
    for line in report.split("\r\n").filter(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default();
        let known = line.starts_with(' ')
            || name.ends_with("-MTA")
            || name.ends_with("-Date")
            || name.ends_with("-Recipient")
            || [
                "Original-Envelope-Id",
                "Action",
                "Status",
                "Diagnostic-Code",
                "Final-Log-ID",
            ]
            .contains(&name);
        assert!(known, "{line}");
    }
}

#[test]
fn many_recipients_and_long_replies_stay_readable_and_bounded() {
    let date = at("2026-11-20T10:00:00+01:00[+01:00]");
    let addresses: Vec<String> = (0..300).map(|n| format!("r{n}@contoso.com")).collect();
    let long = format!("550 5.7.1 {}", "x".repeat(20_000));
    let replies: Vec<String> = (0..80).map(|n| format!("550 5.1.{n} no")).collect();
    let mut recipients: Vec<_> = addresses
        .iter()
        .map(|address| failed(address, &long))
        .collect();
    recipients.extend(replies.iter().map(|reply| failed("one@contoso.com", reply)));
    let mut notice = notice(&date, &recipients, b"");
    notice.recipients_left_out = 7;
    let composed = notice.compose();
    let message = parse(&composed.content);
    let parts = parts(&message);
    assert!(parts[0].1.contains("  r99@contoso.com"));
    assert!(!parts[0].1.contains("  r100@contoso.com"));
    assert!(parts[0].1.contains("  and 200 more"));
    // One reply was the long one, so 49 of the 80 have found room.
    assert!(
        parts[0]
            .1
            .contains("38 more recipients, who are not named here"),
        "{}",
        parts[0].1
    );
    assert!(parts[0].1.len() < 20_000);
    assert_eq!(parts[1].1.matches("Final-Recipient").count(), 380);
    assert!(
        composed.content.len() < 600_000,
        "{}",
        composed.content.len()
    );
}

#[test]
fn a_message_is_returned_whole_where_it_can_stand_in_another() {
    let date = at("2026-11-20T10:00:00+01:00[+01:00]");
    let recipients = [failed("bob@contoso.com", "550 5.1.1 no")];
    let returned = |message: &[u8]| {
        let mut notice = notice(&date, &recipients, b"");
        notice.returned = Returned::Message(message);
        let composed = notice.compose();
        let parsed = parse(&composed.content);
        let kind = parts(&parsed).pop().unwrap();
        (
            kind,
            String::from_utf8_lossy(&composed.content).into_owned(),
        )
    };
    let small = b"Subject: x\r\n\r\n--=_01K9Z3X4T5ABCDEF\r\nbody\r\n";
    let ((kind, text), whole) = returned(small);
    assert_eq!(
        (kind.as_str(), text.as_bytes()),
        ("message/rfc822", &small[..])
    );
    assert!(
        whole.contains("boundary=\"=_01K9Z3X4T5ABCDEF_\""),
        "another boundary is taken"
    );
    let ((kind, _), whole) = returned("Subject: x\r\n\r\nGröße\r\n".as_bytes());
    assert_eq!(kind, "message/rfc822");
    assert!(whole.contains("Content-Transfer-Encoding: 8bit\r\n\r\nSubject: x\r\n"));
    let large = [
        b"Subject: x\r\n\r\n".as_slice(),
        &b"0123456789\r\n".repeat(6_000),
    ]
    .concat();
    let long = [b"Subject: x\r\n\r\n".as_slice(), &[b'y'; 1_200]].concat();
    for message in [&large, &long] {
        let ((kind, text), _) = returned(message);
        assert_eq!(
            (kind.as_str(), text.as_str()),
            ("text/rfc822-headers", "Subject: x\r\n")
        );
    }
}

#[test]
fn a_digest_lists_some_and_counts_all() {
    let date = at("2026-11-20T10:00:00+01:00[+01:00]");
    let item = |kind, n: u32| Item {
        kind,
        id: format!("01K9Z3X4T50000{n:02}"),
        subject: Some(format!("Scan\r\n {n} für Bob")),
        recipient: "bob@contoso.com".into(),
        more: u64::from(n % 2),
        reply: Some(format!("550 5.1.1 no {n}\r\nBcc: x@y")),
    };
    let mut items: Vec<Item> = (0..20).map(|n| item(NoticeKind::Failed, n)).collect();
    items.push(item(NoticeKind::Delayed, 20));
    let digest = Digest {
        heading: heading(&date),
        failed: 5_000,
        delayed: 1,
        items: &items,
    };
    let composed = digest.compose();
    assert!(composed.content.is_ascii());
    let message = parse(&composed.content);
    let subject = "5000 messages not delivered, 1 not delivered yet";
    assert_eq!(message.subject(), Some(subject));
    assert!(message.header_raw("Bcc").is_none() && message.header_raw("In-Reply-To").is_none());
    assert_eq!(
        message.header_raw("Auto-Submitted").unwrap().trim(),
        "auto-replied"
    );
    let text = message.body_text(0).unwrap();
    for words in [
        "Could not be delivered: 5000 messages",
        "  01K9Z3X4T5000001 to bob@contoso.com and 1 more: Scan   1 für Bob",
        "    550 5.1.1 no 19",
        "  and 4980 more",
        "Late, and still being tried: 1 message",
    ] {
        assert!(text.contains(words), "{words:?} in\n{text}");
    }
    assert!(!text.contains("and 0 more"));
}

proptest! {
    #[test]
    fn whatever_was_said_it_is_three_parts_of_sound_lines(
        reply in "\\PC{0,40}[\\x00-\\x7fä\u{2028}]{0,1500}",
        subject in "[\\x00-\\x7fß]{0,200}",
        header in prop::collection::vec(any::<u8>(), 0..2_000),
    ) {
        let date = at("2026-11-20T10:00:00+01:00[+01:00]");
        let recipients = [failed("bob@contoso.com", &reply)];
        let header = [b"X: y\r\n".as_slice(), &header].concat();
        let mut notice = notice(&date, &recipients, &header);
        notice.about.subject = Some(&subject);
        let composed = notice.compose();
        prop_assert!(composed.content.is_ascii());
        let message = parse(&composed.content);
        let kinds: Vec<String> = parts(&message).into_iter().map(|(kind, _)| kind).collect();
        prop_assert_eq!(kinds, ["text/plain", "message/delivery-status", "text/rfc822-headers"]);
        prop_assert_eq!(message.headers().len(), 11);
    }
}
