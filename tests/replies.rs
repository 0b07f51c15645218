//! What Exchange answers at the end of data stops the account and never harms a message.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::ops::ControlFlow;
use std::time::Duration;

use exorelay::admin::{AccountState, AccountStatus, StatusSource as _};
use exorelay::delivery::State;
use exorelay::queue::{Filter, MessageRecord, MessageState};
use exorelay::sandbox::{Fault, Step, TokenFault};
use support::{Bench, Running, settings_text, until, within};

const CONTENT: &str = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\nbody\r\n";

async fn send(relay: &Running, listener: &str, to: &[&str]) {
    let mut client = support::Client::connect(relay.address_of(listener)).await;
    client.expect("EHLO device", "250").await;
    client.send("a@contoso.com", to, CONTENT).await;
}

fn listed(relay: &Running, state: MessageState) -> Vec<MessageRecord> {
    let mut records = Vec::new();
    let filter = Filter {
        state: Some(state),
        ..Filter::default()
    };
    let reader = relay.view.queue.reader();
    let each = |record| {
        records.push(record);
        ControlFlow::Continue(())
    };
    reader.list(&filter, each).unwrap();
    records
}

async fn account(relay: &Running, number: usize) -> AccountStatus {
    relay.view.status().await.accounts.remove(number)
}

fn order(bench: &Bench, name: &str) {
    assert!(
        bench.sandbox.control().documented_fault(name, None),
        "{name}"
    );
}

/// One message meets the reply `name` at the end of data.
async fn paused_by(name: &str) -> Bench {
    let bench = Bench::start("").await;
    order(&bench, name);
    for _ in 0..2 {
        send(&bench.relay, "local", &["b@contoso.com"]).await;
    }
    until("the pause", || bench.relay.delivery().trouble.is_some()).await;
    until("every lease to come back", || {
        listed(&bench.relay, MessageState::Ready).len() == 2
    })
    .await;
    bench
}

async fn recovers(bench: &Bench) {
    bench.delivered(2).await;
    until("recovery", || bench.relay.delivery().state == State::Ready).await;
    until("settlement", || bench.relay.view.queue.used() == (0, 0)).await;
    assert_eq!(listed(&bench.relay, MessageState::Failed).len(), 0);
    assert_eq!(listed(&bench.relay, MessageState::Delivered).len(), 2);
}

#[tokio::test]
async fn limits_of_the_service_throttle_the_account_until_they_have_passed() {
    for (name, first_pause) in [
        ("submission_quota_exceeded", 15),
        ("sender_throttled_send_as", 60),
        ("connections_exceeded", 1),
        ("tenant_external_quota", 15),
    ] {
        let bench = paused_by(name).await;
        let shown = account(&bench.relay, 0).await;
        assert_eq!(shown.state, AccountState::Throttled, "{name}");
        assert_eq!(shown.rule.as_deref(), Some(name));
        assert!(shown.why.is_some() && shown.remedy.is_some(), "{name}");
        let waiting = listed(&bench.relay, MessageState::Ready);
        assert!(waiting.iter().all(|one| one.attempts == 0), "{waiting:?}");

        // A reload is no reason to knock again: that prolongs it.
        let refused = bench.sandbox.control().stats().messages_refused;
        let text = settings_text(bench.folder.path(), &bench.sandbox, "");
        bench.relay.reload(&text).await.unwrap();
        assert_eq!(bench.sandbox.control().stats().messages_refused, refused);

        bench.sandbox.control().clear_faults();
        support::jump(Duration::from_mins(first_pause).mul_f64(1.3)).await;
        recovers(&bench).await;
    }
}

