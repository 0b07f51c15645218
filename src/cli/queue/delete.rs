//! `queue delete`.

use super::selection::SelectionArgs;
use super::{Source, hands};
use crate::cli::confirm;
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CliError, Exit};
use crate::cli::text::count;
use crate::queue::{Action, Selection};

/// Delete messages: they are not sent, and only the history knows of them
///
/// What is just being sent cannot be deleted. Takes IDs, a filter, or --all, which asks before.
/// Exits 1 when a message that was named by ID was left as it is.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let selection = self.selection.selection()?;
        if selection == Selection::All && !self.yes {
            ask(context)?;
        }
        hands::run(context, Action::Delete, &selection)
    }
}

fn ask(context: &Context) -> Result<(), CliError> {
    confirm::can_ask("delete --all")?;
    let settings = context.load()?.settings;
    let counts = block_on(async {
        Ok(match Source::find(&settings).await? {
            Source::Daemon(client) => client.status().await?.queue.counts,
            Source::Folder(reader) => reader.counts()?.accounts,
        })
    })?;
    let messages: u64 = counts.values().flat_map(|states| states.values()).sum();
    let question = format!(
        "delete all {} that wait or failed? Their content is lost. [y/N] ",
        count(messages, "message")
    );
    if confirm::is_wanted(&question) {
        return Ok(());
    }
    Err(CliError::new(Exit::Failed, "nothing was deleted"))
}
