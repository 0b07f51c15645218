//! `queue retry`.

use super::hands;
use super::selection::SelectionArgs;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::queue::Action;

/// Try messages again now; failed ones begin anew
///
/// A failed message goes to the recipients that have failed; it needs room in the queue.
/// Takes IDs, a filter, or --all. Exits 1 when a message that was named by ID was left as it is.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        hands::run(context, Action::Retry, &self.selection.selection()?)
    }
}
