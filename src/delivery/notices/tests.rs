//! Notices on a real queue, with the clock in hand.

mod bench;

use super::*;
use crate::delivery::circuit::Circuit;
use crate::delivery::trouble::Trouble;
use crate::delivery::{PausePolicy, TroubleStatus, explain};
use crate::mail::Mailbox;
use crate::queue::{Disposition, MessageState, Retry, Settlement};
use bench::{Bench, GONE, MAIL, settlement};

const NOW: Duration = Duration::ZERO;
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_sender_is_told_once_what_failed_and_why() {
    let mut bench = Bench::new(Destination::Sender);
    let id = bench.fail("scanner@contoso.com", MAIL).await;
    let sent = bench.told(NOW).await;
    let [notice] = &sent[..] else {
        panic!("one notice: {sent:?}")
    };
    assert_eq!(notice.to, "scanner@contoso.com");
    assert_eq!(notice.subject, "Undelivered: Scan");
    for words in [
        "bob@contoso.com",
        GONE,
        explain(GONE).unwrap().sentence,
        "10.20.1.15 (scanner)",
        "Final-Recipient: rfc822; bob@contoso.com",
        "Status: 5.1.10",
        "Message-ID: <1@scanner>",
    ] {
        assert!(notice.text.contains(words), "{words} in\n{}", notice.text);
    }
    assert!(
        !notice.text.contains("A secret"),
        "only the headers are returned"
    );
    let told = format!(
        "of its failure, sent as {} to scanner@contoso.com",
        notice.id
    );
    assert_eq!(bench.events(id), [told]);
    assert_eq!(bench.events(notice.id), [format!("of the failure of {id}")]);
    let shown = bench.queue.reader().show(notice.id).unwrap().unwrap();
    assert_eq!(
        (shown.listener.as_str(), shown.client.as_str()),
        ("notice", "exorelay")
    );
    assert!(bench.told(MINUTE).await.is_empty());
}

#[tokio::test]
async fn ten_bad_recipients_among_three_thousand_make_one_notice() {
    let mut bench = Bench::new(Destination::Sender);
    let to: Vec<String> = (0..3_000).map(|n| format!("r{n}@contoso.com")).collect();
    let id = bench.submit("scanner@contoso.com", &to, MAIL).await;
    let bad = |n: u32| n % 300 == 7;
    bench
        .attempt(|n| match n {
            n if bad(n) => (Disposition::Failed, GONE),
            n if n % 2 == 0 => (Disposition::Delivered, "250 2.0.0 OK"),
            _ => (Disposition::Deferred, "451 4.7.0 busy"),
        })
        .await;
    assert_eq!(bench.look(NOW).await, LOOK_INTERVAL);
    assert_eq!(bench.queue.used().0, 1, "not while some may still get it");
    assert_eq!(
        bench
            .attempt(|_| (Disposition::Delivered, "250 2.0.0 OK"))
            .await,
        id
    );
    let sent = bench.told(NOW).await;
    let [notice] = &sent[..] else {
        panic!("one notice: {}", sent.len())
    };
    assert_eq!(notice.text.matches("Final-Recipient:").count(), 10);
    assert_eq!(
        notice.text.matches("Not delivered to").count(),
        1,
        "the reply is told once"
    );
    for n in (0..3_000).filter(|n| bad(*n)) {
        assert!(
            notice.text.contains(&format!("rfc822; r{n}@contoso.com")),
            "{n}"
        );
    }
    assert!(
        notice
            .text
            .contains("2990 other recipients have got the message.")
    );
}

#[tokio::test]
async fn the_settings_say_who_is_told() {
    let mut bench = Bench::new(Destination::Nobody);
    let silent = bench.fail("scanner@contoso.com", MAIL).await;
    assert!(bench.told(NOW).await.is_empty());
    assert!(bench.events(silent).is_empty());

    let admin = Mailbox::parse("admin@contoso.com").unwrap();
    bench.apply(Destination::Mailbox(admin));
    assert!(
        bench.told(NOW).await.is_empty(),
        "what failed before is nobody's news"
    );
    bench.fail("scanner@contoso.com", MAIL).await;
    // Devices that give no reverse-path are told of to somebody at last.
    bench.fail("", MAIL).await;
    bench
        .fail(
            "cron@contoso.com",
            b"Auto-Submitted: auto-generated\r\n\r\n",
        )
        .await;
    let sent = bench.told(NOW).await;
    let to: Vec<_> = sent.iter().map(|notice| notice.to.as_str()).collect();
    assert_eq!(to, ["admin@contoso.com"; 3]);

    bench.apply(Destination::Sender);
    bench.fail("", MAIL).await;
    bench.fail("scanner@contoso.com", MAIL).await;
    let sent = bench.told(NOW).await;
    let to: Vec<_> = sent.iter().map(|notice| notice.to.as_str()).collect();
    assert_eq!(to, ["scanner@contoso.com"]);
}

