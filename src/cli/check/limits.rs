//! What of the settings goes beyond the service's limits.

use std::fmt::Write as _;

use super::finding::{Finding, Step};
use super::report::Report;
use super::settings::{about_limits, warned};
use super::subject::Subject;
use crate::cli::error::CliError;
use crate::cli::text::size;
use crate::smtp::Capabilities;

/// Without `capabilities` nobody knows what the service takes.
pub(super) fn check(
    subject: &Subject<'_>,
    capabilities: Option<&Capabilities>,
    report: &mut Report,
) -> Result<(), CliError> {
    let mut findings: Vec<Finding> = about_limits(subject.loaded, &subject.account.name)
        .map(|warning| {
            warned(Step::Limits, warning)
                .remedy("leave it out: the default is the service's own limit")
        })
        .collect();
    let limit = capabilities.and_then(|offered| offered.size);
    let limit = limit.filter(|limit| *limit > 0);
    if let Some(limit) = limit {
        findings.extend(too_large(subject, limit));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Step::Limits, summary(subject, limit)));
    }
    findings
        .into_iter()
        .try_for_each(|finding| report.add(finding))
}

/// Listeners that take more than can ever leave.
fn too_large(subject: &Subject<'_>, limit: u64) -> impl Iterator<Item = Finding> {
    let listeners = subject.settings().listeners.values();
    let larger = listeners.filter(move |listener| {
        let mut pinned = listener.account.iter();
        listener.max_message_size_bytes > limit
            && pinned.all(|account| *account == subject.account.name)
    });
    larger.map(move |listener| {
        let name = &listener.name;
        let detail = format!(
            "listener {name} takes messages of {}, the service only of {}: what is larger is accepted and bounced",
            size(listener.max_message_size_bytes),
            size(limit)
        );
        let remedy = format!("listener.{name}.max_message_size = \"{}MiB\"", limit >> 20);
        Finding::warning(Step::Limits, detail).remedy(remedy)
    })
}

fn summary(subject: &Subject<'_>, limit: Option<u64>) -> String {
    let smtp = &subject.account.smtp;
    let or_none = |number: u32| match number {
        0 => "any number of".to_owned(),
        number => number.to_string(),
    };
    let mut text = format!(
        "{} connections, {} messages a minute, {} recipients a day, {} in one message",
        smtp.connections,
        or_none(smtp.messages_per_minute),
        or_none(smtp.recipients_per_day),
        smtp.recipients_per_message
    );
    if let Some(limit) = limit {
        let mailbox = if subject.is_microsoft() {
            ", the mailbox perhaps less (35 MB unless Set-Mailbox -MaxSendSize says otherwise)"
        } else {
            ""
        };
        // Writing to a `String` cannot fail.
        let _ = write!(text, "; messages up to {}{mailbox}", size(limit));
    }
    text
}
