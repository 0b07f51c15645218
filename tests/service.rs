//! The real daemon under a service manager: what it says of itself, and that it lives.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use exorelay::sandbox::{Fault, Sandbox, Step};
use rustix::process::Signal;
use support::daemon::{Daemon, exorelay};
use support::settings_text;
use tempfile::TempDir;

/// What `WATCHDOG_USEC` says.
const PATIENCE: Duration = Duration::from_millis(200);

/// A service manager, and what it is told.
struct Manager {
    folder: TempDir,
    sandbox: Sandbox,
    told: Receiver<String>,
    leave: Sender<()>,
}

impl Manager {
    async fn new() -> Self {
        let manager = Self::asleep().await;
        manager.wake();
        manager
    }

    /// It has no room for one more word.
    async fn frozen() -> Self {
        let manager = Self::asleep().await;
        let words = UnixDatagram::unbound().unwrap();
        words.set_nonblocking(true).unwrap();
        let socket = manager.folder.path().join("notify");
        while words.send_to(b"X=1\n", &socket).is_ok() {}
        manager
    }

    /// It reads what it is told once it wakes up.
    async fn asleep() -> Self {
        let folder = TempDir::new().unwrap();
        let sandbox = support::sandbox(folder.path()).await;
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        let (datagrams, told) = channel();
        let (leave, leaves) = channel();
        // Read at once: the socket has little room.
        std::thread::spawn(move || {
            let mut octets = [0; 4096];
            if leaves.recv().is_err() {
                return;
            }
            while let Ok(length) = socket.recv(&mut octets) {
                let datagram = octets.get(..length).unwrap();
                let text = String::from_utf8(datagram.to_vec()).unwrap();
                if datagrams.send(text).is_err() {
                    break;
                }
            }
        });
        let manager = Self {
            folder,
            sandbox,
            told,
            leave,
        };
        manager.write(&manager.text(""));
        manager
    }

    fn wake(&self) {
        self.leave.send(()).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("exorelay.toml")
    }

    fn text(&self, more: &str) -> String {
        settings_text(self.folder.path(), &self.sandbox, more)
    }

    fn write(&self, text: &str) {
        std::fs::write(self.config(), text).unwrap();
    }

    fn start(&self, variables: &[(&str, &str)]) -> Daemon {
        let mut command = exorelay(&self.config());
        command
            .env("NOTIFY_SOCKET", self.folder.path().join("notify"))
            .envs(variables.iter().copied());
        Daemon::start_as(command, &self.config())
    }

    fn start_watched(&self) -> Daemon {
        let patience = PATIENCE.as_micros().to_string();
        self.start(&[("WATCHDOG_USEC", &patience)])
    }

    fn heard(&self) -> String {
        self.told.recv_timeout(Duration::from_mins(1)).unwrap()
    }

    /// The next step; the line alone may be brought up to date at any time.
    fn step(&self) -> String {
        loop {
            let heard = self.heard();
            if !heard.starts_with("STATUS=") {
                return heard;
            }
        }
    }

    /// The next that begins so.
    fn wait_for(&self, begin: &str) -> String {
        loop {
            let heard = self.heard();
            if heard.starts_with(begin) {
                return heard;
            }
        }
    }
}

#[tokio::test]
async fn the_service_manager_is_told_of_each_step() {
    let manager = Manager::new().await;
    let daemon = manager.start(&[("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")]);
    let ready = "READY=1\nSTATUS=ready: 0 queued, 1 account";
    assert_eq!(manager.step(), format!("{ready}\n"));
    for (text, remark) in [
        (
            "[queue\n".to_owned(),
            "; settings not reloaded (1 to correct, see the log), those from before stay in force",
        ),
        (manager.text(""), ""),
    ] {
        manager.write(&text);
        daemon.signal(Signal::HUP);
        let reloading = manager.step();
        assert!(
            reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
            "{reloading}, and no watchdog of another process"
        );
        assert_eq!(manager.step(), format!("{ready}{remark}\n"));
    }
    daemon.signal(Signal::TERM);
    assert_eq!(
        manager.step(),
        "STOPPING=1\nSTATUS=stopping: transactions and attempts under way are finished first\n"
    );
    assert!(daemon.ended().success());
}

#[tokio::test]
async fn the_line_follows_queue_and_accounts() {
    let manager = Manager::new().await;
    let refusal = Fault::Reply("535 5.7.3 Authentication unsuccessful".into());
    let control = manager.sandbox.control();
    control.smtp_fault(Step::Auth, refusal, None);
    let daemon = manager.start(&[]);
    manager.wait_for("READY=1\nSTATUS=ready: 0 queued, 1 account\n");
    daemon.take_one().await;
    let told = tokio::task::spawn_blocking(move || {
        manager.wait_for("STATUS=ready: 1 queued, 1 account, 1 blocked\n");
        manager
    });
    let manager = told.await.unwrap();
    assert!(daemon.terminate().success());
    manager.wait_for("STOPPING=1\n");
}

#[tokio::test]
async fn a_daemon_that_lives_says_so_and_one_that_is_stopped_does_not() {
    let manager = Manager::new().await;
    let daemon = manager.start_watched();
    manager.wait_for("READY=1\n");
    for _ in 0..5 {
        assert_eq!(manager.wait_for("WATCHDOG=1"), "WATCHDOG=1\n");
    }
    daemon.signal(Signal::STOP);
    let stat = format!("/proc/{}/stat", daemon.id());
    while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
        std::thread::yield_now();
    }
    // What was sent before, and then nothing more.
    let silence = loop {
        if let Err(error) = manager.told.recv_timeout(5 * PATIENCE) {
            break error;
        }
    };
    assert_eq!(silence, RecvTimeoutError::Timeout);
    daemon.signal(Signal::CONT);
    manager.wait_for("WATCHDOG=1");
    // Nor does a reload keep it from it.
    daemon.signal(Signal::HUP);
    manager.wait_for("RELOADING=1\n");
    manager.wait_for("READY=1\n");
    manager.wait_for("WATCHDOG=1");
    daemon.signal(Signal::TERM);
    manager.wait_for("STOPPING=1\n");
    assert!(daemon.ended().success());
}

#[tokio::test]
async fn a_queue_that_another_program_holds_up_is_no_reason_to_be_killed() {
    let manager = Manager::new().await;
    let daemon = manager.start_watched();
    manager.wait_for("WATCHDOG=1");
    let database = manager.folder.path().join("queue/queue.db");
    let other = rusqlite::Connection::open(database).unwrap();
    other.busy_timeout(Duration::from_mins(1)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // More than one may have been under way.
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1");
    }
    other.execute_batch("ROLLBACK").unwrap();
    manager.wait_for("WATCHDOG=1");
    assert!(daemon.terminate().success());
}

/// As systemd after an error of its own ("Freezing execution").
#[tokio::test]
async fn a_manager_that_has_frozen_holds_no_mail_up_and_hears_it_when_it_is_back() {
    let manager = Manager::frozen().await;
    let daemon = manager.start_watched();
    daemon.take_one().await;
    manager.wake();
    manager.wait_for("READY=1\nSTATUS=ready: ");
    manager.wait_for("WATCHDOG=1");
    assert!(daemon.terminate().success());
}
