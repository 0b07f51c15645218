//! The account that a command is about.

use super::error::{CliError, Exit};
use crate::config::{Access, Account, Settings};

/// The one called `name`; none: the only one, or the one called default.
pub(super) fn account<'s>(
    settings: &'s Settings,
    name: Option<&str>,
) -> Result<&'s Account, CliError> {
    let names = || {
        let names: Vec<&str> = settings.accounts.keys().map(String::as_str).collect();
        names.join(", ")
    };
    match name {
        Some(name) => settings.accounts.get(name).ok_or_else(|| {
            let line = format!(
                "there is no account {name} ([account.{name}]); the accounts are: {}",
                names()
            );
            CliError::new(Exit::Usage, line)
        }),
        None => settings.default_account().ok_or_else(|| {
            let line = format!("there are several accounts; name one of them: {}", names());
            CliError::new(Exit::Usage, line)
        }),
    }
}

/// As [`account`], of those that people sign in for.
pub(super) fn delegated<'s>(
    settings: &'s Settings,
    name: Option<&str>,
) -> Result<&'s Account, CliError> {
    let account = account(settings, name)?;
    if account.access == Access::Delegated {
        return Ok(account);
    }
    let line = format!(
        "account {name} has access = \"{}\", for which nobody signs in; if somebody should, write access = \
         \"delegated\" into [account.{name}]",
        account.access.as_str(),
        name = account.name,
    );
    Err(CliError::new(Exit::Configuration, line))
}
