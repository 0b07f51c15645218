//! Blocks, bounds and long messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::mail::rewrite::Remark;

fn everything() -> Spec {
    Spec {
        display_name: Some("Büro".into()),
        reply_to: Some(mailbox("desk@contoso.com")),
        ..Spec {
            signature: signed("-- \nGrüße", "<p>Grüße</p>").signature,
            ..relayed()
        }
    }
}

fn piece() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "From: a@b.c\r\n",
        "Content-Type: multipart/mixed; boundary=b\r\n",
        "Content-Type: multipart/alternative; boundary=bb\r\n",
        "Content-Type: multipart/related; boundary=\"r r\"\r\n",
        "Content-Type: text/plain; charset=iso-8859-1\r\n",
        "Content-Type: text/plain; charset=utf-8; format=flowed\r\n",
        "Content-Type: text/html\r\n",
        "Content-Type: application/pdf\r\n",
        "Content-Transfer-Encoding: base64\r\n",
        "Content-Transfer-Encoding: quoted-printable\r\n",
        "\r\n",
        "\r\n",
        "--b\r\n",
        "--b\r\n",
        "--bb\r\n",
        "--r r\r\n",
        "--b--\r\n",
        "--bb-- \r\n",
        "--",
        "-",
        "\n",
        "text",
        "t=E9xt =\r\n",
        "QUJD\r\nRA==",
        "</body>",
        "\u{e9}",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn an_empty_spec_changes_nothing(
        pieces in proptest::collection::vec(piece(), 0..30), block in 1_usize..50,
    ) {
        let content = pieces.concat().into_bytes();
        let (out, changes, growth) = pass(&content, &Spec::default(), block).unwrap();
        prop_assert_eq!(out, content);
        prop_assert_eq!(changes, Changes::default());
        prop_assert!(Spec::default().is_empty() && growth <= 64 * 1024);
    }

    #[test]
    fn blocks_never_matter(
        pieces in proptest::collection::vec(piece(), 0..30), block in 1_usize..50,
    ) {
        let content = pieces.concat().into_bytes();
        let whole = pass(&content, &everything(), usize::MAX).unwrap();
        let growth_max = whole.2;
        prop_assert!(whole.0.len() as u64 <= content.len() as u64 + growth_max);
        let (out, changes, _) = pass(&content, &everything(), block).unwrap();
        prop_assert_eq!((out, changes), (whole.0, whole.1));
    }
}

/// A message of one text in this transfer encoding.
fn encoded(body: &str, encoding: &str, kind: &str) -> Vec<u8> {
    let body = body.as_bytes();
    let octets = match encoding {
        "base64" => {
            let text = STANDARD.encode(body);
            let lines = text
                .as_bytes()
                .chunks(76)
                .map(|line| [line, b"\r\n"].concat());
            lines.collect::<Vec<_>>().concat()
        }
        "quoted-printable" => {
            let mut octets = Vec::new();
            crate::mail::rewrite::transfer::encode_quoted_printable(body, &mut octets);
            octets
        }
        _ => body.to_vec(),
    };
    let head = format!(
        "From: a@b.c\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b b\"\n\n\
         --b b\nContent-Type: text/{kind}; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n"
    );
    [crlf(&head), octets, b"\r\n--b b--\r\n".to_vec()].concat()
}

proptest! {
    /// mail-parser decodes what we wrote.
    #[test]
    fn another_program_reads_the_text_and_the_signature(
        lines in proptest::collection::vec("[ -~äöü€]{0,120}", 1..6),
        ends_line: bool,
        encoding in proptest::sample::select(vec!["base64", "quoted-printable", "8bit"]),
        signature in "[!-~äß€][ -~äß€]{0,200}[!-~]",
    ) {
        // Blanks at the end of a line are lost on any way but base64; mail-parser keeps its own
        // ideas about dashes.
        let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
        let body = format!("x{}{}", lines.join("\r\n"), if ends_line { "\r\n" } else { "" });
        prop_assume!(!body.contains("--b b"));
        let (out, changes, _) =
            pass(&encoded(&body, encoding, "plain"), &signed(&signature, ""), 500).unwrap();
        prop_assert!(changes.signed_text);
        let message = MessageParser::default().parse(&out[..]).unwrap();
        let apart = if body.ends_with('\n') { "\r\n" } else { "\r\n\r\n" };
        let end = if body.ends_with('\n') { "\r\n" } else { "" };
        let read = message.body_text(0).unwrap().into_owned();
        let expected = format!("{body}{apart}{signature}{end}");
        prop_assert_eq!(read, expected);
    }
}

