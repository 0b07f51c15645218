//! Standard output.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use serde::Serialize;

use super::error::CliError;

/// Locked and buffered; what was written is certain to be out only after [`Output::finish`].
#[derive(Debug)]
pub(super) struct Output {
    writer: BufWriter<StdoutLock<'static>>,
}

impl Output {
    pub(super) fn new() -> Self {
        Self {
            writer: BufWriter::new(io::stdout().lock()),
        }
    }

    /// `text` and a line end.
    pub(super) fn line(&mut self, text: impl fmt::Display) -> Result<(), CliError> {
        let written = writeln!(self.writer, "{text}");
        written.map_err(|error| CliError::output(&error))
    }

    /// `text` as it is.
    pub(super) fn text(&mut self, text: &str) -> Result<(), CliError> {
        let written = self.writer.write_all(text.as_bytes());
        written.map_err(|error| CliError::output(&error))
    }

    /// Octets as they are.
    pub(super) fn octets(&mut self, octets: &[u8]) -> Result<(), CliError> {
        let written = self.writer.write_all(octets);
        written.map_err(|error| CliError::output(&error))
    }

    /// One value on one line, without the line end.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let written = serde_json::to_writer(&mut self.writer, value);
        written.map_err(|error| CliError::output(&error.into()))
    }

    /// One value for people and programs, with a line end.
    pub(super) fn json_pretty(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let written = serde_json::to_writer_pretty(&mut self.writer, value);
        written.map_err(|error| CliError::output(&error.into()))?;
        self.line("")
    }

    /// To be called last: a full disk is noticed here.
    pub(super) fn finish(mut self) -> Result<(), CliError> {
        let flushed = self.writer.flush();
        flushed.map_err(|error| CliError::output(&error))
    }
}

/// One JSON array with an item on each line, however many come.
#[derive(Debug, Default)]
pub(super) struct JsonArray {
    has_items: bool,
}

impl JsonArray {
    pub(super) fn item(
        &mut self,
        output: &mut Output,
        value: &impl Serialize,
    ) -> Result<(), CliError> {
        output.text(if self.has_items { ",\n" } else { "[\n" })?;
        self.has_items = true;
        output.json(value)
    }

    pub(super) fn end(self, output: &mut Output) -> Result<(), CliError> {
        output.text(if self.has_items { "\n]\n" } else { "[]\n" })
    }
}

/// `text` at once, for commands that tell what happens while it happens.
pub(super) fn say(text: &str) -> Result<(), CliError> {
    let mut output = Output::new();
    output.text(text)?;
    output.finish()
}

/// Columns of the terminal; none when standard output is none.
pub(super) fn terminal_width() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
    // Some terminals do not know.
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
