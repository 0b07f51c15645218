//! What is between DATA and its end: nothing is lost, nothing added.

use super::case::{Case, FROM, HEAD, TO, Table, case, mail};

fn passes(name: &str, wire: &[u8], expected: &[u8]) -> Case {
    let wire = [HEAD.as_bytes(), wire, b".\r\n"].concat();
    let expected = [HEAD.as_bytes(), expected].concat();
    case(name)
        .data()
        .raw(wire, &["250 2.0.0"])
        .queues(mail(FROM, &[TO], expected))
        .quits()
}

#[tokio::test]
async fn dots_lines_and_octets() {
    let mut relay = Table::start().await;
    let table: [(&str, &[u8], &[u8]); 17] = [
        ("no body", b"", b""),
        ("one empty line", b"\r\n", b"\r\n"),
        ("empty lines", b"\r\n\r\n\r\n", b"\r\n\r\n\r\n"),
        ("a stuffed dot", b"..\r\n", b".\r\n"),
        ("two stuffed dots", b"...\r\n", b"..\r\n"),
        ("stuffed text", b"..text\r\n", b".text\r\n"),
        ("a dot that was not stuffed", b".text\r\n", b"text\r\n"),
        ("dots at line ends", b"a.\r\nb..\r\n", b"a.\r\nb..\r\n"),
        (
            "stuffed again and again",
            b"..\r\n..\r\n..\r\n",
            b".\r\n.\r\n.\r\n",
        ),
        ("a dot in front of a space", b".. \r\n", b". \r\n"),
        (
            "spaces at line ends",
            b"a \r\n\tb\t\r\n \r\n",
            b"a \r\n\tb\t\r\n \r\n",
        ),
        ("Latin-1", b"Gr\xfc\xdfe\r\n", b"Gr\xfc\xdfe\r\n"),
        (
            "UTF-8",
            "Grüße 漢字 🙂\r\n".as_bytes(),
            "Grüße 漢字 🙂\r\n".as_bytes(),
        ),
        (
            "octets that are no UTF-8",
            b"\xff\xfe\x80\xc0\r\n",
            b"\xff\xfe\x80\xc0\r\n",
        ),
        (
            "control characters",
            b"\x01\x07\x08\x1b\x7f\r\n",
            b"\x01\x07\x08\x1b\x7f\r\n",
        ),
        (
            "SMTP in the body",
            b"QUIT\r\nMAIL FROM:<x@y>\r\nDATA\r\n",
            b"QUIT\r\nMAIL FROM:<x@y>\r\nDATA\r\n",
        ),
        (
            "a boundary",
            b"--=_x\r\n\r\n--=_x--\r\n",
            b"--=_x\r\n\r\n--=_x--\r\n",
        ),
    ];
    let count = table.len();
    for (name, wire, expected) in table {
        for piece in [1, 3, usize::MAX] {
            relay.run_in(passes(name, wire, expected), piece).await;
        }
    }
    relay.end(3 * count).await;
}

#[tokio::test]
async fn every_octet_passes_at_every_cut() {
    let mut relay = Table::start().await;
    let octets: Vec<u8> = (1..=255).filter(|octet| !b"\r\n".contains(octet)).collect();
    let body = [octets.as_slice(), b"\r\n"].concat().repeat(40);
    for piece in [1021, 4096, 8191, 8192, usize::MAX] {
        relay
            .run_in(passes("every octet", &body, &body), piece)
            .await;
    }
    relay.end(5).await;
}

#[tokio::test]
async fn international_mail() {
    let mut relay = Table::start().await;
    let head = HEAD.replace("\r\n\r\n", "\r\nSubject: Grüße\r\n\r\n");
    let international = |name: &str, parameter: &str| {
        case(name)
            .line("EHLO device", "250-relay.test")
            .line(
                format!("MAIL FROM:<jörg@contoso.com>{parameter}"),
                "250 2.1.0",
            )
            .line("RCPT TO:<用户@contoso.com>", "250 2.1.5")
            .line("DATA", "354")
            .raw(format!("{head}ü\r\n.\r\n"), &["250 2.0.0"])
            .queues(mail(
                "jörg@contoso.com",
                &["用户@contoso.com"],
                format!("{head}ü\r\n"),
            ))
            .quits()
    };
    relay
        .run(international("SMTPUTF8", " SMTPUTF8 BODY=8BITMIME"))
        .await;
    relay
        .run(international("SMTPUTF8 without BODY", " SMTPUTF8"))
        .await;
    let without = case("no SMTPUTF8, an address that needs it");
    let without = without.line("MAIL FROM:<jörg@contoso.com>", "553 5.6.7");
    relay.run(without.well().quits()).await;
    let bad = case("an address of octets that are no UTF-8");
    let bad = bad.line(b"MAIL FROM:<\xff@contoso.com> SMTPUTF8", "501 5.5.4");
    relay.run(bad.well().quits()).await;
    let value = case("SMTPUTF8 with a value");
    let value = value.line("MAIL FROM:<a@contoso.com> SMTPUTF8=yes", "501 5.5.4");
    relay.run(value.well().quits()).await;
    relay.end(5).await;
}