#[test]
fn a_large_attachment_passes_while_little_is_held() {
    let mut rewriter = Rewriter::new(everything());
    let mut out = Vec::new();
    let head = crlf(
        "From: a@b.c\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n\
         scan\n--b\nContent-Type: application/pdf\n\
         Content-Transfer-Encoding: base64\n\n",
    );
    rewriter.push(&head, &mut out).unwrap();
    let block = format!("{}\r\n", "A".repeat(76)).repeat(800).into_bytes();
    for _ in 0..400 {
        out.clear();
        rewriter.push(&block, &mut out).unwrap();
        assert!(out == block);
    }
    out.clear();
    rewriter.push(b"--b--\r\n", &mut out).unwrap();
    let changes = rewriter.finish(&mut out).unwrap();
    assert_eq!(out, b"--b--\r\n");
    assert!(changes.signed_text && !changes.signed_html);
}

/// A long text whose beginning passes before its end is known.
fn long(fields: &str, line: &[u8], spec: &Spec) -> (Vec<u8>, Vec<u8>, Changes) {
    let head = crlf(&format!("From: a@b.c\n{fields}\n"));
    let content = [head, line.repeat(3_000_000 / line.len())].concat();
    let (out, changes, growth_max) = pass(&content, spec, 60_000).unwrap();
    assert!(out.len() as u64 <= content.len() as u64 + growth_max);
    for block in [977, 2_000_000] {
        let (again, ..) = pass(&content, spec, block).unwrap();
        assert!(again == out);
    }
    (content, out, changes)
}

#[test]
fn a_long_text_gets_its_signature_at_the_very_end() {
    let (content, out, _) = long("", b"some text\r\n", &signed("sig", ""));
    assert!(out == [&content[..], b"\r\nsig\r\n"].concat());

    let html = "Content-Type: text/html; charset=utf-8\n";
    let (content, out, _) = long(html, b"<p>x</p></body>\r\n", &signed("", "ß"));
    assert!(out == [&content[..], b"&#223;\r\n"].concat());

    let latin = "Content-Type: text/plain; charset=iso-8859-1\n\
         Content-Transfer-Encoding: quoted-printable\n";
    let (content, out, _) = long(latin, b"caf=E9 caf=\r\n", &signed("ß", ""));
    assert!(out == [&content[..], b"\r\n\r\n=DF\r\n"].concat());
}

#[test]
fn a_long_base64_text_is_taken_up_where_its_end_begins() {
    // Lines that do not end with a quantum, and lines that do.
    for line in ["QUJDREVGR0hJSg\r\n", "QUJDREVGR0hJSktM\r\n"] {
        let fields = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n";
        let (content, out, changes) = long(fields, line.as_bytes(), &signed("ß", ""));
        let decoded = |content: &[u8]| {
            let at = memchr::memmem::find(content, b"\r\n\r\n").unwrap() + 4;
            let text = content[at..]
                .iter()
                .copied()
                .filter(|b| !b"\r\n".contains(b));
            let mut text: Vec<u8> = text.collect();
            while !text.len().is_multiple_of(4) {
                text.push(b'=');
            }
            STANDARD.decode(text).unwrap()
        };
        if changes.signed_text {
            let expected = [&decoded(&content)[..], "\r\n\r\nß".as_bytes()].concat();
            assert!(decoded(&out) == expected, "{line}");
        } else {
            panic!("{line}: {:?}", changes.remarks);
        }
    }
}

#[test]
fn what_a_long_text_cannot_get_is_said() {
    let armour = b"-----BEGIN PGP MESSAGE-----\r\n";
    for (fields, line, remark) in [
        ("", &b"some text\r\n"[..], Remark::TextTooLong),
        ("", armour, Remark::Sealed),
        (
            "Content-Transfer-Encoding: base64\n",
            b"*UJD\r\n",
            Remark::Malformed,
        ),
        (
            "Content-Transfer-Encoding: base64\n",
            b"QUI=\r\n",
            Remark::Malformed,
        ),
        (
            "Content-Type: text/plain; charset=iso-8859-1\n",
            b"caf\xe9\r\n",
            Remark::Charset,
        ),
    ] {
        let (content, out, changes) = long(fields, line, &signed("Я", ""));
        assert!(out == content);
        assert_eq!(changes.remarks, [remark], "{fields}");
    }
}
