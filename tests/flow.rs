//! Mail flows from a client through the queue to the upstream.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use exorelay::queue::{MessageState, QueueId};
use support::{Bench, until};

/// The part of what arrived that the client had sent.
fn without_received(content: &[u8]) -> String {
    let text = String::from_utf8(content.to_vec()).unwrap();
    assert!(text.starts_with("Received: from "), "{text}");
    let end = text
        .match_indices("\r\n")
        .map(|(at, _)| at + 2)
        .find(|at| !text[*at..].starts_with('\t'))
        .unwrap();
    text[end..].to_owned()
}

#[tokio::test]
async fn a_message_arrives_byte_for_byte() {
    let bench = Bench::start("").await;
    let content = "From: a@contoso.com\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n\
         Message-ID: <1@device>\r\nSubject: folded\r\n  over two lines\r\n\r\n\
         .leading dot\r\n..two\r\n.\t\r\n\r\nend\r\n";
    let mut client = bench.relay.client().await;
    client.expect("EHLO device", "250").await;
    let id = client
        .send("a@contoso.com", &["b@contoso.com"], content)
        .await;
    client.expect("QUIT", "221").await;
    let delivered = bench.delivered(1).await;
    assert_eq!(without_received(&delivered[0]), content);
    let message = &bench.sandbox.control().messages()[0];
    assert_eq!(message.mailbox, "relay@contoso.com");
    assert_eq!(message.recipients, ["b@contoso.com"]);

    let reader = bench.relay.view.queue.reader();
    let id = QueueId::parse(&id).unwrap();
    let delivered = || reader.show(id).unwrap().unwrap().message.state == MessageState::Delivered;
    until("the settlement", delivered).await;
    let detail = reader.show(id).unwrap().unwrap();
    assert_eq!(
        detail.message.subject.as_deref(),
        Some("folded over two lines")
    );
    assert_eq!(detail.message.message_id.as_deref(), Some("<1@device>"));
    assert_eq!(detail.history.len(), 1);
    assert!(
        detail.history[0].reply.starts_with("250 2.0.0 OK"),
        "{:?}",
        detail.history
    );
    bench.assert_clean();
    bench.relay.stop().await;
}

#[tokio::test]
async fn content_of_every_kind_arrives_as_it_was() {
    let bench = Bench::start("").await;
    let header = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\n";
    let bodies: [&[u8]; 6] = [
        b"",
        b"x\r\n",
        b".\r\n",
        b"Gr\xfc\xdfe \xff\xfe\x80\r\n",
        b"\r\n\r\n\r\n",
        b"no dot at the end .\r\n...three\r\n",
    ];
    let mut client = bench.relay.client().await;
    client.expect("HELO device", "250").await;
    for body in bodies {
        let mut wire = header.as_bytes().to_vec();
        for line in body.split_inclusive(|octet| *octet == b'\n') {
            if line.first() == Some(&b'.') {
                wire.push(b'.');
            }
            wire.extend_from_slice(line);
        }
        wire.extend_from_slice(b".\r\n");
        let reply = client
            .send_raw("a@contoso.com", &["b@contoso.com"], &wire)
            .await;
        assert!(reply.starts_with("250 2.0.0 Ok: queued as "), "{reply}");
    }
    let mut delivered = bench.delivered(bodies.len() as u64).await;
    let mut expected: Vec<Vec<u8>> = bodies
        .iter()
        .map(|body| [header.as_bytes(), body].concat())
        .collect();
    for content in &mut delivered {
        let at = content
            .windows(7)
            .position(|window| window == b"\r\nFrom:")
            .unwrap();
        content.drain(..at + 2);
    }
    delivered.sort();
    expected.sort();
    assert_eq!(delivered, expected);
    bench.assert_clean();
}

