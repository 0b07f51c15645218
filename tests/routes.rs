//! Several accounts, tenants and pools in one daemon.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use exorelay::admin::StatusSource;
use exorelay::delivery::Cause;
use exorelay::queue::{MessageState, QueueId};
use exorelay::sandbox::{Limits, Sandbox, Settings};
use support::{Client, Running, until, within};
use tempfile::TempDir;
use tokio::net::TcpSocket;

const CONTENT: &str = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\nbody\r\n";

/// A tenant of its own, which holds its mailboxes to `pace` messages a minute and three connections.
async fn tenant(folder: &TempDir, name: &str, pace: usize) -> Sandbox {
    exorelay::tls::install_provider();
    let mut settings = Settings::new(folder.path().join(name));
    settings.tenant_id = format!("{name}.example");
    settings.limits = Limits {
        messages_per_minute: pace,
        ..Limits::default()
    };
    Sandbox::start(settings).await.unwrap()
}

fn account(name: &str, sandbox: &Sandbox, pace: usize) -> String {
    format!(
        r#"
[account.{name}]
mailbox = "{name}@{tenant}"
tenant_id = "{tenant}"
client_id = "{client_id}"
client_secret = "{secret}"
oauth.token_url = "{token_url}"
smtp = {{ host = "localhost", port = {port}, ca_file = "{ca_file}", messages_per_minute = {pace} }}
"#,
        tenant = sandbox.tenant_id(),
        client_id = sandbox.client_id(),
        secret = sandbox.client_secret().reveal(),
        token_url = sandbox.token_url(),
        port = sandbox.smtp_address().port(),
        ca_file = sandbox.ca_file().display(),
    )
}

/// That account with a secret that Entra refuses.
fn locked_out(account: &str, sandbox: &Sandbox) -> String {
    account.replace(sandbox.client_secret().reveal(), "wrong")
}

fn settings(folder: &Path, accounts: &[String], more: &str) -> String {
    format!(
        r#"
hostname = "relay.test"
[listener.local]
address = "127.0.0.1:0"
[queue]
directory = "{queue}"
min_free_disk = "1MiB"
retry_initial = "1s"
{accounts}
{more}
"#,
        queue = folder.join("queue").display(),
        accounts = accounts.concat(),
    )
}

/// A device with an address of its own.
async fn device(address: [u8; 4], relay: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((address, 0))).unwrap();
    Client::over(socket.connect(relay).await.unwrap()).await
}

async fn send(relay: &Running, from: &str, count: usize) -> Vec<String> {
    let mut client = relay.client().await;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(client.send(from, &["b@partner.example"], CONTENT).await);
    }
    ids
}

/// How many messages each mailbox has sent, once there are `count`.
async fn sent(sandbox: &Sandbox, count: u64) -> BTreeMap<String, u64> {
    let control = sandbox.control();
    let mut sent = BTreeMap::new();
    for message in within("delivery", control.wait_for_messages(count)).await {
        let name = message.mailbox.split('@').next().unwrap();
        *sent.entry(name.to_owned()).or_default() += 1;
    }
    sent
}

fn of<const N: usize>(mailboxes: [(&str, u64); N]) -> BTreeMap<String, u64> {
    mailboxes
        .map(|(name, count)| (name.to_owned(), count))
        .into()
}

fn trouble(relay: &Running, account: &str) -> Option<Cause> {
    let shown = relay.view.now();
    let account = shown.accounts.iter().find(|one| one.name == account);
    let delivery = account.unwrap().delivery.borrow();
    delivery.trouble.as_ref().map(|trouble| trouble.cause)
}

fn assert_within_limits(sandbox: &Sandbox) {
    let stats = sandbox.control().stats();
    assert_eq!(stats.over_rate, 0);
    assert!(stats.mailbox_connections_max <= 3);
    let violations = sandbox.control().violations();
    assert!(violations.is_empty(), "{violations:?}");
}

