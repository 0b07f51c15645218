//! TLS towards clients.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use exorelay::queue::HistoryFilter;
use support::{Bench, Client, settings_text};
use tempfile::TempDir;

const CONTENT: &str = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\nbody\r\n";

/// A certificate for `localhost` that signs itself.
struct Pair {
    folder: TempDir,
}

impl Pair {
    fn new() -> Self {
        let pair = Self {
            folder: TempDir::new().unwrap(),
        };
        pair.renew();
        pair
    }

    fn renew(&self) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(self.certificate(), made.cert.pem()).unwrap();
        std::fs::write(self.key(), made.signing_key.serialize_pem()).unwrap();
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// A listener of its own, besides the plain one.
    fn listener(&self, tls: &str) -> String {
        format!(
            "[listener.secure]\naddress = \"127.0.0.1:0\"\ntls = \"{tls}\"\ncertificate = \"{}\"\nprivate_key = \"{}\"\n",
            self.certificate().display(),
            self.key().display()
        )
    }

    async fn bench(&self, tls: &str) -> Bench {
        Bench::start(&self.listener(tls)).await
    }
}

async fn connect(bench: &Bench) -> Client {
    Client::connect(bench.relay.address_of("secure")).await
}

fn received(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    text.split("\r\nFrom:").next().unwrap().to_owned()
}

#[tokio::test]
async fn optional_tls_serves_both_kinds_of_client() {
    let pair = Pair::new();
    let bench = pair.bench("optional").await;
    let mut plain = connect(&bench).await;
    assert!(
        plain
            .expect("EHLO old", "250")
            .await
            .contains("\n250-STARTTLS")
    );
    plain
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;

    let mut client = connect(&bench).await;
    client.expect("EHLO new", "250").await;
    let mut client = client.start_tls(&pair.certificate(), b"").await;
    // Whatever was said before is forgotten, the name too.
    let offered = client.expect("EHLO new", "250").await;
    assert!(!offered.contains("STARTTLS"), "{offered}");
    client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    client.expect("STARTTLS", "503 5.5.1").await;
    client.expect("QUIT", "221").await;

    let mut traces: Vec<_> = bench
        .delivered(2)
        .await
        .iter()
        .map(|one| received(one))
        .collect();
    traces.sort_by_key(|trace| trace.contains("ESMTPS"));
    assert!(
        traces[0].contains("with ESMTP id") && traces[1].contains("with ESMTPS id"),
        "{traces:?}"
    );
    bench.assert_clean();
    bench.relay.stop().await;
}

#[tokio::test]
async fn what_came_in_plain_text_behind_starttls_is_thrown_away() {
    let pair = Pair::new();
    let bench = pair.bench("optional").await;
    let mut client = connect(&bench).await;
    client.expect("EHLO x", "250").await;
    client.expect("MAIL FROM:<victim@contoso.com>", "250").await;
    let injected = b"MAIL FROM:<evil@contoso.com>\r\nRCPT TO:<evil@contoso.com>\r\nDATA\r\n";
    let mut client = client.start_tls(&pair.certificate(), injected).await;
    // Neither the transaction of before nor the lines behind STARTTLS are there.
    client.expect("RCPT TO:<b@contoso.com>", "503").await;
    client.expect("EHLO x", "250").await;
    client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    let delivered = bench.delivered(1).await;
    assert!(!String::from_utf8_lossy(&delivered[0]).contains("evil"));
    bench.relay.stop().await;
}

#[tokio::test]
async fn required_tls_takes_no_mail_before_it() {
    let pair = Pair::new();
    let bench = pair.bench("required").await;
    let mut client = connect(&bench).await;
    client.expect("EHLO x", "250").await;
    client
        .expect("MAIL FROM:<a@contoso.com>", "530 5.7.0")
        .await;
    client.expect("NOOP", "250").await;
    let mut client = client.start_tls(&pair.certificate(), b"").await;
    client.expect("EHLO x", "250").await;
    client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    bench.delivered(1).await;
    bench.relay.stop().await;
}

#[tokio::test]
async fn implicit_tls_begins_with_the_first_octet() {
    let pair = Pair::new();
    let bench = pair.bench("implicit").await;
    let address = bench.relay.address_of("secure");
    let mut client = Client::connect_tls(address, &pair.certificate())
        .await
        .unwrap();
    assert!(client.greeting.starts_with("220 relay.test"));
    let offered = client.expect("EHLO x", "250").await;
    assert!(!offered.contains("STARTTLS"), "{offered}");
    client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    let delivered = bench.delivered(1).await;
    assert!(received(&delivered[0]).contains("with ESMTPS id"));
    let mut versions = Vec::new();
    let reader = bench.relay.view.queue.reader();
    reader
        .history(&HistoryFilter::default(), |message| {
            versions.push(message.tls);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(versions, [Some("TLS 1.3".to_owned())]);

    // Plain SMTP gets no greeting, and the listener lives on.
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut plain = {
        use tokio::io::AsyncWriteExt as _;
        let mut stream = stream;
        stream
            .write_all(b"EHLO x\r\nMAIL FROM:<a@contoso.com>\r\n")
            .await
            .unwrap();
        Client::over(stream).await
    };
    assert!(!plain.greeting.starts_with("220"));
    let _ = plain.rest().await;
    Client::connect_tls(address, &pair.certificate())
        .await
        .unwrap();
    bench.relay.stop().await;
}

#[tokio::test]
async fn a_reload_takes_over_a_new_certificate_and_refuses_a_bad_one() {
    let pair = Pair::new();
    let bench = pair.bench("implicit").await;
    let address = bench.relay.address_of("secure");
    let text = settings_text(
        bench.folder.path(),
        &bench.sandbox,
        &pair.listener("implicit"),
    );
    let old = bench.folder.path().join("old.pem");
    std::fs::copy(pair.certificate(), &old).unwrap();
    let trusts = async |ca_file: &Path| Client::connect_tls(address, ca_file).await.is_ok();

    std::fs::write(pair.key(), "no key").unwrap();
    let problem = bench.relay.reload(&text).await.unwrap_err().to_string();
    assert!(
        problem.contains("listener.secure: ") && problem.contains("no PEM private key"),
        "{problem}"
    );
    assert!(trusts(&old).await);

    pair.renew();
    bench.relay.reload(&text).await.unwrap();
    assert!(trusts(&pair.certificate()).await && !trusts(&old).await);
    bench.relay.stop().await;
}
