//! The limits of a mailbox are kept across restarts, accounts and parts of messages.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::path::Path;

use exorelay::admin::{AccountState, AccountStatus, StatusSource};
use exorelay::queue::{Filter, MessageRecord, RecipientState};
use exorelay::sandbox::{Excess, Fault, Limits, Sandbox, Settings, Step};
use support::daemon::Daemon;
use support::{Client, Running, settings_text, until, within};
use tempfile::TempDir;

const CONTENT: &str = "Subject: x\r\n\r\nhello\r\n";

/// A sandbox that counts as Exchange does, and answers at once all the same.
async fn strict_sandbox(folder: &Path) -> Sandbox {
    exorelay::tls::install_provider();
    let mut settings = Settings::new(folder.join("sandbox"));
    settings.limits = Limits {
        excess: Excess::Count,
        ..Limits::default()
    };
    Sandbox::start(settings).await.unwrap()
}

fn paced(folder: &Path, sandbox: &Sandbox, pace: &str) -> String {
    settings_text(folder, sandbox, "").replace("messages_per_minute = 0", pace)
}

async fn send(mut client: Client, messages: usize, to: &[&str]) {
    client.expect("HELO device", "250").await;
    for _ in 0..messages {
        client.send("a@contoso.com", to, CONTENT).await;
    }
}

async fn arrived(sandbox: &Sandbox, count: u64) {
    within("delivery", sandbox.control().wait_for_messages(count)).await;
}

async fn account(relay: &Running) -> AccountStatus {
    relay.view.status().await.accounts.remove(0)
}

