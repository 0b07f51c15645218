//! `config`: the settings themselves.

mod check;
mod show;

use clap::Subcommand;

use super::context::Context;
use super::error::CliError;
pub(super) use check::place;

/// Check or show the settings
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Show(show::Args),
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self.command {
            Command::Check(args) => args.run(context),
            Command::Show(args) => args.run(context),
        }
    }
}
