//! A machine whose programs send mail with sendmail(8).

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use exorelay::sandbox::Sandbox;
use tempfile::TempDir;

use super::daemon::Daemon;
use super::{sandbox, settings_text, within};

/// A folder with settings, a stand-in for Exchange Online, and the program under its other names.
pub struct Machine {
    folder: TempDir,
    pub sandbox: Sandbox,
}

impl Machine {
    pub async fn new(more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let sandbox = sandbox(folder.path()).await;
        let machine = Self { folder, sandbox };
        std::fs::write(
            machine.config(),
            settings_text(machine.folder.path(), &machine.sandbox, more),
        )
        .unwrap();
        for name in ["sendmail", "mailq", "newaliases"] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_exorelay"), machine.program(name))
                .unwrap();
        }
        machine
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("exorelay.toml")
    }

    /// The program under one of its names.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn queue(&self) -> PathBuf {
        self.folder.path().join("queue")
    }

    pub fn daemon(&self) -> Daemon {
        Daemon::start(&self.config())
    }

    pub fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = bare(&self.program(name), arguments);
        command.env("EXORELAY_CONFIG", self.config());
        command
    }

    /// The message goes in at once, and the caller does not see whether it is read.
    pub async fn sendmail(&self, arguments: &[&str], input: &str) -> Output {
        run(self.command("sendmail", arguments), input).await
    }

    /// As [`Machine::sendmail`], and nothing is said.
    pub async fn send(&self, arguments: &[&str], input: &str) {
        let output = self.sendmail(arguments, input).await;
        assert_ended(&output, 0);
        assert_eq!(stdout(&output), "");
        assert_eq!(stderr(&output), "");
    }

    /// Recipients and content of the only message there is so far but for `before`.
    pub async fn delivered(&self, before: u64) -> (String, Vec<String>, String) {
        let control = self.sandbox.control();
        let messages = within("delivery", control.wait_for_messages(before + 1)).await;
        assert_eq!(messages.len() as u64, before + 1);
        let message = messages.last().unwrap();
        let content = String::from_utf8(message.content().await.unwrap()).unwrap();
        let mut recipients = message.recipients.clone();
        recipients.sort();
        (message.reverse_path.clone(), recipients, content)
    }
}

pub fn bare(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EXORELAY_") {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

pub async fn run(mut command: Command, input: &str) -> Output {
    let input = input.to_owned();
    let running = tokio::task::spawn_blocking(move || {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that refuses its arguments does not read.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    });
    running.await.unwrap()
}

pub fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[track_caller]
pub fn assert_ended(output: &Output, code: i32) {
    let (out, error) = (stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(code), "{out}{error}");
}

/// One line, with every one of `parts`.
#[track_caller]
pub fn assert_complains(output: &Output, code: i32, parts: &[&str]) {
    assert_ended(output, code);
    let told = stderr(output);
    assert_eq!(told.lines().count(), 1, "{told}");
    for part in parts {
        assert!(told.contains(part), "{part:?} in {told}");
    }
}

/// Its lines, folding undone.
pub fn field<'c>(content: &'c str, name: &str) -> Vec<&'c str> {
    let (header, _) = content.split_once("\r\n\r\n").unwrap();
    let lines = header.split("\r\n");
    lines
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .collect()
}
