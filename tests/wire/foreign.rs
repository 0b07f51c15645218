//! Clients that speak something else, with SMTP hidden in it (browsers do not block our port): the first line that
//! shows it is the last one that is read.

use super::case::{HEAD, Table, case};

/// What each of them carries along.
const LINES: &str =
    "\r\nHELO x\r\nMAIL FROM:<evil@contoso.com>\r\nRCPT TO:<victim@contoso.com>\r\nDATA\r\n";

#[tokio::test]
async fn other_protocols_are_cut_off_without_a_reply() {
    let mut relay = Table::start().await;
    let first_lines: [&[u8]; 21] = [
        b"GET / HTTP/1.1",
        b"GET /\r\nHost: x",
        b"POST / HTTP/1.1\r\nHost: relay.test:2525\r\nContent-Type: text/plain\r\n",
        b"POST /MAIL%20FROM:<a@contoso.com> HTTP/1.0",
        b"PUT / HTTP/1.1",
        b"HEAD / HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT contoso.com:25 HTTP/1.1",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
        b"PROPFIND / HTTP/1.1",
        b"M-SEARCH * HTTP/1.1\r\nHOST: x",
        b"QUUX / HTTP/1.1",
        b"Host: relay.test",
        b"User-Agent: x",
        b"Subject: hello",
        b"From: a@contoso.com",
        b"X_Y: z",
        b"Content-Length:5",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x16\x03\x03\x00\x05",
        b"REPORT / HTTP/1.1",
    ];
    let count = first_lines.len();
    for line in first_lines {
        let name = format!("{:?}", String::from_utf8_lossy(line));
        let smuggler = case(&name).raw(line, &[]).raw(LINES, &[]);
        let smuggler = smuggler.raw(format!("{HEAD}x\r\n.\r\nQUIT\r\n"), &[]);
        relay.run(smuggler.hung_up()).await;
    }
    // Also in the middle: an envelope that was begun is gone with its session.
    for (name, line) in [("HTTP", "POST / HTTP/1.1"), ("a header", "Subject: x")] {
        let late = case(format!("{name} in an envelope"));
        let late = late.lines(&[
            ("MAIL FROM:<a@contoso.com>", "250"),
            ("RCPT TO:<b@contoso.com>", "250"),
        ]);
        relay
            .run(late.raw(line, &[]).raw(LINES, &[]).hung_up())
            .await;
    }
    relay.end(count + 2).await;
}

#[tokio::test]
async fn octets_without_sense_are_errors_and_have_an_end() {
    let mut relay = Table::start().await;
    // An octet sequence of no protocol, on and on: an error for each line.
    let noise = (0..=255_u8)
        .filter(|octet| *octet != b'\n')
        .collect::<Vec<_>>();
    let mut babble = case("every octet").on("small");
    for _ in 0..3 {
        babble = babble.line(&noise, "500 5.5.2");
    }
    relay
        .run(
            babble
                .line(&noise, "421 4.7.0")
                .raw("NOOP\r\n", &[])
                .hung_up(),
        )
        .await;
    // SSH, Redis and memcached begin with words that are no verbs.
    for line in [
        "SSH-2.0-OpenSSH_9.9",
        "*1",
        "$4",
        "stats",
        "\u{feff}HELO x",
        "MAILFROM x",
        "RCPT\u{a0}TO",
    ] {
        relay
            .run(case(line).line(line, "500 5.5.2").well().quits())
            .await;
    }
    relay.end(8).await;
}
