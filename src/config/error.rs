//! What can be wrong with the settings, and where.

use std::fmt;
use std::path::PathBuf;

/// The settings cannot be used; nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file named by the caller is not there.
    #[error("{path}: there is no such file; give the right path with --config")]
    Missing {
        /// The file as it was named.
        path: PathBuf,
    },
    /// Neither the default file nor an account in the environment.
    #[error(
        "{path}: there is no such file; make it with exorelay setup, name another with --config, or set EXORELAY_ACCOUNT__DEFAULT__MAILBOX and the account's other keys in the environment"
    )]
    NoFile {
        /// The default file.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("{path}: cannot be read")]
    Read {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// More text than any settings need: a wrong file.
    #[error("{path}: is larger than {limit_bytes} bytes and cannot be a settings file")]
    TooLarge {
        /// The file as it was named.
        path: PathBuf,
        /// The bound.
        limit_bytes: u64,
    },
    /// Saved in another encoding than UTF-8.
    #[error("{path}:{line}: is not UTF-8 text; save the file as UTF-8")]
    NotText {
        /// The file as it was named.
        path: PathBuf,
        /// The first line that is not.
        line: usize,
    },
    /// Not TOML. The line itself is not quoted, as it may hold a secret.
    #[error("{path}:{line}: {message}")]
    Syntax {
        /// The file as it was named.
        path: PathBuf,
        /// Where the parser stopped.
        line: usize,
        /// What it expected.
        message: String,
    },
    /// Readable, and wrong in these places.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

impl ConfigError {
    /// The single problems, if the layers could be read at all.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid(problems) => problems,
            Self::Missing { .. }
            | Self::NoFile { .. }
            | Self::Read { .. }
            | Self::TooLarge { .. }
            | Self::NotText { .. }
            | Self::Syntax { .. } => &[],
        }
    }
}

/// One thing to correct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key in full, such as `listener.scanners.allow`.
    pub key: String,
    /// Where it was set; none for what is missing altogether.
    pub origin: Option<Origin>,
    /// What is wrong and the remedy. Never the text of a secret.
    pub text: String,
}

/// `PLACE: KEY: what is wrong; the remedy`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}: {}", self.key, self.text),
            None => write!(f, "{}: {}", self.key, self.text),
        }
    }
}

/// The layer a value came from, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A settings file.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line of the key, from 1; none when it is not known.
        line: Option<usize>,
    },
    /// An environment variable.
    Environment {
        /// The variable's name.
        variable: String,
    },
    /// An argument.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Environment { variable } => write!(f, "environment {variable}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}
