//! Settings change while the relay runs: no session and no message is dropped.

mod support;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use exorelay::admin::StatusSource;
use exorelay::delivery::Cause;
use exorelay::relay::ReloadError;
use exorelay::sandbox::{Fault, Sandbox, Step};
use support::{Bench, Client, Running, settings_text, until, within};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const CONTENT: &str = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\nbody\r\n";

/// Another account at the same sandbox, and a listener for it.
fn other_account(sandbox: &Sandbox, mailbox: &str) -> String {
    let account = format!(
        r#"
[listener.other]
address = "127.0.0.1:0"
account = "other"
[account.other]
mailbox = "{mailbox}"
tenant_id = "{tenant}"
client_id = "{client_id}"
client_secret = "{secret}"
[account.other.oauth]
token_url = "{token_url}"
[account.other.smtp]
host = "localhost"
port = {port}
ca_file = "{ca_file}"
messages_per_minute = 0
"#,
        tenant = sandbox.tenant_id(),
        client_id = sandbox.client_id(),
        secret = sandbox.client_secret().reveal(),
        token_url = sandbox.token_url(),
        port = sandbox.smtp_address().port(),
        ca_file = sandbox.ca_file().display(),
    );
    account
}

fn text(bench: &Bench, more: &str) -> String {
    settings_text(bench.folder.path(), &bench.sandbox, more)
}

async fn send(address: SocketAddr) {
    let mut client = Client::connect(address).await;
    client.expect("HELO device", "250").await;
    client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
}

async fn refused(relay: &Running, text: &str) -> Vec<String> {
    match relay.reload(text).await {
        Err(ReloadError::Refused(refused)) => {
            refused.reasons.iter().map(ToString::to_string).collect()
        }
        outcome => panic!("not refused: {outcome:?}"),
    }
}

#[tokio::test]
async fn sessions_go_on_and_new_ones_get_the_new_limits() {
    let bench = Bench::start("").await;
    let address = bench.relay.address();
    let mut before = bench.relay.client().await;
    before.expect("EHLO device", "250").await;
    before.expect("MAIL FROM:<a@contoso.com>", "250").await;
    let limits = "address = \"127.0.0.1:0\"\nmax_message_size = \"10KiB\"";
    let small = text(&bench, "").replace("address = \"127.0.0.1:0\"", limits);
    let changes = bench.relay.reload(&small).await.unwrap();
    assert_eq!(changes.to_string(), "listener local changed");
    assert_eq!(bench.relay.address(), address, "the port is the same");

    before.expect("RCPT TO:<b@contoso.com>", "250").await;
    before.expect("DATA", "354").await;
    let large = format!("{CONTENT}{}.\r\n", ("x".repeat(98) + "\r\n").repeat(200));
    before.write(large.as_bytes()).await;
    assert!(before.reply().await.starts_with("250 2.0.0"));
    let mut after = bench.relay.client().await;
    let offer = after.expect("EHLO device", "250").await;
    assert!(offer.contains("250-SIZE 10240\n"), "{offer}");

    let nothing = bench.relay.reload(&small).await.unwrap();
    assert_eq!(nothing.to_string(), "nothing has changed");
    bench.delivered(1).await;
    bench.relay.stop().await;
}

#[tokio::test]
async fn an_allow_list_holds_for_who_comes_after() {
    let lan =
        |allow: &str| format!("[listener.lan]\naddress = \"0.0.0.0:0\"\nallow = [\"{allow}\"]\n");
    let bench = Bench::start(&lan("127.0.0.0/8")).await;
    let port = bench.relay.address_of("lan").port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut inside = Client::connect(address).await;
    bench
        .relay
        .reload(&text(&bench, &lan("10.9.9.0/24")))
        .await
        .unwrap();
    let mut outside = Client::connect(address).await;
    assert!(outside.greeting.starts_with("554 5.7.1"));
    assert_eq!(outside.rest().await, "");
    inside.expect("HELO device", "250").await;
    inside
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    bench.delivered(1).await;
    drop(inside);
    bench.relay.stop().await;
}

