//! After the settings are written: what a token tells, and whether all of it works.

use std::path::Path;

use crate::cli::check;
use crate::cli::context::Context;
use crate::cli::error::complain;
use crate::config::{Access, Account, Settings};
use crate::oauth::{self, Claims};

/// The claims of a token of the application's own; `None` when there is none yet, which is told.
pub(super) async fn claims(
    settings: &Settings,
    account: &Account,
    offline: bool,
) -> Option<Claims> {
    // A person's token has the person's object id, and there is none before somebody has signed in.
    if offline || account.access == Access::Delegated {
        return None;
    }
    let part = match settings.oauth_part(account) {
        Ok(part) => part,
        Err(error) => {
            complain(format_args!("no token: {error}"));
            return None;
        }
    };
    complain("asking for a token, which tells the object id");
    match oauth::obtain_once(part).await {
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
    let context = Context::new(Some(file.to_owned()));
    if let Err(error) = check::Args::default().run(&context) {
        error.say();
        complain("the settings are written; check again when the steps above are done");
    }
}
