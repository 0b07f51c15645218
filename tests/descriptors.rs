//! A daemon that may open few files.

mod support;

use std::process::Command;

use support::daemon::{Daemon, exorelay};
use support::{Client, sandbox, settings_text};
use tempfile::TempDir;

const CONTENT: &str = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\nbody\r\n";

#[tokio::test]
async fn clients_never_take_the_descriptors_that_the_rest_needs() {
    let folder = TempDir::new().unwrap();
    let sandbox = sandbox(folder.path()).await;
    let text = settings_text(folder.path(), &sandbox, "").replace(
        "address = \"127.0.0.1:0\"",
        "address = \"127.0.0.1:0\"\nmax_connections_per_client = 200",
    );
    let config = folder.path().join("exorelay.toml");
    std::fs::write(&config, text).unwrap();
    let program = exorelay(&config);
    let mut command = Command::new("sh");
    // The soft limit is raised: it would not do for the connections below.
    let limited = "ulimit -Sn 60 && ulimit -Hn 120 && exec \"$@\"";
    command.args(["-c", limited, "sh"]);
    command.arg(program.get_program()).args(program.get_args());
    let daemon = Daemon::start_as(command, &config);

    let mut first = daemon.client().await;
    let mut clients = Vec::new();
    let refused = loop {
        let client = Client::connect(daemon.address).await;
        if !client.greeting.starts_with("220 ") {
            break client.greeting;
        }
        clients.push(client);
    };
    assert!(refused.starts_with("421 4.7.0 "), "{refused}");
    assert_eq!(1 + clients.len(), 90, "three quarters of the limit");
    // A message costs a file more, which there is not.
    first.expect("MAIL FROM:<a@contoso.com>", "452 4.3.1").await;
    drop(clients.pop());
    drop(clients.pop());
    while first
        .command("MAIL FROM:<a@contoso.com>")
        .await
        .starts_with("452 ")
    {
        tokio::task::yield_now().await;
    }
    first.expect("RSET", "250").await;
    first
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    // Token, connection and queue had theirs.
    support::within("delivery", sandbox.control().wait_for_messages(1)).await;
    drop(clients);
    assert!(daemon.terminate().success());
}
