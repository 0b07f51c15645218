//! Signatures in the messages that devices and mail programs write.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::mail::rewrite::Remark;

fn both() -> Spec {
    signed("Contoso Ltd\nGermany", "<p>Contoso Ltd</p>")
}

/// A message of one text, after the fields that every message has.
fn single(fields: &str, body: &str, spec: &Spec) -> (String, Changes) {
    const HEAD: &str = "From: a@b.c\nMIME-Version: 1.0\n";
    let (out, changes) = text(&format!("{HEAD}{fields}\n{body}"), spec);
    (out.strip_prefix(HEAD).unwrap().to_owned(), changes)
}

#[test]
fn a_scan_gets_its_signature_and_its_document_stays() {
    let mail = |text: &str| {
        format!(
            "From: scan@contoso.com\nSubject: Scan\nMIME-Version: 1.0\n\
             Content-Type: multipart/mixed; boundary=\"==_1\"\n\n\
             This is a message in MIME format.\n\n\
             --==_1\nContent-Type: text/plain; charset=us-ascii\n\
             Content-Transfer-Encoding: 7bit\n\n{text}\n\
             --==_1\nContent-Type: application/pdf; name=\"scan.pdf\"\n\
             Content-Transfer-Encoding: base64\n\
             Content-Disposition: attachment; filename=\"scan.pdf\"\n\n\
             JVBERi0xLjQKJeLjz9MKMSAwIG9iago8PC9UeXBlL0NhdGFsb2c+PgplbmRvYmoKLS0tCg==\n\n\
             --==_1--\n\nepilogue\n"
        )
    };
    for (before, after) in [
        ("Scanned.", "Scanned.\n\nContoso Ltd\nGermany"),
        ("Scanned.\n", "Scanned.\n\nContoso Ltd\nGermany\n"),
        ("", "Contoso Ltd\nGermany"),
        ("\n", "\nContoso Ltd\nGermany\n"),
    ] {
        let (out, changes) = text(&mail(before), &both());
        assert_eq!(out, mail(after));
        assert!(changes.signed_text && !changes.signed_html && changes.remarks.is_empty());
    }
}

#[test]
fn an_empty_part_without_an_empty_line_end_keeps_its_delimiter() {
    let mail =
        |text: &str| format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n{text}--b--\n");
    assert_eq!(text(&mail(""), &both()).0, mail("Contoso Ltd\nGermany\n"));
    // A part that is not even a header section.
    let broken =
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n--b--\n";
    let (out, changes) = text(broken, &both());
    assert_eq!(
        (out.as_str(), changes.remarks),
        (broken, vec![Remark::NoText])
    );
}

#[test]
fn an_empty_part_that_ends_with_the_message_keeps_its_line_end() {
    let head = "From: a@b.c\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n";
    let (out, _) = text(head, &both());
    assert_eq!(out, format!("{head}Contoso Ltd\nGermany\n"));
}

#[test]
fn outlook_mail_is_signed_in_both_its_texts() {
    let mail = |plain: &str, html: &str| {
        format!(
            "From: A <a@contoso.com>\nContent-Language: en-US\n\
             Content-Type: multipart/mixed;\n\tboundary=\"_005_X_\"\nMIME-Version: 1.0\n\n\
             --_005_X_\nContent-Type: multipart/related;\n\tboundary=\"_004_X_\";\n\
             \ttype=\"multipart/alternative\"\n\n\
             --_004_X_\nContent-Type: multipart/alternative;\n\tboundary=\"_000_X_\"\n\n\
             --_000_X_\nContent-Type: text/plain; charset=\"iso-8859-1\"\n\
             Content-Transfer-Encoding: quoted-printable\n\n{plain}\n\
             --_000_X_\nContent-Type: text/html; charset=\"iso-8859-1\"\n\
             Content-Transfer-Encoding: quoted-printable\n\n{html}\n\
             --_000_X_--\n\n\
             --_004_X_\nContent-Type: text/html; name=\"frame.html\"\nContent-ID: <1>\n\n<body></body>\n\
             --_004_X_--\n\n\
             --_005_X_\nContent-Type: message/rfc822\n\n\
             From: x@y.z\nContent-Type: text/plain\n\nattached\n\
             --_005_X_\nContent-Type: text/plain\nContent-Disposition: attachment\n\nlog\n\
             --_005_X_--\n"
        )
    };
    let before = mail(
        "Gr=FC=DFe =\n",
        "<html><body lang=3D\"DE\">\n<p>Gr=FC=DFe</p></bo=\ndy>\n</html>\n",
    );
    let after = mail(
        "Gr=FC=DFe =\n\n\nM=FCnchen\n",
        "<html><body lang=3D\"DE\">\n<p>Gr=FC=DFe</p>\n<b>M=FCnchen &#8364;</b>\n</bo=\ndy>\n</html>\n",
    );
    let (out, changes) = text(&before, &signed("München", "<b>München €</b>"));
    assert_eq!(out, after);
    assert!(changes.signed_text && changes.signed_html && changes.remarks.is_empty());
}

