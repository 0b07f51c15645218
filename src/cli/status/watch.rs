//! `status --watch`: the same again and again, until somebody has seen enough.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::process::{Signal, getpid, kill_process};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::{FolderStatus, Found, NotRunning, Running, absent_lines, find, nobody, page};
use crate::cli::context::block_on;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::cli::screen::Screen;
use crate::cli::signals::Signals;
use crate::cli::text::{harmless, since};
use crate::config::Settings;

/// A daemon that takes longer than this is said not to answer; it is asked again all the same.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one look has come to: a page, or why there is none, and what is known all the same.
#[derive(Debug)]
struct Look {
    found: Option<Found>,
    trouble: Option<CliError>,
}

#[derive(Debug, Serialize)]
struct Unknown<'a> {
    running: bool,
    error: &'a str,
}

/// Every `interval`, drawn in place on a terminal; elsewhere, and as JSON, one after the other.
pub(super) fn run(settings: &Settings, interval: Duration, json: bool) -> Result<(), CliError> {
    if !json && Screen::is_there() {
        return block_on(draw(settings, interval));
    }
    block_on(print(settings, interval, json))
}

async fn look(settings: &Settings) -> Look {
    match timeout(PATIENCE, find(settings)).await {
        Ok(Ok(found)) => Look {
            trouble: matches!(found, Found::Folder(_)).then(|| nobody(settings)),
            found: Some(found),
        },
        Ok(Err(error)) => Look {
            found: None,
            trouble: Some(error),
        },
        Err(_) => {
            let socket = settings.admin.socket.display();
            let line = format!(
                "the daemon at {socket} has not answered for {}s",
                PATIENCE.as_secs()
            );
            Look {
                found: None,
                trouble: Some(CliError::new(Exit::TryAgain, line)),
            }
        }
    }
}

/// Signals end it as they end any program.
async fn print(settings: &Settings, interval: Duration, json: bool) -> Result<(), CliError> {
    let mut is_first = true;
    loop {
        let look = look(settings).await;
        let mut output = Output::new();
        if json {
            look.write_json(&mut output)?;
        } else {
            if !is_first {
                output.line("")?;
            }
            for line in look.lines(Timestamp::now()) {
                output.line(harmless(&line))?;
            }
        }
        output.finish()?;
        is_first = false;
        sleep(interval).await;
    }
}

/// Until a signal: SIGINT, SIGTERM, or SIGHUP from a terminal that is gone.
async fn draw(settings: &Settings, interval: Duration) -> Result<(), CliError> {
    let caught = |kind| {
        let caught = signal(kind);
        caught
            .map_err(|error| CliError::new(Exit::Failed, format!("cannot catch signals: {error}")))
    };
    let mut signals = Signals::catch()?;
    let mut resized = caught(SignalKind::window_change())?;
    let mut suspended = caught(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
    let after = |wait| async move {
        sleep(wait).await;
        look(settings).await
    };
    let mut next = Box::pin(after(Duration::ZERO));
    let mut shown = Shown::default();
    let mut screen = Screen::enter()?;
    loop {
        tokio::select! {
            biased;
            _ = signals.next() => return Ok(()),
            _ = suspended.recv() => {
                drop(screen);
                // Until somebody has it go on.
                let _ = kill_process(getpid(), Signal::STOP);
                screen = Screen::enter()?;
            }
            _ = resized.recv() => {}
            look = &mut next => {
                shown.take(look, Timestamp::now());
                next.set(after(interval));
            }
        }
        screen.draw(&shown.lines(interval, Timestamp::now(), &TimeZone::system()))?;
    }
}

impl Look {
    fn write_json(&self, output: &mut Output) -> Result<(), CliError> {
        let error = self.trouble.as_ref().map(words);
        let error = error.as_deref();
        match &self.found {
            Some(Found::Running(status)) => output.json(&Running {
                running: true,
                status,
            })?,
            Some(Found::Folder(counts)) => output.json(&NotRunning {
                running: false,
                queue: FolderStatus::of(counts),
                error,
            })?,
            None => output.json(&Unknown {
                running: false,
                error: error.unwrap_or_default(),
            })?,
        }
        output.line("")
    }

    fn lines(&self, now: Timestamp) -> Vec<String> {
        let mut lines: Vec<_> = self.trouble.iter().map(words).collect();
        lines.extend(match &self.found {
            Some(Found::Running(status)) => page(status, now),
            Some(Found::Folder(counts)) => absent_lines(counts, now),
            None => Vec::new(),
        });
        lines
    }
}

fn words(error: &CliError) -> String {
    let lines: Vec<&str> = error.lines().collect();
    lines.join("; ")
}

/// What is on the screen: while nobody answers, what was said last.
#[derive(Debug, Default)]
struct Shown {
    page: Vec<String>,
    /// When that was said.
    at: Option<Timestamp>,
    /// Why there is nothing newer, and since when.
    trouble: Option<(String, Timestamp)>,
}

impl Shown {
    fn take(&mut self, look: Look, now: Timestamp) {
        let since = self.trouble.as_ref().map_or(now, |(_, since)| *since);
        self.trouble = look.trouble.as_ref().map(|error| (words(error), since));
        // What a folder tells is less, but true: mail can be waiting in it.
        match &look.found {
            Some(Found::Running(status)) => self.page = page(status, now),
            Some(Found::Folder(counts)) => self.page = absent_lines(counts, now),
            None => return,
        }
        self.at = Some(now);
    }

    fn lines(&self, interval: Duration, now: Timestamp, zone: &TimeZone) -> Vec<String> {
        let time = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string();
        let every = interval.as_secs();
        let mut lines = vec![format!("{}, every {every}s; Ctrl-C ends", time(now))];
        if let Some((why, begun)) = &self.trouble {
            lines.push(format!("NO ANSWER for {}: {why}", since(*begun, now)));
            if let Some(at) = self.at {
                lines.push(format!("as of {}:", time(at)));
            }
        }
        lines.extend(self.page.iter().cloned());
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Counts;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn while_nobody_answers_the_last_page_stays() {
        let mut shown = Shown::default();
        let zone = TimeZone::UTC;
        let begun = at("2026-11-20T10:00:00Z");
        let every = Duration::from_secs(2);
        assert_eq!(
            shown.lines(every, begun, &zone),
            ["10:00:00, every 2s; Ctrl-C ends"]
        );
        let folder = || Look {
            found: Some(Found::Folder(Counts::default())),
            trouble: Some(CliError::new(Exit::Failed, "no daemon runs")),
        };
        shown.take(folder(), begun);
        let silent = Look {
            found: None,
            trouble: Some(CliError::new(Exit::TryAgain, "it hangs")),
        };
        shown.take(silent, at("2026-11-20T10:00:05Z"));
        assert_eq!(
            shown.lines(every, at("2026-11-20T10:00:12Z"), &zone),
            [
                "10:00:12, every 2s; Ctrl-C ends",
                "NO ANSWER for 12s: it hangs",
                "as of 10:00:00:",
                "queue: nothing waits",
            ]
        );
        let back = Look {
            trouble: None,
            ..folder()
        };
        shown.take(back, at("2026-11-20T10:00:14Z"));
        assert_eq!(
            shown.lines(every, at("2026-11-20T10:00:14Z"), &zone),
            ["10:00:14, every 2s; Ctrl-C ends", "queue: nothing waits"]
        );
    }
}
