//! What every command is given.

use std::future::Future;
use std::path::{Path, PathBuf};

use super::error::{CliError, Exit};
use crate::config::{self, Loaded};

/// The options that come before the command.
#[derive(Clone, Debug)]
pub(super) struct Context {
    config: Option<PathBuf>,
}

impl Context {
    pub(super) fn new(config: Option<PathBuf>) -> Self {
        Self { config }
    }

    /// The settings file as it was named; none: the default one.
    pub(super) fn config_file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The settings of file and environment.
    pub(super) fn load(&self) -> Result<Loaded, CliError> {
        Ok(config::load(
            self.config_file(),
            config::environment(),
            &[],
        )?)
    }
}

/// For a command that asks the daemon one thing after the other: the thread it is on will do.
pub(super) fn block_on<T>(
    future: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(Exit::Failed, format!("cannot start a runtime: {error}")))?
        .block_on(future)
}
