//! `tls`: what a listener proves itself with.

mod pair;
mod self_signed;

use clap::Subcommand;

use super::context::Context;
use super::error::CliError;

/// Certificates for TLS towards clients
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    SelfSigned(self_signed::Args),
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self.command {
            Command::SelfSigned(args) => args.run(context),
        }
    }
}