#[tokio::test]
async fn a_listener_opens_and_closes_without_the_others() {
    let bench = Bench::start("").await;
    let two = "[listener.second]\naddress = \"127.0.0.1:0\"\n";
    let changes = bench.relay.reload(&text(&bench, two)).await.unwrap();
    let second = bench.relay.address_of("second");
    assert_eq!(
        changes.to_string(),
        format!("listener second opened on {second}")
    );
    send(second).await;
    let mut busy = Client::connect(second).await;
    busy.expect("HELO device", "250").await;
    busy.expect("MAIL FROM:<a@contoso.com>", "250").await;
    let mut idle = Client::connect(second).await;

    bench.relay.reload(&text(&bench, "")).await.unwrap();
    let gone = TcpStream::connect(second).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::ConnectionRefused);
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    busy.expect("RCPT TO:<b@contoso.com>", "250").await;
    busy.expect("DATA", "354").await;
    busy.write(format!("{CONTENT}.\r\n").as_bytes()).await;
    assert!(busy.reply().await.starts_with("250 2.0.0"));
    assert!(busy.reply().await.starts_with("421 4.3.2"));
    send(bench.relay.address()).await;
    bench.delivered(3).await;
    let status = bench.relay.view.status().await;
    assert_eq!(status.listeners.len(), 1);
    bench.relay.stop().await;
}