#[test]
fn base64_keeps_its_lines() {
    let body = "<html><body><p>Grüße aus dem Büro, von dem neuen Gerät im dritten Stock.</p>\r\n\
         </body></html>\r\n";
    let lines = |body: &str| {
        let text = STANDARD.encode(body);
        let lines = text
            .as_bytes()
            .chunks(60)
            .map(|line| str::from_utf8(line).unwrap());
        lines.collect::<Vec<_>>().join("\n") + "\n"
    };
    let fields = "Content-Type: text/html; charset=UTF-8\nContent-Transfer-Encoding: base64\n";
    let (out, _) = single(fields, &lines(body), &signed("", "<p>München</p>"));
    let signed_body = body.replace("</body>", "<p>München</p>\r\n</body>");
    assert_eq!(out, format!("{fields}\n{}", lines(&signed_body)));

    let fields = fields.replace("html", "plain");
    let (out, _) = single(&fields, &lines("abc"), &signed("ü", ""));
    assert_eq!(out, format!("{fields}\n{}", lines("abc\r\n\r\nü")));
    let (out, _) = single(&fields, "", &signed("ü", ""));
    assert_eq!(out, format!("{fields}\n{}", lines("ü\r\n")));
}

#[test]
fn html_is_signed_before_its_end() {
    for (body, after) in [
        (
            "<p>x</p></BODY></html>\n",
            "<p>x</p>\nSIG\n</BODY></html>\n",
        ),
        ("<p>x</p>\n</html>\n", "<p>x</p>\nSIG\n</html>\n"),
        ("<p>x</p>\n", "<p>x</p>\nSIG\n"),
        ("", "SIG\n"),
    ] {
        let fields = "Content-Type: text/html; charset=utf-8\n";
        let (out, _) = single(fields, body, &signed("", "SIG"));
        assert_eq!(out, format!("{fields}\n{after}"), "{body}");
    }
}

#[test]
fn charset_and_encoding_are_kept_where_they_can_be() {
    let plain = |label: &str| format!("Content-Type: text/plain; charset={label}\n");
    let quoted = "Content-Transfer-Encoding: quoted-printable\n";
    for (fields, body, after) in [
        // No octet above 127 in text of 7 bits.
        (
            plain("utf-8"),
            "a = b\n",
            format!("{}{quoted}\na =3D b\n\nGr=C3=BC=C3=9Fe\n", plain("utf-8")),
        ),
        (
            plain("ISO-8859-1"),
            "a\n",
            format!("{}{quoted}\na\n\nGr=FC=DFe\n", plain("ISO-8859-1")),
        ),
        // US-ASCII is UTF-8, and wide enough then.
        (
            plain("us-ascii"),
            "a\n",
            format!("{}{quoted}\na\n\nGr=C3=BC=C3=9Fe\n", plain("utf-8")),
        ),
        (
            String::new(),
            "a\n",
            format!("Content-Type: text/plain; charset=utf-8\n{quoted}\na\n\nGr=C3=BC=C3=9Fe\n"),
        ),
        // 8 bits where there are some already.
        (
            plain("utf-8"),
            "ä\n",
            format!("{}\nä\n\nGrüße\n", plain("utf-8")),
        ),
        (
            format!("{}{quoted}", plain("us-ascii")),
            "a\n",
            format!("{}{quoted}\na\n\nGr=C3=BC=C3=9Fe\n", plain("utf-8")),
        ),
        (
            "Content-Type: text/html\n".into(),
            "a\n",
            "Content-Type: text/html\n\na\nGr&#252;&#223;e\n".into(),
        ),
    ] {
        let (out, changes) = single(&fields, body, &signed("Grüße", "Grüße"));
        assert_eq!(out, after, "{fields}");
        assert!(changes.remarks.is_empty());
    }
    let mut latin = crlf("From: a@b.c\nContent-Type: text/plain; charset=windows-1252\n\n");
    latin.extend_from_slice(b"caf\xe9\r\n");
    let (out, _) = rewritten(&latin, &signed("5 €", "")).unwrap();
    assert_eq!(out, [&latin[..], b"\r\n5 \x80\r\n"].concat());
}

