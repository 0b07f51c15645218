//! A client that takes as little of the machine as it can, for benches/accept: what is measured there is the
//! server.
//!
//! ```text
//! load --port 2525 --messages 20000 --sessions 20 [--reuse]
//! ```
//!
//! It says what `smtp-source` says, command by command and without pipelining, in one thread. The figures come
//! as one JSON object; the first unexpected reply ends it.

use std::cell::Cell;
use std::io;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

const SENDER: &str = "scanner@bench.invalid";
const RECIPIENT: &str = "somebody@bench.invalid";
const MESSAGE_BYTES: usize = 4096;

/// What is to be done.
#[derive(Clone, Copy)]
struct Order {
    port: u16,
    messages: u64,
    sessions: usize,
    reuse: bool,
}

/// What each session sends.
struct Script {
    mail: Vec<u8>,
    rcpt: Vec<u8>,
    content: Vec<u8>,
}

impl Script {
    fn new() -> Self {
        let line = [b"X".repeat(78), b"\r\n".to_vec()].concat();
        let head = b"Subject: bench\r\n\r\n".to_vec();
        Self {
            mail: format!("MAIL FROM:<{SENDER}>\r\n").into_bytes(),
            rcpt: format!("RCPT TO:<{RECIPIENT}>\r\n").into_bytes(),
            content: [head, line.repeat(MESSAGE_BYTES / 80), b".\r\n".to_vec()].concat(),
        }
    }
}

/// Messages that nobody has begun yet.
struct Rest(Cell<u64>);

impl Rest {
    fn take(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

struct Session {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Session {
    async fn begin(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let heard = Vec::with_capacity(1024);
        let mut session = Self { stream, heard };
        session.hear(b"220").await?;
        session.say(b"EHLO bench.invalid\r\n", b"250").await?;
        Ok(session)
    }

    async fn say(&mut self, octets: &[u8], code: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets).await?;
        self.hear(code).await
    }

    /// One whole reply.
    async fn hear(&mut self, code: &[u8]) -> io::Result<()> {
        self.heard.clear();
        while !is_whole(&self.heard) {
            if self.stream.read_buf(&mut self.heard).await? == 0 {
                return Err(io::Error::other("the connection was closed"));
            }
        }
        if self.heard.starts_with(code) {
            return Ok(());
        }
        let heard = String::from_utf8_lossy(&self.heard);
        Err(io::Error::other(format!("heard {heard:?}")))
    }

    async fn send(&mut self, script: &Script) -> io::Result<()> {
        self.say(&script.mail, b"250").await?;
        self.say(&script.rcpt, b"250").await?;
        self.say(b"DATA\r\n", b"354").await?;
        self.say(&script.content, b"250").await
    }
}

/// Whether the last line is there and the last one of its reply.
fn is_whole(heard: &[u8]) -> bool {
    let Some(text) = heard.strip_suffix(b"\n") else {
        return false;
    };
    let begin = memchr::memrchr(b'\n', text).map_or(0, |at| at + 1);
    text.get(begin + 3) == Some(&b' ')
}

/// Session after session, or one, until nothing is left.
async fn work(order: Order, script: Rc<Script>, rest: Rc<Rest>) -> io::Result<()> {
    while rest.take() {
        let mut session = Session::begin(order.port).await?;
        session.send(&script).await?;
        while order.reuse && rest.take() {
            session.send(&script).await?;
        }
        session.say(b"QUIT\r\n", b"221").await?;
    }
    Ok(())
}

async fn all(order: Order) -> io::Result<()> {
    let (script, rest) = (
        Rc::new(Script::new()),
        Rc::new(Rest(Cell::new(order.messages))),
    );
    let workers: Vec<_> = (0..order.sessions)
        .map(|_| tokio::task::spawn_local(work(order, Rc::clone(&script), Rc::clone(&rest))))
        .collect();
    for worker in workers {
        worker.await.map_err(io::Error::other)??;
    }
    Ok(())
}

fn order() -> Option<Order> {
    let (mut port, mut messages, mut sessions, mut reuse) = (None, None, 20, false);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--port" => port = words.next()?.parse().ok(),
            "--messages" => messages = words.next()?.parse().ok(),
            "--sessions" => sessions = words.next()?.parse().ok()?,
            "--reuse" => reuse = true,
            // From cargo.
            "--bench" => {}
            _ => return None,
        }
    }
    Some(Order {
        port: port?,
        messages: messages?,
        sessions,
        reuse,
    })
}

#[expect(clippy::print_stdout, reason = "the figures")]
fn main() -> ExitCode {
    let Some(order) = order() else {
        println!(
            "load --port PORT --messages COUNT [--sessions COUNT] [--reuse]: see benches/accept"
        );
        return ExitCode::SUCCESS;
    };
    let began = Instant::now();
    let sent = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .and_then(|runtime| LocalSet::new().block_on(&runtime, all(order)));
    if let Err(error) = sent {
        eprintln!("load: {error}");
        return ExitCode::FAILURE;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{{\"messages\": {}, \"seconds\": {seconds}}}",
        order.messages
    );
    ExitCode::SUCCESS
}
