//! From the client through the queue to upstreams of several kinds, and the ways there.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::collections::BTreeMap;

use exorelay::delivery::Cause;
use exorelay::queue::{MessageDetail, MessageState, QueueId, RecipientState};
use exorelay::sandbox::{Fault, Step};
use support::proxy::Proxy;
use support::upstream::Upstream;
use support::{Bench, Running, sandbox, settings_text, until, within};

const CONTENT: &str = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\nbody\r\n";

fn show(relay: &Running, id: &str) -> MessageDetail {
    let id = QueueId::parse(id).unwrap();
    relay.view.queue.reader().show(id).unwrap().unwrap()
}

/// A relay that sends to an upstream with these offers.
async fn relay_to(
    offers: &'static [&'static str],
) -> (
    Running,
    Upstream,
    exorelay::sandbox::Sandbox,
    tempfile::TempDir,
) {
    let folder = tempfile::TempDir::new().unwrap();
    let sandbox = sandbox(folder.path()).await;
    let upstream = Upstream::start(offers).await;
    let text = upstream.instead_of(&sandbox, &settings_text(folder.path(), &sandbox, ""));
    (Running::start(&text).await, upstream, sandbox, folder)
}

#[tokio::test]
async fn wishes_for_notices_reach_an_upstream_that_understands_them() {
    for (offers, understood) in [(&["DSN", "PIPELINING"][..], true), (&["PIPELINING"], false)] {
        let (relay, upstream, _sandbox, _folder) = relay_to(offers).await;
        let mut client = relay.client().await;
        let ehlo = client.expect("EHLO device", "250").await;
        assert!(ehlo.lines().any(|line| line == "250-DSN"), "{ehlo}");
        let mail = "MAIL FROM:<a@contoso.com> ENVID=QQ+2B1 RET=hdrs";
        client.expect(mail, "250").await;
        let rcpt =
            "RCPT TO:<b@contoso.com> NOTIFY=delay,FAILURE ORCPT=rfc822;front+2Bdesk@contoso.com";
        client.expect(rcpt, "250").await;
        client.expect("RCPT TO:<c@contoso.com>", "250").await;
        client.expect("DATA", "354").await;
        client.write(format!("{CONTENT}.\r\n").as_bytes()).await;
        let reply = client.reply().await;
        let id = reply.strip_prefix("250 2.0.0 Ok: queued as ").unwrap();
        until("delivery", || {
            show(&relay, id).message.state == MessageState::Delivered
        })
        .await;
        let (mail, rcpt) = (upstream.heard("MAIL"), upstream.heard("RCPT"));
        let expected = if understood {
            [
                "MAIL FROM:<a@contoso.com> RET=HDRS ENVID=QQ+2B1",
                "RCPT TO:<b@contoso.com> NOTIFY=FAILURE,DELAY ORCPT=rfc822;front+2Bdesk@contoso.com",
                "RCPT TO:<c@contoso.com>",
            ]
        } else {
            [
                "MAIL FROM:<a@contoso.com>",
                "RCPT TO:<b@contoso.com>",
                "RCPT TO:<c@contoso.com>",
            ]
        };
        assert_eq!([&mail[0], &rcpt[0], &rcpt[1]], expected);
        let detail = show(&relay, id);
        assert_eq!(detail.ret.as_deref(), Some("HDRS"));
        assert_eq!(detail.envelope_id.as_deref(), Some("QQ+2B1"));
        let first = &detail.message.recipients[0];
        assert_eq!(first.notify.as_deref(), Some("FAILURE,DELAY"));
        assert_eq!(detail.message.recipients[1].notify, None);
        relay.stop().await;
    }
}

