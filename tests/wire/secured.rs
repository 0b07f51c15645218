//! Commands put in front of a TLS handshake by somebody on the way (CVE-2011-0411 and its kin): nothing of the plain
//! part reaches the encrypted one.

use std::path::PathBuf;

use tempfile::TempDir;

use super::case::HEAD;
use crate::support::{Bench, Client, until};

struct Secured {
    bench: Bench,
    folder: TempDir,
    come: u64,
}

impl Secured {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(
            folder.path().join("key.pem"),
            made.signing_key.serialize_pem(),
        )
        .unwrap();
        let section = |tls: &str| {
            let folder = folder.path().display();
            format!(
                "[listener.{tls}]\naddress = \"127.0.0.1:0\"\ntls = \"{tls}\"\nmax_errors = 3\n\
                 certificate = \"{folder}/cert.pem\"\nprivate_key = \"{folder}/key.pem\"\n"
            )
        };
        let bench = Bench::start(&[section("optional"), section("required")].concat()).await;
        Self {
            bench,
            folder,
            come: 0,
        }
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    async fn client(&self, listener: &str) -> Client {
        Client::connect(self.bench.relay.address_of(listener)).await
    }

    /// One honest message gets through, and it is the only one.
    async fn serves(&mut self, mut client: Client) {
        let content = format!("{HEAD}well\r\n");
        client
            .send("well@contoso.com", &["b@contoso.com"], &content)
            .await;
        client.expect("QUIT", "221").await;
        self.come += 1;
        self.bench.delivered(self.come).await;
        let messages = self.bench.sandbox.control().messages();
        assert_eq!(messages.len() as u64, self.come);
        assert!(
            messages
                .iter()
                .all(|one| one.reverse_path == "well@contoso.com")
        );
    }

    async fn end(self) {
        let queue = &self.bench.relay.view.queue;
        until("an empty queue", || queue.used() == (0, 0)).await;
        self.bench.assert_clean();
        self.bench.relay.stop().await;
    }
}

#[tokio::test]
async fn what_stands_behind_starttls_is_never_read() {
    let mut relay = Secured::start().await;
    let transaction = format!(
        "EHLO evil\r\nMAIL FROM:<evil@contoso.com>\r\nRCPT TO:<b@contoso.com>\r\nDATA\r\n{HEAD}evil\r\n.\r\n"
    );
    let long = "x".repeat(3000);
    for listener in ["optional", "required"] {
        for behind in [
            "",
            "NOOP\r\n",
            "EHLO evil\r\n",
            "RSET\r\nQUIT\r\n",
            "QUIT\r\n",
            "STARTTLS\r\n",
            "AUTH PLAIN AGV2aWwAZXZpbA==\r\n",
            "AUTH LOGIN\r\nZXZpbA==\r\nZXZpbA==\r\n",
            "MAIL FROM:<evil@contoso.com>\nRCPT TO:<b@contoso.com>\nDATA\n",
            // Without an end, in the hope that the next line completes it.
            "MAIL FROM:<evil@contoso",
            "NO",
            &long,
            "GET / HTTP/1.1\r\n\r\n",
            &transaction,
        ] {
            let mut client = relay.client(listener).await;
            client.expect("EHLO plain", "250").await;
            let mut client = client
                .start_tls(&relay.certificate(), behind.as_bytes())
                .await;
            // The first reply is to the first line that came under TLS.
            client.expect("RCPT TO:<b@contoso.com>", "503 5.5.1").await;
            client.expect("DATA", "503 5.5.1").await;
            let offered = client.expect("EHLO device", "250-relay.test").await;
            assert!(!offered.contains("STARTTLS"), "{behind:?}: {offered}");
            relay.serves(client).await;
        }
    }
    relay.end().await;
}

#[tokio::test]
async fn what_was_said_before_starttls_is_forgotten() {
    let mut relay = Secured::start().await;
    for before in [
        &["EHLO plain"][..],
        &["HELO plain"],
        &["EHLO plain", "MAIL FROM:<evil@contoso.com>"],
        &[
            "EHLO plain",
            "MAIL FROM:<evil@contoso.com>",
            "RCPT TO:<evil@contoso.com>",
        ],
        &["MAIL FROM:<evil@contoso.com>", "RCPT TO:<evil@contoso.com>"],
    ] {
        let mut client = relay.client("optional").await;
        for line in before {
            client.expect(line, "250").await;
        }
        let mut client = client.start_tls(&relay.certificate(), b"").await;
        client.expect("RCPT TO:<b@contoso.com>", "503 5.5.1").await;
        client.expect("DATA", "503 5.5.1").await;
        client.expect("STARTTLS", "503 5.5.1").await;
        // Without a name of its own.
        relay.serves(client).await;
        let content = relay.bench.delivered(relay.come).await.pop().unwrap();
        assert!(
            content.starts_with(b"Received: from unknown "),
            "{before:?}"
        );
    }
    relay.end().await;
}

#[tokio::test]
async fn a_handshake_that_fails_ends_the_session() {
    let mut relay = Secured::start().await;
    for instead in [
        &b"MAIL FROM:<evil@contoso.com>\r\nRCPT TO:<b@contoso.com>\r\nDATA\r\n"[..],
        b"\r\n",
        b"\x16\x03\x01\x00\x05MAIL FROM",
        b"\x15\x03\x03\x00\x02\x02\x28",
    ] {
        let mut client = relay.client("optional").await;
        client.expect("EHLO plain", "250").await;
        client.expect("STARTTLS", "220 2.0.0").await;
        client.write(instead).await;
        // Perhaps an alert, never a reply.
        let mut rest = Vec::new();
        let _ = client.try_write(b"NOOP\r\nQUIT\r\n").await;
        rest.extend(client.rest().await.into_bytes());
        assert!(!rest.first().is_some_and(u8::is_ascii_digit), "{rest:?}");
    }
    let mut client = relay.client("optional").await;
    client.expect("EHLO device", "250").await;
    relay.serves(client).await;
    relay.end().await;
}

#[tokio::test]
async fn a_listener_that_requires_tls_takes_nothing_without() {
    let mut relay = Secured::start().await;
    let mut client = relay.client("required").await;
    client.expect("EHLO plain", "250").await;
    for (line, reply) in [
        ("MAIL FROM:<evil@contoso.com>", "530 5.7.0"),
        ("RCPT TO:<b@contoso.com>", "530 5.7.0"),
        ("STARTTLS now", "501 5.5.4"),
        // Errors count on through the handshake: it is the same client.
        ("NOOP", "250"),
    ] {
        client.expect(line, reply).await;
    }
    let mut client = client.start_tls(&relay.certificate(), b"").await;
    client.expect("XYZZY", "421 4.7.0").await;
    assert_eq!(client.rest().await, "");
    let client = relay.client("required").await;
    let client = client.start_tls(&relay.certificate(), b"").await;
    relay.serves(client).await;
    relay.end().await;
}
