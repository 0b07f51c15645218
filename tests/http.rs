//! The real daemon, looked at over HTTP: what it answers, to whom, and that nothing can be changed there.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use exorelay::sandbox::{Fault, Sandbox, Step};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::daemon::{Daemon, exorelay, finish};
use support::{settings_text, within};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONTENT: &str = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\nbody\r\n";

const ANY_PORT: &str = "[admin]\nhttp = \"127.0.0.1:0\"\n";

struct Bench {
    folder: TempDir,
    sandbox: Sandbox,
    config: PathBuf,
}

impl Bench {
    async fn new(more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let sandbox = support::sandbox(folder.path()).await;
        let config = folder.path().join("exorelay.toml");
        let bench = Self {
            folder,
            sandbox,
            config,
        };
        bench.write(more);
        bench
    }

    fn text(&self, more: &str) -> String {
        settings_text(self.folder.path(), &self.sandbox, more)
    }

    fn write(&self, more: &str) {
        std::fs::write(&self.config, self.text(more)).unwrap();
    }

    /// The daemon, and where it answers by its log.
    fn start(&self) -> (Daemon, SocketAddr) {
        let mut daemon = Daemon::spawn(exorelay(&self.config), &self.config);
        daemon.address = address(&daemon.wait_for("listening"));
        let http = address(&daemon.wait_for("listening"));
        daemon.wait_for("ready");
        (daemon, http)
    }

    /// Mail stays in the queue.
    fn block_upstream(&self) {
        let refusal = Fault::Reply("535 5.7.3 Authentication unsuccessful".into());
        self.sandbox.control().smtp_fault(Step::Auth, refusal, None);
    }
}

/// The one in a line of the log.
fn address(line: &str) -> SocketAddr {
    let address = line.split("address=").nth(1).unwrap();
    let address = address.split_whitespace().next().unwrap();
    address.trim_matches('"').parse().unwrap()
}

struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let host = if headers.contains("Host:") {
        String::new()
    } else {
        format!("Host: {address}\r\n")
    };
    // 1.0: the answer comes in one piece and ends with the connection.
    exchange(
        address,
        &format!("{method} {path} HTTP/1.0\r\n{host}{headers}\r\n"),
    )
    .await
}

async fn exchange(address: SocketAddr, question: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(question.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within("an answer", stream.read_to_end(&mut answer))
        .await
        .unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        code: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, "").await
}

