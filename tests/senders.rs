//! Who messages are from when they leave: what Exchange Online refuses arrives rewritten.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use exorelay::admin::{AccountStatus, StatusSource};
use exorelay::delivery::State;
use exorelay::queue::{MessageDetail, MessageState, QueueId};
use exorelay::sandbox::SendAs;
use support::{Bench, Running, settings_text, until, within};

/// Two MIME parts with what a careless rewriter would spoil: folds, 8-bit octets, dots, blanks at ends.
const BODY: &str = "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
    Grüße  \r\n.\r\n..two dots\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\
    Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\nJVBERi0xLjQK\r\n--b--\r\n";

fn message(number: u32, from: &str, more: &str) -> String {
    format!(
        "{from}Date: d\r\nMessage-ID: <{number}@device>\r\nSubject: a\r\n\tfolded  one\r\nMIME-Version: 1.0\r\n\
         {more}Content-Type: multipart/mixed; boundary=b\r\n\r\n{BODY}"
    )
}

const SCANNER: &str = "From: \"Lobby scanner\" <Scan@contoso.com>\r\n";

/// A relay whose mailbox may send as itself alone.
async fn strict(more: &str) -> Bench {
    let bench = Bench::start(more).await;
    bench
        .sandbox
        .control()
        .set_send_as(SendAs::Only(Vec::new()));
    bench
}

async fn send_from(relay: &Running, from: &str, content: &str) -> QueueId {
    let mut client = relay.client().await;
    client.expect("EHLO device", "250").await;
    client
        .expect(&format!("MAIL FROM:<{from}> BODY=8BITMIME"), "250")
        .await;
    client.expect("RCPT TO:<desk@contoso.com>", "250").await;
    client.expect("DATA", "354").await;
    let stuffed = content.replace("\r\n.", "\r\n..");
    client.write(format!("{stuffed}.\r\n").as_bytes()).await;
    let reply = client.reply().await;
    QueueId::parse(reply.rsplit(' ').next().unwrap()).unwrap()
}

async fn send(relay: &Running, content: &str) -> QueueId {
    send_from(relay, "scan@contoso.com", content).await
}

/// The message once it has ended.
async fn ended(relay: &Running, id: QueueId, state: MessageState) -> MessageDetail {
    let reader = relay.view.queue.reader();
    let show = || reader.show(id).unwrap().unwrap();
    until("the end of the message", || {
        let now = show().message.state;
        assert!(now.waits() || now == state, "{:?}", show());
        now == state
    })
    .await;
    show()
}

fn head_and_body(content: &[u8]) -> (String, &[u8]) {
    let end = content.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = content.split_at(end.unwrap() + 4);
    (String::from_utf8(head.to_vec()).unwrap(), body)
}

async fn account(relay: &Running) -> AccountStatus {
    relay.view.status().await.accounts.remove(0)
}

fn assert_rewritten(content: &[u8]) {
    let (head, body) = head_and_body(content);
    assert!(
        head.contains("\r\nFrom: \"Lobby scanner\" <relay@contoso.com>\r\n")
            || head.contains("\r\nFrom: Lobby scanner <relay@contoso.com>\r\n"),
        "{head}"
    );
    let reply_to = head.split("\r\nReply-To:").nth(1).unwrap();
    let reply_to = reply_to.split("\r\n").next().unwrap();
    assert!(reply_to.contains("<Scan@contoso.com>"), "{head}");
    assert!(
        head.contains("\r\nSubject: a\r\n\tfolded  one\r\n"),
        "{head}"
    );
    assert_eq!(body, BODY.as_bytes(), "every octet of every part");
}

