//! `queue verify`: whether the queue is whole.

use std::fmt::Write as _;

use serde::Serialize;

use super::source;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::text::{count, harmless, size};
use crate::queue::{Verdict, verify};

/// Check the queue: database, content of every message, totals
///
/// Reads the folder and changes nothing, whether a daemon runs or not. Exits 1 when something is wrong,
/// damaged messages that were quarantined included.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    ok: bool,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        let directory = &settings.queue.directory;
        source::folder(directory)?;
        let mut progress = Progress::new("verifying");
        let verdict = verify(directory, |done, total| progress.show(done, total))?;
        drop(progress);
        let mut output = Output::new();
        if self.json {
            output.json_pretty(&Report {
                ok: verdict.is_good(),
                verdict: &verdict,
            })?;
        } else {
            for line in page(&verdict) {
                output.line(line)?;
            }
        }
        output.finish()?;
        if verdict.is_good() {
            Ok(())
        } else {
            Err(CliError::quiet(Exit::Failed))
        }
    }
}

fn page(verdict: &Verdict) -> Vec<String> {
    let problems = verdict.problems.iter();
    let mut lines: Vec<String> = problems
        .map(|problem| match &problem.id {
            Some(id) => harmless(&format!("{id} {}", problem.what)),
            None => harmless(&problem.what),
        })
        .collect();
    if verdict.more_problems > 0 {
        lines.push(format!(
            "and {} more",
            count(verdict.more_problems, "problem")
        ));
    }
    let all: u64 = verdict.messages.values().sum();
    let states = verdict.messages.iter();
    let states: Vec<String> = states.map(|(state, n)| format!("{n} {state}")).collect();
    let mut line = count(all, "message");
    if !states.is_empty() {
        // Writing to a `String` cannot fail.
        let _ = write!(line, " ({})", states.join(", "));
    }
    lines.push(format!(
        "{line}; {} of {} waiting, {} of content",
        size(verdict.waiting_bytes),
        count(verdict.waiting, "message"),
        size(verdict.content_bytes)
    ));
    if verdict.files_coming_in > 0 {
        let files = count(verdict.files_coming_in, "content file");
        lines.push(format!(
            "{files} of messages that are coming in, or of sessions that broke off"
        ));
    }
    lines.push(
        match verdict.problems.len() as u64 + verdict.more_problems {
            0 => "the queue is whole".to_owned(),
            problems => format!("{} found", count(problems, "problem")),
        },
    );
    lines
}
