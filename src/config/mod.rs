//! The settings: figment's layers in, typed and checked values out.
//!
//! Built-in defaults < file < environment (`EXORELAY_ACCOUNT__DEFAULT__CLIENT_ID`) < command line. figment
//! merges the layers as they were written; each key is then parsed once into its final type by the section
//! it belongs to, which also holds its default. Everything that is wrong is reported together, with key,
//! place and remedy, and never with the text of a secret.
//!
//! This room promises that [`Settings`] are complete and consistent. It refuses to know what is done with
//! them, and it opens nothing but the settings file; [`Loaded::check_files`] is for who wants more.

mod account;
mod advice;
mod check;
mod cloud;
mod error;
mod expiry;
mod file;
mod files;
mod layers;
mod listener;
mod nearest;
mod operation;
mod parts;
mod queue;
mod reader;
mod route;
mod sender;
mod sendmail;
mod setting;
mod settings;
mod show;
mod sign_in;
#[cfg(test)]
mod tests;
mod upstream;
mod value;

use std::cell::RefCell;
use std::path::Path;

pub use account::{Access, Account, Oauth, Provider};

pub use error::{ConfigError, Origin, Problem};
pub use expiry::{EXPIRY_WARNING_DAYS, days_until, runs_out};
pub(crate) use files::{exposed, is_readable_by_all};
pub use listener::{BareNewline, Listener, ListenerAuth, ListenerTls};
pub use operation::{Admin, Alert, Bounce, BounceTo, Log, LogFormat, TokenStore};
pub use queue::Queue;
pub use route::{Client, Route};
pub use sender::{Sender, SenderPolicy};
pub use sendmail::Sendmail;
pub use settings::Settings;
pub use show::Provenance;
pub use sign_in::SignInUrlError;
pub use upstream::{Timeouts, Upstream, UpstreamTls};
pub use value::{AddressPattern, ListenAddress};
pub(crate) use value::{is_guid, is_loopback_host, parse_duration, shown_duration, shown_network};

use layers::Merged;
use reader::{Report, Table};

/// Settings in effect, and how they came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the daemon is to do.
    pub settings: Settings,
    /// Where each value came from.
    pub provenance: Provenance,
    /// What is legal and probably not meant, one line each.
    pub warnings: Vec<String>,
}

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "/etc/exorelay/exorelay.toml";

/// Loads all layers. Reads one small file, so it may block for a moment.
///
/// `file` is the one named by `--config`; without it [`DEFAULT_FILE`] is read, which may be missing only
/// when environment or command line describe an account. `environment` is [`environment`] outside of
/// tests. `overrides` are dotted keys with values as in a variable: `("queue.max_messages", "1000")`.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    overrides: &[(String, String)],
) -> Result<Loaded, ConfigError> {
    let environment: Vec<(String, String)> = environment.collect();
    let path = file.unwrap_or_else(|| Path::new(DEFAULT_FILE));
    let text = match file::read(path)? {
        Some(text) => text,
        None if file.is_some() => return Err(ConfigError::Missing { path: path.into() }),
        None if layers::names_an_account(&environment, overrides) => String::new(),
        None => return Err(ConfigError::NoFile { path: path.into() }),
    };
    load_text(path, &text, environment.into_iter(), overrides)
}

/// As [`load`], with the file's text at hand; `path` only names it.
pub fn load_text(
    path: &Path,
    text: &str,
    environment: impl Iterator<Item = (String, String)>,
    overrides: &[(String, String)],
) -> Result<Loaded, ConfigError> {
    let (_, settings, mut report) = read(path, text, environment, overrides)?;
    if !report.problems.is_empty() {
        return Err(ConfigError::Invalid(in_order(report.problems)));
    }
    advice::warn(&settings, jiff::Zoned::now().date(), &mut report);
    Ok(Loaded {
        settings,
        provenance: Provenance::new(report.entries),
        warnings: report.warnings,
    })
}

/// What the relay calls itself where nothing else is said.
pub(crate) fn machine_name() -> String {
    value::HostName::machine().into_string()
}

/// This process's environment. Variables that are not text are left out, as none of ours can be.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.into_string().ok()?))
    })
}

/// As they stand in the file, then what is elsewhere.
fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| match problem.origin {
        Some(Origin::File { line, .. }) => line.unwrap_or(usize::MAX),
        _ => usize::MAX,
    });
    problems
}

/// All that can be known of the layers, whether or not this version supports it.
fn read(
    path: &Path,
    text: &str,
    environment: impl Iterator<Item = (String, String)>,
    overrides: &[(String, String)],
) -> Result<(Merged, Settings, Report), ConfigError> {
    let mut report = Report::default();
    let merged = Merged::new(path, text, environment, overrides, &mut report.problems)?;
    let report = RefCell::new(report);
    let settings = Settings::read(Table::root(&merged, &report));
    let mut report = report.into_inner();
    report.resolve_unknown();
    check::check(&settings, &merged, &mut report);
    Ok((merged, settings, report))
}
