//! What Exchange Online limits.

use std::time::Duration;

use super::support::{Client, start, until, violations};
use crate::sandbox::Excess;

#[tokio::test]
async fn the_fourth_connection_of_a_mailbox_cannot_submit() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::authenticated(&sandbox).await);
    }
    let refusal = clients[3]
        .message(
            "a\r\n.\r\n",
            "432 4.3.2 Concurrent connections limit exceeded. ",
        )
        .await;
    assert_eq!(
        refusal,
        "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more \
         information. [Hostname=SANDBOX.sandbox.PROD.OUTLOOK.COM]\r\n"
    );
    clients[2].message("a\r\n.\r\n", "250").await;
    assert_eq!(sandbox.control().stats().mailbox_connections_max, 4);
    clients[0].ask("QUIT", "221").await;
    clients[0].expect_closed().await;
    until(|| sandbox.control().stats().connections == 3).await;
    clients[3].message("a\r\n.\r\n", "250").await;
}

#[tokio::test]
async fn recipients_over_the_limit_are_put_off() {
    let (sandbox, _folder) = start(|settings| settings.limits.recipients_per_message = 2).await;
    let mut client = Client::authenticated(&sandbox).await;
    client.ask("MAIL FROM:<a@b.example>", "250").await;
    client.ask("RCPT TO:<1@b.example>", "250").await;
    client.ask("RCPT TO:<2@b.example>", "250").await;
    client
        .ask("RCPT TO:<3@b.example>", "452 4.5.3 Too many recipients\r\n")
        .await;
    client.ask("DATA", "354").await;
    client.ask("a\r\n.", "250").await;
    assert_eq!(sandbox.control().messages()[0].recipients.len(), 2);
}

#[tokio::test]
async fn content_over_the_limit_is_read_and_refused() {
    let (sandbox, folder) =
        start(|settings| settings.limits.message_size_max_bytes = 400_000).await;
    let mut client = Client::authenticated(&sandbox).await;
    let line = format!("{}\r\n", "x".repeat(98));
    let over = format!("{}x\r\n.\r\n", line.repeat(4_000));
    client
        .message(
            over,
            "552 5.3.4 Message size exceeds fixed maximum message size\r\n",
        )
        .await;
    client
        .message(format!("{}.\r\n", line.repeat(4_000)), "250")
        .await;
    let names = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!((names, sandbox.control().stats().messages_refused), (3, 1));
}

#[tokio::test]
async fn messages_over_the_rate_are_slowed_into_the_next_minute() {
    let (sandbox, _folder) = start(|settings| settings.limits.messages_per_minute = 2).await;
    let mut client = Client::authenticated(&sandbox).await;
    client.message("a\r\n.\r\n", "250").await;
    client.message("b\r\n.\r\n", "250").await;
    assert_eq!(sandbox.control().stats().over_rate, 0);
    client.envelope().await;
    client.send("c\r\n.\r\n").await;
    until(|| sandbox.control().stats().over_rate == 1).await;
    assert_eq!(sandbox.control().messages().len(), 2);
    let before = tokio::time::Instant::now();
    tokio::time::pause();
    let reply = client.reply_without_limit().await.unwrap();
    assert!(reply.starts_with("250 2.0.0 OK"), "{reply}");
    assert!(before.elapsed() > Duration::from_secs(30));
    let messages = sandbox.control().messages();
    assert!(messages[2].received <= before);
}

#[tokio::test]
async fn messages_over_the_rate_can_be_refused_or_only_counted() {
    let (sandbox, _folder) = start(|settings| {
        settings.limits.messages_per_minute = 1;
        settings.limits.excess = Excess::Refuse;
    })
    .await;
    let mut client = Client::authenticated(&sandbox).await;
    client.message("a\r\n.\r\n", "250").await;
    client
        .message(
            "b\r\n.\r\n",
            "451 4.7.500 Server busy. Please try again later",
        )
        .await;
    let (sandbox, _folder) = start(|settings| {
        settings.limits.messages_per_minute = 1;
        settings.limits.excess = Excess::Count;
    })
    .await;
    let mut client = Client::authenticated(&sandbox).await;
    client.message("a\r\n.\r\n", "250").await;
    client.message("b\r\n.\r\n", "250").await;
    assert_eq!(sandbox.control().stats().over_rate, 1);
}

#[tokio::test]
async fn a_silent_client_is_told_and_closed() {
    let (sandbox, _folder) =
        start(|settings| settings.idle_timeout = Duration::from_millis(50)).await;
    let mut client = Client::open(&sandbox).await;
    client.expect("220").await;
    client
        .expect("451 4.7.0 Timeout waiting for client input\r\n")
        .await;
    client.expect_closed().await;
    assert_eq!(violations(&sandbox), [""; 0]);
}

#[tokio::test]
async fn an_authentication_line_may_have_12288_octets() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut client = Client::secured(&sandbox).await;
    client
        .ask(
            &format!("AUTH XOAUTH2 {}", "A".repeat(12_288 - 13)),
            "535 5.7.3",
        )
        .await;
    client
        .ask(
            &format!("AUTH XOAUTH2 {}", "A".repeat(12_288 - 12)),
            "500 5.5.6 Line too long",
        )
        .await;
    client
        .ask(
            &format!("NOOP {}", "A".repeat(506)),
            "500 5.5.2 Line too long",
        )
        .await;
    client
        .ask(&format!("NOOP {}", "A".repeat(505)), "250")
        .await;
}