#[tokio::test]
async fn a_missing_right_blocks_the_account_until_somebody_has_given_it() {
    for name in [
        "mailbox_access_missing",
        "sender_mailbox_full",
        "sender_restricted",
    ] {
        let bench = paused_by(name).await;
        let shown = account(&bench.relay, 0).await;
        assert_eq!(shown.state, AccountState::Blocked, "{name}");
        assert_eq!(shown.rule.as_deref(), Some(name));
        let waiting = listed(&bench.relay, MessageState::Ready);
        assert!(waiting.iter().all(|one| one.attempts == 0), "{waiting:?}");

        // The first probe fails, and is none of the message's attempts either.
        let refused = bench.sandbox.control().stats().messages_refused;
        support::jump(Duration::from_hours(1)).await;
        until("the probe", || {
            bench.sandbox.control().stats().messages_refused > refused
                && listed(&bench.relay, MessageState::Ready).len() == 2
        })
        .await;
        let waiting = listed(&bench.relay, MessageState::Ready);
        assert!(waiting.iter().all(|one| one.attempts == 0), "{waiting:?}");

        // Who reloads has acted, and is answered at once.
        bench.sandbox.control().clear_faults();
        let text = settings_text(bench.folder.path(), &bench.sandbox, "");
        let changes = bench.relay.reload(&text).await.unwrap();
        assert_eq!(changes.to_string(), "nothing has changed");
        recovers(&bench).await;
    }
}

#[tokio::test]
async fn googles_error_challenge_is_answered_and_told() {
    let bench = paused_by("google_token_refused").await;
    let shown = account(&bench.relay, 0).await;
    assert_eq!(shown.rule.as_deref(), Some("google_token_refused"));
    assert_eq!(
        shown.reason.as_deref(),
        Some(
            "535 5.7.8 Username and Password not accepted (status 400, schemes Bearer, scope \
             https://mail.google.com/)"
        )
    );
    // An empty line, and nothing else.
    assert_eq!(bench.sandbox.control().violations(), []);
    bench.sandbox.control().clear_faults();
    let text = settings_text(bench.folder.path(), &bench.sandbox, "");
    bench.relay.reload(&text).await.unwrap();
    recovers(&bench).await;
}

#[tokio::test]
async fn a_from_that_is_not_allowed_fails_its_message_and_pauses_nothing() {
    let bench = Bench::start("").await;
    send(&bench.relay, "local", &["fault+send-as-denied@contoso.com"]).await;
    until("the failure", || {
        listed(&bench.relay, MessageState::Failed).len() == 1
    })
    .await;
    send(&bench.relay, "local", &["b@contoso.com"]).await;
    bench.delivered(1).await;
    assert_eq!(bench.relay.delivery().state, State::Ready);
    let failed = listed(&bench.relay, MessageState::Failed);
    let reply = failed.first().unwrap().last_reply.as_deref().unwrap();
    assert!(reply.starts_with("554 5.2.252 SendAsDenied; "), "{reply}");
    assert!(reply.ends_with("PROD.OUTLOOK.COM]"), "kept whole: {reply}");
}

#[tokio::test]
async fn a_refused_message_is_not_presented_again_in_parts() {
    let bench = Bench::start("recipients_per_message = 1").await;
    let to = ["fault+5.3.4@contoso.com", "b@contoso.com", "c@contoso.com"];
    send(&bench.relay, "local", &to).await;
    until("the failure", || {
        listed(&bench.relay, MessageState::Failed).len() == 1
    })
    .await;
    let stats = bench.sandbox.control().stats();
    assert_eq!((stats.messages, stats.messages_refused), (0, 1));
    let failed = listed(&bench.relay, MessageState::Failed).remove(0);
    assert!(failed.recipients.iter().all(|one| {
        let reply = one.reply.as_deref();
        reply.is_some_and(|reply| reply.starts_with("552 5.3.4"))
    }));
}

