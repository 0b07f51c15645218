//! What a careful client sees.

use tokio::net::TcpStream;

use super::support::{Client, MAILBOX, connector, start, token, violations, xoauth2};
use crate::sandbox::{Sandbox, Settings, StartError, Store};

#[tokio::test]
async fn a_whole_session_reads_like_exchange_online() {
    let (sandbox, folder) = start(|_| {}).await;
    let mut client = Client::open(&sandbox).await;
    let greeting = client
        .expect("220 SANDBOX.outlook.office365.com Microsoft ESMTP MAIL Service ready at ")
        .await;
    assert!(greeting.ends_with("]\r\n"), "{greeting}");
    let ehlo = client.ask("EHLO client.example", "250-").await;
    assert_eq!(
        ehlo,
        "250-SANDBOX.outlook.office365.com Hello [127.0.0.1]\r\n250-SIZE 157286400\r\n250-PIPELINING\r\n250-DSN\r\n\
         250-ENHANCEDSTATUSCODES\r\n250-STARTTLS\r\n250-8BITMIME\r\n250-BINARYMIME\r\n250-CHUNKING\r\n250 SMTPUTF8\r\n"
    );
    client
        .ask("STARTTLS", "220 2.0.0 SMTP server ready\r\n")
        .await;
    let mut client = client.start_tls(&sandbox).await;
    let ehlo = client.ask("EHLO client.example", "250-").await;
    assert!(
        ehlo.contains("\r\n250-AUTH LOGIN XOAUTH2\r\n") && !ehlo.contains("STARTTLS"),
        "{ehlo}"
    );
    client.ask("AUTH XOAUTH2", "334 \r\n").await;
    client
        .ask(
            &xoauth2(MAILBOX, &token(&sandbox)),
            "235 2.7.0 Authentication successful\r\n",
        )
        .await;

    // One pipelined group, then content and the next message's group in one piece.
    client
        .send(
            "MAIL FROM:<relay@contoso.com> SIZE=60 BODY=8BITMIME\r\nRCPT TO:<kim@fabrikam.com>\r\n\
             RCPT TO:<lee@fabrikam.com> NOTIFY=NEVER\r\nDATA\r\n",
        )
        .await;
    for start in [
        "250 2.1.0 Sender OK\r\n",
        "250 2.1.5 Recipient OK\r\n",
        "250 2.1.5 ",
        "354 Start mail input; end with <CRLF>.<CRLF>\r\n",
    ] {
        client.expect(start).await;
    }
    client
        .send("Message-ID: <a@b.example>\r\n\r\n..dot\r\nü\r\n.\r\nRSET\r\nMAIL FROM:<>\r\nRCPT TO:<kim@fabrikam.com>\r\nDATA\r\n")
        .await;
    client
        .expect("250 2.0.0 OK <a@b.example> [Hostname=SANDBOX.sandbox.PROD.OUTLOOK.COM]\r\n")
        .await;
    for start in ["250 2.0.0 Resetting\r\n", "250 2.1.0", "250 2.1.5", "354 "] {
        client.expect(start).await;
    }
    client.send(".\r\n").await;
    client.expect("250 2.0.0 OK <").await;
    client
        .ask("QUIT", "221 2.0.0 Service closing transmission channel\r\n")
        .await;
    client.expect_closed().await;

    let messages = sandbox.control().wait_for_messages(2).await;
    assert_eq!(messages.len(), 2);
    assert_eq!(
        messages[0].recipients,
        ["kim@fabrikam.com", "lee@fabrikam.com"]
    );
    assert_eq!(
        (
            messages[0].mailbox.as_str(),
            messages[0].number,
            messages[0].connection
        ),
        (MAILBOX, 1, 1)
    );
    assert_eq!(messages[1].reverse_path, "");
    let content = std::fs::read_to_string(folder.path().join("000001.eml")).unwrap();
    assert_eq!(content, "Message-ID: <a@b.example>\r\n\r\n.dot\r\nü\r\n");
    assert_eq!(messages[0].size_bytes, content.len() as u64);
    assert_eq!(
        messages[0].file.as_deref(),
        Some(folder.path().join("000001.eml").as_path())
    );
    let envelope = std::fs::read(folder.path().join("000001.json")).unwrap();
    let envelope: serde_json::Value = serde_json::from_slice(&envelope).unwrap();
    assert_eq!(envelope["recipients"][1], "lee@fabrikam.com");
    assert_eq!(envelope["message_id"], "<a@b.example>");
    assert_eq!(violations(&sandbox), [""; 0]);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn large_content_arrives_octet_for_octet() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut client = Client::authenticated(&sandbox).await;
    let line = format!("{}\r\n", "0123456789abcdef".repeat(60));
    let content = line.repeat(3_000) + &"x".repeat(2_000_000) + "\r\n";
    client
        .message(format!("{content}.\r\n"), "250 2.0.0 OK")
        .await;
    let message = sandbox.control().wait_for_messages(1).await.remove(0);
    assert_eq!(message.content().await.unwrap(), content.as_bytes());
}