#[tokio::test]
async fn two_tenants_and_three_mailboxes_by_sender_and_by_device() {
    let folder = TempDir::new().unwrap();
    let contoso = tenant(&folder, "contoso", 0).await;
    let fabrikam = tenant(&folder, "fabrikam", 0).await;
    let accounts = [
        account("desk", &contoso, 0),
        account("scan", &contoso, 0),
        account("sales", &fabrikam, 0),
    ];
    let routes = r#"
[client.scanner]
network = "127.0.0.9"
sender = "scan@contoso.example"
account = "scan"
[[route]]
sender = "*@fabrikam.example"
account = "sales"
[[route]]
sender = "*@contoso.example"
account = "desk"
"#;
    let relay = Running::start(&settings(folder.path(), &accounts, routes)).await;
    send(&relay, "x@fabrikam.example", 1).await;
    send(&relay, "x@contoso.example", 2).await;
    let mut scanner = device([127, 0, 0, 9], relay.address()).await;
    for _ in 0..3 {
        scanner
            .send("root@printer", &["b@partner.example"], CONTENT)
            .await;
    }
    let mut stranger = relay.client().await;
    let refusal = "550 5.7.1 No account takes mail from <x@tailspin.example>";
    stranger
        .expect("MAIL FROM:<x@tailspin.example>", refusal)
        .await;

    assert_eq!(sent(&contoso, 5).await, of([("desk", 2), ("scan", 3)]));
    assert_eq!(sent(&fabrikam, 1).await, of([("sales", 1)]));
    for message in contoso.control().messages() {
        let content = String::from_utf8(message.content().await.unwrap()).unwrap();
        let is_scan = message.mailbox.starts_with("scan@");
        assert_eq!(message.reverse_path == "scan@contoso.example", is_scan);
        assert_eq!(
            content.contains("\r\nFrom: <scan@contoso.example>\r\n"),
            is_scan
        );
        assert_eq!(content.contains("\r\nFrom: a@contoso.com\r\n"), !is_scan);
    }
    assert_within_limits(&contoso);
    assert_within_limits(&fabrikam);
    drop((scanner, stranger));
    relay.stop().await;
}

const POOL: &str = "[[route]]\naccount = [\"one\", \"two\", \"three\"]\n";

#[tokio::test]
async fn a_pool_of_three_sends_three_times_as_much_and_none_more_than_its_own() {
    let folder = TempDir::new().unwrap();
    let contoso = tenant(&folder, "contoso", 30).await;
    let accounts = ["one", "two", "three"].map(|name| account(name, &contoso, 30));
    let relay = Running::start(&settings(folder.path(), &accounts, POOL)).await;
    send(&relay, "x@contoso.example", 95).await;
    let each_thirty = of([("one", 30), ("two", 30), ("three", 30)]);
    assert_eq!(sent(&contoso, 90).await, each_thirty);
    until("the settlements", || relay.view.queue.used().0 == 5).await;
    let status = relay.view.status().await;
    assert!(status.queue.unknown_accounts.is_empty());
    let pools: Vec<_> = status.queue.counts.keys().collect();
    assert_eq!(pools, ["one+three+two"]);
    assert_within_limits(&contoso);
    relay.stop().await;
}

#[tokio::test]
async fn a_pool_passes_by_the_one_that_is_refused_until_it_is_not() {
    let folder = TempDir::new().unwrap();
    let contoso = tenant(&folder, "contoso", 30).await;
    let mut accounts = ["one", "two", "three"].map(|name| account(name, &contoso, 30));
    let right = accounts[1].clone();
    accounts[1] = locked_out(&right, &contoso);
    let relay = Running::start(&settings(folder.path(), &accounts, POOL)).await;
    until("the refusal", || has_no_token(&relay, "two")).await;
    let ids = send(&relay, "x@contoso.example", 67).await;
    assert_eq!(sent(&contoso, 60).await, of([("one", 30), ("three", 30)]));
    until("the settlements", || relay.view.queue.used().0 == 7).await;
    let reader = relay.view.queue.reader();
    let shown = |id: &String| reader.show(QueueId::parse(id).unwrap()).unwrap().unwrap();
    for detail in ids.iter().map(shown) {
        match detail.message.state {
            MessageState::Delivered => assert_ne!(detail.history[0].account, "two"),
            _ => assert_eq!((detail.message.attempts, detail.history.len()), (0, 0)),
        }
    }

    accounts[1] = right;
    relay
        .reload(&settings(folder.path(), &accounts, POOL))
        .await
        .unwrap();
    let all = of([("one", 30), ("three", 30), ("two", 7)]);
    assert_eq!(sent(&contoso, 67).await, all);
    assert_within_limits(&contoso);
    relay.stop().await;
}