#[tokio::test]
async fn recipients_over_the_limit_follow_at_once_in_transactions_of_their_own() {
    let folder = tempfile::TempDir::new().unwrap();
    exorelay::tls::install_provider();
    let mut settings = exorelay::sandbox::Settings::new(folder.path().join("sandbox"));
    settings.limits = exorelay::sandbox::Limits {
        recipients_per_message: 2,
        ..exorelay::sandbox::Limits::unpaced()
    };
    let sandbox = exorelay::sandbox::Sandbox::start(settings).await.unwrap();
    let relay = Running::start(&settings_text(folder.path(), &sandbox, "")).await;
    let to = [
        "1@x.example",
        "2@x.example",
        "fault+5.1.1@x.example",
        "3@x.example",
        "4@x.example",
        "5@x.example",
    ];
    send(&relay, "local", &to).await;
    within("delivery", sandbox.control().wait_for_messages(3)).await;
    until("settlement", || {
        listed(&relay, MessageState::Failed).len() == 1
    })
    .await;
    let groups: Vec<_> = sandbox
        .control()
        .messages()
        .iter()
        .map(|message| message.recipients.clone())
        .collect();
    assert_eq!(
        groups,
        [
            vec!["1@x.example", "2@x.example"],
            // No larger than what was taken before: one of the two is refused for a reason of its own.
            vec!["3@x.example"],
            vec!["4@x.example", "5@x.example"]
        ]
    );
    let record = listed(&relay, MessageState::Failed).remove(0);
    let last = record.last_reply.as_deref().unwrap_or_default();
    assert!(
        last.starts_with("550 "),
        "a listing tells what went wrong: {last}"
    );
    assert_eq!(record.attempts, 1, "all of it is one attempt");
    relay.stop().await;
}

#[tokio::test]
async fn a_server_that_drains_costs_a_new_connection_and_no_attempt() {
    for (step, reply) in [
        (Step::Mail, "421 4.3.2 Service not active"),
        (Step::Mail, "451 4.7.0 Timeout waiting for client input"),
        (
            Step::EndOfData,
            "451 4.7.0 Temporary server error. Please try again later. PRX4",
        ),
        (
            Step::Auth,
            "451 4.7.0 Temporary server error. Please try again later. PRX2",
        ),
        (Step::EndOfData, "421 4.3.2 Service not active"),
    ] {
        let bench = Bench::start("").await;
        let control = bench.sandbox.control();
        control.smtp_fault(step, Fault::Reply(reply.into()), Some(1));
        send(&bench.relay, "local", &["b@contoso.com"]).await;
        bench.delivered(1).await;
        until("settlement", || {
            listed(&bench.relay, MessageState::Delivered).len() == 1
        })
        .await;
        let record = listed(&bench.relay, MessageState::Delivered).remove(0);
        assert_eq!(record.attempts, 1, "{reply}");
        assert_eq!(bench.relay.delivery().last_error, None, "{reply}");
    }
}

#[tokio::test]
async fn a_proxy_that_keeps_refusing_pauses_the_account() {
    let bench = paused_by("proxy_refused").await;
    let shown = account(&bench.relay, 0).await;
    assert_eq!(shown.state, AccountState::Paused);
    assert!(shown.remedy.unwrap().contains("Add-MailboxPermission"));
    let waiting = listed(&bench.relay, MessageState::Ready);
    assert!(waiting.iter().all(|one| one.attempts == 0), "{waiting:?}");
    bench.sandbox.control().clear_faults();
    support::jump(Duration::from_mins(2)).await;
    recovers(&bench).await;
}

#[tokio::test]
async fn a_probe_whose_own_recipients_are_refused_proves_nothing() {
    let bench = paused_by("submission_quota_exceeded").await;
    let control = bench.sandbox.control();
    // The next message never gets as far as the quota.
    control.smtp_fault(Step::Rcpt, Fault::Reply("550 5.1.1 nobody".into()), Some(1));
    support::jump(Duration::from_mins(20)).await;
    until("the probe", || {
        listed(&bench.relay, MessageState::Failed).len() == 1
    })
    .await;
    until("the verdict", || {
        bench
            .relay
            .delivery()
            .trouble
            .is_some_and(|trouble| !trouble.is_probing)
    })
    .await;
    assert_eq!(bench.relay.delivery().state, State::Throttled);
    control.clear_faults();
    support::jump(Duration::from_mins(2)).await;
    bench.delivered(1).await;
    until("recovery", || bench.relay.delivery().state == State::Ready).await;
}