#[tokio::test]
async fn a_listener_that_is_widened_is_there_all_the_while() {
    let bench = Bench::start("").await;
    let address = bench.relay.address();
    let stop = tokio_util::sync::CancellationToken::new();
    let told = stop.clone();
    let knocking = tokio::spawn(async move {
        let mut greeted = 0;
        while !told.is_cancelled() {
            // Nobody is refused. One in the backlog of the old socket is told to come again, or reset if it
            // comes as the socket closes.
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut greeting = [0; 4];
            match within("a greeting", stream.read_exact(&mut greeting)).await {
                Ok(_) => assert!([*b"220 ", *b"421 "].contains(&greeting), "{greeting:?}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            }
            greeted += 1;
        }
        greeted
    });
    let narrow = format!("address = \"{address}\"");
    let wide = format!(
        "address = \"0.0.0.0:{}\"\nallow = [\"127.0.0.0/8\"]",
        address.port()
    );
    for change in [&wide, &narrow, &wide] {
        let text = text(&bench, "").replace("address = \"127.0.0.1:0\"", change);
        bench.relay.reload(&text).await.unwrap();
        send(address).await;
    }
    stop.cancel();
    assert!(knocking.await.unwrap() > 0);
    // The port is nobody else's, although it was shared for a moment.
    let taken = TcpListener::bind(address).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    bench.relay.stop().await;
}

#[tokio::test]
async fn settings_that_cannot_be_carried_out_change_nothing_and_every_reason_is_told() {
    let bench = Bench::start("").await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let more = format!(
        "[listener.good]\naddress = \"127.0.0.1:0\"\n[listener.bad]\naddress = \"{address}\"\n"
    );
    let text = text(&bench, &more)
        .replace("/queue\"", "/elsewhere\"")
        .replace("[queue]", "[queue]\nmax_messages = 1")
        .replace("ca_file = \"", "ca_file = \"/nowhere");
    let reasons = refused(&bench.relay, &text).await;
    for expected in [
        "queue.directory: cannot change while the daemon runs",
        &format!("listener.bad: cannot listen on {address}"),
        "account.default.smtp.ca_file: cannot read the certificates in /nowhere",
    ] {
        let found = reasons.iter().filter(|reason| reason.starts_with(expected));
        assert_eq!(found.count(), 1, "{expected} in {reasons:?}");
    }
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    let shown = bench.relay.view.now();
    assert_eq!(shown.listeners.len(), 1);
    assert_eq!(bench.relay.view.queue.limits().messages_max, 100_000);
    assert!(!bench.folder.path().join("elsewhere").exists());
    send(bench.relay.address()).await;
    bench.delivered(1).await;
    bench.relay.stop().await;
}

#[tokio::test]
async fn bounds_of_the_queue_change_in_place() {
    let bench = Bench::start("").await;
    let refusal = Fault::Reply("451 4.3.0 later".into());
    bench
        .sandbox
        .control()
        .smtp_fault(Step::Mail, refusal, None);
    send(bench.relay.address()).await;
    let full = text(&bench, "").replace("[queue]", "[queue]\nmax_messages = 1");
    let changes = bench.relay.reload(&full).await.unwrap();
    assert_eq!(changes.to_string(), "queue changed");
    let mut client = bench.relay.client().await;
    client
        .expect("MAIL FROM:<a@contoso.com>", "452 4.3.1")
        .await;
    bench.relay.reload(&text(&bench, "")).await.unwrap();
    client.expect("MAIL FROM:<a@contoso.com>", "250").await;
    drop(client);
    bench.relay.stop().await;
}

#[tokio::test]
async fn an_account_that_stays_keeps_its_token_and_its_connection() {
    let bench = Bench::start("").await;
    send(bench.relay.address()).await;
    bench.delivered(1).await;
    let before = bench.sandbox.control().stats();
    let more = other_account(&bench.sandbox, "other@contoso.com");
    let changes = bench.relay.reload(&text(&bench, &more)).await.unwrap();
    assert!(
        changes.to_string().ends_with("account other added"),
        "{changes}"
    );
    send(bench.relay.address()).await;
    bench.delivered(2).await;
    let after = bench.sandbox.control().stats();
    assert_eq!(after.authenticated, before.authenticated);
    send(bench.relay.address_of("other")).await;
    bench.delivered(3).await;
    let after = bench.sandbox.control().stats();
    assert_eq!(after.authenticated, before.authenticated + 1);
    assert_eq!(after.token_requests, before.token_requests + 1);
    bench.assert_clean();
    bench.relay.stop().await;
}

#[tokio::test]
async fn a_corrected_secret_frees_the_mail() {
    let bench = Bench::start("").await;
    let right = text(&bench, "");
    let secret = bench.sandbox.client_secret();
    let file = bench.folder.path().join("secret");
    std::fs::write(&file, "wrong").unwrap();
    let literal = format!("\"{}\"", secret.reveal());
    let in_file = format!("{{ file = \"{}\" }}", file.display());
    let trouble = || bench.relay.delivery().trouble.map(|trouble| trouble.cause);

    bench
        .relay
        .reload(&right.replace(&literal, "\"wrong\""))
        .await
        .unwrap();
    send(bench.relay.address()).await;
    until("the pause", || trouble() == Some(Cause::Token)).await;
    bench.relay.reload(&right).await.unwrap();
    bench.delivered(1).await;

    // In a file the settings stay the same; the token source reads it anew.
    let text = right.replace(&literal, &in_file);
    bench.relay.reload(&text).await.unwrap();
    send(bench.relay.address()).await;
    until("the pause", || trouble() == Some(Cause::Token)).await;
    std::fs::write(&file, secret.reveal()).unwrap();
    let changes = bench.relay.reload(&text).await.unwrap();
    assert_eq!(changes.to_string(), "nothing has changed");
    bench.delivered(2).await;
    until("recovery", || trouble().is_none()).await;
    bench.relay.stop().await;
}

#[tokio::test]
async fn mail_of_a_removed_account_waits_and_flows_when_it_is_back() {
    let bench = Bench::start("").await;
    let with_other = text(&bench, &other_account(&bench.sandbox, "other@contoso.com"));
    bench.relay.reload(&with_other).await.unwrap();
    let refusal = Fault::Reply("535 5.7.3 Authentication unsuccessful".into());
    let control = bench.sandbox.control();
    control.smtp_fault(Step::Auth, refusal, None);
    for _ in 0..3 {
        send(bench.relay.address_of("other")).await;
    }
    bench.relay.reload(&text(&bench, "")).await.unwrap();
    control.clear_faults();
    send(bench.relay.address()).await;
    bench.delivered(1).await;
    let status = bench.relay.view.status().await;
    assert_eq!(status.accounts.len(), 1);
    assert_eq!(
        status.queue.unknown_accounts,
        [("other".to_owned(), 3)].into()
    );

    bench.relay.reload(&with_other).await.unwrap();
    bench.delivered(4).await;
    until("the settlements", || {
        bench.relay.view.queue.used() == (0, 0)
    })
    .await;
    let status = bench.relay.view.status().await;
    assert!(status.queue.unknown_accounts.is_empty());
    bench.relay.stop().await;
}

#[tokio::test]
async fn a_session_sends_through_the_account_that_its_listener_names_by_then() {
    let bench = Bench::start("").await;
    let mut client = bench.relay.client().await;
    client.expect("HELO device", "250").await;
    let renamed = text(&bench, "").replace("account.default", "account.main");
    let changes = bench.relay.reload(&renamed).await.unwrap();
    assert_eq!(
        changes.to_string(),
        "account main added, account default removed"
    );
    client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    bench.delivered(1).await;
    bench.relay.stop().await;
}

#[tokio::test]
async fn no_reload_and_no_other_name_gives_a_mailbox_a_second_minute() {
    let folder = tempfile::TempDir::new().unwrap();
    let sandbox = support::sandbox(folder.path()).await;
    let paced = |pace: u32, name: &str| {
        settings_text(folder.path(), &sandbox, "")
            .replace(
                "messages_per_minute = 0",
                &format!("messages_per_minute = {pace}"),
            )
            .replace("account.default", &format!("account.{name}"))
    };
    let relay = Running::start(&paced(3, "default")).await;
    for _ in 0..4 {
        send(relay.address()).await;
    }
    let full = |limit| {
        let pace = relay.pace();
        pace.messages_per_minute == Some(limit)
            && pace.messages_last_minute == 3
            && relay.delivery().busy == 0
    };
    until("three of four", || full(3)).await;
    relay.reload(&paced(2, "default")).await.unwrap();
    until("the lower limit to be full", || full(2)).await;
    // The mailbox is the same whatever the account is called.
    relay.reload(&paced(3, "main")).await.unwrap();
    send(relay.address()).await;
    until("the minute of the other name", || full(3)).await;
    // Forgotten and remembered within a minute.
    let other = paced(3, "main").replace("relay@contoso.com", "else@contoso.com");
    relay.reload(&other).await.unwrap();
    arrived(&sandbox, 5).await;
    relay.reload(&paced(3, "default")).await.unwrap();
    until("the minute from before", || full(3)).await;
    let messages = sandbox.control().messages();
    assert_eq!(
        messages.len(),
        5,
        "three of one mailbox and two of the other"
    );
    relay.stop().await;
}

async fn arrived(sandbox: &Sandbox, count: u64) {
    within("delivery", sandbox.control().wait_for_messages(count)).await;
}

#[tokio::test]
async fn attempts_end_over_the_old_connection_and_count_against_the_limit() {
    let folder = tempfile::TempDir::new().unwrap();
    let sandbox = support::sandbox(folder.path()).await;
    let one = |more: &str| {
        settings_text(folder.path(), &sandbox, "").replace(
            "messages_per_minute = 0",
            &format!(
                "messages_per_minute = 0\nconnections = 1\n{more}\ntimeouts.end_of_data = \"2s\""
            ),
        )
    };
    let relay = Running::start(&one("")).await;
    sandbox
        .control()
        .smtp_fault(Step::EndOfData, Fault::Hang, Some(1));
    send(relay.address()).await;
    until("the attempt that hangs", || {
        sandbox.control().stats().authenticated == 1
    })
    .await;
    relay
        .reload(&one("recipients_per_message = 7"))
        .await
        .unwrap();
    // The new dispatcher sends it, and the first one again.
    send(relay.address()).await;
    arrived(&sandbox, 2).await;
    assert_eq!(sandbox.control().stats().mailbox_connections_max, 1);
    until("the settlements", || relay.view.queue.used() == (0, 0)).await;
    relay.stop().await;
}

#[tokio::test]
async fn the_admin_socket_moves() {
    let bench = Bench::start("").await;
    let here = bench.folder.path().join("queue/admin.sock");
    let there = bench.folder.path().join("there.sock");
    let ask = |path: &Path| exorelay::admin::Client::new(path).unwrap();
    ask(&here).status().await.unwrap();
    let more = format!("[admin]\nsocket = \"{}\"\n", there.display());
    bench.relay.reload(&text(&bench, &more)).await.unwrap();
    ask(&there).status().await.unwrap();
    until("the old socket to go", || !here.exists()).await;
    bench.relay.stop().await;
    assert!(!there.exists());
}
