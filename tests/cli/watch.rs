//! `status --watch`, at a terminal and elsewhere.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::Value;
use tokio::task::block_in_place;

use crate::bench::{Bench, answer, assert_exit, close, submit};

const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// `status --watch 1` at a terminal.
struct Watcher {
    child: Child,
    screen: File,
    /// Open all the time, so that what was written can be read to the end.
    _keyboard: File,
    written: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Watcher {
    fn sit_down(bench: &Bench) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let screen = openpt(flags).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let name = ptsname(&screen, Vec::new()).unwrap();
        let screen = File::from(screen);
        let mut options = File::options();
        let keyboard = options.read(true).write(true).open(name.to_str().unwrap());
        let keyboard = keyboard.unwrap();
        let child = bench
            .command(&["status", "--watch", "1"])
            .env("TERM", "xterm")
            .stdin(keyboard.try_clone().unwrap())
            .stdout(keyboard.try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut reader = screen.try_clone().unwrap();
        let (blocks, written) = channel();
        std::thread::spawn(move || {
            let mut block = [0; 1024];
            while let Ok(read @ 1..) = reader.read(&mut block) {
                if blocks.send(block[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            screen,
            _keyboard: keyboard,
            written,
            seen: Vec::new(),
        }
    }

    /// Waits for `text` behind what was waited for before; what came before it.
    fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_mins(1);
        block_in_place(|| {
            loop {
                let found = self
                    .seen
                    .windows(text.len())
                    .position(|w| w == text.as_bytes());
                if let Some(at) = found {
                    let rest = self.seen.split_off(at + text.len());
                    let mut before = std::mem::replace(&mut self.seen, rest);
                    before.truncate(at);
                    return String::from_utf8(before).unwrap();
                }
                let left = deadline.saturating_duration_since(Instant::now());
                match self.written.recv_timeout(left) {
                    Ok(block) => self.seen.extend(block),
                    Err(error) => {
                        let seen = String::from_utf8_lossy(&self.seen);
                        panic!("no {text:?} in {seen:?}: {error}");
                    }
                }
            }
        })
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn shows_what_is_typed(&self) -> bool {
        let modes = tcgetattr(&self.screen).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ISIG), "Ctrl-C is a signal");
        modes.contains(LocalModes::ECHO)
    }

    fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.screen, size).unwrap();
        // It would come by itself to who has the terminal for its own.
        self.signal(Signal::WINCH);
    }

    async fn stopped(&self) {
        let path = format!("/proc/{}/stat", self.child.id());
        while !std::fs::read_to_string(&path).unwrap().contains(") T ") {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_is_drawn_in_place_and_is_as_before_afterwards() {
    let bench = Bench::new();
    let queue = bench.queue();
    submit(&queue, "default").await;
    let stop = answer(&bench, &queue).await;
    let mut watcher = Watcher::sit_down(&bench);
    assert_eq!(watcher.wait_for(ENTER), "");
    assert_eq!(watcher.wait_for("\x1b[1;1H\x1b[2K"), "");
    let time = watcher.wait_for(", every 1s; Ctrl-C ends\x1b[2;1H\x1b[2K");
    assert_eq!(time.len(), "14:32:10".len(), "{time}");
    let first = "exorelay 0.1.0 on relay.contoso.local, process 4711, up ";
    assert_eq!(watcher.wait_for(first), "");
    watcher.wait_for("\x1b[3;1H\x1b[2Kqueue: 1 message waits (1 ready)");
    watcher.wait_for("\x1b[5;1H\x1b[J");
    assert!(!watcher.shows_what_is_typed());
    submit(&queue, "default").await;
    watcher.wait_for("\x1b[3;1H\x1b[2Kqueue: 2 messages wait (2 ready)");

    watcher.resize(30, 3);
    watcher.wait_for(
        "\x1b[2;1H\x1b[2Kexorelay 0.1.0 on relay.conto…\x1b[3;1H\x1b[2K… and 2 lines more\x1b[1;1H",
    );
    watcher.resize(200, 50);
    watcher.wait_for("\x1b[3;1H\x1b[2Kqueue: 2 messages wait (2 ready)");

    stop.cancel();
    watcher.wait_for("\x1b[2;1H\x1b[2KNO ANSWER for ");
    watcher.wait_for(": a daemon holds ");
    watcher.wait_for("\x1b[3;1H\x1b[2Kas of ");
    watcher.wait_for("\x1b[4;1H\x1b[2Kqueue: 2 messages wait (2 ready)");
    let stop = answer(&bench, &queue).await;
    watcher.wait_for("; Ctrl-C ends\x1b[2;1H\x1b[2Kexorelay 0.1.0 on ");

    watcher.signal(Signal::TSTP);
    watcher.wait_for(LEAVE);
    watcher.stopped().await;
    assert!(watcher.shows_what_is_typed());
    watcher.signal(Signal::CONT);
    watcher.wait_for(ENTER);
    watcher.wait_for("\x1b[2;1H\x1b[2Kexorelay 0.1.0 on ");
    assert!(!watcher.shows_what_is_typed());

    watcher.signal(Signal::TERM);
    watcher.wait_for(LEAVE);
    let ended = block_in_place(|| watcher.child.wait()).unwrap();
    assert!(ended.success(), "{ended}");
    assert!(watcher.seen.is_empty() && watcher.written.try_recv().is_err());
    assert!(watcher.shows_what_is_typed());

    let mut watcher = Watcher::sit_down(&bench);
    watcher.wait_for(first);
    watcher.signal(Signal::INT);
    watcher.wait_for(LEAVE);
    assert!(block_in_place(|| watcher.child.wait()).unwrap().success());
    stop.cancel();
    close(queue).await;
}

fn spawn(bench: &Bench, arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut child = bench
        .command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

fn line(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    block_in_place(|| output.read_line(&mut line)).unwrap();
    assert!(line.ends_with('\n'), "{line:?}");
    line.truncate(line.len() - 1);
    line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elsewhere_one_page_follows_the_other() {
    let bench = Bench::new();
    let queue = bench.queue();
    let stop = answer(&bench, &queue).await;
    let (mut child, mut output) = spawn(&bench, &["status", "--watch", "1"]);
    for page in 0..2 {
        if page > 0 {
            assert_eq!(line(&mut output), "");
        }
        let first = line(&mut output);
        assert!(first.starts_with("exorelay 0.1.0 on "), "{first:?}");
        assert_eq!(line(&mut output), "queue: nothing waits");
        assert!(line(&mut output).starts_with("  0 of "));
    }
    // Whoever has seen enough ends it without a complaint.
    drop(output);
    let output = block_in_place(|| {
        child.wait().unwrap();
        child.wait_with_output()
    });
    assert_exit(&output.unwrap(), 0);

    let (mut child, mut output) = spawn(&bench, &["status", "--watch", "1", "--json"]);
    let mut look = || -> Value { serde_json::from_str(&line(&mut output)).unwrap() };
    for _ in 0..2 {
        let status = look();
        assert_eq!(status["running"], true);
        assert_eq!(status["queue"]["messages"], 0);
    }
    stop.cancel();
    let gone = loop {
        let status = look();
        if status["running"] == false {
            break status;
        }
    };
    assert!(gone["queue"]["counts"].is_object(), "{gone}");
    let error = gone["error"].as_str().unwrap();
    assert!(error.starts_with("a daemon holds "), "{error}");
    let stop = answer(&bench, &queue).await;
    while look()["running"] == false {}
    child.kill().unwrap();
    child.wait().unwrap();
    stop.cancel();
    close(queue).await;
}

#[test]
fn an_interval_is_a_number_of_seconds() {
    let bench = Bench::new();
    for interval in ["0", "-1", "soon", "86401"] {
        let output = bench.exorelay(&["status", "--watch", interval]);
        assert_exit(&output, 2);
    }
}