#[tokio::test]
async fn a_quota_of_the_tenant_pauses_its_other_accounts_too() {
    let bench = Bench::start("").await;
    bench.relay.stop().await;
    let text = settings_text(bench.folder.path(), &bench.sandbox, "");
    // The same account once more, with another mailbox and a listener of its own.
    let (_, section) = text.split_once("[account.default]").unwrap();
    let other = format!(
        "[account.other]{}\n[listener.other]\naddress = \"127.0.0.1:0\"\naccount = \"other\"\n",
        section
            .replace("account.default", "account.other")
            .replace("relay@contoso.com", "other@contoso.com")
    );
    let text = text.replace(
        "[listener.local]",
        "[listener.local]\naccount = \"default\"",
    ) + &other;
    let relay = Running::start(&text).await;
    let control = bench.sandbox.control();
    assert!(control.documented_fault("tenant_external_quota", Some(1)));
    send(&relay, "local", &["b@contoso.com"]).await;
    let state = |number: usize| {
        let shown = relay.view.now();
        let account = shown.accounts.get(number).unwrap();
        account.delivery.borrow().state
    };
    until("both pauses", || {
        state(0) == State::Throttled && state(1) == State::Throttled
    })
    .await;
    assert_eq!(
        account(&relay, 1).await.rule.as_deref(),
        Some("tenant_external_quota")
    );
    send(&relay, "other", &["b@contoso.com"]).await;
    assert_eq!(control.messages().len(), 0);
    // The one that met it finds out first, and the other follows at once.
    support::jump(Duration::from_mins(30)).await;
    within("delivery", control.wait_for_messages(2)).await;
    until("both are well", || {
        state(0) == State::Ready && state(1) == State::Ready
    })
    .await;
    relay.stop().await;
}

#[tokio::test]
async fn a_token_that_was_refused_is_being_replaced_and_the_account_says_so() {
    let bench = Bench::start("").await;
    send(&bench.relay, "local", &["b@contoso.com"]).await;
    bench.delivered(1).await;
    let control = bench.sandbox.control();
    control.revoke_tokens();
    let requests = control.stats().token_requests;
    let slow = TokenFault::Slow(Duration::from_secs(20));
    control.token_fault(Some(slow), Some(1));
    // A new connection is needed for the service to notice.
    control.smtp_fault(Step::Mail, Fault::Disconnect, Some(1));
    send(&bench.relay, "local", &["b@contoso.com"]).await;
    until("the refresh", || {
        bench.relay.delivery().state == State::Refreshing
    })
    .await;
    assert_eq!(
        account(&bench.relay, 0).await.state,
        AccountState::Refreshing
    );
    until("the request", || control.stats().token_requests > requests).await;
    support::jump(Duration::from_secs(21)).await;
    bench.delivered(2).await;
    until("readiness", || bench.relay.delivery().state == State::Ready).await;
}

#[tokio::test]
async fn replies_that_no_rule_knows_are_counted_and_shown() {
    let bench = Bench::start("").await;
    let to = [
        "fault+5.9.9@contoso.com",
        "fault+5.9.9@contoso.net",
        "b@contoso.com",
    ];
    send(&bench.relay, "local", &to).await;
    bench.delivered(1).await;
    until("the count", || {
        bench.relay.delivery().unknown_replies.count == 2
    })
    .await;
    let shown = account(&bench.relay, 0).await;
    assert_eq!(
        (shown.state, shown.unknown_replies),
        (AccountState::Ready, 2)
    );
    assert!(shown.last_unknown_reply.unwrap().starts_with("550 5.9.9 "));
}
