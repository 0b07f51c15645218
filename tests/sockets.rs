//! Listeners that are no TCP port of their own: Unix sockets, and sockets that systemd opened.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use exorelay::queue::HistoryFilter;
use support::daemon::{Daemon, exorelay};
use support::{Bench, Client, sandbox, settings_text};
use tempfile::TempDir;
use tokio::net::UnixStream;

const CONTENT: &str = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\nbody\r\n";

fn unix_listener(path: &Path) -> String {
    let path = path.display();
    format!("[listener.local-apps]\naddress = \"unix:{path}\"\nsocket_mode = \"0666\"\n")
}

async fn connect(path: &Path) -> Client {
    Client::over(UnixStream::connect(path).await.unwrap()).await
}

#[tokio::test]
async fn a_unix_socket_takes_mail_and_records_the_user() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("smtp.sock");
    // Left by a daemon that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let bench = Bench::start(&unix_listener(&path)).await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);

    let mut client = connect(&path).await;
    client.expect("EHLO app", "250").await;
    client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    let delivered = bench.delivered(1).await;
    let text = String::from_utf8_lossy(&delivered[0]).into_owned();
    assert!(text.starts_with("Received: from app"), "{text}");

    let reader = bench.relay.view.queue.reader();
    let mut clients = Vec::new();
    reader
        .history(&HistoryFilter::default(), |message| {
            clients.push(message.client);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(
        clients,
        [format!("uid:{}", rustix::process::getuid().as_raw())]
    );
    bench.relay.stop().await;
    assert!(!path.exists());
}

/// Opens a TCP and a Unix socket as systemd does, and becomes the program that is named behind it.
const AS_SYSTEMD: &str = "
import os, socket, sys
tcp = socket.create_server(('127.0.0.1', 0))
local = socket.socket(socket.AF_UNIX)
local.bind(sys.argv[1])
local.listen()
port = tcp.getsockname()[1]
with open(sys.argv[1] + '.port', 'w') as file:
    file.write(str(port))
descriptors = [os.dup(s.fileno()) for s in (tcp, local)]
tcp.close()
local.close()
for number, descriptor in enumerate(descriptors):
    os.dup2(descriptor, 100 + number)
for number in range(2):
    os.dup2(100 + number, 3 + number)
    os.close(100 + number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2', LISTEN_FDNAMES='smtp:apps')
os.execv(sys.argv[2], sys.argv[2:])
";

#[tokio::test]
async fn sockets_of_systemd_are_taken_over_by_name() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("apps.sock");
    let sandbox = sandbox(folder.path()).await;
    let more = "[listener.apps]\naddress = \"systemd:apps\"\nallow = [\"127.0.0.1\"]\n";
    let text = settings_text(folder.path(), &sandbox, more).replace(
        "address = \"127.0.0.1:0\"",
        "address = \"systemd:smtp\"\nallow = [\"127.0.0.1\"]",
    );
    let config = folder.path().join("exorelay.toml");
    std::fs::write(&config, text).unwrap();
    let program = exorelay(&config);
    let mut command = Command::new("python3");
    command
        .args(["-c", AS_SYSTEMD])
        .arg(&path)
        .arg(program.get_program())
        .args(program.get_args());
    let daemon = Daemon::start_bare(command, &config);

    let port: u16 = std::fs::read_to_string(path.with_extension("sock.port"))
        .unwrap()
        .parse()
        .unwrap();
    let mut network = Client::connect(([127, 0, 0, 1], port).into()).await;
    network
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    let mut local = connect(&path).await;
    local
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
    support::within("delivery", sandbox.control().wait_for_messages(2)).await;
    // The files are systemd's.
    assert!(daemon.terminate().success());
    assert!(path.exists());
}

#[tokio::test]
async fn a_name_that_systemd_did_not_open_is_told() {
    let folder = TempDir::new().unwrap();
    let sandbox = sandbox(folder.path()).await;
    let text = settings_text(folder.path(), &sandbox, "").replace(
        "address = \"127.0.0.1:0\"",
        "address = \"systemd:smtp\"\nallow = [\"127.0.0.1\"]",
    );
    let config = folder.path().join("exorelay.toml");
    std::fs::write(&config, text).unwrap();
    let (code, _, errors) = support::daemon::finish(exorelay(&config).arg("run"));
    assert_eq!(code, Some(1), "{errors}");
    assert!(
        errors.contains(
            "listener.local: cannot listen on systemd:smtp: systemd has opened no socket"
        ),
        "{errors}"
    );
}
