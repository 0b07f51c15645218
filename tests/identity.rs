//! The real daemon on a machine that Azure vouches for: no secret in its settings.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::path::PathBuf;
use std::process::Command;

use exorelay::sandbox::Sandbox;
use support::daemon::{Daemon, exorelay};
use support::{settings_text, within};
use tempfile::TempDir;

const CONTENT: &str = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\nbody\r\n";

struct Bench {
    folder: TempDir,
    sandbox: Sandbox,
}

impl Bench {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let sandbox = support::sandbox(folder.path()).await;
        Self { folder, sandbox }
    }

    /// Settings with nothing that proves anything. `account` and `oauth` are further lines of their sections.
    fn config(&self, account: &str, oauth: &str) -> PathBuf {
        let text = settings_text(self.folder.path(), &self.sandbox, "");
        let gone = ["tenant_id", "client_id", "client_secret", "token_url"];
        let lines = text.lines().filter(|line| {
            let mut gone = gone.iter();
            !gone.any(|key| line.starts_with(key))
        });
        let text: Vec<&str> = lines.collect();
        let access =
            format!("access = \"managed_identity\"\n{account}\n[account.default.oauth]\n{oauth}");
        let text = text.join("\n").replace("[account.default.oauth]", &access);
        let config = self.folder.path().join("exorelay.toml");
        std::fs::write(&config, text).unwrap();
        config
    }

    async fn deliver(&self, daemon: &Daemon) {
        let mut client = daemon.client().await;
        client.expect("EHLO device", "250").await;
        client
            .send("a@contoso.com", &["b@contoso.com"], CONTENT)
            .await;
        let control = self.sandbox.control();
        let messages = within("delivery", control.wait_for_messages(1)).await;
        let mut mailboxes = messages.iter().map(|message| message.mailbox.as_str());
        assert_eq!(mailboxes.next(), Some("relay@contoso.com"));
    }

    /// One token was enough, and nobody had anything to object to.
    fn assert_clean(&self) {
        let control = self.sandbox.control();
        let stats = control.stats();
        assert_eq!((stats.token_requests, stats.tokens_issued), (1, 1));
        assert_eq!(control.violations(), []);
    }
}

/// Without what this machine's own platform may say.
fn outside_azure(config: &std::path::Path) -> Command {
    let mut command = exorelay(config);
    for name in ["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IMDS_ENDPOINT"] {
        command.env_remove(name);
    }
    command
}

#[tokio::test]
async fn a_vm_delivers_past_a_proxy_that_is_set() {
    let bench = Bench::new().await;
    let endpoint = format!("identity_endpoint = \"{}\"", bench.sandbox.metadata_url());
    let config = bench.config("", &endpoint);
    let mut command = outside_azure(&config);
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
    ] {
        command.env(name, "http://127.0.0.1:1");
    }
    let daemon = Daemon::start_as(command, &config);
    bench.deliver(&daemon).await;
    bench.assert_clean();
    assert!(daemon.terminate().success());
}

#[tokio::test]
async fn an_app_service_is_found_in_the_environment() {
    let bench = Bench::new().await;
    let user_assigned = format!("client_id = \"{}\"", bench.sandbox.client_id());
    let config = bench.config(&user_assigned, "");
    let mut command = outside_azure(&config);
    command.env("IDENTITY_ENDPOINT", bench.sandbox.app_service_url());
    command.env("IDENTITY_HEADER", bench.sandbox.identity_header().reveal());
    let daemon = Daemon::start_as(command, &config);
    bench.deliver(&daemon).await;
    bench.assert_clean();
    assert!(daemon.terminate().success());
}

// The log is waited for on this thread, the sandbox answers on another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_without_the_identity_says_so_and_keeps_the_mail() {
    let bench = Bench::new().await;
    let endpoint = format!("identity_endpoint = \"{}\"", bench.sandbox.metadata_url());
    let other = "client_id = \"11111111-2222-3333-4444-555555555555\"";
    let config = bench.config(other, &endpoint);
    let mut daemon = Daemon::start_as(outside_azure(&config), &config);
    let mut client = daemon.client().await;
    client.expect("EHLO device", "250").await;
    client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    let line = daemon.wait_for("Identity not found");
    assert!(line.contains("az vm identity assign"), "{line}");
    assert!(daemon.terminate().success());
    let rows = support::folder::rows(&bench.folder.path().join("queue"));
    assert!(rows.len() == 1 && rows[0].is_waiting(), "{rows:?}");

    // The same mail goes out once the identity is there.
    let config = bench.config("", &endpoint);
    let daemon = Daemon::start_as(outside_azure(&config), &config);
    let control = bench.sandbox.control();
    within("delivery", control.wait_for_messages(1)).await;
    assert_eq!(control.violations(), []);
    assert!(daemon.terminate().success());
}