#[tokio::test]
async fn what_the_upstream_cannot_take_fails_without_being_sent() {
    let (relay, upstream, _sandbox, _folder) = relay_to(&["PIPELINING"]).await;
    let mut client = relay.client().await;
    client.expect("EHLO device", "250").await;
    let header = &CONTENT[..CONTENT.len() - "body\r\n".len()];
    let mut refused = Vec::new();
    for (mail, rcpt, content, code) in [
        (
            "",
            "b@contoso.com",
            header.to_owned() + "Größe\r\n",
            "554 5.6.3",
        ),
        (" SMTPUTF8", "ü@contoso.com", CONTENT.to_owned(), "5"),
        (
            " SMTPUTF8",
            "b@contoso.com",
            format!("Subject: Größe\r\n{CONTENT}"),
            "550 5.6.9",
        ),
    ] {
        client
            .expect(&format!("MAIL FROM:<a@contoso.com>{mail}"), "250")
            .await;
        client.expect(&format!("RCPT TO:<{rcpt}>"), "250").await;
        client.expect("DATA", "354").await;
        client.write(format!("{content}.\r\n").as_bytes()).await;
        let reply = client.reply().await;
        let id = reply
            .strip_prefix("250 2.0.0 Ok: queued as ")
            .unwrap()
            .to_owned();
        refused.push((id, code));
    }
    for (id, code) in refused {
        until("the failure", || {
            show(&relay, &id).message.state == MessageState::Failed
        })
        .await;
        let reply = show(&relay, &id).message.recipients[0]
            .reply
            .clone()
            .unwrap();
        assert!(
            reply.starts_with(code) && reply.contains("Not sent"),
            "{reply}"
        );
    }
    assert!(upstream.heard("MAIL").is_empty());
    // What needs nothing of it is sent, whatever the client announced.
    client
        .expect("MAIL FROM:<a@contoso.com> SMTPUTF8 BODY=8BITMIME", "250")
        .await;
    client.expect("RCPT TO:<b@contoso.com>", "250").await;
    client.expect("DATA", "354").await;
    client.write(format!("{CONTENT}.\r\n").as_bytes()).await;
    client.reply().await;
    until("delivery", || upstream.heard("MAIL").len() == 1).await;
    assert_eq!(upstream.heard("MAIL"), ["MAIL FROM:<a@contoso.com>"]);
}

#[tokio::test]
async fn recipients_for_whom_there_was_no_room_follow_at_once_and_once_each() {
    let folder = tempfile::TempDir::new().unwrap();
    let sandbox = sandbox(folder.path()).await;
    let text = settings_text(folder.path(), &sandbox, "recipients_per_message = 3000")
        .replace("[queue]", "max_recipients = 3000\n[queue]");
    let relay = Running::start(&text).await;
    let recipients: Vec<String> = (0..3_000).map(|n| format!("r{n}@contoso.com")).collect();
    let to: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let mut client = relay.client().await;
    client.expect("EHLO device", "250").await;
    let id = client.send("a@contoso.com", &to, CONTENT).await;
    let messages = within("delivery", sandbox.control().wait_for_messages(6)).await;
    until("settlement", || {
        show(&relay, &id).message.state == MessageState::Delivered
    })
    .await;
    let sizes: Vec<usize> = messages.iter().map(|one| one.recipients.len()).collect();
    assert_eq!(sizes, [500; 6], "as many as it takes, not one more");
    let mut copies = BTreeMap::new();
    for recipient in messages.iter().flat_map(|one| &one.recipients) {
        *copies.entry(recipient.clone()).or_insert(0) += 1;
    }
    assert_eq!(copies.len(), 3_000);
    assert!(copies.values().all(|count| *count == 1));
    let detail = show(&relay, &id);
    // One attempt, and each of its parts with the service's own reply.
    assert_eq!((detail.message.attempts, detail.history.len()), (1, 6));
    assert!(detail.history.iter().all(|one| one.result == "delivered"));
    let all = detail.message.recipients.iter();
    assert!(
        all.clone()
            .all(|one| one.state == RecipientState::Delivered)
    );
    assert_eq!(sandbox.control().violations(), []);
}

