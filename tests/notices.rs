//! Mail fails; whoever sent it is told, once.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use exorelay::queue::{MessageDetail, MessageState, QueueId};
use mail_parser::{MessageParser, MimeHeaders};
use support::{Bench, Running, settings_text, until, within};

const CONTENT: &str =
    "From: a@contoso.com\r\nSubject: Scan\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\nA secret\r\n";

async fn send(relay: &Running, from: &str, to: &[&str]) -> String {
    let mut client = relay.client().await;
    client.expect("EHLO device", "250").await;
    client.send(from, to, CONTENT).await
}

fn show(relay: &Running, id: &str) -> MessageDetail {
    let id = QueueId::parse(id).unwrap();
    relay.view.queue.reader().show(id).unwrap().unwrap()
}

async fn state(relay: &Running, id: &str, state: MessageState) {
    until("the end of the message", || {
        show(relay, id).message.state == state
    })
    .await;
}

/// The id in what the history says of the notice.
fn notice_of(detail: &MessageDetail) -> Option<String> {
    let event = detail
        .events
        .iter()
        .find(|event| event.action == "notice")?;
    let words = event
        .detail
        .as_deref()?
        .strip_prefix("of its failure, sent as ")?;
    Some(words.split(' ').next()?.to_owned())
}

#[tokio::test]
async fn the_sender_of_mail_that_fails_gets_a_notice_through_the_same_account() {
    let bench = Bench::start("").await;
    let to = [
        "b@contoso.com",
        "fault+5.1.10@contoso.com",
        "fault+5.7.54@contoso.com",
    ];
    let id = send(&bench.relay, "a@contoso.com", &to).await;
    let contents = bench.delivered(2).await;
    let messages = bench.sandbox.control().messages();
    assert_eq!(messages[0].recipients, ["b@contoso.com"]);
    assert_eq!(messages[1].recipients, ["a@contoso.com"]);
    assert_eq!(messages[1].reverse_path, "relay@contoso.com");
    assert_eq!(messages[1].mailbox, "relay@contoso.com");
    let notice = MessageParser::new().parse(&contents[1]).unwrap();
    assert_eq!(notice.subject(), Some("Undelivered: Scan"));
    assert_eq!(notice.in_reply_to().as_text(), Some("1@device"));
    assert_eq!(notice.content_type().unwrap().subtype(), Some("report"));
    let report = String::from_utf8_lossy(notice.parts[2].contents()).into_owned();
    let report = report.replace("\r\n ", " ");
    assert!(
        report.contains("Reporting-MTA: dns; relay.test\r\n"),
        "{report}"
    );
    for (address, status) in [("fault+5.1.10", "5.1.10"), ("fault+5.7.54", "5.7.54")] {
        let fields =
            format!("rfc822; {address}@contoso.com\r\nAction: failed\r\nStatus: {status}\r\n");
        assert!(report.contains(&fields), "{fields} in\n{report}");
    }
    assert!(!String::from_utf8_lossy(&contents[1]).contains("A secret"));

    let detail = show(&bench.relay, &id);
    let notice_id = notice_of(&detail).unwrap();
    state(&bench.relay, &notice_id, MessageState::Delivered).await;
    let notice = show(&bench.relay, &notice_id);
    assert_eq!(notice.message.account, "default");
    assert_eq!(notice.message.message_id, messages[1].message_id);
    assert_eq!(
        notice.events[0].detail,
        Some(format!("of the failure of {id}"))
    );
    bench.assert_clean();
}

#[tokio::test]
async fn a_notice_that_fails_too_is_the_last_word() {
    let bench = Bench::start("").await;
    // The sender's own address is refused.
    let id = send(
        &bench.relay,
        "fault+5.1.1@contoso.com",
        &["fault+5.1.10@contoso.com"],
    )
    .await;
    until("the notice", || {
        notice_of(&show(&bench.relay, &id)).is_some()
    })
    .await;
    let notice = notice_of(&show(&bench.relay, &id)).unwrap();
    state(&bench.relay, &notice, MessageState::Failed).await;
    // What comes later overtakes whatever there were to tell.
    let later = send(&bench.relay, "a@contoso.com", &["fault+5.1.1@contoso.com"]).await;
    until("the next notice", || {
        notice_of(&show(&bench.relay, &later)).is_some()
    })
    .await;
    assert_eq!(notice_of(&show(&bench.relay, &notice)), None);
    assert_eq!(
        show(&bench.relay, &notice).message.state,
        MessageState::Failed
    );
    within("delivery", bench.sandbox.control().wait_for_messages(1)).await;
    let messages = bench.sandbox.control().messages();
    assert_eq!(messages[0].recipients, ["a@contoso.com"]);
}

