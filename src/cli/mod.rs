//! The commands, one file each: arguments in, text and an exit code out.
//!
//! Data goes to standard output, for people as text and with `--json` for programs. What went wrong
//! goes to standard error, one line for each thing: what, where, and the remedy. A reader that has seen
//! enough (`| head`) ends a command without complaint.
//!
//! To add a command: a file with a `clap::Args` struct and `fn run(self, context: &Context) ->
//! Result<(), CliError>`, a variant of [`Command`], and its line in [`Command::run`].

mod account;
mod check;
mod clients;
mod completions;
mod config;
mod confirm;
mod context;
mod demo;
mod error;
mod hash_password;
mod history;
mod login;
mod man;
mod output;
mod progress;
mod queue;
mod run;
mod sample;
mod sandbox;
mod screen;
mod send_test;
mod sender;
mod sendmail;
mod setup;
mod signals;
mod silence;
mod status;
mod submit;
mod text;
mod tls;
mod token;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use context::Context;
pub use error::{CliError, Exit};

/// A local SMTP relay that queues mail durably and forwards it to Exchange Online.
#[derive(Debug, Parser)]
#[command(name = "exorelay", version, after_help = EXIT_CODES)]
struct Cli {
    /// Settings file [default: /etc/exorelay/exorelay.toml]
    #[arg(
        long,
        global = true,
        env = "EXORELAY_CONFIG",
        hide_env_values = true,
        value_name = "FILE"
    )]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Demo(demo::Args),
    Sandbox(sandbox::Args),
    Setup(setup::Args),
    Config(config::Args),
    Login(login::Args),
    Check(check::Args),
    SendTest(send_test::Args),
    HashPassword(hash_password::Args),
    Tls(tls::Args),
    Queue(queue::Args),
    History(history::Args),
    Sender(sender::Args),
    Clients(clients::Args),
    Sendmail(sendmail::Args),
    Status(status::Args),
    Token(token::Args),
    Man(man::Args),
    Completions(completions::Args),
}

impl Command {
    fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Run(args) => args.run(context),
            Self::Demo(args) => args.run(context),
            Self::Sandbox(args) => args.run(context),
            Self::Setup(args) => args.run(context),
            Self::Config(args) => args.run(context),
            Self::Login(args) => args.run(context),
            Self::Check(args) => args.run(context),
            Self::SendTest(args) => args.run(context),
            Self::HashPassword(args) => args.run(context),
            Self::Tls(args) => args.run(context),
            Self::Queue(args) => args.run(context),
            Self::History(args) => args.run(context),
            Self::Sender(args) => args.run(context),
            Self::Clients(args) => args.run(context),
            Self::Sendmail(args) => args.run(context),
            Self::Status(args) => args.run(context),
            Self::Token(args) => args.run(context),
            Self::Man(args) => args.run(context),
            Self::Completions(args) => args.run(context),
        }
    }
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 69 upstream unavailable, 75 try again, 77 not permitted, \
78 bad configuration.";

/// All arguments there are, for what is made from them: pages, completions, a look at what the documentation
/// shows.
pub fn arguments() -> clap::Command {
    let mut arguments = Cli::command().disable_help_subcommand(true);
    arguments.build();
    arguments
}

/// The whole program, on the arguments of this process.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// The whole program; the first of `arguments` is its name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let done = sendmail::by_name(&arguments).unwrap_or_else(|| {
        let cli = Cli::try_parse_from(sendmail::with_dashes(arguments))?;
        cli.command.run(&Context::new(cli.config))
    });
    // What is complained of at the end comes after the log.
    crate::telemetry::flush();
    match done {
        Ok(()) => Exit::Done.into(),
        Err(error) => error.report(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