#[test]
fn a_signature_that_cannot_be_written_is_left_out() {
    for (fields, body, remark) in [
        (
            "Content-Type: text/plain; charset=iso-8859-1\n",
            "a\n",
            Remark::Charset,
        ),
        (
            "Content-Type: text/plain; charset=utf-16le\n",
            "a\n",
            Remark::Charset,
        ),
        ("Content-Type: text/plain\n", "ä\n", Remark::Charset),
        (
            "Content-Transfer-Encoding: x-uuencode\n",
            "a\n",
            Remark::Malformed,
        ),
        (
            "Content-Transfer-Encoding: base64\n",
            "QUJD*\n",
            Remark::Malformed,
        ),
        ("Content-Type: application/pdf\n", "a\n", Remark::NoText),
        ("Content-Type: text/calendar\n", "a\n", Remark::NoText),
        (
            "Content-Type: multipart/report; boundary=b\n",
            "--b\n\na\n--b--\n",
            Remark::NoText,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\n",
            "no parts\n",
            Remark::NoText,
        ),
    ] {
        let (out, changes) = single(fields, body, &signed("Я €", "Я"));
        assert_eq!(out, format!("{fields}\n{body}"));
        assert_eq!(changes.remarks, [remark], "{fields}");
        assert!(!changes.signed_text && !changes.signed_html);
    }
}

#[test]
fn a_flowed_text_keeps_the_lines_of_its_signature() {
    let fields = "Content-Type: text/plain; charset=utf-8; format=flowed\n";
    let (out, _) = single(fields, "flows \non\n", &signed("-- \nContoso \n> x", ""));
    assert_eq!(out, format!("{fields}\nflows \non\n\n-- \nContoso\n > x\n"));
}

#[test]
fn a_line_too_long_for_the_wire_is_encoded() {
    let html = format!("<img src=\"data:{}\">", "A".repeat(3_000));
    let fields = "Content-Type: text/html\n";
    let (out, changes) = single(fields, "<body>=</body>\n", &signed("", &html));
    assert!(changes.signed_html);
    assert!(out.lines().all(|line| line.len() <= 76));
    let content = crlf(&out);
    let message = MessageParser::default().parse(&content[..]).unwrap();
    let body = message.body_html(0).unwrap();
    assert_eq!(body, format!("<body>=\r\n{html}\r\n</body>\r\n"));
}

#[test]
fn no_line_of_an_encoded_text_becomes_a_delimiter() {
    let head = "From: a@b.c\nContent-Type: multipart/mixed; boundary=b\n\n--b\n";
    for before in 70..80 {
        let line = format!("{}--b", "x".repeat(before));
        let content = format!("{head}Content-Type: text/plain\n\n{line}\n--b--\n");
        let (out, changes, _) = pass(&crlf(&content), &signed("ü", ""), 61).unwrap();
        assert!(changes.signed_text);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.lines().filter(|line| *line == "--b").count(), 1);
        let decoded = out.replace("=\r\n", "").replace("=2D", "-");
        assert!(decoded.ends_with(&format!("{line}\r\n\r\n=C3=BC\r\n--b--\r\n")));
    }
}

#[test]
fn a_text_that_would_grow_too_much_is_left_alone() {
    let body = "=".repeat(900).repeat(20);
    let (out, changes) = single("", &format!("{body}\n"), &signed("ü", ""));
    assert_eq!(out, format!("\n{body}\n"));
    assert_eq!(changes.remarks, [Remark::TextTooLong]);
}

#[test]
fn sender_and_signature_go_together() {
    let spec = Spec {
        signature: both().signature,
        ..relayed()
    };
    let (out, changes) = text("From: a@b.c\n\nHello\n", &spec);
    assert_eq!(
        out,
        "From: <relay@contoso.com>\nReply-To: <a@b.c>\n\nHello\n\nContoso Ltd\nGermany\n"
    );
    assert!(changes.from.is_some() && changes.signed_text);
}