/// The account knows by now that it gets no token.
fn has_no_token(relay: &Running, account: &str) -> bool {
    let shown = relay.view.now();
    let account = shown.accounts.iter().find(|one| one.name == account);
    let token = account.unwrap().token.borrow();
    matches!(*token, exorelay::oauth::TokenStatus::Failing { .. })
}

fn all_to(account: &str) -> String {
    format!("[[route]]\nsender = \"*@contoso.example\"\naccount = \"{account}\"\n")
}

#[tokio::test]
async fn queued_mail_follows_a_corrected_route_at_a_reload_and_at_a_start() {
    let folder = TempDir::new().unwrap();
    let contoso = tenant(&folder, "contoso", 0).await;
    let accounts = [
        locked_out(&account("wrong", &contoso, 0), &contoso),
        account("right", &contoso, 0),
        account("other", &contoso, 0),
    ];
    let to = |name: &str| settings(folder.path(), &accounts, &all_to(name));
    let relay = Running::start(&to("wrong")).await;
    let mut client = relay.client().await;
    let large = format!("{CONTENT}{}", "x\r\n".repeat(100_000));
    let id = client
        .send("x@contoso.example", &["b@partner.example"], &large)
        .await;
    drop(client);
    until("the pause", || {
        trouble(&relay, "wrong") == Some(Cause::Token)
    })
    .await;
    let changes = relay.reload(&to("right")).await.unwrap();
    assert_eq!(changes.to_string(), "routes changed");
    assert_eq!(sent(&contoso, 1).await, of([("right", 1)]));
    until("the settlement", || relay.view.queue.used() == (0, 0)).await;
    let id = QueueId::parse(&id).unwrap();
    let detail = relay.view.queue.reader().show(id).unwrap().unwrap();
    assert_eq!(detail.message.account, "right");
    assert_eq!(detail.history.last().unwrap().account, "right");
    let told = detail.events.iter().find(|one| one.action == "rerouted");
    assert_eq!(told.unwrap().detail.as_deref(), Some("from wrong to right"));

    relay.reload(&to("wrong")).await.unwrap();
    send(&relay, "x@contoso.example", 2).await;
    relay.stop().await;
    let relay = Running::start(&to("other")).await;
    assert_eq!(sent(&contoso, 3).await, of([("right", 1), ("other", 2)]));
    relay.stop().await;
}

#[tokio::test]
async fn mail_of_an_account_that_is_renamed_goes_on_under_its_new_name() {
    let folder = TempDir::new().unwrap();
    let contoso = tenant(&folder, "contoso", 0).await;
    let one = account("old", &contoso, 0);
    let locked = locked_out(&one, &contoso);
    let relay = Running::start(&settings(folder.path(), &[locked], "")).await;
    send(&relay, "x@contoso.example", 3).await;
    until("the pause", || trouble(&relay, "old") == Some(Cause::Token)).await;
    let renamed = one.replace("account.old", "account.new");
    relay
        .reload(&settings(folder.path(), &[renamed], ""))
        .await
        .unwrap();
    assert_eq!(sent(&contoso, 3).await, of([("old", 3)]), "the mailbox");
    let status = relay.view.status().await;
    assert!(status.queue.unknown_accounts.is_empty());
    relay.stop().await;
}