fn records(relay: &Running) -> Vec<MessageRecord> {
    let mut records = Vec::new();
    let listed = relay.view.queue.reader().list(&Filter::default(), |one| {
        records.push(one);
        std::ops::ControlFlow::Continue(())
    });
    listed.unwrap();
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_mid_minute_gives_no_second_minute() {
    let folder = TempDir::new().unwrap();
    let sandbox = strict_sandbox(folder.path()).await;
    let config = folder.path().join("exorelay.toml");
    let text = paced(folder.path(), &sandbox, "messages_per_minute = 30");
    std::fs::write(&config, text).unwrap();
    let mut daemon = Daemon::start(&config);
    send(daemon.client().await, 60, &["b@contoso.com"]).await;
    for moment in [4, 11, 17] {
        arrived(&sandbox, moment).await;
        daemon.kill();
        until("the sandbox to notice", || {
            sandbox.control().stats().connections == 0
        })
        .await;
        daemon = Daemon::start(&config);
    }
    let admin = folder.path().join("queue/admin.sock");
    let admin = exorelay::admin::Client::new(&admin).unwrap();
    within("the minute to be full", async {
        loop {
            let status = admin.status().await.unwrap();
            let pace = &status.accounts[0].pace;
            let is_sending = status.queue.counts["default"].contains_key("sending");
            if pace.messages_last_minute == 30 && !is_sending {
                assert_eq!(pace.messages_per_minute, 30);
                assert!(pace.queued >= 30);
                let waiting = pace.waiting_until.unwrap();
                assert!(pace.drained_at.unwrap() >= waiting);
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    let stats = sandbox.control().stats();
    assert_eq!(stats.over_rate, 0, "{stats:?}");
    assert!(stats.mailbox_connections_max <= 3, "{stats:?}");
    // Each kill cost what was under way, and no more.
    assert!(stats.messages >= 12, "{stats:?}");
    daemon.kill();
}

#[tokio::test]
async fn parts_of_a_message_are_messages_to_the_service() {
    let folder = TempDir::new().unwrap();
    let sandbox = strict_sandbox(folder.path()).await;
    let pace = "messages_per_minute = 2\nrecipients_per_message = 2";
    let relay = Running::start(&paced(folder.path(), &sandbox, pace)).await;
    let five = ["a@x.com", "b@x.com", "c@x.com", "d@x.com", "e@x.com"];
    send(relay.client().await, 1, &five).await;
    arrived(&sandbox, 2).await;
    until("the minute to be full", || {
        relay.pace().messages_last_minute == 2 && relay.delivery().busy == 0
    })
    .await;
    let messages = sandbox.control().messages();
    let got: Vec<_> = messages.iter().flat_map(|one| &one.recipients).collect();
    assert_eq!(got, five[..4].iter().collect::<Vec<_>>());
    let record = records(&relay).remove(0);
    let states: Vec<_> = record.recipients.iter().map(|one| one.state).collect();
    assert_eq!(states[..4], [RecipientState::Delivered; 4]);
    assert_eq!(states[4], RecipientState::Pending);
    assert_eq!(record.attempts, 0, "waiting for the rest is no failure");
    relay.stop().await;
}

#[tokio::test]
async fn a_day_that_is_used_up_keeps_mail_over_restarts_until_there_is_room() {
    let folder = TempDir::new().unwrap();
    let sandbox = strict_sandbox(folder.path()).await;
    let text = |per_day: u32| {
        let pace = format!("messages_per_minute = 30\nrecipients_per_day = {per_day}");
        paced(folder.path(), &sandbox, &pace)
    };
    let two = ["a@x.com", "b@x.com"];
    let mut relay = Running::start(&text(3)).await;
    send(relay.client().await, 2, &two).await;
    arrived(&sandbox, 1).await;
    for _ in 0..2 {
        within("the day to be used up", async {
            while account(&relay).await.state != AccountState::Throttled {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
        let shown = account(&relay).await;
        assert_eq!((shown.pace.recipients_last_day, shown.pace.queued), (2, 1));
        let until = shown.pace.waiting_until.unwrap();
        let wait = until.duration_since(jiff::Timestamp::now());
        assert!((23..=24).contains(&wait.as_hours()), "{wait}");
        assert_eq!(shown.next_probe_at, None);
        assert!(shown.reason.unwrap().contains("recipients_per_day"));
        relay.stop().await;
        relay = Running::start(&text(3)).await;
    }
    let waiting = records(&relay).remove(0);
    assert_eq!((waiting.attempts, waiting.last_reply), (0, None));
    relay.reload(&text(4)).await.unwrap();
    arrived(&sandbox, 2).await;
    until("the settlement", || relay.view.queue.used() == (0, 0)).await;
    assert_eq!(account(&relay).await.state, AccountState::Ready);
    relay.stop().await;
}

#[tokio::test]
async fn accounts_that_name_one_mailbox_share_its_limits() {
    let folder = TempDir::new().unwrap();
    let sandbox = strict_sandbox(folder.path()).await;
    let first = paced(folder.path(), &sandbox, "messages_per_minute = 5");
    let account = &first[first.find("[account.default]").unwrap()..];
    let second = account
        .replace("account.default", "account.second")
        .replace("relay@contoso.com", "Relay@Contoso.COM");
    let listener = "[listener.second]\naddress = \"127.0.0.1:0\"\naccount = \"second\"\n";
    let text = format!("{first}\n{listener}{second}");
    let relay = Running::start(&text).await;
    send(relay.client().await, 4, &["b@x.com"]).await;
    let client = Client::connect(relay.address_of("second")).await;
    send(client, 4, &["b@x.com"]).await;
    arrived(&sandbox, 5).await;
    until("the minute to be full", || {
        let shown = relay.view.now();
        let is_idle = shown
            .accounts
            .iter()
            .all(|account| account.delivery.borrow().busy == 0);
        is_idle && relay.pace().messages_last_minute == 5
    })
    .await;
    for account in &relay.view.status().await.accounts {
        assert_eq!(account.pace.messages_last_minute, 5, "{}", account.name);
        assert_eq!(account.pace.queued, 3, "{}", account.name);
    }
    let stats = sandbox.control().stats();
    assert_eq!(stats.messages, 5);
    assert!(stats.mailbox_connections_max <= 3, "{stats:?}");
    // One of them goes: what it has used is still the mailbox's.
    relay.reload(&first).await.unwrap();
    assert_eq!(relay.pace().messages_last_minute, 5);
    relay.stop().await;
}

#[tokio::test]
async fn a_refused_connection_means_one_fewer() {
    let folder = TempDir::new().unwrap();
    let sandbox = strict_sandbox(folder.path()).await;
    let text = paced(folder.path(), &sandbox, "messages_per_minute = 30");
    let relay = Running::start(&text).await;
    until("the dispatcher", || relay.pace().connections_max == 3).await;
    let reply = "432 4.3.2 Concurrent connections limit exceeded.".to_owned();
    let control = sandbox.control();
    control.smtp_fault(Step::EndOfData, Fault::Reply(reply), Some(1));
    send(relay.client().await, 1, &["b@x.com"]).await;
    until("one connection fewer", || relay.pace().connections_max == 2).await;
    relay.stop().await;
}
