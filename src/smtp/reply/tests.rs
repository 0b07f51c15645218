use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

const fn status(class: u8, subject: u16, detail: u16) -> EnhancedStatus {
    EnhancedStatus::new(class, subject, detail)
}

fn encoded(reply: &Reply) -> String {
    let mut output = BytesMut::new();
    reply.encode(&mut output);
    String::from_utf8(output.to_vec()).unwrap()
}

fn decoded(wire: &[u8]) -> Result<Option<Reply>, ReplyError> {
    ReplyDecoder::new().decode(&mut BytesMut::from(wire))
}

#[test]
fn replies_are_the_same_in_both_directions() {
    let table = [
        (
            Reply::new(250, Some(status(2, 1, 0)), "Sender OK"),
            "250 2.1.0 Sender OK\r\n",
        ),
        (Reply::new(354, None, "Go ahead"), "354 Go ahead\r\n"),
        (Reply::new(334, None, ""), "334 \r\n"),
        (
            Reply::new(250, None, "").with_text("relay greets you\nSIZE 1000\nHELP"),
            "250-relay greets you\r\n250-SIZE 1000\r\n250 HELP\r\n",
        ),
        (
            Reply::new(550, Some(status(5, 7, 139)), "").with_text("one\ntwo"),
            "550-5.7.139 one\r\n550 5.7.139 two\r\n",
        ),
    ];
    for (reply, wire) in table {
        assert_eq!(encoded(&reply), wire);
        assert_eq!(decoded(wire.as_bytes()), Ok(Some(reply)), "{wire}");
    }
}

#[test]
fn sloppy_replies_are_understood() {
    let table: [(&[u8], &str); 10] = [
        (b"250\r\n", "250"),
        (b"250 ok\n", "250 ok"),
        (b"250-2.0.0 a\r\n250\r\n", "250 2.0.0 a"),
        (b"550-5.7.1 a\r\n550 5.7.2 b\r\n", "550 5.7.1 a 5.7.2 b"),
        (b"550-5.7.1 a\r\n550 b\r\n", "550 5.7.1 a b"),
        (b"550 2.0.0 other class\r\n", "550 2.0.0 other class"),
        (b"550 caf\xe9\x07\x1b[0m\r\n", "550 caf\u{fffd}??[0m"),
        (b"451 4.7.0\r\n", "451 4.7.0"),
        (b"535 5.7.3\t denied\r\n", "535 5.7.3 denied"),
        (
            b"220 x.outlook.com ready  \r\r\n",
            "220 x.outlook.com ready",
        ),
    ];
    for (wire, shown) in table {
        assert_eq!(decoded(wire).unwrap().unwrap().to_string(), shown);
    }
    let separated = decoded("550 5.7.2\u{2028}b\r\n".as_bytes())
        .unwrap()
        .unwrap();
    assert_eq!(separated.to_string(), "550 5.7.2?b");
    let tabbed = decoded(b"535 5.7.3\tdenied\r\n").unwrap().unwrap();
    assert_eq!(tabbed.enhanced(), Some(status(5, 7, 3)));
}

#[test]
fn what_is_no_reply_is_an_error() {
    for wire in [
        "\r\n",
        "25 x\r\n",
        "2500 x\r\n",
        "199 x\r\n",
        "600 x\r\n",
        "HTTP/1.1 400\r\n",
        "250+x\r\n",
    ] {
        assert_eq!(
            decoded(wire.as_bytes()),
            Err(ReplyError::NotAReply),
            "{wire}"
        );
    }
    assert_eq!(
        decoded(b"250-a\r\n251 b\r\n"),
        Err(ReplyError::CodesDiffer {
            first: 250,
            other: 251
        })
    );
}

#[test]
fn an_endless_reply_is_cut_off() {
    assert_eq!(decoded(&[b'2'; 2048]), Err(ReplyError::LineTooLong));
    assert_eq!(
        decoded("250-a\r\n".repeat(129).as_bytes()),
        Err(ReplyError::TooLong)
    );
    let wide = format!("250-{}\r\n", "x".repeat(2000));
    assert_eq!(
        decoded(wide.repeat(40).as_bytes()),
        Err(ReplyError::TooLong)
    );
    assert_eq!(decoded("250-a\r\n".repeat(128).as_bytes()), Ok(None));
}

#[test]
fn what_follows_a_reply_stays_unread() {
    let mut buffer = BytesMut::from("220 2.0.0 ready\r\n250 injected\r\n");
    let mut decoder = ReplyDecoder::new();
    assert_eq!(decoder.decode(&mut buffer).unwrap().unwrap().code(), 220);
    assert_eq!(buffer, "250 injected\r\n");
    assert!(!decoder.is_within_reply());
}

#[test]
fn long_text_becomes_several_short_lines() {
    let words = "word ".repeat(300);
    let reply = Reply::new(550, Some(status(5, 7, 1)), "")
        .with_text(format!("{words}{}", "x".repeat(1200)));
    let wire = encoded(&reply);
    assert!(wire.split_inclusive("\r\n").count() > 5);
    assert!(wire.split_inclusive("\r\n").all(|line| line.len() <= 512));
    let again = decoded(wire.as_bytes()).unwrap().unwrap();
    let joined: String = again.lines().collect::<String>().replace(' ', "");
    assert_eq!(joined, reply.lines().collect::<String>().replace(' ', ""));
}

#[test]
fn text_cannot_forge_a_reply() {
    let reply = Reply::new(550, None, "").with_text("a\r250 b\0\u{1b}é");
    assert_eq!(encoded(&reply), "550 a?250 b???\r\n");
}

#[test]
#[should_panic(expected = "assertion failed")]
fn codes_of_two_classes_do_not_meet() {
    let _ = Reply::new(550, Some(status(4, 7, 1)), "text");
}

proptest! {
    #[test]
    fn any_chunking_decodes_the_same(
        lines in proptest::collection::vec("[ -~]{0,40}", 1..6),
        code in 200..600_u16,
        chunk in 1..20_usize,
    ) {
        let mut wire = String::new();
        for (index, line) in lines.iter().enumerate() {
            let separator = if index + 1 == lines.len() { ' ' } else { '-' };
            write!(wire, "{code}{separator}{line}\r\n").unwrap();
        }
        let whole = decoded(wire.as_bytes()).unwrap().unwrap();
        let mut decoder = ReplyDecoder::new();
        let mut buffer = BytesMut::new();
        let mut found = None;
        for octets in wire.as_bytes().chunks(chunk) {
            prop_assert!(found.is_none());
            buffer.extend_from_slice(octets);
            found = decoder.decode(&mut buffer).unwrap();
        }
        prop_assert_eq!(found.as_ref(), Some(&whole));
        let again = decoded(encoded(&whole).as_bytes()).unwrap().unwrap();
        prop_assert_eq!(again.to_string(), whole.to_string());
    }

    #[test]
    fn hostile_octets_never_yield_a_control(wire in proptest::collection::vec(any::<u8>(), 0..60)) {
        let wire = [b"250 ".as_slice(), &wire, b"\r\n"].concat();
        if let Ok(Some(reply)) = decoded(&wire) {
            prop_assert!(!reply.to_string().chars().any(char::is_control));
        }
    }
}
