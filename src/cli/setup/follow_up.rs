//! After the settings are written: what a token tells, and whether all of it works.

use std::path::Path;

use crate::cli::context::Context;
use crate::cli::error::{CliError, complain};
use crate::config::{Access, Account};
use crate::oauth::{self, Claims};

/// The claims of a token of the application's own; `None` when there is none yet, which is told.
pub(super) async fn claims(account: &Account, offline: bool) -> Option<Claims> {
    // A person's token has the person's object id, and there is none before somebody has signed in.
    if offline || account.access == Access::Delegated {
        return None;
    }
    let settings = match account.oauth_part() {
        Ok(settings) => settings,
        Err(error) => {
            complain(format_args!("no token: {error}"));
            return None;
        }
    };
    complain("asking for a token, which tells the object id");
    match oauth::obtain_once(settings).await {
        Ok((token, _)) => Claims::decode(&token),
        Err(error) => {
            complain(format_args!("no token yet: {}", error.report()));
            None
        }
    }
}

/// Looks whether all of it works by now. The settings stand whatever is found: what is missing is mostly what
/// the steps are about.
pub(super) fn check(file: &Path, offline: bool) {
    if offline {
        return;
    }
    if let Err(error) = checked(&Context::new(Some(file.to_owned()))) {
        error.say();
        complain("the settings are written; check again when the steps above are done");
    }
}

fn checked(context: &Context) -> Result<(), CliError> {
    for warning in context.load()?.check_files()? {
        complain(format_args!("warning: {warning}"));
    }
    Ok(())
}
