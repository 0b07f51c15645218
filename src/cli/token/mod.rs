//! `token`: sign-ins that were made elsewhere, and what a token says.

mod claims;
mod forget;
mod import;
mod input;
mod notify;
mod show;

use clap::Subcommand;

use super::context::Context;
use super::error::{CliError, Exit, is_permission};
use crate::admin::one_line;
use crate::oauth::{OperatorError, StoreError, TokenError, aadsts};

pub(in crate::cli) use notify::tell_daemon;

/// What a person's sign-in has left, and what an access token says; never a token itself
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Import(import::Args),
    Show(show::Args),
    Forget(forget::Args),
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self.command {
            Command::Import(args) => args.run(context),
            Command::Show(args) => args.run(context),
            Command::Forget(args) => args.run(context),
        }
    }
}

/// How a person signed in, in the words of `origin`.
pub(super) fn origin_words(origin: &str) -> &'static str {
    match origin {
        "browser" => "in a browser",
        "device" => "on another device",
        "import" => "elsewhere, imported",
        _ => "in a way this version does not know,",
    }
}

fn not_obtained(account: &str, error: &TokenError) -> CliError {
    let exit = match error {
        TokenError::Operator(OperatorError::Store(error) | OperatorError::NotSaved(error)) => {
            return not_stored(error);
        }
        TokenError::Operator(OperatorError::Settings(_)) => Exit::Configuration,
        TokenError::Operator(
            OperatorError::NotSignedIn { .. }
            | OperatorError::OtherClient { .. }
            | OperatorError::Secret(_),
        ) => Exit::Failed,
        TokenError::Retry(_) | TokenError::Operator(_) | TokenError::Fault(_) => Exit::Unavailable,
    };
    CliError::new(exit, aadsts::addressed(&error.report(), account))
}

fn not_stored(error: &StoreError) -> CliError {
    match error {
        StoreError::File { source, .. } if is_permission(source) => CliError::new(
            Exit::NotPermitted,
            format!("{error}; run as root or as the daemon's user"),
        ),
        StoreError::Busy { .. } => CliError::new(Exit::TryAgain, error),
        _ => CliError::new(Exit::Failed, one_line(error)),
    }
}
