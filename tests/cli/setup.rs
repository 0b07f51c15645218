//! `setup`: with answers from a file, and from somebody at a terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use exorelay::sandbox::{Sandbox, Settings};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::LocalModes;
use tempfile::TempDir;

use crate::bench::{SECRET, assert_complains, assert_exit, exorelay, stderr, stdout};

const TENANT: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const CLIENT: &str = "bbbbbbbb-0000-4000-8000-000000000002";

/// An empty folder for settings, answers, and a secret that somebody has put there.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(TempDir::new().unwrap());
        std::fs::write(desk.path("given"), format!("{SECRET}\n")).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn settings(&self) -> PathBuf {
        self.path("etc/exorelay.toml")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.settings()).unwrap()
    }

    fn answers(&self, more: &str) -> PathBuf {
        let path = self.path("answers.toml");
        let text = format!(
            "tenant_id = '{TENANT}'\nclient_id = '{CLIENT}'\nmailbox = \"o'brien@contoso.com\"\n\
             client_secret_file = '{}'\n{more}",
            self.path("given").display()
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    fn setup(&self, answers: &Path, more: &[&str]) -> Output {
        let mut command = exorelay(&["setup", "--answers"]);
        command.arg(answers).arg("--output").arg(self.settings());
        command.args(more).output().unwrap()
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn settings_and_secret_are_written_for_those_who_need_them() {
    let desk = Desk::new();
    let output = desk.setup(&desk.answers(""), &["--offline"]);
    assert_exit(&output, 0);
    let secret = desk.path("etc/client-secret");
    assert_eq!((mode(&desk.settings()), mode(&secret)), (0o640, 0o600));
    assert_eq!(std::fs::read_to_string(&secret).unwrap().trim_end(), SECRET);
    for text in [stdout(&output), stderr(&output), &desk.text()] {
        assert!(!text.contains(SECRET), "{text}");
    }
    for part in [
        &format!("$appId = '{CLIENT}'\n"),
        "$objectId = 'PASTE-THE-OBJECT-ID-HERE'",
        "-Resource 'o''brien@contoso.com'\n",
        &format!("Connect-ExchangeOnline -Organization '{TENANT}'\n"),
    ] {
        assert!(
            stdout(&output).contains(part),
            "{part} in {}",
            stdout(&output)
        );
    }
    let checked = exorelay(&["config", "check", "--config"])
        .arg(desk.settings())
        .output()
        .unwrap();
    assert_exit(&checked, 0);
    assert_eq!(stderr(&checked), "");

    // The same answers change nothing, and a file that is as it should be is not written again.
    let before = std::fs::metadata(desk.settings()).unwrap().ino();
    let again = desk.setup(&desk.answers(""), &["--offline"]);
    assert_exit(&again, 0);
    assert!(
        stdout(&again).contains(": nothing changes\n"),
        "{}",
        stdout(&again)
    );
    assert_eq!(std::fs::metadata(desk.settings()).unwrap().ino(), before);

    // The steps can be had again; a secret that others can read is mended.
    let mut print = exorelay(&["setup", "--print-steps", "--offline", "--config"]);
    let printed = print.arg(desk.settings()).output().unwrap();
    assert_exit(&printed, 0);
    assert!(
        stdout(&again).ends_with(&format!("{}\n", stdout(&printed))),
        "{}",
        stdout(&printed)
    );
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o644)).unwrap();
    assert_exit(&desk.setup(&desk.answers(""), &["--offline"]), 0);
    assert_eq!(mode(&secret), 0o600);
}

#[test]
fn what_cannot_be_used_leaves_everything_as_it_was() {
    let desk = Desk::new();
    for (more, parts) in [
        (
            "hostnam = 'x'\n",
            ["answers.toml: hostnam", "not a known key"],
        ),
        ("way = 'secrets'\n", ["answers.toml: way", "is none of"]),
        (
            "bounce.to = 'nobody'\n",
            ["answers.toml: bounce.to", "nobody"],
        ),
        (
            "client_certificate = '/x'\n",
            ["answers.toml: client_certificate", "no meaning"],
        ),
    ] {
        assert_complains(&desk.setup(&desk.answers(more), &["--offline"]), 2, &parts);
        assert!(!desk.path("etc").exists());
    }
    // A mistake elsewhere in the file is the loader's to tell.
    std::fs::create_dir(desk.path("etc")).unwrap();
    let before = "[queue]\nmax_bites = 1 # ours\n";
    std::fs::write(desk.settings(), before).unwrap();
    let output = desk.setup(&desk.answers(""), &["--offline"]);
    assert_complains(
        &output,
        78,
        &["nothing was written", "queue.max_bites", "max_bytes"],
    );
    assert_eq!(desk.text(), before);
    assert!(!desk.path("etc/client-secret").exists());
    // Nobody to ask.
    let output = exorelay(&["setup", "--output"])
        .arg(desk.path("new.toml"))
        .output()
        .unwrap();
    assert_complains(&output, 2, &["no terminal", "--answers"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn token_tells_the_object_id() {
    let desk = Desk::new();
    let sandbox = Sandbox::start(Settings::new(desk.path("sandbox")))
        .await
        .unwrap();
    let secret = sandbox.client_secret().reveal();
    std::fs::write(desk.path("given"), secret).unwrap();
    std::fs::create_dir(desk.path("etc")).unwrap();
    let oauth = format!(
        "[account.default.oauth]\ntoken_url = \"{}\" # ours\n",
        sandbox.token_url()
    );
    std::fs::write(desk.settings(), &oauth).unwrap();
    let answers = desk.path("answers.toml");
    let text = format!(
        "tenant_id = '{}'\nclient_id = '{}'\nmailbox = 'relay@contoso.com'\nclient_secret_file = '{}'\n",
        sandbox.tenant_id(),
        sandbox.client_id(),
        desk.path("given").display(),
    );
    std::fs::write(&answers, text).unwrap();
    let output = tokio::task::block_in_place(|| desk.setup(&answers, &[]));
    assert_exit(&output, 0);
    let (_, object_id) = stdout(&output).split_once("$objectId = '").unwrap();
    let (object_id, rest) = object_id.split_once('\'').unwrap();
    assert_eq!(
        (object_id.len(), object_id.split('-').count()),
        (36, 5),
        "{object_id}"
    );
    assert!(rest.starts_with("  # as the token tells\n"), "{rest}");
    assert!(desk.text().contains(&oauth), "{}", desk.text());
    assert!(!stdout(&output).contains(secret) && !stderr(&output).contains("eyJ"));

    // With a wrong secret the settings stand, the remedy is told, and the id has its place.
    std::fs::write(desk.path("given"), "wrong").unwrap();
    let output = tokio::task::block_in_place(|| desk.setup(&answers, &[]));
    assert!(stderr(&output).contains("AADSTS7000215") && stderr(&output).contains("Secret ID"));
    assert!(stdout(&output).contains("$objectId = 'PASTE-THE-OBJECT-ID-HERE'"));
    sandbox.shutdown().await;
}

/// Somebody at a terminal.
struct Person {
    child: Child,
    screen: File,
    seen: String,
}

impl Person {
    fn sit_down(settings: &Path) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let screen = openpt(flags).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let name = ptsname(&screen, Vec::new()).unwrap();
        let keyboard = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let child = exorelay(&["setup", "--offline", "--output"])
            .arg(settings)
            .stdin(keyboard.try_clone().unwrap())
            .stderr(keyboard)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            child,
            screen: screen.into(),
            seen: String::new(),
        }
    }

    /// Waits for `text` behind what was waited for before.
    fn wait_for(&mut self, text: &str) {
        let mut block = [0; 1024];
        while !self.seen.contains(text) {
            // EIO: nobody has the terminal open any more.
            let read = self.screen.read(&mut block).unwrap_or(0);
            assert!(read > 0, "no {text:?} in {:?}", self.seen);
            self.seen
                .push_str(std::str::from_utf8(&block[..read]).unwrap());
        }
        let (_, rest) = self.seen.split_once(text).unwrap();
        self.seen = rest.to_owned();
    }

    fn answer(&mut self, question: &str, answer: &str) {
        self.wait_for(question);
        self.screen.write_all(answer.as_bytes()).unwrap();
    }

    fn end(self) -> Output {
        // The last handle of the parent's is closed afterwards, so that what is written can be written.
        self.child.wait_with_output().unwrap()
    }
}

#[test]
fn person_is_asked_and_the_secret_is_not_shown() {
    let desk = Desk::new();
    let mut person = Person::sit_down(&desk.settings());
    person.answer("Way [secret]: ", "1\n");
    person.answer("[global]: ", "\n");
    person.answer("domain: ", &format!("{TENANT}\n"));
    person.answer("(client) ID: ", "oops\n");
    person.wait_for("is not a GUID");
    person.answer("(client) ID: ", &format!("{CLIENT}\n"));
    // A slip and its correction.
    person.answer("(not shown): ", &format!("{SECRET}xy\u{7f}\u{8}\r"));
    person.wait_for("expires");
    assert!(!person.seen.contains("hunter2"), "{:?}", person.seen);
    person.answer("[-]: ", "\n");
    person.answer("send as: ", "relay@contoso.com\n");
    person.answer("[local]: ", "\n");
    person.answer("[127.0.0.1:2525]: ", "127.0.0.1:2526\n");
    person.answer("[sender]: ", "\n");
    person.wait_for("account.default.mailbox: \"relay@contoso.com\"");
    assert!(!desk.path("etc").exists(), "nothing before the last answer");
    person.answer("[yes]: ", "y\n");
    let output = person.end();
    assert!(output.status.success());
    assert!(stdout(&output).contains(&format!("$appId = '{CLIENT}'")));
    assert_eq!(
        std::fs::read_to_string(desk.path("etc/client-secret")).unwrap(),
        format!("{SECRET}\n")
    );
    assert!(
        desk.text()
            .contains("[listener.local]\naddress = \"127.0.0.1:2526\"\n"),
        "{}",
        desk.text()
    );
}

#[test]
fn whoever_breaks_off_finds_everything_as_it_was() {
    // Ctrl-C where nothing is shown: a character, as echo has to come back.
    let desk = Desk::new();
    let mut person = Person::sit_down(&desk.settings());
    person.answer("Way [secret]: ", "\n");
    person.answer("[global]: ", "\n");
    person.answer("domain: ", "contoso.com\n");
    person.answer("(client) ID: ", &format!("{CLIENT}\n"));
    person.answer("(not shown): ", "half\u{3}");
    person.wait_for("broken off; nothing was written");
    let modes = rustix::termios::tcgetattr(&person.screen)
        .unwrap()
        .local_modes;
    assert!(modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG));
    assert_eq!(person.end().status.code(), Some(1));
    assert!(!desk.path("etc").exists());

    // Elsewhere it is the signal.
    let mut person = Person::sit_down(&desk.settings());
    person.wait_for("Way [secret]: ");
    kill_process(Pid::from_child(&person.child), Signal::INT).unwrap();
    assert_eq!(person.end().status.signal(), Some(Signal::INT.as_raw()));

    // Or an end of the input.
    let mut person = Person::sit_down(&desk.settings());
    person.answer("Way [secret]: ", "\u{4}");
    person.wait_for("broken off");
    assert_eq!(person.end().status.code(), Some(1));
    assert!(!desk.path("etc").exists());
}
