//! The real daemon, as a process that can be killed.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use super::Client;

pub struct Daemon {
    child: Child,
    pub address: SocketAddr,
    log: Receiver<String>,
    config: PathBuf,
}

/// The binary without this process's own settings.
pub fn exorelay(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exorelay"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EXORELAY_") {
            command.env_remove(name);
        }
    }
    command.arg("--config").arg(config);
    command
}

impl Daemon {
    /// Starts it and waits until it is ready.
    pub fn start(config: &Path) -> Self {
        Self::start_as(exorelay(config), config)
    }

    /// As [`Daemon::start`], with what `command` has besides.
    pub fn start_as(command: Command, config: &Path) -> Self {
        Self::start_told(command, config).0
    }

    /// As [`Daemon::start_as`], with what it said until it was ready.
    pub fn start_told(command: Command, config: &Path) -> (Self, Vec<String>) {
        let mut daemon = Self::spawn(command, config);
        let lines = daemon.lines_to("ready");
        let listening = lines.iter().find(|line| line.contains("listening"));
        daemon.address = address_in(listening.unwrap());
        (daemon, lines)
    }

    /// As [`Daemon::start_as`], where it has no port of its own.
    pub fn start_bare(command: Command, config: &Path) -> Self {
        let mut daemon = Self::spawn(command, config);
        daemon.wait_for("ready");
        daemon
    }

    /// As [`Daemon::start_as`], without a wait for anything.
    pub fn spawn(mut command: Command, config: &Path) -> Self {
        let mut child = command
            .arg("run")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (lines, log) = channel();
        // Read to the end, or the daemon would wait for room in the pipe.
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            log,
            config: config.to_owned(),
        }
    }

    /// The next line of the log that holds `text`.
    pub fn wait_for(&mut self, text: &str) -> String {
        self.lines_to(text).pop().unwrap()
    }

    /// The lines of the log up to the next one that holds `text`.
    pub fn lines_to(&mut self, text: &str) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        while !lines.last().is_some_and(|line| line.contains(text)) {
            match self.log.recv_timeout(Duration::from_mins(1)) {
                Ok(line) => lines.push(line),
                Err(_) => panic!(
                    "no \"{text}\" in the log of {}:\n{}",
                    self.config.display(),
                    lines.join("\n")
                ),
            }
        }
        lines
    }

    /// SIGTERM; the rest of the log, if it ends well.
    pub fn last_lines(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        let lines = self.log.iter().collect();
        assert!(self.child.wait().unwrap().success());
        lines
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// A device's whole visit, with one message.
    pub async fn take_one(&self) {
        let content = "From: a@contoso.com\r\nDate: d\r\nMessage-ID: <1@device>\r\n\r\nbody\r\n";
        let mut client = self.client().await;
        client.expect("HELO device", "250").await;
        client
            .send("a@contoso.com", &["b@contoso.com"], content)
            .await;
        client.expect("QUIT", "221").await;
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// No file of the daemon may grow beyond `bytes`: as on a disk that is full.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Fsize, limit).unwrap();
    }

    /// SIGKILL: no destructor runs, nothing is flushed.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Waits for the end that was asked for.
    pub fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// SIGTERM, then waits for the end.
    pub fn terminate(self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a line says that it listens, as text or as JSON.
pub fn address_in(line: &str) -> SocketAddr {
    let (_, rest) = line.split_once("address").unwrap();
    let rest = rest.trim_start_matches(['=', ':', '"']);
    rest.split([' ', '"']).next().unwrap().parse().unwrap()
}

/// Runs a command to its end: exit code, standard output, standard error.
pub fn finish(command: &mut Command) -> (Option<i32>, String, String) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    let mut stdout = String::new();
    let _ = child.stdout.take().unwrap().read_to_string(&mut stdout);
    (child.wait().unwrap().code(), stdout, reader.join().unwrap())
}