#[tokio::test]
async fn nobody_is_told_of_a_notice() {
    let mut bench = Bench::new(Destination::Sender);
    bench.fail("scanner@contoso.com", MAIL).await;
    bench.look(NOW).await;
    // Our own, whatever it looks like.
    bench.attempt(|_| (Disposition::Failed, GONE)).await;
    assert!(bench.told(NOW).await.is_empty());
    let admin = Mailbox::parse("admin@contoso.com").unwrap();
    for to in [Destination::Sender, Destination::Mailbox(admin)] {
        bench.apply(to.clone());
        // And those of others.
        for header in [
            "Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n",
            "Auto-Submitted: auto-replied\r\n\r\n",
        ] {
            let id = bench
                .fail("postmaster@contoso.com", header.as_bytes())
                .await;
            assert!(bench.told(NOW).await.is_empty(), "{to:?}: {header}");
            let [why] = &bench.events(id)[..] else {
                panic!("it is said why")
            };
            assert!(why.starts_with("nobody is told of its failure: "), "{why}");
        }
    }
    bench.apply(Destination::Sender);
    let asked = b"X-Auto-Response-Suppress: All\r\n\r\n";
    bench.fail("scanner@contoso.com", asked).await;
    assert!(bench.told(NOW).await.is_empty());
}

#[tokio::test]
async fn a_crash_before_or_after_the_notice_changes_nothing() {
    let bench = Bench::new(Destination::Sender);
    let id = bench.fail("scanner@contoso.com", MAIL).await;
    let mut bench = bench.reopen().await;
    bench.look(NOW).await;
    let mut bench = bench.reopen().await;
    let sent = bench.told(NOW).await;
    assert_eq!(sent.len(), 1);
    assert_eq!(
        bench.events(sent[0].id),
        [format!("of the failure of {id}")]
    );
    let mut bench = bench.reopen().await;
    assert!(bench.told(NOW).await.is_empty());
}

#[tokio::test]
async fn what_is_too_much_for_an_address_waits_and_comes_in_one_digest() {
    let mut bench = Bench::new(Destination::Sender);
    for _ in 0..NOTICES_MAX {
        bench.fail("scanner@contoso.com", MAIL).await;
        assert_eq!(bench.told(NOW).await.len(), 1);
    }
    let mut ids = Vec::new();
    for _ in 0..60 {
        ids.push(bench.fail("scanner@contoso.com", MAIL).await);
    }
    bench.fail("other@contoso.com", MAIL).await;
    let sent = bench.told(5 * MINUTE).await;
    let to: Vec<_> = sent.iter().map(|notice| notice.to.as_str()).collect();
    assert_eq!(to, ["other@contoso.com"], "others do not wait for it");
    // It is looked again when there is room, not only by and by.
    let pause = bench.look(9 * MINUTE + MINUTE / 2).await;
    assert!(pause <= MINUTE / 2 + Duration::from_secs(5), "{pause:?}");

    // Nothing of it is known to memory alone.
    let start = bench.start;
    let mut bench = bench.reopen().await;
    bench.start = start;
    assert!(bench.told(9 * MINUTE).await.is_empty());
    let sent = bench.told(11 * MINUTE).await;
    let [digest] = &sent[..] else {
        panic!("one digest: {}", sent.len())
    };
    assert_eq!(digest.subject, "60 messages not delivered");
    assert!(digest.text.contains(&ids[49].to_string()) && digest.text.contains("and 10 more"));
    assert!(!digest.text.contains(&ids[50].to_string()));
    for id in ids {
        let told = format!(
            "of its failure, sent as {} to scanner@contoso.com",
            digest.id
        );
        assert_eq!(bench.events(id), [told]);
    }
    assert!(bench.told(12 * MINUTE).await.is_empty());
    // As many at once as would fill the room and more: one digest, at once.
    for _ in 0..=NOTICES_MAX {
        bench.fail("burst@contoso.com", MAIL).await;
    }
    let sent = bench.told(12 * MINUTE).await;
    let subjects: Vec<_> = sent.iter().map(|notice| notice.subject.as_str()).collect();
    assert_eq!(subjects, ["11 messages not delivered"]);
}

