//! The arguments that say which messages are meant.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::cli::error::{CliError, Exit};
use crate::config::parse_duration;
use crate::queue::{
    AddressPattern, Filter, MessageState, QueueId, Selection, SelectionError, SelectionRequest,
};

/// Conditions, all of which must hold.
#[derive(Debug, clap::Args)]
pub(super) struct FilterArgs {
    /// Only messages in this state
    #[arg(long, value_name = "STATE", value_parser = listed_states())]
    state: Option<MessageState>,

    /// Only messages of this account
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,

    /// Only messages from this address, from *@DOMAIN, or from <>
    #[arg(long, value_name = "ADDRESS")]
    from: Option<AddressPattern>,

    /// Only messages with this recipient, or one in *@DOMAIN
    #[arg(long, value_name = "ADDRESS")]
    to: Option<AddressPattern>,

    /// Only messages accepted longer ago than this: 90s, 5m, 2h, 3d
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    older_than: Option<Duration>,
}

/// Ids, or conditions, or everything.
#[derive(Debug, clap::Args)]
pub(super) struct SelectionArgs {
    /// The messages, by their ids
    #[arg(value_name = "ID", value_parser = parse_id)]
    ids: Vec<QueueId>,

    #[command(flatten)]
    filter: FilterArgs,

    /// Everything that waits or failed
    #[arg(long)]
    all: bool,
}

impl FilterArgs {
    pub(super) fn filter(self) -> Filter {
        Filter {
            state: self.state,
            account: self.account,
            from: self.from,
            to: self.to,
            older_than_s: self.older_than.map(|age| age.as_secs()),
        }
    }
}

impl SelectionArgs {
    pub(super) fn selection(self) -> Result<Selection, CliError> {
        let request = SelectionRequest {
            ids: self.ids,
            filter: self.filter.filter(),
            all: self.all,
        };
        Selection::try_from(request).map_err(|error| {
            let remedy = match error {
                SelectionError::Nothing => {
                    "name messages by ID, by --state, --account, --from, --to, --older-than, or say --all"
                }
                SelectionError::Several => "give either IDs, or a filter, or --all",
            };
            CliError::new(Exit::Usage, remedy)
        })
    }
}

pub(in crate::cli) fn parse_id(text: &str) -> Result<QueueId, String> {
    QueueId::parse(text).map_err(|error| format!("{error}; exorelay queue list shows them"))
}

fn listed_states() -> impl TypedValueParser<Value = MessageState> {
    states(&MessageState::LISTED)
}

/// One of `states`, by its word.
pub(in crate::cli) fn states(
    states: &'static [MessageState],
) -> impl TypedValueParser<Value = MessageState> {
    let words = states.iter().map(|state| state.as_str());
    PossibleValuesParser::new(words).try_map(|word| {
        let named = |state: &MessageState| state.as_str() == word;
        // One of those just offered.
        MessageState::ALL
            .into_iter()
            .find(named)
            .ok_or("no such state")
    })
}
