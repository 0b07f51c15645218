//! Ordered faults, at every step.

use super::support::{Client, MAILBOX, start, token, violations, xoauth2};
use crate::sandbox::{Fault, Sandbox, Step};

fn order(sandbox: &Sandbox, step: Step, fault: Fault) {
    sandbox.control().smtp_fault(step, fault, Some(1));
}

fn reply(text: &str) -> Fault {
    Fault::Reply(text.to_owned())
}

#[tokio::test]
async fn a_reply_can_be_ordered_at_every_step() {
    let (sandbox, _folder) = start(|_| {}).await;
    for (step, text) in [
        (Step::Connect, "421 4.3.2 Service not active"),
        (Step::Greeting, "554 5.7.1 No"),
    ] {
        order(&sandbox, step, reply(text));
        let mut client = Client::open(&sandbox).await;
        client.expect(text).await;
        client.expect_closed().await;
    }
    for (step, text) in [
        (Step::Ehlo, "502 5.5.1 No"),
        (Step::StartTls, "454 4.7.0 TLS not available"),
        (Step::Handshake, "500 not TLS"),
    ] {
        order(&sandbox, step, reply(text));
    }
    let mut client = Client::open(&sandbox).await;
    client.expect("220").await;
    client.ask("EHLO x", "502 5.5.1 No\r\n").await;
    client.ask("EHLO x", "250").await;
    client.ask("STARTTLS", "454 4.7.0 TLS").await;
    client.ask("STARTTLS", "220").await;
    client.expect("500 not TLS\r\n").await;
    client.expect_closed().await;

    for (step, text) in [
        (Step::Auth, "454 4.7.0 Temporary authentication failure"),
        (
            Step::Mail,
            "451 4.7.0 Temporary server error. Please try again later. PRX2",
        ),
        (Step::Rcpt, "550 5.1.1 No"),
        (Step::Data, "451 4.3.0 No"),
        (
            Step::EndOfData,
            "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException",
        ),
    ] {
        order(&sandbox, step, reply(text));
    }
    let mut client = Client::secured(&sandbox).await;
    let auth = format!("AUTH XOAUTH2 {}", xoauth2(MAILBOX, &token(&sandbox)));
    client.ask(&auth, "454 4.7.0 ").await;
    client.ask(&auth, "235").await;
    client
        .ask("MAIL FROM:<a@b.example>", "451 4.7.0 Temp")
        .await;
    client.ask("MAIL FROM:<a@b.example>", "250").await;
    client.ask("RCPT TO:<a@b.example>", "550 5.1.1").await;
    client.ask("RCPT TO:<a@b.example>", "250").await;
    client.ask("DATA", "451 4.3.0").await;
    client.ask("DATA", "354").await;
    client.ask("a\r\n.", "554 5.2.0 STOREDRV").await;
    client.message("a\r\n.\r\n", "250").await;
    assert_eq!(sandbox.control().messages().len(), 1);
    assert_eq!(violations(&sandbox), [""; 0]);
}

#[tokio::test]
async fn words_of_a_success_can_be_replaced_and_421_closes() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut client = Client::authenticated(&sandbox).await;
    order(&sandbox, Step::Mail, reply("250-one\r\n250 two"));
    order(&sandbox, Step::EndOfData, reply("250 whatever"));
    client
        .ask("MAIL FROM:<a@b.example>", "250-one\r\n250 two\r\n")
        .await;
    client.ask("RCPT TO:<a@b.example>", "250").await;
    client.ask("DATA", "354").await;
    client.ask("a\r\n.", "250 whatever\r\n").await;
    assert_eq!(sandbox.control().messages()[0].reply, "250 whatever");
    order(&sandbox, Step::Mail, reply("421 4.3.2 Service not active"));
    client.ask("MAIL FROM:<a@b.example>", "421 4.3.2").await;
    client.expect_closed().await;
}

