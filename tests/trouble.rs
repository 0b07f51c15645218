//! Upstream and Entra misbehave; no acknowledged message is lost, none is blamed for it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail as tests do"
)]

mod support;

use exorelay::delivery::Cause;
use exorelay::queue::{Filter, MessageRecord, MessageState};
use exorelay::sandbox::{Fault, Step, TokenFault};
use support::{Bench, Running, settings_text, until, within};

const CONTENT: &str = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\nbody\r\n";

async fn send(relay: &Running, to: &[&str]) -> String {
    let mut client = relay.client().await;
    client.expect("EHLO device", "250").await;
    client.send("a@contoso.com", to, CONTENT).await
}

fn listed(relay: &Running, state: MessageState) -> Vec<MessageRecord> {
    let mut records = Vec::new();
    let filter = Filter {
        state: Some(state),
        account: None,
        ..Filter::default()
    };
    relay
        .view
        .queue
        .reader()
        .list(&filter, |record| {
            records.push(record);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    records
}

fn cause(relay: &Running) -> Option<Cause> {
    let status = relay.delivery();
    status.trouble.as_ref().map(|trouble| trouble.cause)
}

#[tokio::test]
async fn a_token_endpoint_that_is_away_only_delays_mail() {
    let cases = [
        TokenFault::Off,
        TokenFault::Cut,
        TokenFault::Html,
        TokenFault::Garbage,
        TokenFault::RefuseSecret,
        TokenFault::Throttle {
            retry_after: Some(1),
        },
    ];
    // Side by side: each waits out a pause or two.
    let tasks = cases.map(|fault| tokio::spawn(mail_survives(fault)));
    for task in tasks {
        task.await.unwrap();
    }
}

async fn mail_survives(fault: TokenFault) {
    let folder = tempfile::TempDir::new().unwrap();
    let sandbox = support::sandbox(folder.path()).await;
    sandbox.control().token_fault(Some(fault.clone()), None);
    let relay = Running::start(&settings_text(folder.path(), &sandbox, "")).await;
    send(&relay, &["b@contoso.com"]).await;
    until("the pause", || cause(&relay) == Some(Cause::Token)).await;
    let waiting = listed(&relay, MessageState::Ready);
    assert_eq!(waiting.len(), 1, "{fault:?}");
    assert_eq!(waiting[0].attempts, 0, "no attempt is used up by {fault:?}");
    sandbox.control().clear_faults();
    within("delivery", sandbox.control().wait_for_messages(1)).await;
    until("recovery", || cause(&relay).is_none()).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_revoked_token_is_replaced_without_a_pause() {
    let bench = Bench::start("").await;
    send(&bench.relay, &["b@contoso.com"]).await;
    bench.delivered(1).await;
    let requests = bench.sandbox.control().stats().token_requests;
    bench.sandbox.control().revoke_tokens();
    // A new connection is needed for the service to notice.
    bench
        .sandbox
        .control()
        .smtp_fault(Step::Mail, Fault::Disconnect, Some(1));
    send(&bench.relay, &["b@contoso.com"]).await;
    bench.delivered(2).await;
    assert_eq!(bench.sandbox.control().stats().token_requests, requests + 1);
    assert_eq!(listed(&bench.relay, MessageState::Failed).len(), 0);
}

#[tokio::test]
async fn a_refused_authentication_pauses_the_account_and_keeps_the_mail() {
    let bench = Bench::start("").await;
    let refusal = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled \
         for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.";
    bench
        .sandbox
        .control()
        .smtp_fault(Step::Auth, Fault::Reply(refusal.into()), None);
    for _ in 0..5 {
        send(&bench.relay, &["b@contoso.com"]).await;
    }
    until("the pause", || {
        cause(&bench.relay) == Some(Cause::Authentication)
    })
    .await;
    until("every lease to come back", || {
        listed(&bench.relay, MessageState::Ready).len() == 5
    })
    .await;
    let status = bench.relay.delivery();
    assert!(
        status
            .trouble
            .unwrap()
            .reason
            .contains("SmtpClientAuthentication is disabled")
    );
    assert!(
        listed(&bench.relay, MessageState::Ready)
            .iter()
            .all(|record| record.attempts == 0)
    );
}

#[tokio::test]
async fn an_upstream_that_disconnects_at_any_step_loses_nothing() {
    let cases = [
        Step::Connect,
        Step::Greeting,
        Step::Ehlo,
        Step::StartTls,
        Step::Handshake,
        Step::Auth,
        Step::Mail,
        Step::Rcpt,
        Step::Data,
        Step::Content,
        Step::EndOfData,
    ];
    let tasks = cases.map(|step| tokio::spawn(mail_survives_a_disconnect_at(step)));
    for task in tasks {
        task.await.unwrap();
    }
}

async fn mail_survives_a_disconnect_at(step: Step) {
    let bench = Bench::start("").await;
    bench
        .sandbox
        .control()
        .smtp_fault(step, Fault::Disconnect, Some(1));
    send(&bench.relay, &["b@contoso.com"]).await;
    let delivered = bench.delivered(1).await;
    assert!(delivered[0].ends_with(CONTENT.as_bytes()), "{step:?}");
    until("settlement", || bench.relay.view.queue.used() == (0, 0)).await;
    bench.relay.stop().await;
    assert_eq!(bench.sandbox.control().messages().len(), 1, "{step:?}");
}

#[tokio::test]
async fn a_reply_lost_after_the_final_dot_means_a_second_copy_with_the_same_message_id() {
    let bench = Bench::start("").await;
    bench
        .sandbox
        .control()
        .smtp_fault(Step::EndOfData, Fault::DisconnectAfterAccept, Some(1));
    send(&bench.relay, &["b@contoso.com"]).await;
    bench.delivered(2).await;
    let messages = bench.sandbox.control().messages();
    assert_eq!(messages[0].message_id, messages[1].message_id);
    let deferred = bench.relay.view.queue.used().0;
    assert!(deferred <= 1);
}

#[tokio::test]
async fn recipients_are_decided_one_by_one() {
    let bench = Bench::start("").await;
    let to = ["b@contoso.com", "fault+5.1.1@contoso.com", "c@contoso.com"];
    send(&bench.relay, &to).await;
    bench.delivered(1).await;
    let message = &bench.sandbox.control().messages()[0];
    assert_eq!(message.recipients, ["b@contoso.com", "c@contoso.com"]);
    until("settlement", || {
        listed(&bench.relay, MessageState::Failed).len() == 1
    })
    .await;
    let failed = &listed(&bench.relay, MessageState::Failed)[0];
    let states: Vec<_> = failed
        .recipients
        .iter()
        .map(|one| format!("{:?}", one.state))
        .collect();
    assert_eq!(states, ["Delivered", "Failed", "Delivered"]);
    assert!(
        failed.recipients[1]
            .reply
            .as_deref()
            .unwrap()
            .starts_with("550 5.1.1"),
        "{failed:?}"
    );
}

#[tokio::test]
async fn an_untrusted_certificate_is_never_accepted() {
    let bench = Bench::start("").await;
    bench.relay.stop().await;
    let other = tempfile::TempDir::new().unwrap();
    let stranger = support::sandbox(other.path()).await;
    let text = settings_text(bench.folder.path(), &bench.sandbox, "").replace(
        &bench.sandbox.ca_file().display().to_string(),
        &stranger.ca_file().display().to_string(),
    );
    let relay = Running::start(&text).await;
    send(&relay, &["b@contoso.com"]).await;
    until("the pause", || cause(&relay) == Some(Cause::Network)).await;
    let reason = relay.delivery().trouble.clone().unwrap().reason;
    assert!(reason.contains("certificate is not trusted"), "{reason}");
    relay.stop().await;
    assert_eq!(bench.sandbox.control().messages().len(), 0);
    // With the right file the same message goes out.
    let _relay = Running::start(&settings_text(bench.folder.path(), &bench.sandbox, "")).await;
    within("delivery", bench.sandbox.control().wait_for_messages(1)).await;
}

#[tokio::test]
async fn mail_waits_on_disk_while_the_relay_is_away() {
    let bench = Bench::start("").await;
    bench
        .sandbox
        .control()
        .token_fault(Some(TokenFault::Off), None);
    bench.relay.stop().await;
    let text = settings_text(bench.folder.path(), &bench.sandbox, "");
    let relay = Running::start(&text).await;
    let id = send(&relay, &["b@contoso.com"]).await;
    relay.stop().await;
    bench.sandbox.control().clear_faults();
    let relay = Running::start(&text).await;
    within("delivery", bench.sandbox.control().wait_for_messages(1)).await;
    until("settlement", || {
        listed(&relay, MessageState::Delivered).len() == 1
    })
    .await;
    assert_eq!(listed(&relay, MessageState::Delivered)[0].id, id);
}

#[tokio::test]
async fn a_stop_lets_the_transaction_end_and_then_says_so() {
    let bench = Bench::start("").await;
    let mut idle = bench.relay.client().await;
    idle.expect("EHLO device", "250").await;
    let mut client = bench.relay.client().await;
    client.expect("EHLO device", "250").await;
    client.expect("MAIL FROM:<a@contoso.com>", "250").await;
    client.expect("RCPT TO:<b@contoso.com>", "250").await;
    client.expect("DATA", "354").await;
    let stopping = tokio::spawn(bench.relay.stop());
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    client.write(format!("{CONTENT}.\r\n").as_bytes()).await;
    let reply = client.reply().await;
    assert!(reply.starts_with("250 2.0.0 Ok: queued as "), "{reply}");
    assert!(client.reply().await.starts_with("421 4.3.2"));
    within("the drain", stopping).await.unwrap();
    // Accepted while stopping: it is there after the next start.
    let _relay = Running::start(&settings_text(bench.folder.path(), &bench.sandbox, "")).await;
    within("delivery", bench.sandbox.control().wait_for_messages(1)).await;
}

#[tokio::test]
async fn the_pace_is_kept() {
    let bench = Bench::start("").await;
    bench.relay.stop().await;
    let text = settings_text(bench.folder.path(), &bench.sandbox, "")
        .replace("messages_per_minute = 0", "messages_per_minute = 5");
    let relay = Running::start(&text).await;
    for _ in 0..8 {
        send(&relay, &["b@contoso.com"]).await;
    }
    within("delivery", bench.sandbox.control().wait_for_messages(5)).await;
    until("the window to be full", || {
        relay.pace().messages_last_minute == 5 && relay.delivery().busy == 0
    })
    .await;
    assert_eq!(listed(&relay, MessageState::Ready).len(), 3);
    assert_eq!(bench.sandbox.control().messages().len(), 5);
}
