//! `queue flush`.

use super::hands;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::queue::{Action, Filter, MessageState, Selection};

/// Try everything that is deferred again now
///
/// For after an outage: nothing waits for its back-off any more. A paused account is still probed first.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only messages of this account
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let deferred = Filter {
            state: Some(MessageState::Deferred),
            account: self.account,
            ..Filter::default()
        };
        hands::run(context, Action::Flush, &Selection::Filter(deferred))
    }
}