#[tokio::test]
async fn late_mail_is_told_of_once_and_only_while_the_account_is_well() {
    let mut bench = Bench::new(Destination::Sender);
    bench.settings.delay_warning = Duration::from_millis(2);
    bench.apply(Destination::Sender);
    let id = bench
        .submit("scanner@contoso.com", &["bob@contoso.com".into()], MAIL)
        .await;
    bench.queue.set_active("default", true);
    let late = || {
        bench
            .queue
            .reader()
            .overdue("default", Duration::from_millis(2), 1)
    };
    while late().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let later = Retry::After(Duration::from_hours(1));
    let lease = bench.lease_one().await;
    let deferred = Settlement {
        retry: later,
        ..settlement(&lease, |_| (Disposition::Deferred, "451 4.7.0 busy"))
    };
    lease.settle(&bench.queue, deferred).await.unwrap();
    let mut circuit = Circuit::Closed;
    let now = tokio::time::Instant::now();
    let no_route = Trouble {
        pause: PausePolicy::NETWORK,
        known: None,
        reason: "no route".into(),
        whole_tenant: false,
    };
    circuit.fail(no_route, now);
    let trouble = TroubleStatus::of(&circuit);
    bench.status.send_modify(|status| status.trouble = trouble);
    assert!(bench.told(NOW).await.is_empty());
    assert!(
        bench.told(MINUTE).await.is_empty(),
        "the operator is alarmed, the sender is not"
    );
    bench.status.send_modify(|status| status.trouble = None);
    assert!(
        bench.told(2 * MINUTE).await.is_empty(),
        "it is given time to leave"
    );
    let sent = bench.told(3 * MINUTE).await;
    let [notice] = &sent[..] else {
        panic!("one notice: {sent:?}")
    };
    assert_eq!(notice.subject, "Delayed: Scan");
    for words in [
        "Action: delayed",
        "Status: 4.7.0",
        "Will-Retry-Until: ",
        "nothing has to be done",
    ] {
        let text = notice.text.replace("\r\n", " ");
        assert!(text.contains(words), "{words} in\n{text}");
    }
    assert_eq!(bench.events(notice.id), [format!("of the delay of {id}")]);
    let mut bench = bench.reopen().await;
    bench.queue.set_active("default", true);
    assert!(bench.told(NOW).await.is_empty());
    assert!(bench.told(MINUTE).await.is_empty(), "once is enough");
}

#[tokio::test]
async fn mail_of_an_account_that_is_gone_is_told_of_when_it_is_back() {
    let mut bench = Bench::new(Destination::Sender);
    let accounts = mem::take(&mut bench.settings.accounts);
    bench.apply(Destination::Sender);
    bench.fail("scanner@contoso.com", MAIL).await;
    assert!(bench.told(NOW).await.is_empty());
    bench.settings.accounts = accounts;
    bench.apply(Destination::Sender);
    assert_eq!(bench.told(NOW).await.len(), 1);
}

#[tokio::test]
async fn notices_wait_for_room_in_the_queue() {
    let bench = Bench::new(Destination::Sender);
    bench.fail("scanner@contoso.com", MAIL).await;
    let mut bench = bench.reopen().await;
    let held = bench.queue.draft(Some((1 << 30) - 1)).unwrap();
    let waits = bench.notices.look(bench.start).await;
    assert!(matches!(waits, Err(DraftError::Full(_))), "{waits:?}");
    drop(held);
    assert_eq!(bench.told(NOW).await.len(), 1);
}

#[tokio::test]
async fn a_failure_wakes_whoever_tells() {
    let Bench {
        queue,
        notices,
        handle,
        settings,
        status,
        start,
        folder,
    } = Bench::new(Destination::Sender);
    let stop = CancellationToken::new();
    let (idle, _) = Notices::new(queue.clone(), settings.clone());
    let running = tokio::spawn(notices.run(stop.clone()));
    let bench = Bench {
        notices: idle,
        queue,
        handle,
        settings,
        status,
        start,
        folder,
    };
    bench.fail("scanner@contoso.com", MAIL).await;
    let waker = bench.queue.waker("default");
    let notice = loop {
        waker.notified().await;
        if let Some(lease) = bench.queue.lease("default", 1).await.unwrap().leases.pop() {
            break lease;
        }
    };
    assert_eq!(bench.events(notice.id).len(), 1);
    stop.cancel();
    running.await.unwrap();
    let failed = bench.queue.reader().counts().unwrap();
    assert_eq!(failed.accounts["default"][MessageState::Failed.as_str()], 1);
}
