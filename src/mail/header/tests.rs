use super::*;
use proptest::prelude::*;

fn supplements() -> Supplements {
    Supplements {
        from: "f@x".into(),
        replaces_from: false,
        reply_to: None,
        date: "D".into(),
        message_id: "<m@x>".into(),
    }
}

fn pass(content: &[u8], block: usize) -> (Vec<u8>, Seen) {
    pass_with(supplements(), content, block)
}

fn pass_with(supplements: Supplements, content: &[u8], block: usize) -> (Vec<u8>, Seen) {
    let mut pass = HeaderPass::new(supplements);
    let mut out = Vec::new();
    for block in content.chunks(block.max(1)) {
        pass.push(block, &mut out);
    }
    pass.finish(&mut out);
    (out, pass.seen)
}

fn text(content: &str) -> String {
    String::from_utf8(pass(content.as_bytes(), 7).0).unwrap()
}

const ADDED: &str = "From: <f@x>\r\nDate: D\r\nMessage-ID: <m@x>\r\n";

#[test]
fn a_complete_message_passes_untouched() {
    let content =
        "from: a@b\r\nDATE: now\r\nMessage-Id: <1@b>\r\nX: \r\n y\r\n\r\nbody: x\r\n\r\n.\r\n";
    assert_eq!(text(content), content);
}

#[test]
fn eight_bit_header_fields_are_seen_and_an_eight_bit_body_is_not() {
    for (content, expected) in [
        ("Subject: x\r\n\r\nGröße\r\n", false),
        ("Größe\r\n", false),
        ("Subject: Größe\r\n\r\nx\r\n", true),
        ("Subject: x\r\n Größe\r\n\r\nx\r\n", true),
        (&format!("Subject: {}ö\r\n\r\n", "x".repeat(50_000)), true),
    ] {
        for block in [1, 7, 10_000] {
            let (_, seen) = pass(content.as_bytes(), block);
            assert_eq!(seen.eight_bit, expected, "{block}");
        }
    }
}

#[test]
fn missing_fields_are_supplied_at_the_end_of_the_section() {
    assert_eq!(
        text("Subject: x\r\n\r\nbody\r\n"),
        format!("Subject: x\r\n{ADDED}\r\nbody\r\n")
    );
    assert_eq!(text("\r\nbody\r\n"), format!("{ADDED}\r\nbody\r\n"));
}

#[test]
fn a_forced_from_takes_the_place_of_the_one_that_is_there() {
    let forced = Supplements {
        replaces_from: true,
        reply_to: Some("desk@x".into()),
        ..supplements()
    };
    let long = "x".repeat(3 * LINE_MAX_BYTES);
    for block in [1, 7, usize::MAX] {
        let text = |content: &str| {
            let (out, _) = pass_with(forced.clone(), content.as_bytes(), block);
            String::from_utf8(out).unwrap()
        };
        let rest = "Date: d\r\nMessage-ID: <1@b>\r\n";
        for (from, name) in [
            ("", ""),
            ("From: a@b\r\n", ""),
            (
                "FROM : Scanner\r\n <a@b>\r\n\t(third)\r\nSender: c@d\r\n",
                "\"Scanner (third)\" ",
            ),
            ("From: a@b <a@b>\r\n", ""),
            (
                "From: \"Lobby, left\" <>\r\nFrom: Second <a@b>\r\n",
                "\"Lobby, left\" ",
            ),
            (
                "From: =?iso-8859-1?Q?B=FCro?= <a@b>\r\n",
                "=?utf-8?B?QsO8cm8=?= ",
            ),
            (&format!("From: {long}\r\n {long}\r\n"), ""),
        ] {
            let expected =
                format!("{rest}From: {name}<f@x>\r\nReply-To: <desk@x>\r\n\r\nFrom: body\r\n");
            let content = format!("{from}{rest}\r\nFrom: body\r\n");
            assert_eq!(text(&content), expected, "{} octets", from.len());
        }
        let own = format!("Reply-To: a@b\r\n{rest}From: <f@x>\r\n\r\n");
        let content = format!("From: a@b\r\nReply-To: a@b\r\n{rest}\r\n");
        assert_eq!(text(&content), own);
        assert_eq!(
            text("From: a@b\r\ntext\r\n"),
            "From: <f@x>\r\nReply-To: <desk@x>\r\nDate: D\r\nMessage-ID: <m@x>\r\n\r\ntext\r\n"
        );
    }
}

#[test]
fn a_message_without_a_header_section_gets_one() {
    assert_eq!(text("just text\r\n"), format!("{ADDED}\r\njust text\r\n"));
    assert_eq!(text(" indented\r\n"), format!("{ADDED}\r\n indented\r\n"));
    assert_eq!(text(""), format!("{ADDED}\r\n"));
    assert_eq!(text("Subject: x\r\n"), format!("Subject: x\r\n{ADDED}\r\n"));
    assert_eq!(
        text("Subject: x\r\ntext\r\n"),
        format!("Subject: x\r\n{ADDED}\r\ntext\r\n")
    );
}

