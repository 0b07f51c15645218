//! `clients`: what each client needed, and the settings that it wants.

mod advice;
#[cfg(test)]
mod tests;
mod watched;

use jiff::Timestamp;
use serde::Serialize;

use super::context::{Context, block_on};
use super::error::CliError;
use super::output::{JsonArray, Output};
use super::queue::Source;
use super::text::{count, harmless, local_time, since, size};
use crate::queue::ClientRecord;

/// Show what each client needed to get its mail in, and the [client.NAME] section it wants
///
/// Those with silent_after come first, with their last message; then all, those seen last before the others. From the daemon when it runs, and from its folder when not. Clients are
/// forgotten like delivered mail, and of more than a thousand those unseen for longest.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As one JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Item<'a> {
    #[serde(flatten)]
    record: &'a ClientRecord,
    /// The NAME of the `[client.NAME]` that holds for it.
    section: Option<&'a str>,
    suggestion: Option<String>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        let (records, sections) = block_on(async {
            Ok(match Source::find(&settings).await? {
                Source::Daemon(client) => (client.clients().await?, client.status().await?.clients),
                Source::Folder(reader) => {
                    let heard = reader.heard()?;
                    (reader.clients()?, watched::from_folder(&settings, &heard))
                }
            })
        })?;
        let items = records.iter().map(|record| Item {
            section: advice::section(record, &settings).map(|section| section.name.as_str()),
            suggestion: advice::suggestion(record, &settings),
            record,
        });
        let mut output = Output::new();
        if self.json {
            let mut array = JsonArray::default();
            for item in items {
                array.item(&mut output, &item)?;
            }
            array.end(&mut output)?;
            return output.finish();
        }
        let now = Timestamp::now();
        let watched: Vec<_> = sections
            .iter()
            .filter_map(|section| watched::line(section, now))
            .collect();
        for line in &watched {
            output.line(harmless(line))?;
        }
        if records.is_empty() {
            output.line("no client has been seen yet")?;
        }
        for (index, item) in items.enumerate() {
            if index > 0 || !watched.is_empty() {
                output.line("")?;
            }
            for line in lines(&item, now) {
                output.line(harmless(&line))?;
            }
        }
        output.finish()
    }
}

fn lines(item: &Item<'_>, now: Timestamp) -> Vec<String> {
    let record = item.record;
    let mut lines = vec![
        format!(
            "{}  {} in {}, last seen {} ago ({})",
            record.client,
            count(record.messages, "message"),
            count(record.sessions, "session"),
            since(record.last_seen, now),
            local_time(record.last_seen),
        ),
        format!("  {}", manner(record)),
    ];
    if !record.quirks.is_empty() {
        let quirks = record.quirks.iter();
        let quirks: Vec<_> = quirks
            .map(|(quirk, times)| format!("{} ({times})", quirk.as_str()))
            .collect();
        lines.push(format!("  tolerated: {}", quirks.join(", ")));
    }
    for refusal in &record.refusals {
        lines.push(format!(
            "  refused {}, last {} ago: {}",
            count(refusal.count, "time"),
            since(refusal.last_at, now),
            refusal.reply
        ));
    }
    if let Some(suggestion) = &item.suggestion {
        lines.push("  suggested:".to_owned());
        lines.extend(suggestion.lines().map(|line| format!("    {line}")));
    }
    lines
}

/// How it came, last time.
fn manner(record: &ClientRecord) -> String {
    let helo = match record.helo.as_str() {
        "" => "no name".to_owned(),
        name => format!("calls itself {name}"),
    };
    let mut parts = vec![
        format!("listener {}", record.listener),
        helo,
        record.tls.as_deref().unwrap_or("plain text").to_owned(),
    ];
    parts.extend(
        record
            .auth_name
            .as_ref()
            .map(|name| format!("logs in as {name}")),
    );
    parts.extend(record.sender.as_deref().map(|sender| match sender {
        "" => "sends from <>".to_owned(),
        sender => format!("sends from {sender}"),
    }));
    if record.messages > 0 {
        parts.push(format!("largest {}", size(record.largest_bytes)));
    }
    parts.join(", ")
}
