//! `token forget`.

use super::notify::Told;
use super::{not_stored, tell_daemon};
use crate::cli::account::delegated;
use crate::cli::confirm;
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;

/// Remove a stored sign-in; Microsoft is not told, and revokes nothing
///
/// Mail of the account waits from then on, until somebody signs in again.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The account; default: the only one, or the one named default
    #[arg(value_name = "ACCOUNT")]
    account: Option<String>,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        let account = delegated(&settings, self.account.as_deref())?;
        let name = account.name.as_str();
        if !self.yes {
            confirm::can_ask("token forget")?;
            let question = format!(
                "forget the sign-in of account {name}? Its mail waits until somebody signs in again. [y/N] "
            );
            if !confirm::is_wanted(&question) {
                return Err(CliError::new(Exit::Failed, "nothing was forgotten"));
            }
        }
        let forgotten = settings.token_store_part().forget(name);
        if !forgotten.map_err(|error| not_stored(&error))? {
            let line =
                format!("nobody has signed in for account {name}; there is nothing to forget");
            return Err(CliError::new(Exit::Failed, line));
        }
        let mut output = Output::new();
        output.line(format!("account {name}: sign-in forgotten"))?;
        let told = block_on(async { Ok(tell_daemon(&settings, name).await) })?;
        match told {
            Told::Renewing => {
                output
                    .line("the daemon sends on until its access token expires, within the hour")?;
            }
            Told::Untold(_) => output.line(told)?,
            Told::NoDaemon | Told::UnknownAccount => {}
        }
        output.finish()
    }
}