#[tokio::test]
async fn a_refused_sender_arrives_rewritten_on_the_second_try_and_then_at_once() {
    let bench = strict("").await;
    let id = send(&bench.relay, &message(1, SCANNER, "")).await;
    let first = ended(&bench.relay, id, MessageState::Delivered).await;
    let stats = bench.sandbox.control().stats();
    assert_eq!((stats.messages, stats.messages_refused), (1, 1));
    assert_eq!(first.message.attempts, 1, "both tries are one attempt");
    assert_eq!(first.history.len(), 1);
    let told = first.events[0].detail.as_deref().unwrap();
    assert_eq!(first.events[0].action, "rewritten");
    for words in [
        "reverse-path <scan@contoso.com> replaced by <relay@contoso.com>; ",
        "From Scan@contoso.com replaced by relay@contoso.com; ",
        "Reply-To Scan@contoso.com added; ",
        "after 554 5.2.252 SendAsDenied; relay@contoso.com not allowed to send as Scan@contoso.com",
    ] {
        assert!(told.contains(words), "{words} in {told}");
    }

    let id = send(&bench.relay, &message(2, SCANNER, "")).await;
    let second = ended(&bench.relay, id, MessageState::Delivered).await;
    assert_eq!(bench.sandbox.control().stats().messages_refused, 1);
    let told = second.events[0].detail.as_deref().unwrap();
    assert!(!told.contains("SendAsDenied"), "{told}");

    for content in bench.delivered(2).await {
        assert_rewritten(&content);
    }
    for message in bench.sandbox.control().messages() {
        assert_eq!(message.reverse_path, "relay@contoso.com");
    }
    bench.assert_clean();
}

#[tokio::test]
async fn what_is_known_of_senders_survives_a_restart_until_it_is_forgotten() {
    let bench = strict("").await;
    let id = send(&bench.relay, &message(1, SCANNER, "")).await;
    ended(&bench.relay, id, MessageState::Delivered).await;
    let shown = account(&bench.relay).await;
    assert_eq!(shown.denied_senders.len(), 1);
    let denied = &shown.denied_senders[0];
    assert_eq!(denied.address, "scan@contoso.com");
    let hours = (denied.until.as_second() - jiff::Timestamp::now().as_second()) / 3600;
    assert!((23..=24).contains(&hours), "{denied:?}");
    bench.relay.stop().await;

    let text = settings_text(bench.folder.path(), &bench.sandbox, "");
    let relay = Running::start(&text).await;
    let id = send(&relay, &message(2, SCANNER, "")).await;
    ended(&relay, id, MessageState::Delivered).await;
    assert_eq!(bench.sandbox.control().stats().messages_refused, 1);

    // Somebody has granted SendAs.
    bench.sandbox.control().set_send_as(SendAs::Any);
    let queue = &relay.view.queue;
    let unknown = queue.forget_denied(Some("other"), None).await.unwrap();
    assert_eq!(unknown, 0);
    let forgotten = queue.forget_denied(None, Some("SCAN@contoso.com")).await;
    assert_eq!(forgotten.unwrap(), 1);
    assert_eq!(account(&relay).await.denied_senders, []);
    let content = message(3, SCANNER, "");
    let id = send(&relay, &content).await;
    let detail = ended(&relay, id, MessageState::Delivered).await;
    assert_eq!(detail.events, []);
    let messages = within("delivery", bench.sandbox.control().wait_for_messages(3)).await;
    let got = messages[2].content().await.unwrap();
    assert!(got.ends_with(content.as_bytes()), "as it came");
}