#[test]
fn hops_subject_and_message_id_are_seen() {
    let (_, seen) = pass(
        b"Received: a\r\n\tb\r\nRECEIVED : c\r\nSubject: one\r\n two\r\nMessage-ID:\r\n <1@b>\r\n\r\nReceived: d\r\n",
        3,
    );
    assert_eq!(seen.received_count, 2);
    assert_eq!(seen.subject.as_deref(), Some(&b" one\r\n two\r\n"[..]));
    assert_eq!(seen.message_id.as_deref(), Some("<1@b>"));
}

#[test]
fn a_continuation_line_keeps_its_colon() {
    let (_, seen) = pass(b"Subject : one\r\n : two\r\n\r\n", 3);
    assert_eq!(seen.subject.as_deref(), Some(&b" one\r\n : two\r\n"[..]));
}

#[test]
fn an_endless_line_is_passed_on_without_being_held() {
    let long = [
        b"X: ".to_vec(),
        vec![b'x'; 1_000_000],
        b"\r\n\r\nbody\r\n".to_vec(),
    ]
    .concat();
    let (out, _) = pass(&long, 5_000);
    let end = format!("x\r\n{ADDED}\r\nbody\r\n");
    assert!(out.ends_with(end.as_bytes()));
    assert_eq!(out.len(), long.len() + ADDED.len());
}

proptest! {
    #[test]
    fn blocks_never_matter(
        content in proptest::collection::vec(proptest::sample::select(vec![
            "From: a\r\n", "\r\n", " x\r\n", "Date", ": \r\n", "text\r\n", "Subject: s\r\n",
        ]), 0..12),
        block in 1_usize..40,
    ) {
        let content = content.concat().into_bytes();
        prop_assert_eq!(pass(&content, block), pass(&content, usize::MAX));
    }
}

#[test]
fn a_field_that_says_nothing_is_as_good_as_missing() {
    for content in [
        "From:\r\nDate: \r\nMessage-ID:\r\n\r\nbody\r\n",
        "From: <>\r\n\t\r\nDATE :\r\n \t\r\nmessage-id: <>\r\n \r\n\r\nbody\r\n",
    ] {
        for block in [1, 7, usize::MAX] {
            let (out, seen) = pass(content.as_bytes(), block);
            let out = String::from_utf8(out).unwrap();
            assert_eq!(out, format!("{ADDED}\r\nbody\r\n"));
            assert_eq!(seen.message_id.as_deref(), Some("<m@x>"));
            let flaws = Flaws {
                no_from: true,
                no_date: true,
                no_message_id: true,
                unquoted_name: false,
            };
            assert_eq!(seen.flaws, flaws);
        }
    }
    let real = "Message-ID:\r\nFrom:\r\nDate: d\r\nFrom: a@b\r\nMessage-ID: <1@b>\r\n\r\n";
    assert_eq!(text(real), real.replace("Message-ID:\r\nFrom:\r\n", ""));
    assert_eq!(pass(real.as_bytes(), 9).1.flaws, Flaws::default());
}

#[test]
fn a_from_without_an_address_lends_its_name() {
    let rest = "Date: d\r\nMessage-ID: <1@b>\r\n";
    for (from, written) in [
        ("Lobby Scanner", "Lobby Scanner <f@x>"),
        ("\"Lobby, left\"", "\"Lobby, left\" <f@x>"),
        ("<root>", "root <f@x>"),
        ("root (Cron Daemon)", "Cron Daemon <f@x>"),
        ("B\u{fc}ro <>", "=?utf-8?B?QsO8cm8=?= <f@x>"),
    ] {
        let (out, seen) = pass(format!("From: {from}\r\n{rest}\r\n").as_bytes(), 5);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out, format!("{rest}From: {written}\r\n\r\n"));
        assert!(seen.flaws.no_from);
    }
}

#[test]
fn a_display_name_that_is_an_address_gets_its_quotes() {
    let rest = "Date: d\r\nMessage-ID: <1@b>\r\n";
    let content =
        format!("Subject: x\r\nFROM : s@b.c <s@b.c>\r\n{rest}\r\nFrom: s@b.c <s@b.c>\r\n");
    let (out, seen) = pass(content.as_bytes(), 4);
    let mended = content.replacen("s@b.c <", "\"s@b.c\" <", 1);
    assert_eq!(String::from_utf8(out).unwrap(), mended);
    assert!(seen.flaws.unquoted_name);
    let signed = format!("DKIM-Signature: v=1\r\nFrom: s@b.c <s@b.c>\r\n{rest}\r\n");
    assert_eq!(text(&signed), signed);
}

#[test]
fn long_header_lines_are_folded_and_bodies_are_not() {
    let complete = "From: a@b\r\nDate: d\r\nMessage-ID: <1@b>\r\n";
    let names = "jane@contoso.com, ".repeat(3000);
    let content = format!("{complete}To: {names}b@c\r\n\r\n{names}\r\n");
    for block in [1, 1000, usize::MAX] {
        let (out, _) = pass(content.as_bytes(), block);
        let out = String::from_utf8(out).unwrap();
        let (section, body) = out.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, format!("{names}\r\n"));
        assert!(section.lines().all(|line| line.len() <= 998));
        assert!(section.lines().count() < 70, "not more than needed");
        let unfolded = section.replace("\r\n ", " ");
        assert_eq!(format!("{unfolded}\r\n\r\n{body}"), content);
    }
    let signed = format!("DKIM-Signature: v=1\r\n{content}");
    assert_eq!(text(&signed), signed);
}
