//! What is asked of a question, on a clock that jumps.

use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::connection::{CONNECTIONS_MAX, Connection, HEAD_MAX_BYTES};
use super::*;
use crate::admin::protocol::{PulseFuture, Reception, StatusFuture};
use crate::admin::tests::sample_status;
use crate::admin::{QueueStatus, Timeline};

struct Bench {
    folder: TempDir,
    queue: Queue,
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<io::Result<()>>,
    source: Arc<dyn StatusSource>,
    pulses: Pulses,
}

struct Fixed {
    queue: Queue,
    reception: Reception,
    /// What a status takes.
    time: Duration,
    pulses: Pulses,
}

/// What is wrong, if something is, and how often somebody wanted to know.
#[derive(Clone, Default)]
struct Pulses(Arc<Mutex<(Option<String>, u32)>>);

impl Pulses {
    fn set(&self, wrong: Option<&str>) {
        self.0.lock().unwrap().0 = wrong.map(str::to_owned);
    }

    fn count(&self) -> u32 {
        self.0.lock().unwrap().1
    }
}

impl StatusSource for Fixed {
    fn status(&self) -> StatusFuture<'_> {
        Box::pin(async {
            tokio::time::sleep(self.time).await;
            sample_status(QueueStatus::of(&self.queue).await)
        })
    }

    fn reception(&self) -> Reception {
        self.reception
    }

    fn names(&self) -> Vec<String> {
        vec!["relay.contoso.local".into(), "MAIL01".into()]
    }

    fn timeline(&self) -> Arc<Timeline> {
        Arc::default()
    }

    fn pulse(&self) -> PulseFuture<'_> {
        Box::pin(async {
            let mut pulses = self.pulses.0.lock().unwrap();
            pulses.1 += 1;
            pulses.0.clone().map_or(Ok(()), Err)
        })
    }

    fn renew(&self, _: &str) -> bool {
        panic!("nothing can be changed here");
    }
}

const OPEN: Reception = Reception {
    listeners: 1,
    draining: false,
};

impl Bench {
    async fn start() -> Self {
        Self::start_with(OPEN, Duration::ZERO).await
    }

