//! Devices that are older than the RFCs they break, and what `exorelay clients` knows of them afterwards.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::net::SocketAddr;

use exorelay::queue::{ClientRecord, Quirk, Reader};
use support::{Bench, Client, Running, settings_text, until};
use tokio::net::TcpSocket;

/// What one device says, each with the beginning of the reply, and what comes of it.
struct Device {
    /// The last number of its address, and the local part of its sender.
    number: u8,
    script: &'static [(&'static [u8], &'static str)],
    /// In its message as Exchange gets it.
    delivered: &'static [&'static str],
    quirks: &'static [Quirk],
}

const DEVICES: &[Device] = &[
    Device {
        number: 11,
        script: &[
            (b"HELO\r\n", "250 relay.test"),
            (b"MAIL FROM: 11@contoso.com\r\n", "250 2.1.0 "),
            (b"rcpt to:desk@partner.example  \r\n", "250 2.1.5 "),
            (b"DATA\r\n", "354 "),
            (b"Subject: x\r\n\r\nbody\r\n.\r\n", "250 2.0.0 Ok: queued as "),
            (b"QUIT\r\n", "221 "),
        ],
        delivered: &[
            "\r\nSubject: x\r\nFrom: <11@contoso.com>\r\nDate: ",
            "@relay.test>\r\n\r\nbody\r\n",
        ],
        quirks: &[
            Quirk::HeloOnly,
            Quirk::NoBrackets,
            Quirk::NoFrom,
            Quirk::NoDate,
            Quirk::NoMessageId,
        ],
    },
    Device {
        number: 12,
        script: &[
            (b"HELO HP_4 [Lobby]\n", "250 relay.test"),
            (b"mail\tfrom :\t<12@contoso.com> \n", "250 2.1.0 "),
            (b"RCPT TO:\t<desk@partner.example>\t\n", "250 2.1.5 "),
            (b"data \n", "354 "),
            (
                b"From: x@contoso.com\nDate: d\nMessage-ID: <12@x>\n\n.body\nend\n\r\n.\r\n",
                "250 2.0.0 ",
            ),
            (b"quit\n", "221 "),
        ],
        delivered: &[
            "by relay.test (exorelay) with SMTP id ",
            "From: x@contoso.com\r\nDate: d\r\nMessage-ID: <12@x>\r\n\r\n.body\r\nend\r\n\r\n",
        ],
        quirks: &[Quirk::HeloOnly, Quirk::LfCommands, Quirk::BareNewline],
    },
    Device {
        number: 13,
        script: &[
            (b"MAIL FROM:<13@contoso.com>\r\n", "250 2.1.0 "),
            (b"RCPT TO:<desk@partner.example>\r\n", "250 2.1.5 "),
            (b"DATA\r\n", "354 "),
            (
                b"From: <>\r\nDate: d\r\nMessage-ID: <13@x>\r\n\r\na\0b\xc3\xbc\r\n.\r\n",
                "250 2.0.0 ",
            ),
            (b"QUIT\r\n", "221 "),
        ],
        delivered: &[
            "Date: d\r\nMessage-ID: <13@x>\r\nFrom: <13@contoso.com>\r\n\r\na b\u{fc}\r\n",
        ],
        quirks: &[
            Quirk::NoHelo,
            Quirk::Nul,
            Quirk::UndeclaredEightBit,
            Quirk::NoFrom,
        ],
    },
    Device {
        number: 14,
        script: &[
            (b"EHLO mfp\r\n", "250-relay.test"),
            (
                b"MAIL FROM:<14@contoso.com> SIZE=999999999999 BODY=7BIT\r\n",
                "552 5.3.4 ",
            ),
            (
                b"MAIL FROM:<14@contoso.com> AUTH=<> RET=HDRS ENVID=a SIZE=200\r\n",
                "250 2.1.0 ",
            ),
            (
                b"RCPT TO:<desk@partner.example> NOTIFY=NEVER ORCPT=rfc822;desk@partner.example\r\n",
                "250 2.1.5 ",
            ),
            (b"DATA\r\n", "354 "),
            (
                b"From: 14@contoso.com <14@contoso.com>\r\nDate: d\r\nMessage-ID: <14@x>\r\n\r\nbody\r\n.\r\n",
                "250 2.0.0 ",
            ),
            (b"QUIT\r\n", "221 "),
        ],
        delivered: &[
            "From: \"14@contoso.com\" <14@contoso.com>\r\nDate: d\r\nMessage-ID: <14@x>\r\n\r\nbody\r\n",
        ],
        quirks: &[Quirk::UnquotedName],
    },
    Device {
        number: 15,
        script: &[
            (
                b"EHLO mfp\r\nMAIL FROM:<15@contoso.com>\r\nRCPT TO:<desk@partner.example>\r\nDATA\r\n",
                "250-relay.test",
            ),
            (b"", "250 2.1.0 "),
            (b"", "250 2.1.5 "),
            (b"", "354 "),
            (
                b"From: x@contoso.com\r\nDate: d\r\nMessage-ID: <15@x>\r\n\r\n.\r\nRSET\r\nQUIT\r\n",
                "250 2.0.0 ",
            ),
            (b"", "250 2.0.0 Ok"),
            (b"", "221 "),
        ],
        delivered: &["From: x@contoso.com\r\nDate: d\r\nMessage-ID: <15@x>\r\n\r\n"],
        quirks: &[],
    },
];

