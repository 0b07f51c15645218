//! `sender list`.

use jiff::Timestamp;

use crate::cli::context::{Context, block_on};
use crate::cli::error::CliError;
use crate::cli::output::{JsonArray, Output};
use crate::cli::queue::Source;
use crate::cli::text::{harmless, local_time, until};

/// List the refused senders that are remembered, and until when
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only of this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,

    /// As one JSON array
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        let mut senders = block_on(async {
            Ok(match Source::find(&settings).await? {
                Source::Daemon(client) => client.denied_senders().await?,
                Source::Folder(reader) => reader.denied_senders()?,
            })
        })?;
        senders.retain(|one| {
            self.account
                .as_ref()
                .is_none_or(|name| *name == one.account)
        });
        let mut output = Output::new();
        if self.json {
            let mut array = JsonArray::default();
            for one in &senders {
                array.item(&mut output, one)?;
            }
            array.end(&mut output)?;
            return output.finish();
        }
        if senders.is_empty() {
            output.line("no refused sender is remembered")?;
        }
        let now = Timestamp::now();
        for one in senders {
            let line = format!(
                "{}  account {}  forgotten {} ({})",
                one.address,
                one.account,
                until(one.until, now),
                local_time(one.until)
            );
            output.line(harmless(&line))?;
        }
        output.finish()
    }
}
