//! What a careless client is told, and what is recorded of it.

use super::support::{Client, MAILBOX, start, token, violations, xoauth2};

#[tokio::test]
async fn bare_newlines_are_refused_and_recorded() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut client = Client::authenticated(&sandbox).await;
    let refusal = "550 5.6.11 SMTPSEND.BareLinefeedsAreIllegal; ";
    client.message("a\nb\r\n.\r\n", refusal).await;
    client.message("a\rb\r\n.\r\n", refusal).await;
    // Not the end of data, and so no second command is smuggled in.
    client
        .message("a\r\n.\nMAIL FROM:<x@y>\r\n.\r\n", refusal)
        .await;
    client
        .message("a\n.\r\nMAIL FROM:<x@y>\r\n.\r\n", refusal)
        .await;
    client.send("NOOP\n").await;
    client.expect("500 5.5.2 ").await;
    client.message("a\r\n.\r\n", "250 2.0.0 OK").await;
    assert_eq!(sandbox.control().messages().len(), 1);
    let violations = violations(&sandbox);
    assert_eq!(violations[0], "a bare CR or LF in line 1 of the content");
    assert_eq!(violations[2], "a bare CR or LF in line 2 of the content");
    assert_eq!(violations.last().unwrap(), "a command with a bare CR or LF");
}

#[tokio::test]
async fn a_dot_that_was_not_doubled_is_refused() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut client = Client::authenticated(&sandbox).await;
    client
        .message(
            "Subject: x\r\n\r\n.x\r\n.\r\n",
            "554 5.6.0 Invalid message content",
        )
        .await;
    assert_eq!(
        violations(&sandbox),
        ["line 3 of the content begins with a dot that was not doubled"]
    );
}

#[tokio::test]
async fn eight_bit_content_and_a_wrong_size_are_recorded_only() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut client = Client::authenticated(&sandbox).await;
    client.message("ü\r\n.\r\n", "250 2.0.0 OK").await;
    client
        .ask("MAIL FROM:<a@b.example> SIZE=3 BODY=8BITMIME", "250")
        .await;
    client.ask("RCPT TO:<a@b.example>", "250").await;
    client.ask("DATA", "354").await;
    client.ask("ü\r\n.", "250").await;
    assert_eq!(
        violations(&sandbox),
        [
            "an 8-bit octet in line 1 of the content, without BODY=8BITMIME",
            "4 octets of content, announced as SIZE=3"
        ]
    );
}

#[tokio::test]
async fn a_header_value_over_32768_octets_is_refused() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut client = Client::authenticated(&sandbox).await;
    let folds = "\r\n x".repeat(20_000);
    client
        .message(
            format!("References: x{folds}\r\n\r\nbody\r\n.\r\n"),
            "554 5.6.211 Invalid MIME Content",
        )
        .await;
    let value = "x".repeat(32_768);
    client
        .message(
            format!("X-Long:{value}\r\n\r\nbody\r\n.\r\n"),
            "250 2.0.0 OK",
        )
        .await;
    client
        .message(
            format!("X-Long: {value}\r\n\r\nbody\r\n.\r\n"),
            "554 5.6.211 ",
        )
        .await;
}

#[tokio::test]
async fn commands_out_of_order_are_refused_and_recorded() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut client = Client::open(&sandbox).await;
    client.expect("220").await;
    client
        .ask("MAIL FROM:<a@b.example>", "503 5.5.2 Send hello first")
        .await;
    client.ask("STARTTLS", "503 5.5.2").await;
    client.ask("EHLO x", "250").await;
    client
        .ask("AUTH XOAUTH2", "504 5.7.4 Unrecognized authentication type")
        .await;
    client
        .ask(
            "MAIL FROM:<a@b.example>",
            "530 5.7.57 Client not authenticated to send mail.",
        )
        .await;
    let unknown = client
        .ask(
            "XPLODE now",
            "500 5.3.3 Unrecognized command 'XPLODE' [SANDBOX.",
        )
        .await;
    assert!(unknown.ends_with("]\r\n"));
    drop(client);

    let mut client = Client::authenticated(&sandbox).await;
    client
        .ask("RCPT TO:<a@b.example>", "503 5.5.2 Need mail command")
        .await;
    client.ask("DATA", "503 5.5.2 Need mail command").await;
    client.ask("MAIL FROM:<a@b.example>", "250").await;
    client
        .ask(
            "MAIL FROM:<a@b.example>",
            "503 5.5.2 Sender already specified",
        )
        .await;
    client.ask("DATA", "503 5.5.2 Need rcpt command").await;
    client.ask("AUTH XOAUTH2", "503 5.5.1").await;
    client.ask("STARTTLS", "503 5.5.2").await;
    client
        .ask("BDAT 3 LAST", "500 5.3.3 Unrecognized command 'BDAT'")
        .await;
    client.ask("MAIL FROM: <a@b.example>", "501 5.5.4").await;
    assert_eq!(sandbox.control().stats().violations, 13);
}

