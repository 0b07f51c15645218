//! Settings that this version knows and does not act upon yet.
//!
//! They are refused when they are switched on: a setting that is taken and ignored would be a promise
//! broken in silence. What becomes supported is deleted here, and nowhere else.

use super::account::{Account, Provider};
use super::layers::Merged;
use super::operation::LogFormat;
use super::reader::Report;
use super::settings::Settings;

/// Whether it is switched on, its key, and what it is in the operator's words.
type Refusal<T> = (fn(&T) -> bool, &'static str, &'static str);

const EVERYWHERE: &[Refusal<Settings>] = &[
    (
        |s| s.token_store.key.is_some(),
        "token_store.key",
        "encrypting stored tokens",
    ),
    (|s| s.admin.http.is_some(), "admin.http", "the status page"),
    (
        |s| s.log.format == LogFormat::Journald,
        "log.format",
        "\"journald\"",
    ),
];

const ACCOUNT: &[Refusal<Account>] =
    &[(|a| a.provider == Provider::Google, "provider", "\"google\"")];

/// Adds a problem for each setting that is switched on too early.
pub(super) fn refuse(settings: &Settings, merged: &Merged, report: &mut Report) {
    list(EVERYWHERE, settings, "", merged, report);
    for account in settings.accounts.values() {
        let section = format!("account.{}.", account.name);
        list(ACCOUNT, account, &section, merged, report);
    }
}

fn list<T>(
    refusals: &[Refusal<T>],
    value: &T,
    section: &str,
    merged: &Merged,
    report: &mut Report,
) {
    for (_, key, what) in refusals.iter().filter(|(is_on, _, _)| is_on(value)) {
        let text = format!("{what} is not supported by this version yet; leave it out");
        report.refuse_value(merged, &format!("{section}{key}"), text);
    }
}
