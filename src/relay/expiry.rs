//! Secrets and certificates that run out soon: the day after, no token is given, and mail waits.
//!
//! This is about the calendar, so it goes by the wall clock, and does nothing while that shows a year in
//! which nobody can have set it right.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use tokio::time::timeout;

use super::view::{Shown, View};
use crate::config::{EXPIRY_WARNING_DAYS, days_until, runs_out};
use crate::queue::{Finding, IncidentKind, Incidents, News, Urgency};
use crate::telemetry;

/// When the certificate in a PEM file ends; `None` when that cannot be read. May block for a moment.
pub(super) type CertificateEnd = fn(&Path) -> Option<Timestamp>;

/// Between two looks when nothing is known to have changed: a certificate may have been replaced.
const INTERVAL: Duration = Duration::from_mins(10);

/// What an account proves itself with, as far as it is known to run out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Perishable {
    /// `credential_expires`.
    pub expires: Option<Date>,
    /// Whose end is read from it.
    pub certificate: Option<PathBuf>,
}

/// What runs out, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    on: Date,
    /// None: as the settings say.
    certificate: Option<PathBuf>,
}

/// Looks at the start, after each reload, every day and after a certificate has changed; says once a day
/// what runs out, and once that it was replaced.
pub(super) async fn watch(
    view: Arc<View>,
    certificate_end: CertificateEnd,
    clock: impl Fn() -> Zoned,
) {
    let mut changes = view.subscribe();
    let incidents = view.queue.incidents();
    let mut certificates = BTreeMap::new();
    loop {
        let shown = Arc::clone(&changes.borrow_and_update());
        certificates = read(&shown, certificates, certificate_end).await;
        let now = clock();
        let ends = ends(&shown, &certificates, now.time_zone());
        // Whoever is alarmed finds the date in the status.
        let days = ends.iter().map(|(account, end)| (account.clone(), end.on));
        view.expect_ends(days.collect());
        look(&incidents, &ends, now.date());
        if let Ok(Err(_)) = timeout(INTERVAL, changes.changed()).await {
            return;
        }
    }
}

/// The ends of all certificates. Of one that cannot be read, while it is being replaced for instance, what
/// was known `before` holds.
async fn read(
    shown: &Shown,
    before: BTreeMap<PathBuf, Timestamp>,
    certificate_end: CertificateEnd,
) -> BTreeMap<PathBuf, Timestamp> {
    let accounts = shown.accounts.iter();
    let paths: Vec<PathBuf> = accounts
        .filter_map(|account| account.perishable.certificate.clone())
        .collect();
    if paths.is_empty() {
        return BTreeMap::new();
    }
    let known = before.clone();
    let read = tokio::task::spawn_blocking(move || {
        let end = |path: &PathBuf| certificate_end(path).or_else(|| known.get(path).copied());
        let ends = paths.into_iter();
        ends.filter_map(|path| end(&path).map(|end| (path, end)))
            .collect()
    });
    read.await.unwrap_or(before)
}

/// By account, what runs out first.
fn ends(
    shown: &Shown,
    certificates: &BTreeMap<PathBuf, Timestamp>,
    zone: &TimeZone,
) -> BTreeMap<String, End> {
    let end = |perishable: &Perishable| {
        let of_settings = perishable.expires.map(|on| End {
            on,
            certificate: None,
        });
        let of_certificate = perishable.certificate.as_ref().and_then(|path| {
            let end = certificates.get(path)?;
            Some(End {
                on: end.to_zoned(zone.clone()).date(),
                certificate: Some(path.clone()),
            })
        });
        let ends = of_certificate.into_iter().chain(of_settings);
        ends.min_by_key(|end| end.on)
    };
    let accounts = shown.accounts.iter();
    accounts
        .filter_map(|account| Some((account.name.clone(), end(&account.perishable)?)))
        .collect()
}

/// Opens, goes on with and ends incidents. Returns the accounts of which something was said.
fn look(incidents: &Incidents, ends: &BTreeMap<String, End>, today: Date) -> Vec<String> {
    let mut said = Vec::new();
    if !SENSIBLE.contains(&today) {
        tracing::debug!(%today, "the clock is wrong: what runs out cannot be told");
        return said;
    }
    let known = incidents.open().into_iter();
    let mut known: BTreeMap<String, Finding> = known
        .filter(|one| one.finding.kind == IncidentKind::Credential)
        .map(|one| (one.finding.account.clone(), one.finding))
        .collect();
    let is_due = |end: &End| days_until(end.on, today) <= EXPIRY_WARNING_DAYS;
    for (account, end) in ends.iter().filter(|(_, end)| is_due(end)) {
        let finding = finding(account, end, today);
        // It tells how many days are left, so it is another one tomorrow.
        let is_said = known
            .remove(account)
            .is_some_and(|known| known.reason == finding.reason);
        if !is_said {
            warn(incidents, &finding);
            said.push(account.clone());
        }
    }
    // What is left is not due any more, or its account is gone.
    for account in known.into_keys() {
        if let Some(over) = incidents.recovered(IncidentKind::Credential, &account) {
            let event = telemetry::Incident {
                id: over.id.as_str(),
                kind: IncidentKind::Credential.as_str(),
                account: Some(&account),
                reason: &over.finding.reason,
                rule: None,
                why: None,
                remedy: None,
            };
            event.log_recovered(over.lasted());
        }
        said.push(account);
    }
    said
}

fn warn(incidents: &Incidents, finding: &Finding) {
    let (id, news) = incidents.found(finding.clone(), true);
    let event = telemetry::Incident {
        id: id.as_str(),
        kind: finding.kind.as_str(),
        account: Some(&finding.account),
        reason: &finding.reason,
        rule: None,
        why: finding.why.as_deref(),
        remedy: finding.remedy.as_deref(),
    };
    match news {
        News::Opened | News::Reopened => event.log_expiry_opened(),
        News::Changed | News::Known => event.log_expiry(),
    }
}

fn finding(account: &str, end: &End, today: Date) -> Finding {
    let when = runs_out(end.on, today);
    let (reason, remedy) = match &end.certificate {
        Some(path) => (
            format!("the certificate {} {when}", path.display()),
            REPLACE_CERTIFICATE,
        ),
        None => (
            format!("the credential {when} (credential_expires)"),
            REPLACE_CREDENTIAL,
        ),
    };
    let has_run_out = days_until(end.on, today) < 0;
    Finding {
        kind: IncidentKind::Credential,
        account: account.to_owned(),
        state: if has_run_out { "expired" } else { "warning" }.to_owned(),
        cause: "expiry".to_owned(),
        rule: None,
        why: Some("Once it has run out no token is given, and mail waits.".to_owned()),
        remedy: Some(remedy.to_owned()),
        reason,
        urgency: Urgency::Urgent,
        probe: None,
    }
}

/// A clock without battery begins in 1970, or in 2099.
const SENSIBLE: std::ops::Range<Date> = date(2026, 1, 1)..date(2076, 1, 1);

const REPLACE_CREDENTIAL: &str = "Make a new secret or certificate in Entra admin centre > App registrations > your app > Certificates & secrets, put it in place (client_secret may be a list with both), set credential_expires to its last day, and reload.";
const REPLACE_CERTIFICATE: &str = "Make a new certificate, upload its public part in Entra admin centre > App registrations > your app > Certificates & secrets, and replace the file: it is read again by itself.";

#[cfg(test)]
mod tests;
