//! `exorelay hash-password`: the lines of a listener's `users`.

use std::io::{self, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions};
use zeroize::Zeroizing;

use super::context::{Context, block_on};
use super::error::{CliError, Exit};
use super::login::stdin;
use super::output::say;
use super::signals::Signals;
use super::silence::Silence;
use crate::listener::{PasswordHash, check_user_name};
use crate::secret::Secret;

/// Hash a password for the file that users = "..." of a listener names
///
/// At a terminal it asks twice and shows nothing of it; elsewhere it takes one line of standard input.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the whole line, NAME:HASH
    #[arg(long, value_name = "NAME", value_parser = user_name)]
    user: Option<String>,
}

/// With the name, it has to fit into one line of AUTH PLAIN.
const PASSWORD_MAX_OCTETS: usize = 1000;

fn user_name(name: &str) -> Result<String, String> {
    match check_user_name(name) {
        Ok(()) => Ok(name.to_owned()),
        Err(error) => Err(format!("the name {error}")),
    }
}

impl Args {
    pub(super) fn run(self, _: &Context) -> Result<(), CliError> {
        let password = block_on(async {
            let mut signals = Signals::catch()?;
            tokio::select! {
                biased;
                _ = signals.next() => Err(CliError::new(Exit::Failed, "ended; nothing was hashed")),
                password = ask() => password,
            }
        })?;
        let hash = PasswordHash::make(&password);
        let hash = hash.map_err(|error| CliError::new(Exit::Failed, error))?;
        match self.user {
            Some(user) => say(&format!("{user}:{hash}\n")),
            None => say(&format!("{hash}\n")),
        }
    }
}

async fn ask() -> Result<Secret, CliError> {
    if !io::stdin().is_terminal() {
        return check(&line().await?);
    }
    let _silence = silence()?;
    prompt("Password: ");
    let password = check(&line().await?)?;
    prompt("The same again: ");
    if check(&line().await?)? != password {
        let line = "that was not the same; run exorelay hash-password again";
        return Err(CliError::new(Exit::Failed, line));
    }
    Ok(password)
}

/// Where standard error is closed nobody is asked, and may type all the same.
fn prompt(text: &str) {
    let _ = write!(io::stderr(), "{text}");
}

async fn line() -> Result<Zeroizing<String>, CliError> {
    let read = stdin::line().await.map_err(|error| {
        CliError::new(Exit::Failed, format!("cannot read standard input: {error}"))
    })?;
    Ok(read.unwrap_or_default())
}

fn check(line: &str) -> Result<Secret, CliError> {
    let password = line.strip_suffix('\n').unwrap_or(line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    let fault = if password.is_empty() {
        "the password is empty"
    } else if password.len() > PASSWORD_MAX_OCTETS {
        "the password is too long for AUTH; take one of at most 1000 octets"
    } else if password.contains(char::is_control) {
        "the password holds control characters, which no device could send"
    } else {
        return Ok(Secret::new(password));
    };
    Err(CliError::new(Exit::Failed, fault))
}

/// The terminal shows line ends and nothing else of what is typed.
fn silence() -> Result<Silence, CliError> {
    // Who begins to type too early begins anew.
    let begun = Silence::begin(OptionalActions::Flush, OptionalActions::Drain, |terminal| {
        terminal.local_modes.remove(LocalModes::ECHO);
        terminal.local_modes.insert(LocalModes::ECHONL);
    });
    begun.map_err(|error| {
        CliError::new(
            Exit::Failed,
            format!("the terminal would show the password: {error}"),
        )
    })
}
