//! A client that sends exactly what it is told to.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::sandbox::{Sandbox, Settings};

/// Long enough for a busy machine; only a test that fails waits for it.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
pub(super) const MAILBOX: &str = "relay@contoso.com";

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A sandbox in a folder of its own.
pub(super) async fn start(change: impl FnOnce(&mut Settings)) -> (Sandbox, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(folder.path());
    change(&mut settings);
    (Sandbox::start(settings).await.unwrap(), folder)
}

pub(super) struct Client {
    stream: Box<dyn Stream>,
    input: Vec<u8>,
}

impl Client {
    /// Connected; the greeting is not read.
    pub(super) async fn open(sandbox: &Sandbox) -> Self {
        let stream = TcpStream::connect(sandbox.smtp_address()).await.unwrap();
        Self {
            stream: Box::new(stream),
            input: Vec::new(),
        }
    }

    /// Connected, greeted, EHLO said, TLS, EHLO said again.
    pub(super) async fn secured(sandbox: &Sandbox) -> Self {
        let mut client = Self::open(sandbox).await;
        client.expect("220 ").await;
        client.ask("EHLO client.example", "250").await;
        client.ask("STARTTLS", "220 2.0.0 SMTP server ready").await;
        let mut client = client.start_tls(sandbox).await;
        client.ask("EHLO client.example", "250").await;
        client
    }

    /// Ready for MAIL.
    pub(super) async fn authenticated(sandbox: &Sandbox) -> Self {
        let mut client = Self::secured(sandbox).await;
        let line = format!("AUTH XOAUTH2 {}", xoauth2(MAILBOX, &token(sandbox)));
        client
            .ask(&line, "235 2.7.0 Authentication successful")
            .await;
        client
    }

    pub(super) async fn start_tls(self, sandbox: &Sandbox) -> Self {
        assert!(self.input.is_empty());
        let pem = std::fs::read(sandbox.ca_file()).unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(&pem).unwrap())
            .unwrap();
        let stream = connector(roots)
            .connect(ServerName::try_from("127.0.0.1").unwrap(), self.stream)
            .await
            .unwrap();
        Self {
            stream: Box::new(stream),
            input: Vec::new(),
        }
    }

    pub(super) async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// One reply, all of its lines; `None` when the connection is closed instead.
    pub(super) async fn reply(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.reply_without_limit())
            .await
            .expect("a reply in time")
    }

    pub(super) async fn reply_without_limit(&mut self) -> Option<String> {
        let mut reply = String::new();
        loop {
            if let Some(end) = self.input.iter().position(|&octet| octet == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let line = String::from_utf8(line).unwrap();
                assert!(line.ends_with("\r\n"), "{line:?}");
                let last = line.as_bytes().get(3) != Some(&b'-');
                reply.push_str(&line);
                if last {
                    return Some(reply);
                }
                continue;
            }
            // A reset is as much of an end as a close.
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// A reply that starts so.
    pub(super) async fn expect(&mut self, start: &str) -> String {
        let reply = self.reply().await.expect("a reply");
        assert!(
            reply.starts_with(start),
            "{reply:?} does not start with {start:?}"
        );
        reply
    }

    pub(super) async fn ask(&mut self, line: &str, start: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.expect(start).await
    }

    pub(super) async fn expect_closed(&mut self) {
        assert_eq!(self.reply().await, None);
    }

    /// MAIL and one RCPT, then `content` as it is; the final reply must start so.
    pub(super) async fn message(&mut self, content: impl AsRef<[u8]>, start: &str) -> String {
        self.envelope().await;
        self.send(content).await;
        self.expect(start).await
    }

    pub(super) async fn envelope(&mut self) {
        self.ask("MAIL FROM:<relay@contoso.com>", "250 2.1.0 Sender OK")
            .await;
        self.ask("RCPT TO:<kim@fabrikam.com>", "250 2.1.5 Recipient OK")
            .await;
        self.ask("DATA", "354 ").await;
    }
}

pub(super) fn connector(roots: RootCertStore) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

pub(super) fn token(sandbox: &Sandbox) -> String {
    sandbox.control().issue_token().unwrap().reveal().to_owned()
}

pub(super) fn xoauth2(user: &str, token: &str) -> String {
    BASE64_STANDARD.encode(format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

/// The violations' texts.
pub(super) fn violations(sandbox: &Sandbox) -> Vec<String> {
    let violations = sandbox.control().violations();
    violations
        .into_iter()
        .map(|violation| violation.what)
        .collect()
}

/// Waits for something that another task is about to do.
pub(super) async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("the condition in time");
}
