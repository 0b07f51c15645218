//! Asking before something is lost.

use std::io::{self, IsTerminal, Write};

use super::error::{CliError, Exit};

/// Whether there is somebody who can answer; `what` names what asks.
pub(super) fn can_ask(what: &str) -> Result<(), CliError> {
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        return Ok(());
    }
    Err(CliError::new(
        Exit::Usage,
        format!("{what} asks before, and there is no terminal to answer at; say --yes too"),
    ))
}

/// Whether the answer is yes.
pub(super) fn is_wanted(question: &str) -> bool {
    // Who has closed standard error is not asked, and has not agreed.
    let _ = write!(io::stderr(), "{question}");
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
