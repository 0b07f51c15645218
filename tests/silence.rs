//! A device that stops sending is missed, once, and found again: the real daemon, with its open time put forward.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::path::Path;

use exorelay::sandbox::Sandbox;
use serde_json::Value;
use support::daemon::{Daemon, exorelay, finish};
use support::{settings_text, until, within};
use tempfile::TempDir;

const SECTIONS: &str = "[client.lobby]\nnetwork = \"127.0.0.1\"\nsilent_after = \"3d\"\n\
                        [client.floor]\nnetwork = \"10.20.3.0/24\"\n";

struct Site {
    folder: TempDir,
    sandbox: Sandbox,
}

impl Site {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let sandbox = support::sandbox(folder.path()).await;
        let site = Self { folder, sandbox };
        site.write(SECTIONS);
        site
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, sections: &str) {
        let notes = self.path("notes");
        let alert = format!(
            "{sections}[alert]\ncommand = [\"/bin/sh\", \"-c\", \"cat >> {}\"]\n",
            notes.display()
        );
        let text = settings_text(self.folder.path(), &self.sandbox, &alert);
        std::fs::write(self.path("exorelay.toml"), text).unwrap();
    }

    fn start(&self) -> Daemon {
        Daemon::start(&self.path("exorelay.toml"))
    }

    fn ask(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = finish(exorelay(&self.path("exorelay.toml")).args(arguments));
        // A daemon that does not run is told with 1.
        assert!(matches!(code, Some(0 | 1)), "{stdout}{stderr}");
        stdout
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.ask(&["status", "--json"])).unwrap()
    }

    /// As if the daemon had listened for that much longer before it was stopped.
    fn listened_for(&self, days: i64) {
        let database = rusqlite::Connection::open(self.path("queue/queue.db")).unwrap();
        let changed = database.execute(
            "UPDATE meta SET value = value + ?1 WHERE key = 'open_ms'",
            [days * 86_400_000],
        );
        assert_eq!(changed.unwrap(), 1);
    }

    async fn alarms(&self, count: usize) -> Vec<Value> {
        until("the alarms", || written(&self.path("notes")).len() == count).await;
        written(&self.path("notes"))
    }
}

fn written(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // A line may be under way.
    let lines = text.split_inclusive('\n');
    let lines = lines.filter(|line| line.ends_with('\n'));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_silent_device_is_one_alarm_until_its_next_message() {
    let site = Site::new().await;
    let daemon = site.start();
    daemon.take_one().await;
    within("delivery", site.sandbox.control().wait_for_messages(1)).await;
    let clients = &site.status()["clients"];
    assert_eq!(clients[0]["name"], "floor");
    assert!(clients[0]["silent_after_seconds"].is_null());
    assert_eq!(clients[1]["name"], "lobby");
    assert_eq!(clients[1]["network"], "127.0.0.1");
    assert_eq!(clients[1]["silent_after_seconds"], 3 * 86_400);
    assert_eq!(clients[1]["silent"], false);
    assert_eq!(clients[1]["last_client"], "127.0.0.1");
    assert!(daemon.terminate().success());

    // However long nobody listened, nobody has fallen silent by it.
    site.listened_for(2);
    let daemon = site.start();
    let status = site.status();
    assert_eq!(status["incidents"], Value::Array(Vec::new()));
    assert_eq!(status["clients"][1]["silent"], false);
    let quiet = status["clients"][1]["quiet_seconds"].as_u64().unwrap();
    assert_eq!(quiet / 86_400, 2);
    assert!(daemon.terminate().success());

    site.listened_for(1);
    let mut daemon = site.start();
    let line = daemon.wait_for("a client has fallen silent");
    assert!(line.contains("lobby"), "{line}");
    let opened = site.alarms(1).await.remove(0);
    assert_eq!(opened["event"], "opened");
    assert_eq!(opened["kind"], "client");
    assert_eq!(opened["client"], "lobby");
    assert!(opened["account"].is_null());
    let text = opened["text"].as_str().unwrap();
    assert!(
        text.contains(": client lobby: silent: no message from 127.0.0.1 for 3d, the last on 2"),
        "{text}"
    );
    assert!(text.contains("power and network"), "{text}");
    let status = site.status();
    assert_eq!(status["incidents"][0]["client"], "lobby");
    assert_eq!(status["clients"][1]["silent"], true);
    let page = site.ask(&["status"]);
    assert!(
        page.contains("\nclients: 1 watched, 1 silent (lobby)\n"),
        "{page}"
    );
    assert!(page.contains(": client lobby: silent since "), "{page}");
    let list = site.ask(&["clients"]);
    let silent = "[client.lobby] 127.0.0.1: SILENT, no message for 3d, last message ";
    assert!(list.starts_with(silent), "{list}");
    assert!(daemon.terminate().success());

    // What was told before a restart is not told after it; nobody is asked while it is down.
    let list = site.ask(&["clients"]);
    assert!(list.starts_with(silent), "{list}");
    let mut daemon = site.start();
    daemon.take_one().await;
    daemon.wait_for("incident recovered");
    let alarms = site.alarms(2).await;
    assert_eq!(alarms[1]["event"], "recovered");
    assert_eq!(alarms[1]["id"], opened["id"]);
    let text = alarms[1]["text"].as_str().unwrap();
    assert!(
        text.ends_with(": client lobby is not silent any more"),
        "{text}"
    );
    let status = site.status();
    assert_eq!(status["incidents"], Value::Array(Vec::new()));
    assert_eq!(status["clients"][1]["silent"], false);
    let listed: Value = serde_json::from_str(&site.ask(&["clients", "--json"])).unwrap();
    assert_eq!(listed[0]["section"], "lobby");
    assert!(daemon.terminate().success());
}

#[tokio::test]
async fn a_reload_begins_and_ends_a_watch() {
    let site = Site::new().await;
    let daemon = site.start();
    daemon.take_one().await;
    assert!(daemon.terminate().success());
    site.listened_for(30);
    site.write("[client.lobby]\nnetwork = \"127.0.0.1\"\n");
    let mut daemon = site.start();
    // What was before the setting does not count.
    site.write(SECTIONS);
    daemon.signal(rustix::process::Signal::HUP);
    let line = daemon.wait_for("settings reloaded");
    assert!(line.contains("clients changed"), "{line}");
    assert_eq!(site.status()["clients"][1]["silent"], false);
    assert!(daemon.terminate().success());

    site.listened_for(3);
    let mut daemon = site.start();
    daemon.wait_for("a client has fallen silent");
    site.write("");
    daemon.signal(rustix::process::Signal::HUP);
    daemon.wait_for("incident recovered");
    assert_eq!(site.status()["clients"], Value::Array(Vec::new()));
    assert!(daemon.terminate().success());
}
