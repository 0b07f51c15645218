//! What `/metrics` counts is what clients, Exchange and Entra have counted too.
#![expect(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test's helpers fail as tests do"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use exorelay::admin;
use exorelay::sandbox::{Fault, Sandbox, Step, TokenFault};
use jiff::{Timestamp, ToSpan, Zoned};
use support::daemon::Daemon;
use support::exposition::Exposition;
use support::{Client, settings_text, within};
use tempfile::TempDir;

/// Of DESIGN 8, with its labels.
const PROMISED: [&str; 20] = [
    "exorelay_account_state{account,state}",
    "exorelay_build_info{version}",
    "exorelay_delivery_seconds",
    "exorelay_messages_deferred_total{account,listener}",
    "exorelay_messages_delivered_total{account,listener}",
    "exorelay_messages_expired_total{account,listener}",
    "exorelay_messages_failed_total{account,listener}",
    "exorelay_messages_received_total{account,listener}",
    "exorelay_queue_bytes",
    "exorelay_queue_commit_seconds",
    "exorelay_queue_limit_messages",
    "exorelay_queue_messages{state}",
    "exorelay_queue_oldest_seconds",
    "exorelay_sessions",
    "exorelay_smtp_replies_total{code}",
    "exorelay_token_expires_seconds{account}",
    "exorelay_token_refreshes_total{account,result}",
    "exorelay_upstream_connections{account}",
    "exorelay_upstream_replies_total{account,code}",
    "process_start_time_seconds",
];

/// A daemon with the accounts `default` and `second`, and for each a listener of its own: `local` and `scan`.
struct Bench {
    daemon: Daemon,
    sandbox: Sandbox,
    socket: PathBuf,
    admin: admin::Client,
    _folder: TempDir,
}

impl Bench {
    async fn start(more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let sandbox = support::sandbox(folder.path()).await;
        let text = settings_text(folder.path(), &sandbox, &second(&sandbox, more));
        let expiring = "retry_initial = \"1s\"\nexpire_after = \"2s\"";
        let text = text.replace("retry_initial = \"1s\"", expiring);
        let config = folder.path().join("exorelay.toml");
        std::fs::write(&config, text).unwrap();
        let socket = folder.path().join("queue/admin.sock");
        Self {
            daemon: Daemon::start(&config),
            sandbox,
            admin: admin::Client::new(&socket).unwrap(),
            socket,
            _folder: folder,
        }
    }

    async fn metrics(&self) -> Exposition {
        Exposition::of_socket(&self.socket).await
    }

