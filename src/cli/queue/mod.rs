//! `queue`: the messages that wait, and those that failed.

mod list;
mod show;
mod source;
mod table;

use clap::Subcommand;

use super::context::Context;
use super::error::CliError;
pub(super) use source::Source;

/// Look at the queue
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self.command {
            Command::List(args) => args.run(context),
            Command::Show(args) => args.run(context),
        }
    }
}
