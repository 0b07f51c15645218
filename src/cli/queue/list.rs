//! `queue list`: one message after the other, however many there are.

use std::ops::ControlFlow;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;

use super::Source;
use super::table::Table;
use crate::cli::context::{Context, block_on};
use crate::cli::error::CliError;
use crate::cli::output::{Output, terminal_width};
use crate::queue::{Filter, MessageRecord, MessageState};

/// List messages, oldest first: those that wait and those that failed
///
/// Asks the daemon when it runs, and reads its folder when not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only messages in this state
    #[arg(long, value_name = "STATE", value_parser = states())]
    state: Option<MessageState>,

    /// Only messages of this account
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,

    /// As one JSON array, a message on each line
    #[arg(long)]
    json: bool,
}

fn states() -> impl TypedValueParser<Value = MessageState> {
    let words = MessageState::ALL.map(MessageState::as_str);
    PossibleValuesParser::new(words).try_map(|word| {
        let named = |state: &MessageState| state.as_str() == word;
        // One of those just offered.
        MessageState::ALL
            .into_iter()
            .find(named)
            .ok_or("no such state")
    })
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        let filter = Filter {
            state: self.state,
            account: self.account,
            ..Filter::default()
        };
        let narrowed = filter != Filter::default();
        let mut listing = if self.json {
            Listing::Json { first: true }
        } else {
            Listing::Table(Table::new(terminal_width(), Timestamp::now()))
        };
        let mut output = Output::new();
        let mut written = Ok(());
        let each = |record| {
            written = listing.row(&mut output, &record);
            match written {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        };
        block_on(async {
            match Source::find(&settings).await? {
                Source::Daemon(client) => client.list(&filter, each).await?,
                Source::Folder(reader) => reader.list(&filter, each)?,
            }
            Ok(())
        })?;
        written?;
        listing.end(&mut output, narrowed)?;
        output.finish()
    }
}

enum Listing {
    Json { first: bool },
    Table(Table),
}

impl Listing {
    fn row(&mut self, output: &mut Output, record: &MessageRecord) -> Result<(), CliError> {
        match self {
            Self::Json { first } => {
                output.text(if *first { "[\n" } else { ",\n" })?;
                *first = false;
                output.json(record)
            }
            Self::Table(table) => output.text(&table.row(record)),
        }
    }

    /// `narrowed`: whether other messages may be there.
    fn end(self, output: &mut Output, narrowed: bool) -> Result<(), CliError> {
        match self {
            Self::Json { first: true } => output.line("[]"),
            Self::Json { first: false } => output.text("\n]\n"),
            Self::Table(table) => output.line(table.total(narrowed)),
        }
    }
}
