//! Sections with `silent_after`: when each was last heard.

use std::time::Duration;

use jiff::Timestamp;

use crate::admin::ClientStatus;
use crate::cli::text::{local_time, since, span};
use crate::config::{Settings, shown_duration};
use crate::queue::Heard;

/// What the folder of a stopped daemon tells, with what the settings say of it.
pub(super) fn from_folder(settings: &Settings, heard: &[Heard]) -> Vec<ClientStatus> {
    let sections = settings.section_parts().into_iter();
    let sections = sections.map(|section| {
        let is_it = |one: &&Heard| {
            (&one.section.name, &one.section.network) == (&section.name, &section.network)
        };
        let known = heard.iter().find(is_it).cloned();
        ClientStatus::of(Heard {
            last_message_at: known.as_ref().and_then(|known| known.last_message_at),
            last_client: known.as_ref().and_then(|known| known.last_client.clone()),
            quiet: known.and_then(|known| known.quiet),
            section,
        })
    });
    sections.collect()
}

/// `[client.lobby] 10.20.1.15: SILENT, no message for 3d2h, last 4d ago (2026-11-17 14:32:10+01:00), silent_after 3d`;
/// none for a section that is not watched.
pub(in crate::cli) fn line(client: &ClientStatus, now: Timestamp) -> Option<String> {
    let silent_after = Duration::from_secs(client.silent_after_seconds?);
    let quiet = i64::try_from(client.quiet_seconds.unwrap_or_default()).unwrap_or(i64::MAX);
    let mut line = format!("[client.{}] {}: ", client.name, client.network);
    if client.silent {
        line.push_str(&format!("SILENT, no message for {}, ", span(quiet)));
    }
    match client.last_message_at {
        Some(at) => line.push_str(&format!(
            "last message {} ago ({})",
            since(at, now),
            local_time(at)
        )),
        None => line.push_str("no message yet"),
    }
    line.push_str(&format!(", silent_after {}", shown_duration(silent_after)));
    Some(line)
}
