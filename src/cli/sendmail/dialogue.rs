//! `-bs`: SMTP on standard input and output, straight to the daemon's listener.

use std::io::{self, Read, Write};
use std::thread;

use super::server::{Stream, Surroundings};
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;

const BLOCK_BYTES: usize = 16 * 1024;

/// Until the daemon ends the session, which it does after QUIT or the end of input.
pub(super) fn run(surroundings: &Surroundings) -> Result<(), CliError> {
    let mut stream = match surroundings.connect() {
        Ok(stream) => stream,
        Err(unreachable) => {
            // RFC 5321 section 3.1: a client waits for a greeting, or for this.
            let mut output = Output::new();
            output.line("421 4.3.2 The relay does not run; try again later\r")?;
            output.finish()?;
            return Err(CliError::new(Exit::TryAgain, unreachable));
        }
    };
    let clone = stream.try_clone();
    let writer = clone.map_err(|error| CliError::new(Exit::Unavailable, error))?;
    // Left behind when the daemon ends the session first: standard input may never end.
    thread::spawn(move || {
        let _ = forward(io::stdin().lock(), &writer);
        let _ = writer.finish();
    });
    let mut output = io::stdout().lock();
    let mut block = [0; BLOCK_BYTES];
    loop {
        let length = match stream.read(&mut block) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let line = format!("the connection to the relay was lost: {error}");
                return Err(CliError::new(Exit::TryAgain, line));
            }
        };
        match block.get(..length) {
            Some(octets) if length > 0 => {
                let written = output.write_all(octets).and_then(|()| output.flush());
                written.map_err(|error| CliError::output(&error))?;
            }
            _ => return Ok(()),
        }
    }
}

fn forward(mut from: impl Read, to: &Stream) -> io::Result<()> {
    let mut to = to.try_clone()?;
    io::copy(&mut from, &mut to).map(|_octets| ())
}
