//! The daemon is killed at each step of a message's way; what every side then knows is compared.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod support;

use std::path::PathBuf;
use std::time::Duration;

use exorelay::sandbox::{Control, Fault, Sandbox, Step, TokenFault};
use support::daemon::Daemon;
use support::folder::{assert_sound, content_files, rows};
use support::{Client, settings_text, until, within};
use tempfile::TempDir;

/// A sandbox and the settings of a daemon that sends to it, kept over the daemon's deaths.
struct Scene {
    sandbox: Sandbox,
    config: PathBuf,
    folder: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let sandbox = support::sandbox(folder.path()).await;
        let config = folder.path().join("exorelay.toml");
        let text = settings_text(folder.path(), &sandbox, "[log]\nlevel = \"debug\"\n");
        std::fs::write(&config, text).unwrap();
        Self {
            sandbox,
            config,
            folder,
        }
    }

    fn start(&self) -> Daemon {
        Daemon::start(&self.config)
    }

    fn control(&self) -> &Control {
        self.sandbox.control()
    }

    fn queue(&self) -> PathBuf {
        self.folder.path().join("queue")
    }

    /// A new daemon delivers what the dead one left; how many copies the sandbox then has.
    async fn recovered(&self, waiting: usize) -> usize {
        let before = self.control().stats().messages;
        self.control().clear_faults();
        let daemon = self.start();
        let count = before + waiting as u64;
        within("delivery", self.control().wait_for_messages(count)).await;
        until("settlement", || {
            rows(&self.queue()).iter().all(|row| !row.is_waiting())
        })
        .await;
        assert!(daemon.terminate().success());
        assert_sound(&self.queue());
        let violations = self.control().violations();
        assert!(violations.is_empty(), "{violations:?}");
        self.control().messages().len()
    }
}

fn content(message_id: &str, size: usize) -> String {
    let line = format!("{}\r\n", "x".repeat(898));
    let text = line.repeat(size / 900 + 1);
    format!("From: a@contoso.com\r\nDate: d\r\nMessage-ID: {message_id}\r\n\r\n{text}")
}

async fn greeted(daemon: &Daemon) -> Client {
    let mut client = daemon.client().await;
    client.expect("EHLO device", "250").await;
    client
}

#[tokio::test]
async fn killed_while_content_comes_in_it_owes_nothing_and_keeps_nothing() {
    let scene = Scene::new().await;
    let daemon = scene.start();
    let mut client = greeted(&daemon).await;
    client.expect("MAIL FROM:<a@contoso.com>", "250").await;
    client.expect("RCPT TO:<b@contoso.com>", "250").await;
    client.expect("DATA", "354").await;
    client
        .write(content("<1@device>", 300_000).as_bytes())
        .await;
    until("the content file", || {
        !content_files(&scene.queue()).is_empty()
    })
    .await;
    daemon.kill();
    assert_eq!(client.rest().await, "", "nothing was promised");
    assert_eq!(rows(&scene.queue()), []);
    assert_eq!(scene.recovered(0).await, 0);
    assert_eq!(content_files(&scene.queue()), [""; 0]);
}

#[tokio::test]
async fn killed_right_after_the_250_it_still_owes_the_message() {
    let scene = Scene::new().await;
    scene.control().token_fault(Some(TokenFault::Off), None);
    let daemon = scene.start();
    let mut client = greeted(&daemon).await;
    let mut ids = Vec::new();
    for size in [100, 300_000] {
        let content = content(&format!("<{size}@device>"), size);
        ids.push(
            client
                .send("a@contoso.com", &["b@contoso.com"], &content)
                .await,
        );
    }
    daemon.kill();
    let rows = rows(&scene.queue());
    let held: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
    assert_eq!(held, ids);
    assert!(rows.iter().all(|row| row.attempts == 0), "{rows:?}");
    assert_eq!(scene.recovered(2).await, 2, "no copy too many");
}

#[tokio::test]
async fn killed_with_a_lease_it_sends_the_message_once() {
    let scene = Scene::new().await;
    scene.control().smtp_fault(Step::Mail, Fault::Hang, Some(1));
    let mut daemon = scene.start();
    let mut client = greeted(&daemon).await;
    let id = client
        .send(
            "a@contoso.com",
            &["b@contoso.com"],
            &content("<1@device>", 100),
        )
        .await;
    daemon.wait_for(&format!("attempt queue_id={id}"));
    daemon.kill();
    let rows = rows(&scene.queue());
    assert!(rows.len() == 1 && rows[0].is_leased(), "{rows:?}");
    assert_eq!(scene.recovered(1).await, 1);
}

#[tokio::test]
async fn killed_between_final_dot_and_reply_it_sends_the_message_again() {
    let scene = Scene::new().await;
    scene
        .control()
        .smtp_fault(Step::EndOfData, Fault::DisconnectAfterAccept, Some(1));
    let daemon = scene.start();
    let mut client = greeted(&daemon).await;
    client
        .send(
            "a@contoso.com",
            &["b@contoso.com"],
            &content("<1@device>", 100),
        )
        .await;
    within("the first copy", scene.control().wait_for_messages(1)).await;
    daemon.kill();
    // On a slow machine the second copy may be on its way, or there, already.
    let rows = rows(&scene.queue());
    assert_eq!(rows.len(), 1);
    let waiting = usize::from(rows[0].is_waiting());
    assert_eq!(scene.recovered(waiting).await, 2);
    let messages = scene.control().messages();
    assert_eq!(messages[0].message_id, messages[1].message_id);
}

/// From the upstream's 250 on, a settlement that cannot be stored holds the daemon at this step.
async fn between_250_and_settlement(scene: &Scene) -> (Daemon, String) {
    // Leased first, and only then is there no room any more.
    let slow = TokenFault::Slow(Duration::from_secs(1));
    scene.control().token_fault(Some(slow), None);
    let mut daemon = scene.start();
    let mut client = greeted(&daemon).await;
    let id = client
        .send(
            "a@contoso.com",
            &["b@contoso.com"],
            &content("<1@device>", 100),
        )
        .await;
    daemon.wait_for(&format!("attempt queue_id={id}"));
    daemon.limit_files(Some(1));
    within("the upstream's 250", scene.control().wait_for_messages(1)).await;
    let line = daemon.wait_for("what became of the message is not stored yet");
    assert!(line.contains(&id), "{line}");
    (daemon, id)
}

#[tokio::test]
async fn killed_between_the_upstreams_250_and_the_settlement_is_the_one_way_to_a_second_copy() {
    let scene = Scene::new().await;
    let (daemon, id) = between_250_and_settlement(&scene).await;
    daemon.kill();
    let rows = rows(&scene.queue());
    assert!(
        rows.len() == 1 && rows[0].is_leased() && rows[0].id == id,
        "{rows:?}"
    );
    assert_eq!(scene.recovered(1).await, 2);
    let messages = scene.control().messages();
    assert_eq!(messages[0].message_id, messages[1].message_id);
}

#[tokio::test]
async fn a_settlement_that_finds_no_room_waits_and_makes_no_second_copy() {
    let scene = Scene::new().await;
    let (mut daemon, id) = between_250_and_settlement(&scene).await;
    daemon.limit_files(None);
    let line = daemon.wait_for("delivered");
    assert!(line.contains(&id), "{line}");
    daemon.kill();
    assert_eq!(rows(&scene.queue())[0].state, 5);
    assert_eq!(scene.recovered(0).await, 1);
}