#[tokio::test]
async fn a_client_that_vanishes_in_its_content_leaves_nothing() {
    let (sandbox, folder) = start(|_| {}).await;
    let mut client = Client::authenticated(&sandbox).await;
    client.envelope().await;
    client.send("x".repeat(2_000_000)).await;
    drop(client);
    super::support::until(|| sandbox.control().stats().connections == 0).await;
    assert_eq!(sandbox.control().messages().len(), 0);
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["ca.pem"]);
}

#[tokio::test]
async fn numbers_go_on_in_a_folder_that_was_used_before() {
    let (sandbox, folder) = start(|_| {}).await;
    Client::authenticated(&sandbox)
        .await
        .message("a\r\n.\r\n", "250")
        .await;
    sandbox.shutdown().await;
    std::fs::write(folder.path().join("connection-7.part"), "half").unwrap();
    let sandbox = Sandbox::start(Settings::new(folder.path())).await.unwrap();
    Client::authenticated(&sandbox)
        .await
        .message("b\r\n.\r\n", "250")
        .await;
    assert_eq!(sandbox.control().messages()[0].number, 2);
    assert_eq!(
        std::fs::read(folder.path().join("000001.eml")).unwrap(),
        b"a\r\n"
    );
    assert!(!folder.path().join("connection-7.part").exists());
}

#[tokio::test]
async fn discarded_content_is_counted_and_not_kept() {
    let (sandbox, folder) = start(|settings| settings.store = Store::Discard).await;
    Client::authenticated(&sandbox)
        .await
        .message("a\r\n.\r\n", "250")
        .await;
    let message = sandbox.control().wait_for_messages(1).await.remove(0);
    assert_eq!((message.size_bytes, message.file.as_ref()), (3, None));
    assert!(message.content().await.is_err());
    assert!(!folder.path().join("000001.eml").exists());
}

#[tokio::test]
async fn a_client_without_the_ca_does_not_trust_the_sandbox() {
    let (sandbox, _folder) = start(|_| {}).await;
    let stream = TcpStream::connect(sandbox.smtp_address()).await.unwrap();
    let mut stream = tokio::io::BufReader::new(stream);
    for command in [&b"EHLO client.example\r\n"[..], b"STARTTLS\r\n", b""] {
        let mut line = String::new();
        while !line.contains(" ready") && !line.contains("SMTPUTF8") {
            line.clear();
            tokio::io::AsyncBufReadExt::read_line(&mut stream, &mut line)
                .await
                .unwrap();
        }
        tokio::io::AsyncWriteExt::write_all(&mut stream, command)
            .await
            .unwrap();
    }
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let refused = connector(rustls::RootCertStore::empty())
        .connect(name, stream.into_inner())
        .await;
    assert!(refused.is_err());
    super::support::until(|| sandbox.control().stats().handshakes_failed == 1).await;
}

#[tokio::test]
async fn the_sandbox_listens_on_loopback_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(folder.path());
    settings.smtp_address = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(
        Sandbox::start(settings.clone()).await,
        Err(StartError::NotLoopback { .. })
    ));
    settings.smtp_address = "127.0.0.1:0".parse().unwrap();
    settings.http_address = "[::]:0".parse().unwrap();
    assert!(matches!(
        Sandbox::start(settings.clone()).await,
        Err(StartError::NotLoopback { .. })
    ));
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    settings.http_address = taken.local_addr().unwrap();
    assert!(matches!(
        Sandbox::start(settings.clone()).await,
        Err(StartError::Bind { .. })
    ));
    settings.http_address = "127.0.0.1:0".parse().unwrap();
    settings.directory = folder.path().join("file/below");
    std::fs::write(folder.path().join("file"), "").unwrap();
    assert!(matches!(
        Sandbox::start(settings).await,
        Err(StartError::Directory { .. })
    ));
}

#[tokio::test]
async fn shutdown_closes_sessions_and_frees_the_ports() {
    let (sandbox, _folder) = start(|_| {}).await;
    let mut client = Client::authenticated(&sandbox).await;
    let mut settings = sandbox.control().settings().clone();
    settings.smtp_address = sandbox.smtp_address();
    settings.http_address = sandbox.http_address();
    sandbox.shutdown().await;
    client.expect_closed().await;
    let again = Sandbox::start(settings).await.unwrap();
    Client::authenticated(&again)
        .await
        .message("a\r\n.\r\n", "250")
        .await;
}