#[tokio::test]
async fn a_policy_to_keep_senders_fails_with_the_remedy_and_a_corrected_one_frees_the_mail() {
    let bench = strict("[account.default.sender]\npolicy = \"keep\"").await;
    let id = send(&bench.relay, &message(1, SCANNER, "")).await;
    let failed = ended(&bench.relay, id, MessageState::Failed).await;
    let reply = failed.message.last_reply.as_deref().unwrap();
    assert!(reply.starts_with("554 5.2.252 SendAsDenied; "), "{reply}");
    let rule = exorelay::delivery::explain(reply).unwrap();
    assert_eq!(rule.key, "send_as_denied");
    assert!(rule.remedy.contains("Add-RecipientPermission"));
    assert_eq!(failed.events, []);
    assert_eq!(account(&bench.relay).await.denied_senders, []);
    assert_eq!(bench.relay.delivery().state, State::Ready);

    let text = settings_text(
        bench.folder.path(),
        &bench.sandbox,
        "[account.default.sender]\npolicy = \"mailbox\"",
    );
    bench.relay.reload(&text).await.unwrap();
    let queue = bench.relay.view.queue.clone();
    let selection = exorelay::queue::Selection::Ids(vec![id]);
    let actor = exorelay::queue::Actor {
        name: "test".into(),
        through: exorelay::queue::Through::Socket,
    };
    let action = exorelay::queue::Action::Retry;
    let begun = tokio::task::spawn_blocking(move || queue.change(action, &selection, actor));
    let mut change = begun.await.unwrap().unwrap();
    while change.step().await.unwrap() {}
    // The notice of the failure may be faster.
    let is_notice = |content: &Vec<u8>| head_and_body(content).0.contains("Subject: Undelivered");
    let mut arrived = bench.delivered(1).await;
    if arrived.iter().all(is_notice) {
        arrived = bench.delivered(2).await;
    }
    arrived.retain(|content| !is_notice(content));
    assert_rewritten(&arrived[0]);
    assert_eq!(bench.sandbox.control().stats().messages_refused, 1);
}

#[tokio::test]
async fn a_rewritten_message_that_is_refused_again_fails_and_does_not_go_round() {
    let bench = Bench::start("").await;
    let control = bench.sandbox.control();
    assert!(control.documented_fault("send_as_denied", None));
    let id = send(&bench.relay, &message(1, SCANNER, "")).await;
    let failed = ended(&bench.relay, id, MessageState::Failed).await;
    assert_eq!(control.stats().messages_refused, 2);
    assert_eq!(failed.events[0].action, "rewritten");
    // From the mailbox itself there is nothing to rewrite, and no second try.
    let own = message(2, "From: relay@contoso.com\r\n", "");
    let id = send_from(&bench.relay, "relay@contoso.com", &own).await;
    ended(&bench.relay, id, MessageState::Failed).await;
    assert_eq!(control.stats().messages_refused, 3);
    let denied = account(&bench.relay).await.denied_senders;
    let addresses: Vec<_> = denied.iter().map(|one| one.address.as_str()).collect();
    assert_eq!(addresses, ["scan@contoso.com"], "not the mailbox");
}

#[tokio::test]
async fn a_signed_message_is_refused_rather_than_broken() {
    let signed =
        "DKIM-Signature: v=1; a=rsa-sha256; d=contoso.com; s=s; h=from:subject;\r\n\tbh=x; b=y\r\n";
    let bench = strict("").await;
    let control = bench.sandbox.control();
    let id = send(&bench.relay, &message(1, SCANNER, signed)).await;
    let failed = ended(&bench.relay, id, MessageState::Failed).await;
    let reply = failed.message.last_reply.as_deref().unwrap();
    assert!(reply.starts_with("554 5.2.252 SendAsDenied; "), "{reply}");
    let reason =
        "; From cannot be rewritten: the message has a DKIM signature, which that would break";
    assert!(reply.ends_with(reason), "{reply}");
    let rule = exorelay::delivery::explain(reply).unwrap();
    assert_eq!(rule.key, "from_cannot_be_rewritten");
    assert_eq!(control.stats().messages_refused, 1);

    // The next one is not even presented: refusals that repeat shut the mailbox out.
    let id = send(&bench.relay, &message(2, SCANNER, signed)).await;
    let failed = ended(&bench.relay, id, MessageState::Failed).await;
    let reply = failed.message.last_reply.as_deref().unwrap();
    assert!(reply.starts_with("550 5.7.60 From cannot be"), "{reply}");
    assert_eq!(control.stats().messages_refused, 1);
    // What is not signed is rewritten as ever.
    let id = send(&bench.relay, &message(3, SCANNER, "")).await;
    ended(&bench.relay, id, MessageState::Delivered).await;
    assert_rewritten(&bench.delivered(1).await[0]);

    let always = strict("[account.default.sender]\npolicy = \"mailbox\"").await;
    let id = send(&always.relay, &message(1, SCANNER, signed)).await;
    let failed = ended(&always.relay, id, MessageState::Failed).await;
    let reply = failed.message.last_reply.as_deref().unwrap();
    assert!(reply.starts_with("550 5.7.1 From cannot be"), "{reply}");
    assert_eq!(always.sandbox.control().stats().messages_refused, 0);
}

