//! `exorelay completions`: what a shell has to know to complete the commands.

use clap_complete::Shell;

use super::context::Context;
use super::error::CliError;
use super::output::Output;

/// Print the completions of a shell
///
/// Put them where it looks for them: `exorelay` in /usr/share/bash-completion/completions, `_exorelay` in
/// /usr/share/zsh/site-functions, `exorelay.fish` in /usr/share/fish/completions. They complete commands,
/// options and file names.
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
