//! `queue release`.

use super::hands;
use super::selection::SelectionArgs;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::queue::Action;

/// Let held messages go, at once
///
/// The time for which they were held does not count towards their age. A quarantined message is looked at again.
/// Takes IDs, a filter, or --all. Exits 1 when a message that was named by ID was left as it is.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        hands::run(context, Action::Release, &self.selection.selection()?)
    }
}