    async fn start_with(reception: Reception, time: Duration) -> Self {
        let folder = TempDir::new().unwrap();
        let queue = Queue::open(crate::queue::tests::settings(folder.path())).unwrap();
        let server = HttpServer::bind(([127, 0, 0, 1], 0).into(), None).await;
        let server = server.unwrap();
        let address = server.port().local_address();
        let stop = CancellationToken::new();
        let pulses = Pulses::default();
        let source: Arc<dyn StatusSource> = Arc::new(Fixed {
            queue: queue.clone(),
            reception,
            time,
            pulses: pulses.clone(),
        });
        let server = tokio::spawn(server.run(queue.clone(), Arc::clone(&source), stop.clone()));
        Self {
            folder,
            queue,
            address,
            stop,
            server,
            source,
            pulses,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The answer to one question, with `Host: localhost` unless it has one.
    async fn ask(&self, line: &str, headers: &str) -> String {
        let host = if headers.contains("Host:") {
            ""
        } else {
            "Host: localhost\r\n"
        };
        let head = format!("{line} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n");
        self.raw(&head).await
    }

    async fn raw(&self, octets: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(octets.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }
}

/// A connection that the other side has cut may say so.
async fn rest(stream: &mut TcpStream) -> String {
    let mut octets = Vec::new();
    let _ = stream.read_to_end(&mut octets).await;
    String::from_utf8(octets).unwrap()
}

fn code(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn only_names_of_ours_and_addresses_are_answered_to() {
    let bench = Bench::start().await;
    for host in [
        "127.0.0.1",
        "127.0.0.1:2580",
        "10.20.1.5:80",
        "[::1]:2580",
        "[2001:db8::1]",
        "localhost",
        "LocalHost:2580",
        "relay.contoso.local",
        "Relay.Contoso.Local.:8080",
        "relay",
        "mail01:2580",
    ] {
        let answer = bench
            .ask("GET /healthz", &format!("Host: {host}\r\n"))
            .await;
        assert_eq!(code(&answer), "200", "{host}: {answer}");
    }
    for host in [
        "evil.example",
        "evil.example:2580",
        "relay.contoso.local.evil.example",
        "127.0.0.1.nip.io",
        "localhost.evil.example",
        "contoso.local",
        "",
    ] {
        let answer = bench
            .ask("GET /v1/status", &format!("Host: {host}\r\n"))
            .await;
        assert!(["421", "400"].contains(&code(&answer)), "{host}: {answer}");
        assert!(!answer.contains("\"accounts\""), "{answer}");
    }
    let answer = bench.ask("GET /", "Host: evil.example\r\n").await;
    assert_eq!(
        body(&answer),
        "{\"error\":\"this relay is not called evil.example: ask it by IP address, or as one of: localhost, \
         relay.contoso.local, MAIL01 (hostname in the settings is another); a reverse proxy has to send one of \
         these as Host\"}"
    );
    // The request line counts before the header, and two headers count as none.
    let absolute =
        "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(code(&bench.raw(absolute).await), "421");
    let two = bench
        .ask("GET /healthz", "Host: localhost\r\nHost: evil.example\r\n")
        .await;
    assert_eq!(code(&two), "400");
    assert_eq!(
        code(
            &bench
                .raw("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
                .await
        ),
        "400"
    );
    assert_eq!(
        code(&bench.raw("GET /healthz HTTP/1.0\r\n\r\n").await),
        "200"
    );
}

#[tokio::test]
async fn pages_of_other_sites_may_link_here_and_no_more() {
    let bench = Bench::start().await;
    for (path, headers, expected) in [
        ("/v1/status", "Sec-Fetch-Site: same-origin\r\n", "200"),
        ("/v1/status", "Sec-Fetch-Site: none\r\n", "200"),
        ("/v1/status", "Sec-Fetch-Site: cross-site\r\n", "403"),
        (
            "/v1/history",
            "sec-fetch-site: Cross-Site\r\nSec-Fetch-Mode: no-cors\r\n",
            "403",
        ),
        (
            "/v1/queue",
            "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n",
            "403",
        ),
        (
            "/healthz",
            "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n",
            "403",
        ),
        (
            "/healthz",
            "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n",
            "200",
        ),
    ] {
        let answer = bench.ask(&format!("GET {path}"), headers).await;
        assert_eq!(code(&answer), expected, "{path} {headers}");
    }
}

/// The runtime's clock jumps ahead; every wait that ends by then has ended.
async fn jump(seconds: u64) {
    // Whoever is about to wait does so first.
    tokio::task::yield_now().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

impl Bench {
    /// A connection that has been served and waits for the next question: its time runs.
    async fn served(&self) -> TcpStream {
        let mut stream = self.connect().await;
        ask_again(&mut stream).await;
        stream
    }
}

async fn ask_again(stream: &mut TcpStream) {
    let question = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(question).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok\n") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "{answer:?}");
    }
}

#[tokio::test]
async fn who_says_nothing_or_half_of_it_makes_room_for_others() {
    let bench = Arc::new(Bench::start().await);
    let mut slow = Vec::new();
    for number in 0..CONNECTIONS_MAX {
        let mut stream = bench.served().await;
        if number % 2 == 0 {
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nHost: lo")
                .await
                .unwrap();
        }
        slow.push(stream);
    }
    let waiting = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { bench.ask("GET /healthz", "").await }
    });
    jump(31).await;
    for stream in &mut slow {
        assert_eq!(rest(stream).await, "");
    }
    assert_eq!(code(&waiting.await.unwrap()), "200");
}

#[tokio::test]
async fn a_connection_may_wait_between_questions_for_a_while() {
    let bench = Bench::start().await;
    let mut stream = bench.served().await;
    for _ in 0..5 {
        jump(20).await;
        ask_again(&mut stream).await;
    }
    jump(31).await;
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn an_answer_may_take_its_time_and_a_reader_may_not() {
    let bench = Bench::start_with(OPEN, Duration::from_mins(5)).await;
    let mut stream = bench.served().await;
    let question = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(question).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        jump(1).await;
        match stream.try_read_buf(&mut answer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => assert_ne!(read.unwrap(), 0),
        }
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    ask_again(&mut stream).await;
    jump(31).await;
    assert_eq!(rest(&mut stream).await, "");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (reader, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let mut connection = Connection::new(accepted.unwrap().0, None);
    let fill = tokio::spawn(async move {
        let block = vec![0; 65_536];
        loop {
            if let Err(error) = connection.write_all(&block).await {
                return error;
            }
        }
    });
    while !fill.is_finished() {
        jump(1).await;
    }
    assert_eq!(fill.await.unwrap().kind(), io::ErrorKind::TimedOut);
    drop(reader);
}

#[tokio::test]
async fn a_head_octet_by_octet_gets_no_more_time() {
    let bench = Bench::start().await;
    let mut stream = bench.served().await;
    let mut end = [0; 1];
    let mut seconds = 0;
    while stream.write_all(b"x").await.is_ok() {
        jump(1).await;
        match stream.try_read(&mut end) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            ended => {
                assert!(ended.is_err() || ended.unwrap() == 0);
                break;
            }
        }
        seconds += 1;
        assert!(seconds < 10_000, "it may go on for ever");
    }
    assert!(seconds >= 5);
}

#[tokio::test]
async fn a_long_head_gets_no_more_room() {
    let bench = Bench::start().await;
    let long = format!("X: {}\r\n", "x".repeat(HEAD_MAX_BYTES));
    let mut stream = bench.connect().await;
    // It may be cut while it is still being sent.
    let _ = stream
        .write_all(format!("GET /healthz HTTP/1.1\r\n{long}").as_bytes())
        .await;
    assert_eq!(rest(&mut stream).await, "");
    let fits = format!("X: {}\r\n", "x".repeat(HEAD_MAX_BYTES / 2));
    assert_eq!(code(&bench.ask("GET /healthz", &fits).await), "200");
}

#[tokio::test]
async fn readiness_tells_each_reason() {
    let bench = Bench::start().await;
    assert_eq!(body(&bench.ask("GET /readyz", "").await), "ready\n");
    let json = bench
        .ask("GET /readyz", "Accept: application/json\r\n")
        .await;
    assert_eq!(body(&json), "{\"status\":\"ready\",\"reasons\":[]}");
    let mut full = crate::queue::tests::settings(bench.folder.path());
    full.limits.messages_max = 0;
    bench.queue.retune(&full);
    let answer = bench.ask("GET /readyz", "").await;
    assert_eq!(code(&answer), "503");
    assert_eq!(
        body(&answer),
        "the queue holds its maximum number of messages\n"
    );

    let closed = Reception {
        listeners: 0,
        draining: true,
    };
    let bench = Bench::start_with(closed, Duration::ZERO).await;
    let answer = bench.ask("GET /readyz", "").await;
    assert_eq!(code(&answer), "503");
    let expected = "draining: the daemon is stopping\nno listener is open\n";
    assert_eq!(body(&answer), expected);
    let json = bench
        .ask("GET /readyz", "Accept: application/json\r\n")
        .await;
    assert!(
        json.contains("{\"status\":\"unavailable\",\"reasons\":[\"draining"),
        "{json}"
    );
    assert_eq!(code(&bench.ask("GET /healthz", "").await), "200");
}

#[tokio::test]
async fn what_does_not_live_is_told_and_felt_once_a_second() {
    let bench = Bench::start().await;
    assert_eq!(body(&bench.ask("GET /livez", "").await), "alive\n");
    jump(2).await;
    let wrong = "the relay's main loop does not turn";
    bench.pulses.set(Some(wrong));
    let answer = bench.ask("GET /livez", "").await;
    assert_eq!(code(&answer), "503", "{answer}");
    assert_eq!(body(&answer), format!("{wrong}\n"));

    let health = health::Health::new(bench.queue.clone(), Arc::clone(&bench.source));
    let before = bench.pulses.count();
    tokio::time::pause();
    for _ in 0..3 {
        assert_eq!(health.pulse().await, [wrong]);
    }
    assert_eq!(bench.pulses.count(), before + 1);
    bench.pulses.set(None);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(health.pulse().await.is_empty());
    assert_eq!(bench.pulses.count(), before + 2);
}

#[tokio::test]
async fn a_port_is_widened_while_it_is_held_and_taken_from_nobody_else() {
    let bench = Bench::start().await;
    let everywhere = SocketAddr::from(([0, 0, 0, 0], bench.address.port()));
    let taken = HttpServer::bind(bench.address, None).await.unwrap_err();
    let text = taken.to_string();
    let expected = format!("admin.http: cannot listen on {}: ", bench.address);
    assert!(text.starts_with(&expected), "{text}");
    assert!(text.ends_with("; another program uses this port: stop it or set another address"));
    let foreign = HttpServer::bind("192.0.2.1:0".parse().unwrap(), None).await;
    let text = foreign.unwrap_err().to_string();
    assert!(
        text.ends_with("; this machine has no such address"),
        "{text}"
    );

    let narrow = HttpServer::bind(([127, 0, 0, 1], 0).into(), None)
        .await
        .unwrap();
    let port = narrow.port();
    let wide = SocketAddr::from(([0, 0, 0, 0], port.local_address().port()));
    let both = HttpServer::bind(wide, Some(&port)).await.unwrap();
    assert_eq!(both.port().local_address(), wide);
    drop(narrow);
    let held = HttpServer::bind(everywhere, Some(&port)).await;
    assert!(held.is_err(), "the other server's port is not given up");
    bench.stop.cancel();
    bench.server.await.unwrap().unwrap();
}
