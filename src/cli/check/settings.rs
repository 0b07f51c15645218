//! The settings themselves.

use super::finding::{Finding, Step};
use super::report::Report;
use crate::cli::config::place;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::text::count;
use crate::config::Loaded;

/// None: they cannot be used, and nothing else can be looked at.
pub(super) fn check(context: &Context, report: &mut Report) -> Result<Option<Loaded>, CliError> {
    let loaded = match context.load() {
        Ok(loaded) => loaded,
        Err(error) => {
            for line in error.lines() {
                report.add(Finding::failed(Step::Settings, error.exit(), line))?;
            }
            return Ok(None);
        }
    };
    let accounts = count(loaded.settings.accounts.len() as u64, "account");
    let listeners = count(loaded.settings.listeners.len() as u64, "listener");
    let detail = format!("{}: {listeners}, {accounts}", place(context));
    report.add(Finding::ok(Step::Settings, detail))?;
    for warning in &loaded.warnings {
        // Those stand with the limits of their account.
        if !is_of_limits(warning) {
            report.add(warned(Step::Settings, warning))?;
        }
    }
    Ok(Some(loaded))
}

/// Of `account.NAME.smtp.KEY: ...`.
fn is_of_limits(warning: &str) -> bool {
    let key = warning.split(':').next().unwrap_or_default();
    key.starts_with("account.") && key.contains(".smtp.")
}

/// The advice about what an account asks of the service.
pub(super) fn about_limits<'l>(loaded: &'l Loaded, account: &str) -> impl Iterator<Item = &'l str> {
    let section = format!("account.{account}.smtp.");
    let warnings = loaded.warnings.iter().map(String::as_str);
    warnings.filter(move |warning| warning.starts_with(&section))
}

/// A warning of the settings, its remedy taken out of the sentence.
pub(super) fn warned(step: Step, warning: &str) -> Finding {
    match warning.split_once("; remedy: ") {
        Some((detail, remedy)) => Finding::warning(step, detail).remedy(remedy),
        None => Finding::warning(step, warning),
    }
}
