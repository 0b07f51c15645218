//! `exorelay completions`: what a shell has to know to complete the commands.

use clap_complete::Shell;

use super::context::Context;
use super::error::CliError;
use super::output::Output;

/// Print the completions of a shell
///
/// Written once to the place where the shell looks for them, such as
/// /usr/share/bash-completion/completions/exorelay, /usr/share/zsh/site-functions/_exorelay or
/// /usr/share/fish/vendor_completions.d/exorelay.fish.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Known,
}

/// The shells that were tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

impl Args {
    pub(super) fn run(self, _: &Context) -> Result<(), CliError> {
        let shell = match self.shell {
            Known::Bash => Shell::Bash,
            Known::Zsh => Shell::Zsh,
            Known::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut super::arguments(), "exorelay", &mut script);
        let mut output = Output::new();
        output.octets(&script)?;
        output.finish()
    }
}
