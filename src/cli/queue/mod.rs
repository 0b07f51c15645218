//! `queue`: the messages that wait, and those that failed.

mod delete;
mod export;
mod flush;
mod hands;
mod hold;
mod import;
mod list;
mod release;
mod retry;
mod selection;
mod show;
mod source;
mod table;
mod verify;

use clap::Subcommand;

use super::context::Context;
use super::error::CliError;
pub(super) use hands::Hands;
pub(super) use selection::{parse_id, states};
pub(super) use source::Source;

/// Look at the queue, and lay hands on it
///
/// Through the daemon when it runs, and straight on its folder when not. What is done is recorded in the
/// history with who did it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    Retry(retry::Args),
    Flush(flush::Args),
    Hold(hold::Args),
    Release(release::Args),
    Delete(delete::Args),
    Export(export::Args),
    Import(import::Args),
    Verify(verify::Args),
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self.command {
            Command::List(args) => args.run(context),
            Command::Show(args) => args.run(context),
            Command::Retry(args) => args.run(context),
            Command::Flush(args) => args.run(context),
            Command::Hold(args) => args.run(context),
            Command::Release(args) => args.run(context),
            Command::Delete(args) => args.run(context),
            Command::Export(args) => args.run(context),
            Command::Import(args) => args.run(context),
            Command::Verify(args) => args.run(context),
        }
    }
}
