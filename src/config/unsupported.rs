//! Settings that this version knows and does not act upon yet.
//!
//! They are refused when they are switched on: a setting that is taken and ignored would be a promise
//! broken in silence. What becomes supported is deleted here, and nowhere else.

use super::layers::Merged;
use super::operation::LogFormat;
use super::reader::Report;
use super::settings::Settings;

/// Whether it is switched on, its key, and what it is in the operator's words.
type Refusal = (fn(&Settings) -> bool, &'static str, &'static str);

const EVERYWHERE: &[Refusal] = &[(
    |s| s.log.format == LogFormat::Journald,
    "log.format",
    "\"journald\"",
)];

/// Adds a problem for each setting that is switched on too early.
pub(super) fn refuse(settings: &Settings, merged: &Merged, report: &mut Report) {
    for (_, key, what) in EVERYWHERE.iter().filter(|(is_on, _, _)| is_on(settings)) {
        let text = format!("{what} is not supported by this version yet; leave it out");
        report.refuse_value(merged, key, text);
    }
}
