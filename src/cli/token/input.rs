//! A secret from standard input: from a file or a pipe, or typed without being shown.

use std::io::{self, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::cli::context::block_on;
use crate::cli::error::{CliError, Exit};

/// Far more than any token has.
const MAX_BYTES: u64 = 64 * 1024;

/// All of it; at a terminal one line, which is asked for with `prompt`.
pub(super) fn read_secret(prompt: &str) -> Result<Zeroizing<String>, CliError> {
    if !io::stdin().is_terminal() {
        let mut text = Zeroizing::new(String::new());
        let read = io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text);
        return read.map(|_| text).map_err(|error| unreadable(&error));
    }
    let silence = Silence::begin();
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

/// The terminal does not show what is typed for as long as it lives.
struct Silence(Option<Termios>);

impl Silence {
    fn begin() -> Self {
        let Ok(before) = tcgetattr(io::stdin()) else {
            return Self(None);
        };
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        let set = tcsetattr(io::stdin(), OptionalActions::Now, &silent);
        Self(set.ok().map(|()| before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
