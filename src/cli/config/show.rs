//! `config show`: the settings in effect.

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::Output;

/// Show the settings in effect, each with the layer it came from; secrets are redacted
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As one JSON object: `settings` as in the file, `origins` by key
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let provenance = context.load()?.provenance;
        let mut output = Output::new();
        if self.json {
            output.json_pretty(&provenance.show_json())?;
        } else {
            output.text(provenance.show().trim_start_matches('\n'))?;
        }
        output.finish()
    }
}
