//! Values that must never be shown: tokens, client secrets, passwords.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A text that is wiped from memory when dropped and has no `Display`.
///
/// `Debug` is redacted in every build. [`Secret::reveal`] is the one way to the text, so that a
/// search for it finds every use.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Box<str>>);

impl Secret {
    /// Takes the text over; the caller's copy, if any, is the caller's to wipe.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the wire only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Where a secret is to be read from; read anew at every use, so that a replaced file takes effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// Written in the settings themselves.
    Literal(Secret),
    /// `{ file = PATH }`: the file's text without its trailing line end.
    File(PathBuf),
    /// `{ env = NAME }`: an environment variable.
    Env(String),
    /// `{ credential = NAME }`: a file in systemd's `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// A secret cannot be read; names the place and never the text.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is missing or not readable for this user.
    #[error("cannot read the secret file {path}: {source}")]
    File {
        /// The file as it was named, or found in the credentials directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file or the variable holds nothing.
    #[error("the secret in {place} is empty")]
    Empty {
        /// File or variable.
        place: String,
    },
    /// The environment variable is not set, or not text.
    #[error("the environment variable {name} for a secret is not set")]
    Env {
        /// The variable's name.
        name: String,
    },
    /// `credential` outside systemd.
    #[error(
        "the credential {name} needs $CREDENTIALS_DIRECTORY: start under systemd with LoadCredential={name}:PATH"
    )]
    NoCredentials {
        /// The credential's name.
        name: String,
    },
}

impl SecretSource {
    /// The file it is in, if it is in one.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Literal(_) | Self::Env(_) => None,
            Self::File(path) => Some(path.clone()),
            Self::Credential(name) => {
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY")?;
                Some(Path::new(&directory).join(name))
            }
        }
    }

    /// Reads the secret; a small blocking read, to be called off the runtime's threads.
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::Literal(secret) => Ok(secret.clone()),
            Self::File(path) => read_file(path),
            Self::Env(name) => match std::env::var(name) {
                Ok(text) => non_empty(text, || format!("the environment variable {name}")),
                Err(_) => Err(SecretError::Env { name: name.clone() }),
            },
            Self::Credential(name) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
                Some(directory) => read_file(&Path::new(&directory).join(name)),
                None => Err(SecretError::NoCredentials { name: name.clone() }),
            },
        }
    }
}

fn read_file(path: &Path) -> Result<Secret, SecretError> {
    let text = std::fs::read_to_string(path).map_err(|source| SecretError::File {
        path: path.to_owned(),
        source,
    })?;
    non_empty(text, || path.display().to_string())
}

fn non_empty(text: String, place: impl FnOnce() -> String) -> Result<Secret, SecretError> {
    let text = Zeroizing::new(text);
    let trimmed = text.trim_end_matches(['\r', '\n']);
    if trimmed.is_empty() {
        return Err(SecretError::Empty { place: place() });
    }
    Ok(Secret::new(trimmed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_text() {
        let shown = format!(
            "{:?} {:#?}",
            Secret::new("hunter2"),
            Some(Secret::new("hunter2"))
        );
        assert!(!shown.contains("hunter2"));
    }
}
