//! How a command ends.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::admin::{ClientError, one_line};
use crate::config::{ConfigError, SignInUrlError};

/// The exit codes, after sysexits.h where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// It is not, and trying again will not help.
    Failed = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// Of `sendmail`, as programs that call it know it.
    MailUsage = 64,
    /// An address or the message is malformed.
    BadData = 65,
    /// Nobody of that name.
    NoUser = 67,
    /// The provider cannot be reached or refuses.
    Unavailable = 69,
    /// A defect of the program.
    Software = 70,
    /// A file cannot be made.
    CannotCreate = 73,
    /// The message cannot be read.
    InputOutput = 74,
    /// It may work later.
    TryAgain = 75,
    /// This user may not.
    NotPermitted = 77,
    /// The settings cannot be used.
    Configuration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command has not done what it was asked: an exit code, and one line for each thing.
#[derive(Debug)]
pub struct CliError {
    exit: Exit,
    lines: Vec<String>,
}

impl CliError {
    /// `line` says what, where and the remedy, without the program's name.
    pub fn new(exit: Exit, line: impl fmt::Display) -> Self {
        Self {
            exit,
            lines: vec![line.to_string()],
        }
    }

    /// As [`CliError::new`], of several things.
    pub(super) fn several(exit: Exit, lines: Vec<String>) -> Self {
        Self { exit, lines }
    }

    /// Nothing is left to be said; a reader that went away, a message that was shown already.
    pub fn quiet(exit: Exit) -> Self {
        Self {
            exit,
            lines: Vec::new(),
        }
    }

    /// The same of one thing among several: its name comes before each line.
    pub(super) fn at(mut self, what: impl fmt::Display) -> Self {
        for line in &mut self.lines {
            *line = format!("{what}: {line}");
        }
        self
    }

    /// The same with another code.
    pub(super) fn ending_with(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// Says it on standard error, and the command goes on.
    pub(super) fn say(&self) {
        for line in &self.lines {
            complain(line);
        }
    }

    /// The code it ends with.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// A failure to write to standard output.
    pub(super) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::quiet(Exit::Done);
        }
        let line = format!("cannot write to standard output: {error}");
        Self::new(Exit::Failed, line)
    }

    /// What there is to say, each on a line of its own.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Says it on standard error.
    pub(super) fn report(self) -> ExitCode {
        self.say();
        self.exit.into()
    }
}

/// One line on standard error. Where that is closed too, nobody is left to be told.
pub(super) fn complain(line: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "exorelay: {line}");
}

impl From<clap::Error> for CliError {
    fn from(error: clap::Error) -> Self {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match error.print() {
                Ok(()) => Self::quiet(Exit::Done),
                Err(error) => Self::output(&error),
            },
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                let _ = error.print();
                Self::quiet(Exit::Usage)
            }
            _ => Self::new(Exit::Usage, usage_line(&error.render().to_string())),
        }
    }
}

/// Folds what clap says over several lines into one that ends with the usage.
fn usage_line(rendered: &str) -> String {
    let mut line = String::new();
    let mut usage = None;
    for part in rendered.lines().map(str::trim) {
        if part.is_empty() || part.starts_with("For more information") {
            continue;
        }
        if let Some(rest) = part.strip_prefix("Usage: ") {
            usage = Some(rest);
            continue;
        }
        let part = part.strip_prefix("error: ").unwrap_or(part);
        if line.ends_with(':') {
            line.push(' ');
        } else if !line.is_empty() {
            line.push_str("; ");
        }
        line.push_str(part);
    }
    match usage {
        Some(usage) => format!("{line}; usage: {usage}"),
        None => format!("{line}; see exorelay --help"),
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        match &error {
            ConfigError::Invalid(problems) => Self {
                exit: Exit::Configuration,
                lines: problems.iter().map(ToString::to_string).collect(),
            },
            ConfigError::Read { source, .. } if is_permission(source) => {
                let line = format!("{}; run as root or as the daemon's user", one_line(&error));
                Self::new(Exit::NotPermitted, line)
            }
            ConfigError::Read { .. } => {
                let line = format!("{}; name another file with --config", one_line(&error));
                Self::new(Exit::Configuration, line)
            }
            ConfigError::Missing { .. }
            | ConfigError::NoFile { .. }
            | ConfigError::TooLarge { .. }
            | ConfigError::NotText { .. }
            | ConfigError::Syntax { .. } => Self::new(Exit::Configuration, one_line(&error)),
        }
    }
}

