//! `[bounce]`, `[alert]`, `[token_store]`, `[admin]`, `[log]`: what the operator sees and is told.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::Table;
use super::setting::{Fault, Given, Setting, words};
use super::value::{LogLevel, Webhook};
use crate::mail::Mailbox;
use crate::secret::{Secret, SecretSource};

/// Failure notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounce {
    /// Who gets them.
    pub to: BounceTo,
    /// When a message still waiting is worth a notice.
    pub delay_warning: Duration,
}

/// Who gets failure notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BounceTo {
    /// The reverse-path of the message.
    Sender,
    /// Always this one.
    Mailbox(Mailbox),
    /// Nobody: failed messages are only kept.
    None,
}

/// Whom the daemon calls for help, once per incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Program and arguments; gets the incident as JSON on its standard input. Empty: none.
    pub command: Vec<String>,
    /// Gets the incident as JSON with POST. A secret, since chat services put their key into it.
    pub webhook: Option<Secret>,
}

/// Refresh tokens at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenStore {
    /// Encrypts them; none: only the file's permissions protect them.
    pub key: Option<SecretSource>,
}

/// How the daemon is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The Unix socket of the commands.
    pub socket: PathBuf,
    /// The status page, always on loopback; none: off.
    pub http: Option<SocketAddr>,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `LEVEL` or `LEVEL,PART=LEVEL`, for `tracing_subscriber::filter::Targets`.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
}

words! {
    /// The form of a log line.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// For programs.
        Json = "json",
        /// systemd's journal, with fields.
        Journald = "journald",
    }
}

impl Bounce {
    pub(super) fn read(root: &Table<'_>) -> Self {
        let table = root.section("bounce");
        let day = Duration::from_hours(24);
        let bounce = Self {
            to: table.read("to", BounceTo::Sender),
            delay_warning: table.bounded(
                "delay_warning",
                DELAY_WARNING,
                Duration::from_mins(1)..=365 * day,
            ),
        };
        table.finish();
        bounce
    }
}

impl Setting for BounceTo {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        match given.text()? {
            "sender" => Ok(Self::Sender),
            "none" => Ok(Self::None),
            _ => <Mailbox as Setting>::parse(given)
                .map(Self::Mailbox)
                .map_err(|Fault(text)| Fault(format!("{text}, or \"sender\", or \"none\""))),
        }
    }

    fn shown(&self) -> serde_json::Value {
        match self {
            Self::Sender => "sender".into(),
            Self::Mailbox(mailbox) => mailbox.as_str().into(),
            Self::None => "none".into(),
        }
    }
}

impl Alert {
    pub(super) fn read(root: &Table<'_>) -> Self {
        let table = root.section("alert");
        let Program(command) = table.read("command", Program::default());
        let webhook: Option<Webhook> = table.read("webhook", None);
        let webhook = webhook.map(|Webhook(url)| url);
        table.finish();
        Self { command, webhook }
    }
}

/// A program and its arguments, or none.
#[derive(Debug, Default)]
struct Program(Vec<String>);

impl Setting for Program {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let words = <Vec<String> as Setting>::parse(given)?;
        if words.first().is_some_and(String::is_empty) {
            return Err(Fault("names no program; its first item is one".to_owned()));
        }
        Ok(Self(words))
    }

    fn shown(&self) -> serde_json::Value {
        self.0.shown()
    }
}

impl TokenStore {
    pub(super) fn read(root: &Table<'_>) -> Self {
        let table = root.section("token_store");
        let key = table.read("key", None);
        table.finish();
        Self { key }
    }
}

impl Admin {
    /// `queue` is the queue's folder, where the socket lies when the system made no place for it.
    pub(super) fn read(root: &Table<'_>, queue: &Path) -> Self {
        let table = root.section("admin");
        let runtime = Path::new(RUNTIME_DIRECTORY);
        let directory = if runtime.is_dir() { runtime } else { queue };
        let admin = Self {
            socket: table.derived("socket", directory.join("admin.sock")),
            http: table.read("http", None),
        };
        table.finish();
        admin
    }
}

impl Log {
    pub(super) fn read(root: &Table<'_>) -> Self {
        let table = root.section("log");
        let LogLevel(level) = table.read("level", LogLevel("info".to_owned()));
        let log = Self {
            level,
            format: table.read("format", LogFormat::Text),
        };
        table.finish();
        log
    }
}

/// Before a waiting message is worth a notice.
const DELAY_WARNING: Duration = Duration::from_hours(4);
/// Made by systemd's `RuntimeDirectory=`.
const RUNTIME_DIRECTORY: &str = "/run/exorelay";