#[tokio::test]
async fn two_final_replies_leave_a_message_in_doubt_and_not_delivered() {
    let bench = Bench::start("").await;
    let twice = "250 2.0.0 OK\r\n250 2.0.0 OK";
    let control = bench.sandbox.control();
    control.smtp_fault(Step::EndOfData, Fault::Reply(twice.into()), Some(1));
    let mut client = bench.relay.client().await;
    client.expect("EHLO device", "250").await;
    let id = client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    until("the attempt", || {
        !show(&bench.relay, &id).history.is_empty()
    })
    .await;
    let attempt = &show(&bench.relay, &id).history[0];
    assert!(
        attempt.uncertain && attempt.result == "deferred",
        "{attempt:?}"
    );
    assert!(
        attempt.reply.contains("nothing was waiting for"),
        "{attempt:?}"
    );
    // Sent again over another connection.
    bench.delivered(2).await;
    until("settlement", || {
        show(&bench.relay, &id).message.state == MessageState::Delivered
    })
    .await;
    let messages = bench.sandbox.control().messages();
    assert_ne!(messages[0].connection, messages[1].connection);
}

#[tokio::test]
async fn a_connection_that_ended_between_messages_is_no_failure() {
    let bench = Bench::start("").await;
    let goodbye = Fault::Reply("421 4.3.2 Service not active".into());
    let control = bench.sandbox.control();
    control.smtp_fault(Step::AfterReply, goodbye, Some(1));
    let mut client = bench.relay.client().await;
    client.expect("EHLO device", "250").await;
    for _ in 0..2 {
        let id = client
            .send("a@contoso.com", &["b@contoso.com"], CONTENT)
            .await;
        until("settlement", || {
            show(&bench.relay, &id).message.state == MessageState::Delivered
        })
        .await;
        assert_eq!(show(&bench.relay, &id).message.attempts, 1);
    }
    assert_eq!(control.messages().len(), 2);
    assert_eq!(bench.relay.delivery().last_error, None);
}

#[tokio::test]
async fn a_connection_carries_fifty_messages() {
    let bench = Bench::start("connections = 1").await;
    let mut client = bench.relay.client().await;
    client.expect("EHLO device", "250").await;
    for _ in 0..51 {
        client
            .send("a@contoso.com", &["b@contoso.com"], CONTENT)
            .await;
    }
    bench.delivered(51).await;
    let messages = bench.sandbox.control().messages();
    let first = messages[0].connection;
    let on_first = messages.iter().filter(|one| one.connection == first);
    assert_eq!(on_first.count(), 50);
}

#[tokio::test]
async fn mail_goes_out_through_a_proxy_that_resolves_the_name() {
    for scheme in ["socks5", "http"] {
        let folder = tempfile::TempDir::new().unwrap();
        let sandbox = sandbox(folder.path()).await;
        let proxy = Proxy::start(scheme, Some(sandbox.smtp_address())).await;
        let line = format!(
            "proxy = \"{scheme}://robot:p%40ss@127.0.0.1:{}\"",
            proxy.port
        );
        let relay = Running::start(&settings_text(folder.path(), &sandbox, &line)).await;
        let mut client = relay.client().await;
        client.expect("EHLO device", "250").await;
        client
            .send("a@contoso.com", &["b@contoso.com"], CONTENT)
            .await;
        within("delivery", sandbox.control().wait_for_messages(1)).await;
        let target = format!("localhost:{}", sandbox.smtp_address().port());
        assert_eq!(proxy.asked(), [target], "{scheme}");
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_let_mail_through_is_named() {
    for scheme in ["socks5", "http"] {
        for (login, words) in [
            ("", "wants to know who asks"),
            ("robot:wrong@", "refuses the user name and password"),
            ("robot:p%40ss@", "does not allow connections to localhost:"),
        ] {
            let folder = tempfile::TempDir::new().unwrap();
            let sandbox = sandbox(folder.path()).await;
            let proxy = Proxy::start(scheme, None).await;
            let line = format!("proxy = \"{scheme}://{login}127.0.0.1:{}\"", proxy.port);
            let relay = Running::start(&settings_text(folder.path(), &sandbox, &line)).await;
            let mut client = relay.client().await;
            client.expect("EHLO device", "250").await;
            client
                .send("a@contoso.com", &["b@contoso.com"], CONTENT)
                .await;
            until("the pause", || relay.delivery().trouble.is_some()).await;
            let trouble = relay.delivery().trouble.unwrap();
            assert_eq!(trouble.cause, Cause::Network);
            let named = format!("the proxy {scheme}://127.0.0.1:{} {words}", proxy.port);
            assert!(trouble.reason.starts_with(&named), "{}", trouble.reason);
        }
    }
}