#[tokio::test]
async fn the_rest_of_a_refused_group_is_no_violation() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut client = Client::authenticated(&sandbox).await;
    let group = "MAIL FROM:<a@b.example> SIZE=999999999\r\nRCPT TO:<a@b.example>\r\nDATA\r\n";
    client.send(group).await;
    client
        .expect("552 5.3.4 Message size exceeds fixed maximum message size")
        .await;
    client.expect("503 5.5.2 Need mail").await;
    client.expect("503 5.5.2 Need mail").await;
    client
        .send("MAIL FROM:<a@b.example>\r\nRCPT TO:<fault+5.1.1@b.example>\r\nDATA\r\n")
        .await;
    client.expect("250").await;
    client.expect("550 5.1.1 RESOLVER.ADR.RecipNotFound").await;
    client.expect("503 5.5.2 Need rcpt").await;
    assert_eq!(violations(&sandbox), [""; 0]);
}

#[tokio::test]
async fn octets_sent_ahead_are_recorded_and_end_the_session_at_starttls() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut client = Client::authenticated(&sandbox).await;
    client.ask("MAIL FROM:<a@b.example>", "250").await;
    client.ask("RCPT TO:<a@b.example>", "250").await;
    client.send("DATA\r\na\r\n.\r\n").await;
    client.expect("354").await;
    client.expect("250").await;
    assert_eq!(
        violations(&sandbox),
        ["octets behind a command that must be the last of its group"]
    );

    let mut client = Client::open(&sandbox).await;
    client.expect("220").await;
    client.ask("EHLO x", "250").await;
    client.send("STARTTLS\r\nEHLO injected\r\n").await;
    client.expect_closed().await;
    assert_eq!(sandbox.control().stats().violations, 2);
}

#[tokio::test]
async fn credentials_are_checked() {
    let (sandbox, _folder) =
        start(|settings| settings.mailboxes = vec!["Relay@contoso.com".to_owned()]).await;
    let token = token(&sandbox);
    let mut client = Client::secured(&sandbox).await;
    let refusal = "535 5.7.3 Authentication unsuccessful [SANDBOX.outlook.office365.com ";
    for response in [
        xoauth2(MAILBOX, "made.up.token"),
        xoauth2("other@contoso.com", &token),
        xoauth2("relay", &token),
        "not base64".replace(' ', ""),
    ] {
        client
            .ask(&format!("AUTH XOAUTH2 {response}"), refusal)
            .await;
    }
    client.ask("AUTH xoauth2 eA==", "504 5.7.4").await;
    client.ask("AUTH PLAIN eA==", "504 5.7.4").await;
    client.ask("AUTH LOGIN", "334 VXNlcm5hbWU6").await;
    client.ask("eA==", "334 UGFzc3dvcmQ6").await;
    client
        .ask(
            "eA==",
            "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
        )
        .await;
    client.ask("AUTH XOAUTH2", "334 ").await;
    client.ask("*", "501 5.7.0").await;
    client.ask("MAIL FROM:<a@b.example>", "530 5.7.57").await;
    let good = format!("AUTH XOAUTH2 {}", xoauth2(MAILBOX, &token));
    client.ask(&good, "235").await;
    let stats = sandbox.control().stats();
    assert_eq!((stats.authenticated, stats.authentications_refused), (1, 5));

    sandbox.control().revoke_tokens();
    Client::secured(&sandbox).await.ask(&good, refusal).await;
}

#[tokio::test]
async fn too_many_errors_close_the_connection() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut client = Client::open(&sandbox).await;
    client.expect("220").await;
    client.send("JUNK\r\n".repeat(50)).await;
    for _ in 0..50 {
        client.expect("500 5.3.3").await;
    }
    client
        .expect("421 4.7.0 Too many errors on this connection")
        .await;
    client.expect_closed().await;
}
