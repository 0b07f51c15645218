//! What support needs to know, in one file that can be read before it is sent.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::finding::Finding;
use super::redact::Redactor;
use crate::admin::Status;
use crate::cli::context::block_on;
use crate::cli::error::{CliError, Exit, is_permission};
use crate::cli::queue::Source;
use crate::config::{Loaded, Settings};
use crate::queue::{HistoryFilter, MessageDetail};

/// Messages of the history.
const MESSAGES_MAX: usize = 50;

/// Looked through in this order, until there are enough: a month of history may be millions.
const PERIODS: [SignedDuration; 3] = [
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(24),
    SignedDuration::from_hours(30 * 24),
];

/// Before minutes are spent on what cannot be written.
pub(super) fn refuse_existing(path: &Path) -> Result<(), CliError> {
    if path.symlink_metadata().is_ok() {
        return Err(cannot_write(path, &io::ErrorKind::AlreadyExists.into()));
    }
    Ok(())
}

/// Makes the file, for its owner alone.
pub(super) fn write(
    path: &Path,
    loaded: Option<&Loaded>,
    daemon: Option<&Status>,
    findings: &[Finding],
) -> Result<(), CliError> {
    let redactor = loaded
        .map(|it| Redactor::new(&it.settings))
        .unwrap_or_default();
    let mut content = json!({
        "exorelay": env!("CARGO_PKG_VERSION"),
        "made_at": Timestamp::now(),
        "system": system(),
        "settings": loaded.map(shown),
        "check": findings,
        "status": daemon,
        "history": loaded.map(|it| history(&it.settings)),
    });
    redactor.value(&mut content);
    let mut text =
        serde_json::to_vec_pretty(&content).map_err(|error| cannot_write(path, &error.into()))?;
    text.push(b'\n');
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let written = file.and_then(|mut file| {
        file.write_all(&text)?;
        file.sync_all()
    });
    written.map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> CliError {
    let exit = if is_permission(error) {
        Exit::NotPermitted
    } else {
        Exit::Failed
    };
    let shown = path.display();
    let line = if error.kind() == io::ErrorKind::AlreadyExists {
        format!("{shown} is there already and is not written over: name a new file")
    } else {
        format!("cannot write {shown}: {error}")
    };
    CliError::new(exit, line)
}

fn system() -> Value {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let kernel = rustix::system::uname();
    json!({
        "name": name.map(|name| name.trim_matches('"')),
        "kernel": kernel.release().to_string_lossy(),
        "machine": kernel.machine().to_string_lossy(),
    })
}

/// As `config show --json`, without what an alert's program is called with: a key may be in it.
fn shown(loaded: &Loaded) -> Value {
    let mut shown = loaded.provenance.show_json();
    if let Some(Value::Array(command)) = shown.pointer_mut("/settings/alert/command") {
        for argument in command.iter_mut().skip(1) {
            *argument = "(redacted)".into();
        }
    }
    shown
}

/// The last messages, newest last, without what they are about.
fn history(settings: &Settings) -> Value {
    match last_messages(settings) {
        Ok(messages) => messages
            .iter()
            .map(|message| {
                let mut row = json!(message);
                if let Value::Object(row) = &mut row {
                    row.remove("subject");
                }
                row
            })
            .collect(),
        Err(error) => json!({ "error": error.lines().collect::<Vec<_>>() }),
    }
}

fn last_messages(settings: &Settings) -> Result<VecDeque<MessageDetail>, CliError> {
    let mut last = VecDeque::new();
    for period in PERIODS {
        last.clear();
        let filter = HistoryFilter {
            since: Timestamp::now().checked_sub(period).ok(),
            ..HistoryFilter::default()
        };
        let each = |message| {
            if last.len() == MESSAGES_MAX {
                last.pop_front();
            }
            last.push_back(message);
            ControlFlow::Continue(())
        };
        block_on(async {
            match Source::find(settings).await? {
                Source::Daemon(client) => client.history(&filter, each).await?,
                Source::Folder(reader) => reader.history(&filter, each)?,
            }
            Ok(())
        })?;
        if last.len() == MESSAGES_MAX {
            break;
        }
    }
    Ok(last)
}