#[tokio::test]
async fn what_a_device_forgets_is_supplied() {
    let bench = Bench::start("").await;
    let mut client = bench.relay.client().await;
    client.expect("EHLO device", "250").await;
    client
        .send(
            "a@contoso.com",
            &["b@contoso.com"],
            "Subject: x\r\n\r\nbody\r\n",
        )
        .await;
    client.send("", &["b@contoso.com"], "just text\r\n").await;
    let delivered = bench.delivered(2).await;
    let texts: Vec<_> = delivered
        .iter()
        .map(|content| without_received(content))
        .collect();
    let with = texts
        .iter()
        .find(|text| text.starts_with("Subject"))
        .unwrap();
    let without = texts
        .iter()
        .find(|text| text.ends_with("just text\r\n"))
        .unwrap();
    assert!(
        with.contains("\r\nFrom: <a@contoso.com>\r\nDate: "),
        "{with}"
    );
    assert!(with.contains("@relay.test>\r\n\r\nbody\r\n"), "{with}");
    // A null reverse-path says nothing about the author: the account's mailbox stands in.
    assert!(
        without.starts_with("From: <relay@contoso.com>\r\nDate: "),
        "{without}"
    );
    bench.assert_clean();
}

#[tokio::test]
async fn a_large_message_passes_through_the_content_folder() {
    let bench = Bench::start("").await;
    let line = format!("{}\r\n", "x".repeat(998));
    let body = line.repeat(3_000);
    let content = format!("From: a@b\r\nDate: d\r\nMessage-ID: <1@b>\r\n\r\n{body}");
    let mut client = bench.relay.client().await;
    client.expect("EHLO device", "250").await;
    client
        .send("a@contoso.com", &["b@contoso.com"], &content)
        .await;
    let delivered = bench.delivered(1).await;
    assert_eq!(without_received(&delivered[0]), content);
    let folder = bench.folder.path().join("queue/content");
    until("the content file to go", || {
        std::fs::read_dir(&folder).unwrap().count() == 0
    })
    .await;
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order() {
    let bench = Bench::start("").await;
    let mut client = bench.relay.client().await;
    client
        .write(
            b"EHLO device\r\nMAIL FROM:<a@contoso.com>\r\nRCPT TO:<nonsense>\r\n\
              RCPT TO:<b@contoso.com>\r\nDATA\r\n",
        )
        .await;
    for code in ["250", "250", "553", "250", "354"] {
        let reply = client.reply().await;
        assert!(reply.starts_with(code), "{reply}");
    }
    client
        .write(b"Subject: x\r\n\r\nbody\r\n.\r\nMAIL FROM:<a@contoso.com>\r\nRSET\r\nQUIT\r\n")
        .await;
    for code in ["250 2.0.0 Ok: queued", "250", "250", "221"] {
        let reply = client.reply().await;
        assert!(reply.starts_with(code), "{reply}");
    }
    assert_eq!(client.rest().await, "");
    bench.delivered(1).await;
    bench.assert_clean();
}

/// Settings that end in the section of the listener, so that tests can add to it.
const SMALL: &str = r#"
[listener.small]
address = "127.0.0.1:0"
max_message_size = "10KiB"
max_recipients = 3
max_errors = 3
max_connections_per_client = 2
"#;

async fn small(bench: &Bench) -> support::Client {
    support::Client::connect(bench.relay.address_of("small")).await
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_early_or_late() {
    let bench = Bench::start(SMALL).await;
    let mut client = small(&bench).await;
    let offer = client.expect("EHLO device", "250").await;
    assert!(offer.contains("250-SIZE 10240\n"), "{offer}");
    client
        .expect("MAIL FROM:<a@contoso.com> SIZE=10241", "552 5.3.4")
        .await;
    let late = format!("{}.\r\n", ("x".repeat(98) + "\r\n").repeat(200));
    let reply = client
        .send_raw("a@contoso.com", &["b@contoso.com"], late.as_bytes())
        .await;
    assert!(reply.starts_with("552 5.3.4"), "{reply}");
    // The session is still in step, and nothing is left of the message.
    client.expect("NOOP", "250").await;
    assert_eq!(bench.relay.view.queue.used(), (0, 0));
    client
        .send(
            "a@contoso.com",
            &["b@contoso.com"],
            "Subject: small\r\n\r\n",
        )
        .await;
    bench.delivered(1).await;
}

#[tokio::test]
async fn recipients_errors_and_connections_are_bounded() {
    let bench = Bench::start(SMALL).await;
    let mut client = small(&bench).await;
    client.expect("EHLO device", "250").await;
    client.expect("MAIL FROM:<a@contoso.com>", "250").await;
    for n in 0..3 {
        client
            .expect(&format!("RCPT TO:<b{n}@contoso.com>"), "250")
            .await;
    }
    client.expect("RCPT TO:<b3@contoso.com>", "452 4.5.3").await;
    let _second = small(&bench).await;
    let mut third = small(&bench).await;
    assert!(
        third.greeting.starts_with("421 4.7.0"),
        "{}",
        third.greeting
    );
    assert_eq!(third.rest().await, "");
    for _ in 0..3 {
        client.expect("NONSENSE", "500 5.5.2").await;
    }
    client.expect("NONSENSE", "421 4.7.0").await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_network_that_is_not_allowed_is_turned_away() {
    let more = "[listener.lan]\naddress = \"0.0.0.0:0\"\nallow = [\"10.9.9.0/24\"]\n";
    let bench = Bench::start(more).await;
    let address = bench.relay.address_of("lan");
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], address.port()));
    let mut client = support::Client::connect(address).await;
    assert!(
        client.greeting.starts_with("554 5.7.1"),
        "{}",
        client.greeting
    );
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_browser_is_cut_off_before_it_can_send_mail() {
    let bench = Bench::start("").await;
    let mut client = bench.relay.client().await;
    client
        .write(
            b"POST / HTTP/1.1\r\nHost: localhost:2525\r\n\r\nHELO x\r\nMAIL FROM:<a@contoso.com>\r\n\
              RCPT TO:<b@contoso.com>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n",
        )
        .await;
    assert_eq!(client.rest().await, "");
    assert_eq!(bench.relay.view.queue.used(), (0, 0));
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let bench = Bench::start("").await;
    let large = format!(
        "Subject: half\r\n\r\n{}",
        ("x".repeat(98) + "\r\n").repeat(2_000)
    );
    let steps: [&[&[u8]]; 6] = [
        &[],
        &[b"EHLO x\r\n"],
        &[b"EHLO x\r\nMAIL FROM:<a@contoso.com> SIZE=5000\r\n"],
        &[b"EHLO x\r\nMAIL FROM:<a@contoso.com>\r\nRCPT TO:<b@contoso.com>\r\n"],
        &[b"EHLO x\r\nMAIL FROM:<a@contoso.com>\r\nRCPT TO:<b@contoso.com>\r\nDATA\r\nhalf"],
        &[
            b"EHLO x\r\nMAIL FROM:<a@contoso.com>\r\nRCPT TO:<b@contoso.com>\r\nDATA\r\n",
            large.as_bytes(),
        ],
    ];
    for writes in steps {
        let mut client = bench.relay.client().await;
        for octets in writes {
            client.write(octets).await;
        }
        drop(client);
    }
    let content = bench.folder.path().join("queue/content");
    until("all room to be free again", || {
        bench.relay.view.queue.used() == (0, 0) && std::fs::read_dir(&content).unwrap().count() == 0
    })
    .await;
    assert_eq!(
        bench
            .relay
            .view
            .queue
            .reader()
            .counts()
            .unwrap()
            .accounts
            .len(),
        0
    );
}

#[tokio::test]
async fn a_full_queue_asks_the_client_to_try_again() {
    let bench = Bench::start("").await;
    bench.relay.stop().await;
    let text = support::settings_text(bench.folder.path(), &bench.sandbox, "")
        .replace("[queue]", "[queue]\nmax_messages = 2\nmax_bytes = \"1MiB\"")
        .replace(
            "address = \"127.0.0.1:0\"",
            "address = \"127.0.0.1:0\"\nmax_message_size = \"1MiB\"",
        );
    bench
        .sandbox
        .control()
        .token_fault(Some(exorelay::sandbox::TokenFault::Off), None);
    let relay = support::Running::start(&text).await;
    let mut client = relay.client().await;
    client.expect("EHLO device", "250").await;
    client
        .send("a@contoso.com", &["b@contoso.com"], "Subject: 1\r\n\r\n")
        .await;
    client
        .expect("MAIL FROM:<a@contoso.com> SIZE=1048570", "452 4.3.1")
        .await;
    client
        .send("a@contoso.com", &["b@contoso.com"], "Subject: 2\r\n\r\n")
        .await;
    client
        .expect("MAIL FROM:<a@contoso.com>", "452 4.3.1")
        .await;
    // Drained, it takes mail again, without a restart.
    bench.sandbox.control().clear_faults();
    support::within("delivery", bench.sandbox.control().wait_for_messages(2)).await;
    until("room", || relay.view.queue.used().0 == 0).await;
    client
        .send("a@contoso.com", &["b@contoso.com"], "Subject: 3\r\n\r\n")
        .await;
}
