//! `config check`: whether a daemon would start with these settings.

use std::path::Path;

use crate::cli::context::Context;
use crate::cli::error::{CliError, complain};
use crate::cli::output::Output;
use crate::config::{DEFAULT_FILE, Settings};

/// Check the settings, and the files they name, without starting anything
///
/// Warnings go to standard error. Exits 78 with every problem, one line each, when a daemon would not
/// start with them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

impl Args {
    #[expect(clippy::unused_self, reason = "every command is called alike")]
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let loaded = context.load()?;
        let of_files = loaded.check_files();
        for warning in loaded.warnings.iter().chain(of_files.iter().flatten()) {
            complain(format_args!("warning: {warning}"));
        }
        of_files?;
        let mut output = Output::new();
        output.line(format_args!("{}: ok", place(context)))?;
        for line in summary(&loaded.settings) {
            output.line(line)?;
        }
        output.finish()
    }
}

/// Where the settings come from.
pub(in crate::cli) fn place(context: &Context) -> String {
    match context.config_file() {
        Some(path) => path.display().to_string(),
        None if Path::new(DEFAULT_FILE).exists() => DEFAULT_FILE.to_owned(),
        // Loaded, hence described by variables alone.
        None => "environment".to_owned(),
    }
}

fn summary(settings: &Settings) -> [String; 2] {
    let listeners: Vec<String> = settings
        .listeners
        .values()
        .map(|listener| format!("{} on {}", listener.name, listener.address))
        .collect();
    let accounts: Vec<String> = settings
        .accounts
        .values()
        .map(|account| {
            format!(
                "{} ({} through {}:{})",
                account.name, account.mailbox, account.smtp.host, account.smtp.port
            )
        })
        .collect();
    [
        format!("listeners: {}", listeners.join(", ")),
        format!("accounts: {}", accounts.join(", ")),
    ]
}
