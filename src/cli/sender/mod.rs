//! `sender`: whom Exchange Online has refused as From, and forgetting it.

mod forget;
mod list;

use clap::Subcommand;

use super::context::Context;
use super::error::CliError;

/// Senders that Exchange Online has refused, and that exorelay rewrites for 24 hours
///
/// Through the daemon when it runs, and straight on its folder when not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Forget(forget::Args),
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self.command {
            Command::List(args) => args.run(context),
            Command::Forget(args) => args.run(context),
        }
    }
}
