//! `queue hold`.

use super::hands;
use super::selection::SelectionArgs;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::queue::Action;

/// Keep messages from being sent until they are released
///
/// What is just being sent cannot be held.
/// Takes IDs, a filter, or --all. Exits 1 when a message that was named by ID was left as it is.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        hands::run(context, Action::Hold, &self.selection.selection()?)
    }
}