#[tokio::test]
async fn the_connection_can_be_closed_at_every_step() {
    let (sandbox, _folder) = start(|_| {}).await;
    for step in [Step::Connect, Step::Greeting] {
        order(&sandbox, step, Fault::Disconnect);
        Client::open(&sandbox).await.expect_closed().await;
    }
    for (step, command) in [(Step::Ehlo, "EHLO x"), (Step::StartTls, "STARTTLS")] {
        let mut client = Client::open(&sandbox).await;
        client.expect("220").await;
        if step == Step::StartTls {
            client.ask("EHLO x", "250").await;
        }
        order(&sandbox, step, Fault::Disconnect);
        client.send(format!("{command}\r\n")).await;
        client.expect_closed().await;
    }
    let mut client = Client::open(&sandbox).await;
    client.expect("220").await;
    client.ask("EHLO x", "250").await;
    order(&sandbox, Step::Handshake, Fault::Disconnect);
    client.ask("STARTTLS", "220").await;
    client.expect_closed().await;

    let mut client = Client::secured(&sandbox).await;
    order(&sandbox, Step::Auth, Fault::Disconnect);
    client.send("AUTH XOAUTH2 eA==\r\n").await;
    client.expect_closed().await;
    for (step, commands) in [
        (Step::Mail, &["MAIL FROM:<a@b.example>"][..]),
        (
            Step::Rcpt,
            &["MAIL FROM:<a@b.example>", "RCPT TO:<a@b.example>"],
        ),
        (
            Step::Data,
            &["MAIL FROM:<a@b.example>", "RCPT TO:<a@b.example>", "DATA"],
        ),
    ] {
        let mut client = Client::authenticated(&sandbox).await;
        order(&sandbox, step, Fault::Disconnect);
        client.send(commands.join("\r\n") + "\r\n").await;
        for _ in 1..commands.len() {
            client.expect("250").await;
        }
        client.expect_closed().await;
    }
    for (step, content) in [
        (Step::Content, "half"),
        (Step::Content, "a\r\n.\r\n"),
        (Step::EndOfData, "a\r\n.\r\n"),
    ] {
        let mut client = Client::authenticated(&sandbox).await;
        order(&sandbox, step, Fault::Disconnect);
        client.envelope().await;
        client.send(content).await;
        client.expect_closed().await;
    }
    assert_eq!(sandbox.control().messages().len(), 0);

    let mut client = Client::authenticated(&sandbox).await;
    order(&sandbox, Step::AfterReply, Fault::Disconnect);
    client.message("a\r\n.\r\n", "250").await;
    client.expect_closed().await;
    assert_eq!(sandbox.control().messages().len(), 1);
}

#[tokio::test]
async fn a_message_can_be_accepted_without_a_word() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut client = Client::authenticated(&sandbox).await;
    order(&sandbox, Step::EndOfData, Fault::DisconnectAfterAccept);
    client.envelope().await;
    client.send("a\r\n.\r\n").await;
    client.expect_closed().await;
    assert_eq!(sandbox.control().wait_for_messages(1).await.len(), 1);
}

#[tokio::test]
async fn a_hanging_session_ends_when_the_client_leaves() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut client = Client::authenticated(&sandbox).await;
    order(&sandbox, Step::Rcpt, Fault::Hang);
    client
        .send("MAIL FROM:<a@b.example>\r\nRCPT TO:<a@b.example>\r\nRSET\r\n")
        .await;
    client.expect("250 2.1.0 Sender OK").await;
    let silence = tokio::time::timeout(
        std::time::Duration::from_millis(20),
        client.reply_without_limit(),
    )
    .await;
    assert!(silence.is_err());
    assert_eq!(sandbox.control().stats().connections, 1);
    drop(client);
    super::support::until(|| sandbox.control().stats().connections == 0).await;
}

#[tokio::test]
async fn recipients_choose_their_fault() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut client = Client::authenticated(&sandbox).await;
    client.ask("MAIL FROM:<a@b.example>", "250").await;
    client
        .ask(
            "RCPT TO:<fault+4.3.2@b.example>",
            "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded",
        )
        .await;
    client
        .ask("RCPT TO:<fault+5.7.139@b.example>", "535 5.7.139 ")
        .await;
    client
        .ask("RCPT TO:<fault+account-locked@b.example>", "535 5.7.139 ")
        .await;
    client.ask("RCPT TO:<fault+5.2.252@b.example>", "250").await;
    client.ask("RCPT TO:<kim@b.example>", "250").await;
    client.ask("DATA", "354").await;
    let refusal = client.ask("a\r\n.", "554 5.2.252 SendAsDenied; ").await;
    assert!(
        refusal.ends_with("[Hostname=SANDBOX.sandbox.PROD.OUTLOOK.COM]\r\n"),
        "{refusal}"
    );
    client.message("a\r\n.\r\n", "250").await;
    client.ask("MAIL FROM:<a@b.example>", "250").await;
    client
        .ask("RCPT TO:<fault+server_draining@b.example>", "421 4.3.2 ")
        .await;
    client.expect_closed().await;
}

#[tokio::test]
async fn documented_replies_come_where_exchange_gives_them() {
    let (sandbox, _folder) = start(|_| {}).await;
    let control = sandbox.control();
    assert!(control.documented_fault("conditional-access", Some(1)));
    assert!(control.documented_fault("5.7.233", Some(1)));
    assert!(!control.documented_fault("no_such_reply", None));
    let mut client = Client::secured(&sandbox).await;
    let auth = format!("AUTH XOAUTH2 {}", xoauth2(MAILBOX, &token(&sandbox)));
    client.ask(&auth, "535 5.7.139 ").await;
    client.ask(&auth, "235").await;
    client.message("a\r\n.\r\n", "550 5.7.233 - Your").await;
    client.message("a\r\n.\r\n", "250").await;
}
