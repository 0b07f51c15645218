//! `sender forget`.

use clap::ArgGroup;

use crate::cli::context::{Context, block_on};
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::cli::queue::Hands;
use crate::cli::text::count;

/// Forget a refused sender: the next message goes out with its own From
///
/// For after SendAs has been granted. Exits 1 when the address is not remembered.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("which").required(true).args(["address", "all"])))]
pub(super) struct Args {
    /// The address, as `sender list` shows it
    #[arg(value_name = "ADDRESS")]
    address: Option<String>,

    /// Every address
    #[arg(long)]
    all: bool,

    /// Only of this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        let (account, address) = (self.account.as_deref(), self.address.as_deref());
        let forgotten = block_on(async {
            let hands = Hands::find(&settings).await?;
            let forgotten = hands.forget_denied(account, address).await;
            hands.close().await?;
            forgotten
        })?;
        if let Some(address) = address.filter(|_| forgotten == 0) {
            return Err(CliError::new(
                Exit::Failed,
                format!("{address} is not remembered; exorelay sender list shows who is"),
            ));
        }
        let mut output = Output::new();
        output.line(format!("{} forgotten", count(forgotten, "sender")))?;
        output.finish()
    }
}