    /// The first metrics of which it is so.
    async fn until(&self, what: &str, is_so: impl Fn(&Exposition) -> bool) -> Exposition {
        within(what, async {
            loop {
                let metrics = self.metrics().await;
                if is_so(&metrics) {
                    return metrics;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }

    /// Once every message has ended.
    async fn settled(&self, received: f64) -> Exposition {
        let ended = ["delivered", "failed", "expired"];
        self.until("every message to end", |metrics| {
            let sum = |word: &&str| metrics.sum(&format!("exorelay_messages_{word}_total"), &[]);
            let waits =
                |state: &&str| metrics.value("exorelay_queue_messages", &[("state", *state)]);
            // What is used, what waits and what has happened are looked at one after the other.
            let waiting: f64 = ["ready", "sending", "deferred"].iter().map(waits).sum();
            let is_empty = waiting == 0.0 && metrics.value("exorelay_queue_bytes", &[]) == 0.0;
            is_empty && ended.iter().map(sum).sum::<f64>() >= received
        })
        .await
    }

    async fn listener(&self, name: &str) -> SocketAddr {
        let listeners = self.admin.status().await.unwrap().listeners;
        let found = listeners.iter().find(|listener| listener.name == name);
        found.unwrap().address.parse().unwrap()
    }
}

fn second(sandbox: &Sandbox, more: &str) -> String {
    let expires = Zoned::now().date().checked_add(100.days()).unwrap();
    format!(
        r#"
[listener.scan]
address = "127.0.0.1:0"
account = "second"
[account.second]
mailbox = "second@contoso.com"
tenant_id = "{tenant}"
client_id = "{client_id}"
client_secret = "{secret}"
credential_expires = "{expires}"
[account.second.oauth]
token_url = "{token_url}"
[account.second.smtp]
host = "localhost"
port = {port}
ca_file = "{ca_file}"
[client.lobby-printer]
network = "127.0.0.1"
silent_after = "3d"
[admin]
http = "127.0.0.1:0"
{more}
"#,
        tenant = sandbox.tenant_id(),
        client_id = sandbox.client_id(),
        secret = sandbox.client_secret().reveal(),
        token_url = sandbox.token_url(),
        port = sandbox.smtp_address().port(),
        ca_file = sandbox.ca_file().display(),
    )
}

/// A client that keeps the codes of all replies.
struct Counting<'a> {
    client: Client,
    codes: &'a mut BTreeMap<String, u64>,
}

impl<'a> Counting<'a> {
    async fn connect(address: SocketAddr, codes: &'a mut BTreeMap<String, u64>) -> Self {
        let client = Client::connect(address).await;
        let greeting = client.greeting.clone();
        let mut counting = Self { client, codes };
        counting.count(&greeting);
        counting.command("EHLO device").await;
        counting
    }

    fn count(&mut self, reply: &str) {
        *self.codes.entry(reply[..3].to_owned()).or_default() += 1;
    }

    async fn command(&mut self, line: &str) -> String {
        let reply = self.client.command(line).await;
        self.count(&reply);
        reply
    }

    async fn send(&mut self, to: &[&str]) {
        self.command("MAIL FROM:<a@contoso.com>").await;
        for to in to {
            self.command(&format!("RCPT TO:<{to}>")).await;
        }
        self.command("DATA").await;
        let reply = self.command("From: a@contoso.com\r\n\r\nbody\r\n.").await;
        assert!(reply.starts_with("250 2.0.0 Ok: queued as "), "{reply}");
    }
}

fn account<'a>(name: &'a str, listener: &'a str) -> [(&'a str, &'a str); 2] {
    [("account", name), ("listener", listener)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_those_of_the_other_ends() {
    let before = Timestamp::now().as_second() as f64;
    let bench = Bench::start("[bounce]\nto = \"none\"").await;
    let control = bench.sandbox.control();
    let ours = account("default", "local");

    // Before anything has happened every series is there, so that its first increase is seen.
    let metrics = bench.metrics().await;
    for word in ["received", "delivered", "deferred", "failed", "expired"] {
        for labels in [ours, account("second", "scan")] {
            let name = format!("exorelay_messages_{word}_total");
            assert_eq!(metrics.value(&name, &labels), 0.0, "{name}");
        }
    }
    for code in ["250", "421", "452", "554"] {
        assert_eq!(
            metrics.value("exorelay_smtp_replies_total", &[("code", code)]),
            0.0
        );
    }

    let mut codes = BTreeMap::new();
    let mut local = Counting::connect(bench.daemon.address, &mut codes).await;
    for _ in 0..3 {
        local.send(&["b@contoso.com"]).await;
    }
    local.send(&["b@contoso.com", "c@contoso.com"]).await;
    for _ in 0..2 {
        local.send(&["fault+5.1.10@contoso.com"]).await;
    }
    local
        .send(&["b@contoso.com", "fault+5.1.10@contoso.com"])
        .await;
    bench.settled(7.0).await;
    // Once, so that it is for this message.
    assert!(control.documented_fault("recipient_busy", Some(1)));
    local.send(&["later@contoso.com"]).await;
    bench.settled(8.0).await;
    local.send(&["fault+recipient_busy@contoso.com"]).await;
    for (line, code) in [
        ("VRFY a", "252"),
        ("NONSENSE", "500"),
        ("RCPT TO:<b@contoso.com>", "503"),
    ] {
        let reply = local.command(line).await;
        assert!(reply.starts_with(code), "{reply}");
    }
    let mut scan_codes = BTreeMap::new();
    let mut scan = Counting::connect(bench.listener("scan").await, &mut scan_codes).await;
    for _ in 0..2 {
        scan.send(&["d@contoso.com"]).await;
    }

    // A refusal of Entra's, then a token.
    control.token_fault(Some(TokenFault::RefuseSecret), Some(1));
    for result in ["operator", "ok"] {
        let labels = [("account", "second"), ("result", result)];
        let refreshes =
            |metrics: &Exposition| metrics.value("exorelay_token_refreshes_total", &labels);
        let so_far = refreshes(&bench.metrics().await);
        assert!(bench.admin.renew("second").await.unwrap());
        let what = "the answer of Entra";
        bench
            .until(what, |metrics| refreshes(metrics) > so_far)
            .await;
    }

    let metrics = bench.settled(11.0).await;
    let count = |word: &str, labels: &[(&str, &str)]| {
        metrics.sum(&format!("exorelay_messages_{word}_total"), labels)
    };
    let of = |labels: &[(&str, &str)]| {
        ["received", "delivered", "failed", "expired"].map(|word| count(word, labels))
    };
    assert_eq!(of(&ours), [9.0, 5.0, 3.0, 1.0]);
    assert_eq!(of(&account("second", "scan")), [2.0, 2.0, 0.0, 0.0]);
    assert_eq!(of(&[]), [11.0, 7.0, 3.0, 1.0], "nothing anywhere else");
    // Once the one that was delivered later; the one that expired each time but the last.
    let deferred = count("deferred", &[]);
    assert!(deferred >= 2.0 && deferred == count("deferred", &ours));
    // The sandbox has one more of `default`: of the message of which one recipient was refused.
    let messages = control.messages();
    let from = |mailbox| messages.iter().filter(|one| one.mailbox == mailbox).count();
    assert_eq!(
        (from("relay@contoso.com"), from("second@contoso.com")),
        (6, 2)
    );
    assert_eq!(metrics.value("exorelay_delivery_seconds_count", &[]), 7.0);

    for (code, count) in scan.codes.iter() {
        *local.codes.entry(code.clone()).or_default() += count;
    }
    for (code, count) in local.codes.iter() {
        let labels = [("code", code.as_str())];
        let shown = metrics.value("exorelay_smtp_replies_total", &labels);
        assert_eq!(shown, *count as f64, "{code}");
    }
    let total = local.codes.values().sum::<u64>() as f64;
    assert_eq!(metrics.sum("exorelay_smtp_replies_total", &[]), total);

    let stats = control.stats();
    let signed_in = metrics.sum("exorelay_upstream_replies_total", &[("code", "235")]);
    assert_eq!(signed_in, stats.authenticated as f64);
    let refreshes = |labels: &[(&str, &str)]| metrics.sum("exorelay_token_refreshes_total", labels);
    assert_eq!(refreshes(&[]), stats.token_requests as f64);
    assert_eq!(refreshes(&[("result", "ok")]), stats.tokens_issued as f64);
    assert_eq!(refreshes(&[("result", "operator")]), 1.0);
    bench
        .until("as many connections as the sandbox has", |metrics| {
            let open = metrics.sum("exorelay_upstream_connections", &[]);
            open == control.stats().connections as f64
        })
        .await;

    for (name, labels, value) in [
        ("exorelay_sessions", &[][..], 2.0),
        ("exorelay_session_panics_total", &[], 0.0),
        ("exorelay_queue_messages", &[("state", "failed")], 4.0),
        ("exorelay_queue_messages", &[("state", "ready")], 0.0),
        ("exorelay_queue_bytes", &[], 0.0),
        ("exorelay_queue_oldest_seconds", &[], 0.0),
        ("exorelay_queue_limit_messages", &[], 100_000.0),
        ("exorelay_queue_limit_bytes", &[], 10_737_418_240.0),
        ("exorelay_queue_full", &[], 0.0),
        (
            "exorelay_messages_last_minute",
            &[("account", "second")],
            2.0,
        ),
        (
            "exorelay_messages_per_minute",
            &[("account", "second")],
            30.0,
        ),
        (
            "exorelay_recipients_last_day",
            &[("account", "second")],
            2.0,
        ),
        (
            "exorelay_recipients_per_day",
            &[("account", "second")],
            10_000.0,
        ),
        (
            "exorelay_build_info",
            &[("version", env!("CARGO_PKG_VERSION"))],
            1.0,
        ),
    ] {
        assert_eq!(metrics.value(name, labels), value, "{name}");
    }
    let unpaced = [("account", "default")];
    assert_eq!(metrics.get("exorelay_messages_per_minute", &unpaced), None);
    assert_eq!(metrics.sum("exorelay_queue_messages", &[]), 4.0);
    assert_eq!(metrics.sum("exorelay_incidents", &[]), 0.0);
    assert!(metrics.value("exorelay_queue_commit_seconds_count", &[]) >= 11.0);
    for name in ["default", "second"] {
        let ready = [("account", name), ("state", "ready")];
        assert_eq!(metrics.value("exorelay_account_state", &ready), 1.0);
        let account = [("account", name)];
        assert_eq!(metrics.sum("exorelay_account_state", &account), 1.0);
        let left = metrics.value("exorelay_token_expires_seconds", &account);
        assert!(left > 3_000.0 && left < 3_600.0, "{left}");
    }
    let left = metrics.value(
        "exorelay_credential_expires_seconds",
        &[("account", "second")],
    );
    let days = left / 86_400.0;
    assert!(days > 99.9 && days < 101.1, "{days}");
    let started = metrics.value("process_start_time_seconds", &[]);
    assert!(started >= before && started <= before + 60.0, "{started}");
    let printer = [("client", "lobby-printer")];
    let last = metrics.value("exorelay_client_last_message_timestamp_seconds", &printer);
    assert!(last >= started.floor() && last <= Timestamp::now().as_second() as f64);
    assert_eq!(metrics.value("exorelay_client_silent", &printer), 0.0);
    assert!(metrics.value("exorelay_client_quiet_seconds", &printer) < 600.0);
    assert!(metrics.value("process_resident_memory_bytes", &[]) > 1e6);
    assert!(metrics.value("process_open_fds", &[]) < metrics.value("process_max_fds", &[]));
    assert!(metrics.value("process_cpu_seconds_total", &[]) > 0.0);

    drop(scan);
    bench
        .until("the end of a session", |metrics| {
            metrics.value("exorelay_sessions", &[]) == 1.0
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_shows_and_so_do_notices() {
    let bench = Bench::start("").await;
    let control = bench.sandbox.control();
    let mut codes = BTreeMap::new();
    let mut local = Counting::connect(bench.daemon.address, &mut codes).await;
    local.send(&["fault+5.1.10@contoso.com"]).await;
    // The notice is a message too, and no listener took it in.
    let metrics = bench.settled(2.0).await;
    assert_eq!(metrics.sum("exorelay_messages_received_total", &[]), 1.0);
    assert_eq!(
        metrics.value(
            "exorelay_messages_delivered_total",
            &account("default", "notice")
        ),
        1.0
    );
    let failed = [("kind", "failed")];
    assert_eq!(metrics.value("exorelay_notices_total", &failed), 1.0);
    assert_eq!(metrics.sum("exorelay_notices_total", &[]), 1.0);

    let refusal = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled \
         for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.";
    control.smtp_fault(Step::Auth, Fault::Reply(refusal.into()), None);
    let mut codes = BTreeMap::new();
    let mut scan = Counting::connect(bench.listener("scan").await, &mut codes).await;
    scan.send(&["d@contoso.com"]).await;
    let blocked = [("account", "second"), ("state", "blocked")];
    let metrics = bench
        .until("the block", |metrics| {
            metrics.value("exorelay_account_state", &blocked) == 1.0
        })
        .await;
    let second = [("account", "second")];
    assert_eq!(metrics.sum("exorelay_account_state", &second), 1.0);
    let kind = [("kind", "account")];
    assert_eq!(metrics.value("exorelay_incidents", &kind), 1.0);
    assert_eq!(metrics.value("exorelay_incidents_opened_total", &kind), 1.0);
    let refused = metrics.sum("exorelay_upstream_replies_total", &[("code", "535")]);
    assert_eq!(refused, control.stats().authentications_refused as f64);
    let metrics = bench
        .until("the message to wait", |metrics| {
            metrics.value("exorelay_queue_messages", &[("state", "ready")]) == 1.0
        })
        .await;
    assert!(metrics.value("exorelay_queue_bytes", &[]) > 0.0);
    let deferred = account("second", "scan");
    assert_eq!(
        metrics.value("exorelay_messages_deferred_total", &deferred),
        0.0,
        "the message is not to blame"
    );

    control.clear_faults();
    assert!(bench.admin.renew("second").await.unwrap());
    let metrics = bench.settled(3.0).await;
    assert_eq!(metrics.value("exorelay_incidents_opened_total", &kind), 1.0);
    bench
        .until("the end of the incident", |metrics| {
            metrics.value("exorelay_incidents", &kind) == 0.0
        })
        .await;
}

fn packaged(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Everything in `text` that has the form of one of our metrics.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("exorelay_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_documented_alerted_and_drawn_is_what_there_is() {
    let bench = Bench::start("").await;
    let mut codes = BTreeMap::new();
    let mut local = Counting::connect(bench.daemon.address, &mut codes).await;
    local.send(&["b@contoso.com"]).await;
    let metrics = bench.settled(1.0).await;
    let there = metrics.signatures();
    for promised in PROMISED {
        assert!(there.contains(promised), "{promised} is not in {there:#?}");
    }
    let http = bench.admin.status().await.unwrap().admin_http.unwrap();
    let seen = Exposition::of_http(http.parse().unwrap()).await;
    assert_eq!(seen.signatures(), there);

    let page = packaged("docs/metrics.md");
    let documented: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(signature, _)| signature.to_owned())
        .filter(|signature| !named(signature).is_empty())
        .collect();
    assert_eq!(documented, there);

    let mut names: BTreeSet<String> = metrics.families.keys().cloned().collect();
    for (name, family) in &metrics.families {
        if family.kind == "histogram" {
            names.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
        }
    }
    for path in [
        "packaging/prometheus/alerts.yml",
        "packaging/prometheus/alerts.test.yml",
        "packaging/grafana/exorelay.json",
        "docs/metrics.md",
    ] {
        let used = named(&packaged(path));
        assert!(used.len() >= 10, "{path}: {used:?}");
        let unknown: Vec<_> = used.difference(&names).collect();
        assert!(unknown.is_empty(), "{path}: {unknown:?}");
    }
    let dashboard = packaged("packaging/grafana/exorelay.json");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() >= 10);
}