#[tokio::test]
async fn a_null_reverse_path_becomes_the_mailbox_and_from_stays() {
    let bench = strict("").await;
    let own = message(1, "From: relay@contoso.com\r\n", "");
    let id = send_from(&bench.relay, "", &own).await;
    let detail = ended(&bench.relay, id, MessageState::Delivered).await;
    assert_eq!(bench.sandbox.control().stats().messages_refused, 0);
    let got = &bench.sandbox.control().messages()[0];
    assert_eq!(got.reverse_path, "relay@contoso.com");
    assert!(got.content().await.unwrap().ends_with(own.as_bytes()));
    let told = detail.events[0].detail.as_deref();
    assert_eq!(
        told,
        Some("reverse-path <> replaced by <relay@contoso.com>")
    );
}

#[tokio::test]
async fn a_refused_reverse_path_leaves_an_allowed_from_alone() {
    let bench = Bench::start("").await;
    let control = bench.sandbox.control();
    let refusal = "550 5.7.60 SMTP; Client does not have permissions to send as this sender";
    let fault = exorelay::sandbox::Fault::Reply(refusal.into());
    control.smtp_fault(exorelay::sandbox::Step::Mail, fault, Some(1));
    for number in 1..=2 {
        let content = message(number, SCANNER, "");
        let id = send_from(&bench.relay, "bounces@contoso.com", &content).await;
        ended(&bench.relay, id, MessageState::Delivered).await;
        let got = &control.messages()[number as usize - 1];
        assert_eq!(got.reverse_path, "relay@contoso.com");
        assert!(got.content().await.unwrap().ends_with(content.as_bytes()));
    }
    bench.assert_clean();
}

#[tokio::test]
async fn signatures_and_names_are_added_and_large_attachments_stream_past() {
    let bench = strict(
        "[account.default.sender]\npolicy = \"keep\"\ndisplay_name = \"Contoso Relay\"\n\
         reply_to = \"help@contoso.com\"\nsignature_text = \"Contoso Ltd.\"\n",
    )
    .await;
    let line = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=".repeat(2) + "\r\n";
    let attachment = line.repeat(60_000);
    let content = format!(
        "From: relay@contoso.com\r\nDate: d\r\nMessage-ID: <1@x>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n--b\r\n\
         Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n{attachment}--b--\r\n"
    );
    let id = send_from(&bench.relay, "relay@contoso.com", &content).await;
    let detail = ended(&bench.relay, id, MessageState::Delivered).await;
    let told = detail.events[0].detail.as_deref();
    assert_eq!(
        told,
        Some("Reply-To help@contoso.com added; signature appended to the text")
    );
    let got = bench.delivered(1).await.remove(0);
    let (head, body) = head_and_body(&got);
    assert!(head.contains("Contoso Relay"), "{head}");
    assert!(head.contains("\r\nReply-To: "), "{head}");
    let signed = "--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n\r\nContoso Ltd.\r\n--b\r\n";
    assert!(body.starts_with(signed.as_bytes()));
    let unchanged = content.split_once("Hello\r\n").unwrap().1;
    assert!(body.ends_with(unchanged.as_bytes()));
    // No octet more than was announced.
    bench.assert_clean();
}