async fn connect(number: u8, relay: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind(SocketAddr::from(([127, 0, 0, number], 0)))
        .unwrap();
    Client::over(socket.connect(relay).await.unwrap()).await
}

fn known(relay: &Running, number: u8) -> Option<ClientRecord> {
    let address = format!("127.0.0.{number}");
    let clients = relay.view.queue.clients().into_iter();
    clients.into_iter().find(|one| one.client == address)
}

/// Latin-1, so that nothing is lost of an octet.
fn text(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => octets.iter().map(|octet| char::from(*octet)).collect(),
    }
}

#[tokio::test]
async fn old_devices_are_served_and_what_they_needed_is_known() {
    let bench = Bench::start("").await;
    for device in DEVICES {
        let mut client = connect(device.number, bench.relay.address()).await;
        for (line, expected) in device.script {
            client.write(line).await;
            let reply = client.reply().await;
            let shown = line.escape_ascii();
            assert!(reply.starts_with(expected), "{shown}: {reply}");
        }
        assert_eq!(client.rest().await, "");
    }
    let control = bench.sandbox.control();
    let messages =
        support::within("delivery", control.wait_for_messages(DEVICES.len() as u64)).await;
    for device in DEVICES {
        let sender = format!("{}@contoso.com", device.number);
        let message = messages.iter().find(|one| one.reverse_path == sender);
        let content = text(&message.unwrap().content().await.unwrap());
        for part in device.delivered {
            assert!(content.contains(part), "{part}: {content}");
        }
        let record = known(&bench.relay, device.number).unwrap();
        assert_eq!((record.messages, record.sessions), (1, 1), "{record:?}");
        assert_eq!(record.sender.as_deref(), Some(sender.as_str()));
        let quirks: Vec<_> = record.quirks.keys().copied().collect();
        let mut expected = device.quirks.to_vec();
        expected.sort();
        assert_eq!(quirks, expected, "{sender}");
    }
    let refused = known(&bench.relay, 14).unwrap();
    assert!(refused.refusals[0].reply.starts_with("552 5.3.4 "));
    assert_eq!(refused.largest_refused_bytes, 999_999_999_999);
    bench.assert_clean();
    bench.relay.stop().await;
}

#[tokio::test]
async fn long_lines_arrive_folded_in_the_header_and_whole_in_the_body() {
    let bench = Bench::start("").await;
    let names: Vec<_> = (0..100)
        .map(|n| format!("person{n:03}@contoso.com"))
        .collect();
    let to = names.join(", ");
    let body = "x".repeat(3_000);
    let content = format!(
        "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@x>\r\nTo: {to}\r\n\r\n{body}\r\n"
    );
    let mut client = bench.relay.client().await;
    client
        .send("a@contoso.com", &["b@partner.example"], &content)
        .await;
    let delivered = text(&bench.delivered(1).await[0]);
    let (head, arrived) = delivered.split_once("\r\n\r\n").unwrap();
    assert_eq!(arrived, format!("{body}\r\n"));
    assert!(head.lines().all(|line| line.len() <= 998), "{head}");
    assert!(head.replace("\r\n ", " ").contains(&to));
    bench.assert_clean();
    let clients = bench.relay.view.queue.clients();
    assert_eq!(
        clients[0].quirks,
        [(Quirk::NoHelo, 1), (Quirk::LongLines, 1)].into()
    );
    drop(client);
    bench.relay.stop().await;
}

