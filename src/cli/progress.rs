//! How far long work is, on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Often enough to be seen moving.
const INTERVAL: Duration = Duration::from_millis(100);

/// One line on standard error that is written over; nothing where that is no terminal, and nothing for
/// work that is over at once.
#[derive(Debug)]
pub(super) struct Progress {
    doing: &'static str,
    last: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    /// `doing`: `exporting`, `verifying`.
    pub(super) fn new(doing: &'static str) -> Self {
        let last = io::stderr().is_terminal().then(Instant::now);
        Self {
            doing,
            last,
            is_shown: false,
        }
    }

    pub(super) fn show(&mut self, done: u64, total: u64) {
        let Some(last) = &mut self.last else { return };
        if last.elapsed() < INTERVAL {
            return;
        }
        *last = Instant::now();
        self.is_shown = true;
        // Who has closed standard error does not want to know.
        let _ = write!(io::stderr(), "\r{} {done} of {total} \x1b[K", self.doing);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