/// Asks until `is` so.
async fn until(address: SocketAddr, path: &str, is: impl Fn(&Answer) -> bool) -> Answer {
    within(path, async {
        loop {
            let answer = get(address, path).await;
            if is(&answer) {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn send(daemon: &Daemon) {
    let mut client = daemon.client().await;
    client.expect("HELO device", "250").await;
    client
        .send("a@contoso.com", &["b@contoso.com"], CONTENT)
        .await;
}

const ROUTES: [(&str, &str); 11] = [
    ("/", "text/html"),
    ("/page.js", "text/javascript"),
    ("/metrics", "text/plain"),
    ("/healthz", "text/plain"),
    ("/readyz", "text/plain"),
    ("/livez", "text/plain"),
    ("/v1/status", "application/json"),
    ("/v1/queue", "application/x-ndjson"),
    ("/v1/history", "application/x-ndjson"),
    ("/v1/clients", "application/json"),
    ("/v1/timeline", "application/json"),
];

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                   base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn assert_guarded(answer: &Answer, what: &str) {
    for (name, value) in [
        ("content-security-policy", CSP),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name} of {what}");
    }
}

#[tokio::test]
async fn every_route_looks_and_none_changes_anything() {
    let bench = Bench::new(ANY_PORT).await;
    bench.block_upstream();
    let (daemon, http) = bench.start();
    send(&daemon).await;
    for (path, content_type) in ROUTES {
        let answer = get(http, path).await;
        assert_eq!(answer.code, 200, "{path}: {}", answer.body);
        assert!(
            answer
                .header("content-type")
                .unwrap()
                .starts_with(content_type),
            "{path}"
        );
        assert_guarded(&answer, path);
        let head = ask(http, "HEAD", path, "").await;
        assert_eq!((head.code, head.body.as_str()), (200, ""), "{path}");
        assert_guarded(&head, path);
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let answer = ask(http, method, path, "").await;
            assert_eq!(answer.code, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"));
            assert_guarded(&answer, path);
        }
    }
    let listed = get(http, "/v1/queue").await.json();
    let id = listed["id"].as_str().unwrap();
    let shown = get(http, &format!("/v1/queue/{id}")).await;
    assert_eq!(shown.json()["recipients"][0]["address"], "b@contoso.com");
    assert!(
        !shown.body.contains("body\\r\\n"),
        "no content: {}",
        shown.body
    );

    let selection = format!("{{\"selection\":{{\"ids\":[\"{id}\"]}}}}");
    let rest = format!(
        "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{selection}",
        selection.len()
    );
    for path in [
        "/v1/actions/delete",
        "/v1/actions/hold",
        "/v1/actions/retry",
        "/v1/export",
        "/v1/import",
        "/v1/accounts/default/renew",
        "/v1/senders/forget",
    ] {
        let question = format!("POST {path} HTTP/1.0\r\n{rest}");
        assert_eq!(exchange(http, &question).await.code, 405, "{path}");
        assert_eq!(
            get(http, path).await.code,
            404,
            "{path} is not there at all"
        );
    }
    let after = get(http, "/v1/queue").await.json();
    assert_eq!(after["id"], id);
    let state = after["state"].as_str().unwrap();
    assert!(["ready", "sending", "deferred"].contains(&state), "{state}");
    let unknown = get(http, "/v1/nothing").await;
    assert_eq!(unknown.code, 404);
    assert_guarded(&unknown, "what is not there");
    assert_eq!(get(http, "/v1/timeline?span=year").await.code, 400);
    let timeline = until(http, "/v1/timeline", |answer| {
        !answer.json()["samples"].as_array().unwrap().is_empty()
    });
    let timeline = timeline.await.json();
    assert_eq!(timeline["interval_seconds"], 10);
    assert!(
        timeline["samples"][0]["accounts"]["default"].is_object(),
        "{timeline}"
    );
    assert!(daemon.terminate().success());
}

#[tokio::test]
async fn it_answers_to_its_names_and_says_where_it_is() {
    let bench = Bench::new(ANY_PORT).await;
    let (daemon, http) = bench.start();
    for host in [
        "relay.test",
        "RELAY.TEST:80",
        "localhost",
        "10.1.2.3",
        "[::1]:2580",
    ] {
        let headers = format!("Host: {host}\r\n");
        assert_eq!(
            ask(http, "GET", "/v1/status", &headers).await.code,
            200,
            "{host}"
        );
    }
    let evil = ask(http, "GET", "/v1/status", "Host: evil.example\r\n").await;
    assert_eq!(evil.code, 421);
    assert!(
        evil.body
            .contains("ask it by IP address, or as one of: localhost, relay.test"),
        "{}",
        evil.body
    );
    assert_guarded(&evil, "a refusal");
    let headers = "Sec-Fetch-Site: cross-site\r\n";
    assert_eq!(ask(http, "GET", "/v1/history", headers).await.code, 403);

    assert_eq!(
        get(http, "/v1/status").await.json()["admin_http"],
        http.to_string()
    );
    let (code, text, _) = finish(exorelay(&bench.config).arg("status"));
    assert_eq!(code, Some(0));
    assert!(
        text.contains(&format!("status page: http://{http}/\n")),
        "{text}"
    );
    let (_, json, _) = finish(exorelay(&bench.config).args(["status", "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["admin_http"], http.to_string());
    assert!(daemon.terminate().success());
}

#[tokio::test]
async fn a_reload_opens_moves_and_closes_it() {
    let bench = Bench::new(ANY_PORT).await;
    let (mut daemon, first) = bench.start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let held = taken.local_addr().unwrap();
    bench.write(&format!("[admin]\nhttp = \"{held}\"\n"));
    daemon.signal(Signal::HUP);
    let line = daemon.wait_for("settings not reloaded");
    let expected = format!("admin.http: cannot listen on {held}: ");
    assert!(line.contains(&expected), "{line}");
    assert!(line.contains("another program uses this port"), "{line}");
    assert_eq!(get(first, "/healthz").await.code, 200, "the old one stays");

    // The same port, for everybody: it is never closed in between.
    let everywhere = SocketAddr::from(([0, 0, 0, 0], first.port()));
    bench.write(&format!("[admin]\nhttp = \"{everywhere}\"\n"));
    daemon.signal(Signal::HUP);
    let line = daemon.wait_for("can be reached from other hosts");
    assert!(line.contains("docs/admin-http.md"), "{line}");
    let line = daemon.wait_for("settings reloaded");
    let expected = format!("admin.http opened on {everywhere}, admin.http on {first} closed");
    assert!(line.contains(&expected), "{line}");
    assert_eq!(get(first, "/healthz").await.code, 200);

    drop(taken);
    bench.write(&format!("[admin]\nhttp = \"{held}\"\n"));
    daemon.signal(Signal::HUP);
    daemon.wait_for("settings reloaded");
    assert_eq!(
        get(held, "/v1/status").await.json()["admin_http"],
        held.to_string()
    );
    let is_closed = async |address| {
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    };
    is_closed(first).await;

    bench.write("");
    daemon.signal(Signal::HUP);
    let line = daemon.wait_for("settings reloaded");
    assert!(
        line.contains(&format!("admin.http on {held} closed")),
        "{line}"
    );
    is_closed(held).await;
    let (_, text, _) = finish(exorelay(&bench.config).arg("status"));
    assert!(!text.contains("status page"), "{text}");
    assert!(daemon.terminate().success());
}

#[tokio::test]
async fn a_port_that_is_taken_keeps_it_from_starting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let held = taken.local_addr().unwrap();
    let bench = Bench::new(&format!("[admin]\nhttp = \"{held}\"\n")).await;
    let (code, _, stderr) = finish(exorelay(&bench.config).arg("run"));
    assert_eq!(code, Some(1), "{stderr}");
    let expected = format!("admin.http: cannot listen on {held}: Address already in use");
    assert!(stderr.contains(&expected), "{stderr}");
    assert!(
        stderr.contains("stop it or set another address"),
        "{stderr}"
    );
}

#[tokio::test]
async fn it_is_ready_while_there_is_room() {
    let bench = Bench::new(ANY_PORT).await;
    let text = bench.text(ANY_PORT);
    let small = text.replace("[queue]\n", "[queue]\nmax_messages = 1\n");
    std::fs::write(&bench.config, small).unwrap();
    bench.block_upstream();
    let (mut daemon, http) = bench.start();
    let ready = get(http, "/readyz").await;
    assert_eq!((ready.code, ready.body.as_str()), (200, "ready\n"));
    send(&daemon).await;
    let full = get(http, "/readyz").await;
    assert_eq!(full.code, 503);
    assert_eq!(
        full.body,
        "the queue holds its maximum number of messages\n"
    );
    let json = ask(http, "GET", "/readyz", "Accept: application/json\r\n").await;
    assert_eq!(json.json()["status"], "unavailable");
    for path in ["/healthz", "/livez"] {
        assert_eq!(get(http, path).await.code, 200, "{path}");
    }
    bench.write(ANY_PORT);
    daemon.signal(Signal::HUP);
    daemon.wait_for("settings reloaded");
    assert_eq!(get(http, "/readyz").await.code, 200);
    assert!(daemon.terminate().success());
}

#[tokio::test]
async fn it_is_not_ready_while_it_drains_and_still_answers() {
    let bench = Bench::new(ANY_PORT).await;
    let (daemon, http) = bench.start();
    let mut client = daemon.client().await;
    client.expect("HELO device", "250").await;
    client.expect("MAIL FROM:<a@contoso.com>", "250").await;
    client.expect("RCPT TO:<b@contoso.com>", "250").await;
    client.expect("DATA", "354").await;
    daemon.signal(Signal::TERM);
    let draining = until(http, "/readyz", |answer| answer.code == 503).await;
    assert_eq!(draining.body, "draining: the daemon is stopping\n");
    for path in ["/healthz", "/livez", "/v1/status"] {
        assert_eq!(get(http, path).await.code, 200, "{path}");
    }
    client.write(format!("{CONTENT}.\r\n").as_bytes()).await;
    assert!(client.reply().await.starts_with("250 2.0.0"));
    assert!(daemon.ended().success());
    assert!(TcpStream::connect(http).await.is_err());
}

#[tokio::test]
async fn the_demonstration_shows_the_page() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exorelay"));
    let mut child = command
        .args(["demo", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let found = tokio::task::spawn_blocking(move || {
        let mut lines = stdout.lines().map_while(Result::ok);
        lines.find_map(|line| {
            let rest = line.strip_prefix("Watch it:     http://")?;
            rest.strip_suffix('/')?.parse::<SocketAddr>().ok()
        })
    });
    let http = within("the line", found).await.unwrap().unwrap();
    let page = get(http, "/").await;
    assert_eq!(page.code, 200);
    assert!(page.body.contains("<title>"), "{}", page.body);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait()).await;
    assert!(ended.unwrap().unwrap().success());
}