pub(super) fn is_permission(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

impl From<SignInUrlError> for CliError {
    fn from(error: SignInUrlError) -> Self {
        Self::new(Exit::Configuration, one_line(&error))
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let (exit, remedy) = match &error {
            ClientError::NoDaemon { .. } => (
                Exit::Failed,
                "; start it, or name its settings with --config".to_owned(),
            ),
            ClientError::NotPermitted { path } => (
                Exit::NotPermitted,
                format!("; run as root or join the group of {}", path.display()),
            ),
            ClientError::Silent { .. } => {
                (Exit::TryAgain, "; see its log, or try again".to_owned())
            }
            ClientError::Full { .. } => {
                (Exit::TryAgain, "; try again once mail has left".to_owned())
            }
            ClientError::Busy { .. } => (Exit::TryAgain, "; try again".to_owned()),
            ClientError::BrokenOff { .. } => (
                Exit::TryAgain,
                "; see whether it still runs, and try again".to_owned(),
            ),
            ClientError::Refused { .. }
            | ClientError::Answer { .. }
            | ClientError::Connect { .. }
            | ClientError::Socket { .. }
            | ClientError::Http(_)
            | ClientError::Tls(_) => (Exit::Failed, String::new()),
        };
        Self::new(exit, format!("{}{remedy}", one_line(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_told_on_one_line() {
        for (rendered, line) in [
            (
                "error: the following required arguments were not provided:\n  <ID>\n\nUsage: exorelay queue \
                 show <ID>\n\nFor more information, try '--help'.\n",
                "the following required arguments were not provided: <ID>; usage: exorelay queue show <ID>",
            ),
            (
                "error: unrecognized subcommand 'quue'\n\n  tip: a similar subcommand exists: 'queue'\n\nUsage: \
                 exorelay [OPTIONS] <COMMAND>\n",
                "unrecognized subcommand 'quue'; tip: a similar subcommand exists: 'queue'; usage: exorelay \
                 [OPTIONS] <COMMAND>",
            ),
            ("error: odd", "odd; see exorelay --help"),
        ] {
            assert_eq!(usage_line(rendered), line);
        }
    }

    #[test]
    fn errors_end_with_the_code_of_their_remedy() {
        let path = || "/run/exorelay/admin.sock".into();
        for (error, exit, remedy) in [
            (
                ClientError::NoDaemon { path: path() },
                Exit::Failed,
                "start it",
            ),
            (
                ClientError::NotPermitted { path: path() },
                Exit::NotPermitted,
                "run as root or join the group of /run/exorelay/admin.sock",
            ),
            (
                ClientError::Silent { path: path() },
                Exit::TryAgain,
                "try again",
            ),
        ] {
            let error = CliError::from(error);
            assert_eq!(error.exit(), exit);
            assert!(error.lines.concat().contains(remedy), "{error:?}");
        }
        let denied = ConfigError::Read {
            path: "/etc/exorelay/exorelay.toml".into(),
            source: io::ErrorKind::PermissionDenied.into(),
        };
        assert_eq!(CliError::from(denied).exit(), Exit::NotPermitted);
    }

    #[test]
    fn reader_that_went_away_is_no_failure() {
        let gone = CliError::output(&io::ErrorKind::BrokenPipe.into());
        assert_eq!((gone.exit(), gone.lines.len()), (Exit::Done, 0));
        let full = CliError::output(&io::ErrorKind::StorageFull.into());
        assert_eq!((full.exit(), full.lines.len()), (Exit::Failed, 1));
    }
}
