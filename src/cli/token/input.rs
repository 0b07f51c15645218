//! A secret from standard input: from a file or a pipe, or typed without being shown.

use std::io::{self, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions};
use zeroize::Zeroizing;

use crate::cli::context::block_on;
use crate::cli::error::{CliError, Exit};
use crate::cli::silence::Silence;

/// Far more than any token has.
const MAX_BYTES: u64 = 64 * 1024;

/// All of it; at a terminal one line, which is asked for with `prompt`.
pub(super) fn read_secret(prompt: &str) -> Result<Zeroizing<String>, CliError> {
    if !io::stdin().is_terminal() {
        let mut text = Zeroizing::new(String::new());
        let read = io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text);
        return read.map(|_| text).map_err(|error| unreadable(&error));
    }
    let now = OptionalActions::Now;
    let silence = Silence::begin(now, now, |terminal| {
        terminal.local_modes.remove(LocalModes::ECHO);
    })
    .ok();
    // Who has closed standard error is not asked, and may still paste.
    let _ = write!(io::stderr(), "{prompt}");
    let line = block_on(async {
        let (done, line) = tokio::sync::oneshot::channel();
        // Its own thread: nothing else can be left behind while it still waits for a line.
        std::thread::spawn(move || {
            let mut text = Zeroizing::new(String::new());
            let read = io::stdin().read_line(&mut text);
            let _ = done.send(read.map(|_| text));
        });
        tokio::select! {
            line = line => match line {
                Ok(read) => read.map_err(|error| unreadable(&error)),
                Err(_) => Err(CliError::quiet(Exit::Failed)),
            },
            // Caught, or the terminal would stay silent.
            _ = tokio::signal::ctrl_c() => Err(CliError::new(Exit::Failed, "nothing was stored")),
        }
    });
    drop(silence);
    let _ = writeln!(io::stderr());
    line
}

fn unreadable(error: &io::Error) -> CliError {
    CliError::new(Exit::Failed, format!("cannot read standard input: {error}"))
}