#[tokio::test]
async fn a_reload_changes_who_is_told_and_a_restart_tells_what_was_left() {
    let bench = Bench::start("[bounce]\nto = \"none\"").await;
    let silent = send(&bench.relay, "a@contoso.com", &["fault+5.1.1@contoso.com"]).await;
    state(&bench.relay, &silent, MessageState::Failed).await;
    // Once nothing is owed any more, nobody will ever be told.
    let reader = bench.relay.view.queue.reader();
    until("the failure to be passed over", || {
        reader.owing("default", None, 1).unwrap().is_empty()
    })
    .await;
    let to_admin = "[bounce]\nto = \"admin@contoso.com\"";
    let text = settings_text(bench.folder.path(), &bench.sandbox, to_admin);
    let changes = bench.relay.reload(&text).await.unwrap();
    assert_eq!(changes.to_string(), "failure notices changed");
    send(&bench.relay, "a@contoso.com", &["fault+5.1.1@contoso.com"]).await;
    bench.delivered(1).await;
    assert_eq!(
        bench.sandbox.control().messages()[0].recipients,
        ["admin@contoso.com"]
    );
    assert_eq!(notice_of(&show(&bench.relay, &silent)), None);

    // Mail fails while the relay drains, and whoever sent it is told after the next start.
    bench.relay.stop().await;
    let queue = exorelay::queue::Queue::open(queue_settings(&text)).unwrap();
    fail_one(&queue).await;
    tokio::task::spawn_blocking(move || queue.close())
        .await
        .unwrap();
    let _relay = Running::start(&text).await;
    let messages = within("delivery", bench.sandbox.control().wait_for_messages(2)).await;
    assert_eq!(messages[1].recipients, ["admin@contoso.com"]);
}

fn queue_settings(text: &str) -> exorelay::queue::Settings {
    let path = std::path::Path::new("test.toml");
    let loaded = exorelay::config::load_text(path, text, std::iter::empty(), &[]);
    loaded.unwrap().settings.queue_part()
}

/// A message goes in and fails, with nobody there to tell of it.
async fn fail_one(queue: &exorelay::queue::Queue) {
    use exorelay::mail::{BodyType, Envelope, Mailbox, ReversePath};
    use exorelay::queue::{Disposition, Origin, RecipientOutcome, Retry, Settlement, Submission};
    let mut draft = queue.draft(None).unwrap();
    draft.append(CONTENT.as_bytes()).await.unwrap();
    let from = ReversePath::parse("a@contoso.com").unwrap();
    let to = Mailbox::parse("b@contoso.com").unwrap();
    let submission = Submission {
        envelope: Envelope::to_one(from, to, BodyType::SevenBit, false),
        account: "default".into(),
        origin: Origin::default(),
        subject: None,
        message_id: None,
    };
    let receipt = draft.commit(submission).await.unwrap();
    let lease = queue.lease("default", 1).await.unwrap().leases.remove(0);
    assert_eq!(lease.id, receipt.queue_id());
    let refused = "550 5.1.1 no such user".to_owned();
    let settlement = Settlement {
        recipients: vec![RecipientOutcome {
            number: 0,
            disposition: Disposition::Failed,
            reply: refused.clone(),
        }],
        retry: Retry::Scheduled,
        started_at: std::time::SystemTime::now(),
        remote: "localhost".into(),
        connection: None,
        transactions: 1,
        uncertain: false,
        reply: refused,
        note: None,
    };
    lease.settle(queue, settlement).await.unwrap();
}

#[tokio::test]
async fn three_thousand_recipients_with_ten_bad_ones_make_one_notice() {
    let bench = Bench::start("").await;
    bench.relay.stop().await;
    let text = settings_text(bench.folder.path(), &bench.sandbox, "").replace(
        "address = \"127.0.0.1:0\"",
        "address = \"127.0.0.1:0\"\nmax_recipients = 3000",
    );
    let relay = Running::start(&text).await;
    let addresses: Vec<String> = (0..3_000)
        .map(|n| match n % 300 {
            7 => format!("fault+5.1.1@d{n}.example"),
            _ => format!("r{n}@contoso.com"),
        })
        .collect();
    let to: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let id = send(&relay, "a@contoso.com", &to).await;
    // Six transactions of 500 recipients, and the notice.
    let messages = within("delivery", bench.sandbox.control().wait_for_messages(7)).await;
    let (notices, parts): (Vec<_>, Vec<_>) = messages
        .iter()
        .partition(|message| message.recipients == ["a@contoso.com"]);
    assert_eq!(notices.len(), 1);
    assert_eq!(
        parts
            .iter()
            .map(|part| part.recipients.len())
            .sum::<usize>(),
        2_990
    );
    let content = notices[0].content().await.unwrap();
    let text = String::from_utf8(content).unwrap();
    assert_eq!(text.matches("Action: failed").count(), 10);
    assert!(text.contains("2990 other recipients have got the message."));
    assert!(notice_of(&show(&relay, &id)).is_some());
    relay.stop().await;
}