#[tokio::test]
async fn a_device_gets_its_sender_and_keeps_its_name() {
    let bench = Bench::start(
        "[client.lobby]\nnetwork = \"127.0.0.21\"\nsender = \"scan@contoso.com\"\n\
         reply_to = \"desk@contoso.com\"\nbare_newline = \"reject\"\n",
    )
    .await;
    let mut client = connect(21, bench.relay.address()).await;
    let head = "From: =?iso-8859-1?Q?K=FCche?= <root@printer>\r\nSender: root@printer\r\nDate: d\r\n\
                Message-ID: <1@x>\r\n\r\n";
    client
        .send("root@printer", &["b@partner.example"], head)
        .await;
    let refused = client
        .send_raw("root@printer", &["b@partner.example"], b"a\0b\r\n.\r\n")
        .await;
    assert!(refused.starts_with("550 5.6.0 "), "{refused}");
    let delivered = text(&bench.delivered(1).await[0]);
    assert!(
        delivered.ends_with(
            "Date: d\r\nMessage-ID: <1@x>\r\nFrom: =?utf-8?B?S8O8Y2hl?= <scan@contoso.com>\r\n\
             Reply-To: <desk@contoso.com>\r\n\r\n"
        ),
        "{delivered}"
    );
    assert_eq!(
        bench.sandbox.control().messages()[0].reverse_path,
        "scan@contoso.com"
    );
    let record = known(&bench.relay, 21).unwrap();
    assert_eq!(record.sender.as_deref(), Some("root@printer"), "as it came");
    assert!(record.refusals[0].reply.starts_with("550 5.6.0 "));
    drop(client);
    bench.relay.stop().await;
}

#[tokio::test]
async fn a_device_that_ends_its_mail_with_lf_is_known_by_it() {
    let bench = Bench::start("").await;
    let mut client = connect(31, bench.relay.address()).await;
    client.expect("MAIL FROM:<a@contoso.com>", "250").await;
    client.expect("RCPT TO:<b@partner.example>", "250").await;
    client.expect("DATA", "354").await;
    for line in ["Subject: x\n", "\n", "body\n", ".", "\n"] {
        client.write(line.as_bytes()).await;
    }
    drop(client);
    until("the end of the session", || {
        let record = known(&bench.relay, 31);
        record.is_some_and(|record| record.quirks.contains_key(&Quirk::LfEnd))
    })
    .await;
    assert_eq!(known(&bench.relay, 31).unwrap().messages, 0);
    bench.relay.stop().await;
}

#[tokio::test]
async fn what_is_known_outlives_a_restart_and_is_read_without_a_daemon() {
    let folder = tempfile::TempDir::new().unwrap();
    let sandbox = support::sandbox(folder.path()).await;
    let text = settings_text(folder.path(), &sandbox, "").replace(
        "127.0.0.1:0\"",
        "127.0.0.1:0\"\nallow = [\"127.0.0.1\", \"127.0.0.41\"]",
    );
    for round in 1..=2_u64 {
        let relay = Running::start(&text).await;
        let mut client = connect(41, relay.address()).await;
        client
            .send(
                "a@contoso.com",
                &["b@partner.example"],
                "Message-ID: <same@x>\r\n\r\n",
            )
            .await;
        client.expect("XYZZY", "500 ").await;
        drop(client);
        let stranger = connect(42, relay.address()).await;
        assert!(stranger.greeting.starts_with("554 5.7.1 "));
        relay.stop().await;

        let queue = folder.path().join("queue");
        let read = tokio::task::spawn_blocking(move || Reader::new(&queue).clients());
        let clients = read.await.unwrap().unwrap();
        assert_eq!(clients.len(), 2);
        let device = clients.iter().find(|one| one.client == "127.0.0.41");
        let device = device.unwrap();
        assert_eq!((device.messages, device.sessions), (round, round));
        assert_eq!(device.quirks[&Quirk::NoDate], round);
        assert_eq!(device.refusals[0].count, round);
        let stranger = clients.iter().find(|one| one.client == "127.0.0.42");
        let stranger = stranger.unwrap();
        assert_eq!((stranger.messages, stranger.sessions), (0, 0));
        assert!(stranger.refusals[0].reply.starts_with("554 5.7.1 "));
    }
}

#[tokio::test]
async fn a_message_id_used_again_is_counted_each_time() {
    let bench = Bench::start("").await;
    let mut client = connect(51, bench.relay.address()).await;
    for body in ["1", "22", "333"] {
        let content = format!("Message-ID: <same@x>\r\n\r\n{body}\r\n");
        client
            .send("a@contoso.com", &["b@partner.example"], &content)
            .await;
    }
    client.expect("QUIT", "221").await;
    let record = known(&bench.relay, 51).unwrap();
    assert_eq!(record.quirks[&Quirk::RepeatedMessageId], 2);
    assert_eq!(record.messages, 3);
    bench.relay.stop().await;
}
