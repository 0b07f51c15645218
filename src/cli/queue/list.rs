//! `queue list`: one message after the other, however many there are.

use std::ops::ControlFlow;

use jiff::Timestamp;

use super::Source;
use super::selection::FilterArgs;
use super::table::Table;
use crate::cli::context::{Context, block_on};
use crate::cli::error::CliError;
use crate::cli::output::{JsonArray, Output, terminal_width};
use crate::queue::{Filter, MessageRecord};

/// List messages, oldest first: those that wait and those that failed
///
/// Asks the daemon when it runs, and reads its folder when not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    filter: FilterArgs,

    /// As one JSON array, a message on each line
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        let filter = self.filter.filter();
        let narrowed = filter != Filter::default();
        let mut listing = if self.json {
            Listing::Json(JsonArray::default())
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
    Json(JsonArray),
    Table(Table),
}

impl Listing {
    fn row(&mut self, output: &mut Output, record: &MessageRecord) -> Result<(), CliError> {
        match self {
            Self::Json(array) => array.item(output, record),
            Self::Table(table) => output.text(&table.row(record)),
        }
    }

    /// `narrowed`: whether other messages may be there.
    fn end(self, output: &mut Output, narrowed: bool) -> Result<(), CliError> {
        match self {
            Self::Json(array) => array.end(output),
            Self::Table(table) => output.line(table.total(narrowed)),
        }
    }
}
