//! The files that the settings name: whether the daemon can read them, and who else can.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Step};
use super::report::Report;
use super::settings::warned;
use super::user::User;
use crate::cli::error::{CliError, Exit};
use crate::cli::text::count;
use crate::config::{ConfigError, Loaded, Settings, exposed, is_readable_by_all};
use crate::secret::SecretSource;

pub(super) fn check(
    loaded: &Loaded,
    daemon: Option<User>,
    report: &mut Report,
) -> Result<(), CliError> {
    let mut findings = Vec::new();
    match loaded.check_files() {
        Ok(warnings) => {
            let warnings = warnings.iter();
            findings.extend(warnings.map(|warning| warned(Step::Files, warning)));
        }
        Err(ConfigError::Invalid(problems)) => {
            findings.extend(
                problems
                    .iter()
                    .map(|problem| unusable(&problem.to_string())),
            );
        }
        Err(error) => findings.push(unusable(&error.to_string())),
    }
    let files = secret_files(&loaded.settings);
    for path in &files {
        let shown = path.display().to_string();
        let is_told = |finding: &Finding| finding.detail.contains(&shown);
        if is_readable_by_all(path) && !findings.iter().any(is_told) {
            findings.push(warned(Step::Files, &exposed(path)));
        }
        findings.extend(hidden(path, daemon));
    }
    let tokens = token_files(&loaded.settings.queue.directory);
    for path in &tokens {
        findings.extend(token_file(path, daemon));
    }
    if findings.is_empty() {
        let number = count((files.len() + tokens.len()) as u64, "file");
        let detail = format!("{number} with secrets, closed to other users");
        findings.push(Finding::ok(Step::Files, detail));
    }
    findings
        .into_iter()
        .try_for_each(|finding| report.add(finding))
}

fn unusable(problem: &str) -> Finding {
    if problem.to_ascii_lowercase().contains("permission denied") {
        return Finding::failed(Step::Files, Exit::NotPermitted, problem)
            .remedy("run this as root or as the daemon's user; if it is the daemon's user: chown root:GROUP and chmod 640 the file, GROUP being the daemon's");
    }
    Finding::failed(Step::Files, Exit::Configuration, problem)
}

/// What the daemon's user cannot read.
fn hidden(path: &Path, daemon: Option<User>) -> Option<Finding> {
    let metadata = std::fs::metadata(path).ok()?;
    // Whoever runs this has read it already when the settings were checked.
    let reader = daemon.filter(|user| !user.is_me() && !user.may_read(&metadata))?;
    let shown = path.display();
    let detail = format!(
        "{shown} belongs to uid {} with mode {:03o}: the daemon's user, {}, cannot read it as far as that tells",
        metadata.uid(),
        mode(&metadata),
        reader.name()
    );
    let remedy = format!("chgrp GROUP {shown} && chmod 640 {shown}, GROUP being that user's");
    Some(Finding::warning(Step::Files, detail).remedy(remedy))
}

/// Refresh tokens are the daemon's own, and nobody else's.
fn token_file(path: &Path, daemon: Option<User>) -> Option<Finding> {
    let metadata = std::fs::metadata(path).ok()?;
    let shown = path.display();
    if mode(&metadata) & 0o077 != 0 {
        let detail = format!(
            "{shown} holds a refresh token and has mode {:03o}",
            mode(&metadata)
        );
        return Some(Finding::warning(Step::Files, detail).remedy(format!("chmod 600 {shown}")));
    }
    let reader = daemon.filter(|user| !user.may_read(&metadata))?;
    let name = reader.name();
    let detail = format!("{shown} cannot be read by the daemon's user, {name}");
    let remedy = format!("chown --reference={} {shown}", path.parent()?.display());
    Some(Finding::failed(Step::Files, Exit::NotPermitted, detail).remedy(remedy))
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o777
}

/// Each once, whatever number of accounts share it.
fn secret_files(settings: &Settings) -> BTreeSet<PathBuf> {
    let accounts = settings.accounts.values();
    let keys = accounts.clone().flat_map(|account| {
        let certificate = account.client_certificate.clone();
        certificate
            .into_iter()
            .chain(account.client_certificate_key.clone())
    });
    let secrets = accounts.flat_map(|account| &account.client_secrets);
    let secrets = secrets.chain(settings.token_store.key.as_ref());
    let secrets = secrets.filter_map(|secret| match secret {
        SecretSource::File(path) => Some(path.clone()),
        SecretSource::Literal(_) | SecretSource::Env(_) | SecretSource::Credential(_) => None,
    });
    secrets.chain(keys).collect()
}

fn token_files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory.join("tokens")) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_token = |path: &PathBuf| path.extension().is_some_and(|it| it == "json");
    paths.filter(is_token).collect()
}
