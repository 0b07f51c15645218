//! Whatever clients and settings put into what we write ourselves: it stays one field, one line, one command.

use super::case::HEAD;
use crate::support::{Bench, Client};

/// The header section of a message, each field with its folding undone.
fn fields(content: &[u8]) -> Vec<String> {
    let text = String::from_utf8(content.to_vec()).unwrap();
    let (section, _) = text.split_once("\r\n\r\n").unwrap();
    let unfolded = section.replace("\r\n\t", " ").replace("\r\n ", " ");
    unfolded.split("\r\n").map(str::to_owned).collect()
}

#[tokio::test]
async fn helo_names_stay_in_the_received_field() {
    let bench = Bench::start("").await;
    let table: [(&[u8], &str); 15] = [
        (b"device", "device"),
        (b"DEVICE_1.local", "DEVICE_1.local"),
        (b"[192.0.2.1]", "[192.0.2.1]"),
        (b"[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
        (b"", "unknown"),
        (b"a b", "unknown"),
        (b"x\rBcc: evil@contoso.com", "unknown"),
        (b"x\r\tBcc: evil@contoso.com", "unknown"),
        (b"x;y", "unknown"),
        (b"x (comment", "unknown"),
        (b"x)\0", "unknown"),
        (b"<a@b>", "unknown"),
        (b"\xff\xfe", "unknown"),
        ("böse".as_bytes(), "unknown"),
        (b"x\x1b[31m", "unknown"),
    ];
    for (number, (name, shown)) in (1..).zip(table) {
        let mut client = bench.relay.client().await;
        client.write(&[b"EHLO ", name, b"\r\n"].concat()).await;
        assert!(
            client
                .reply()
                .await
                .starts_with("250-relay.test greets you\n")
        );
        client
            .send("a@contoso.com", &["b@contoso.com"], &format!("{HEAD}x\r\n"))
            .await;
        let content = bench.delivered(number).await.pop().unwrap();
        let fields = fields(&content);
        assert_eq!(fields.len(), 4, "{fields:?}");
        let begin =
            format!("Received: from {shown} ([127.0.0.1]) by relay.test (exorelay) with ESMTP id ");
        assert!(fields[0].starts_with(&begin), "{fields:?}");
        assert!(fields[0].contains(" for <b@contoso.com>; "));
    }
    bench.assert_clean();
    bench.relay.stop().await;
}

#[tokio::test]
async fn addresses_stay_in_the_fields_that_are_supplied() {
    let bench = Bench::start("").await;
    // No Date, From or Message-ID: the relay writes them, and the recipient into its Received.
    let table = [
        "a@contoso.com",
        "\"a b\"@contoso.com",
        "\"a\\\"b\"@contoso.com",
        "\"a>, <evil@contoso.com\"@contoso.com",
        "\"x: y;\"@contoso.com",
        "\"(\"@contoso.com",
        "=?utf-8?q?=0d=0aBcc=3A?=@contoso.com",
        "a%0d%0abcc@contoso.com",
        "{$}|`@contoso.com",
    ];
    for (number, address) in (1..).zip(table) {
        let mut client = bench.relay.client().await;
        client.expect("EHLO device", "250").await;
        let reply = client
            .send_raw(address, &[address], b"Subject: x\r\n\r\nx\r\n.\r\n")
            .await;
        assert!(reply.starts_with("250 2.0.0"), "{address}: {reply}");
        let content = bench.delivered(number).await.pop().unwrap();
        let fields = fields(&content);
        let names: Vec<&str> = fields
            .iter()
            .map(|field| field.split(':').next().unwrap())
            .collect();
        assert_eq!(names, ["Received", "Subject", "From", "Date", "Message-ID"]);
        assert_eq!(fields[2], format!("From: <{address}>"));
        assert!(fields[0].contains(&format!(" for <{address}>; ")));
        let message = bench.sandbox.control().messages().pop().unwrap();
        assert_eq!(message.reverse_path, address);
        assert_eq!(message.recipients, [address]);
    }
    // A line end never gets into an address, however it is written.
    for address in [
        "a\rb@contoso.com",
        "\"a\rb\"@contoso.com",
        "\"a\\\rb\"@contoso.com",
        "a\0@contoso.com",
        "\"\u{85}\"@contoso.com",
        "\u{2028}@contoso.com",
    ] {
        let mut client = bench.relay.client().await;
        client
            .expect(&format!("MAIL FROM:<{address}> SMTPUTF8"), "5")
            .await;
        client.expect("MAIL FROM:<> SMTPUTF8", "250").await;
        client.expect(&format!("RCPT TO:<{address}>"), "5").await;
    }
    bench.assert_clean();
    bench.relay.stop().await;
}

#[tokio::test]
async fn xtext_stays_in_its_parameter() {
    let bench = Bench::start("").await;
    for (envid, orcpt, reply) in [
        ("x+2By", "rfc822;a+40contoso.com", "250"),
        ("x+0Dy", "rfc822;a@contoso.com", "501"),
        ("x+0Ay", "rfc822;a@contoso.com", "501"),
        ("x+00y", "rfc822;a@contoso.com", "501"),
        ("x+7Fy", "rfc822;a@contoso.com", "501"),
        ("x+0", "rfc822;a@contoso.com", "501"),
        ("x+zz", "rfc822;a@contoso.com", "501"),
        ("x=y", "rfc822;a@contoso.com", "501"),
    ] {
        let mut client = bench.relay.client().await;
        client.expect("EHLO device", "250").await;
        let line = format!("MAIL FROM:<a@contoso.com> RET=HDRS ENVID={envid}");
        client.expect(&line, reply).await;
        if reply == "250" {
            client
                .expect(&format!("RCPT TO:<b@contoso.com> ORCPT={orcpt}"), "250")
                .await;
        }
    }
    for orcpt in [
        "rfc822;a+0D+0ABcc:x",
        "rfc822;a+00",
        "rfc822;",
        ";a",
        "rfc822",
        "rf c;a",
        "rfc822;a+0a",
        "rfc822;a+C2+85b",
    ] {
        let mut client = bench.relay.client().await;
        client.expect("EHLO device", "250").await;
        client.expect("MAIL FROM:<a@contoso.com>", "250").await;
        let reply = client
            .command(&format!("RCPT TO:<b@contoso.com> ORCPT={orcpt}"))
            .await;
        assert!(reply.starts_with('5'), "{orcpt}: {reply}");
    }
    bench.relay.stop().await;
}

/// Upstream's refusal, the address and the subject all stand in a notice.
#[tokio::test]
async fn a_notice_holds_what_others_wrote_as_text() {
    let bench = Bench::start("").await;
    let mut client: Client = bench.relay.client().await;
    client.expect("EHLO x", "250").await;
    let from = "\"x: <y>, z\"@contoso.com";
    let to = "fault+550-5.1.10@contoso.com";
    let content = "Subject: =?utf-8?q?a=0d=0aBcc:_evil@contoso.com=0d=0a=0d=0abody?=\r\n\
                   Message-ID: <a@b> (\r\n Bcc: evil@contoso.com)\r\nFrom: a@contoso.com\r\nDate: d\r\n\r\nx\r\n";
    client.send(from, &[to], content).await;
    let notice = bench.delivered(1).await.pop().unwrap();
    let fields = fields(&notice);
    let names: Vec<&str> = fields
        .iter()
        .map(|field| field.split(':').next().unwrap())
        .collect();
    let expected = [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "X-Auto-Response-Suppress",
        "MIME-Version",
        "Content-Type",
    ];
    assert_eq!(names, expected, "{fields:#?}");
    assert_eq!(fields[1], format!("To: <{from}>"));
    let message = bench.sandbox.control().messages().pop().unwrap();
    assert_eq!(message.recipients, [from]);
    bench.assert_clean();
    bench.relay.stop().await;
}
