//! Where the queue is read: from the daemon, or from its folder when none runs.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::admin::{Client, one_line};
use crate::cli::error::{CliError, Exit, is_permission};
use crate::config::Settings;
use crate::queue::{Reader, StorageError};

#[derive(Debug)]
pub(in crate::cli) enum Source {
    Daemon(Client),
    Folder(Reader),
}

impl Source {
    /// Asks at the socket first: it is what a user other than the daemon's may be permitted to use.
    pub(in crate::cli) async fn find(settings: &Settings) -> Result<Self, CliError> {
        let client = Client::new(&settings.admin.socket)?;
        if client.is_answered().await? {
            return Ok(Self::Daemon(client));
        }
        // A daemon that is just starting or stopping does not mind being read beside.
        folder(&settings.queue.directory).map(Self::Folder)
    }
}

/// A reader for a folder that holds a queue.
pub(super) fn folder(directory: &Path) -> Result<Reader, CliError> {
    let shown = directory.display();
    match File::open(directory.join("queue.db")) {
        Ok(_) => Ok(Reader::new(directory)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(CliError::new(
            Exit::Failed,
            format!(
                "no queue in {shown}: no daemon has run with these settings; start one, or name its settings \
                 with --config"
            ),
        )),
        Err(error) if is_permission(&error) => Err(CliError::new(
            Exit::NotPermitted,
            format!("the queue in {shown}: {error}; run as root or as the daemon's user"),
        )),
        Err(error) => Err(CliError::new(
            Exit::Failed,
            format!("the queue in {shown} cannot be read: {error}"),
        )),
    }
}

impl From<StorageError> for CliError {
    fn from(error: StorageError) -> Self {
        let exit = match &error {
            StorageError::DiskFull => Exit::TryAgain,
            StorageError::Content { source, .. } if is_permission(source) => Exit::NotPermitted,
            _ => Exit::Failed,
        };
        Self::new(
            exit,
            format!("the queue cannot be used: {}", one_line(&error)),
        )
    }
}
