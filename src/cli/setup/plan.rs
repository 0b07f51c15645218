//! From the settings before to the settings after, in memory.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use toml_edit::DocumentMut;

use super::answers::{Answers, Present, SecretAnswer};
use super::document;
use super::write::{self, Writing, folder};
use crate::cli::error::{CliError, Exit};
use crate::config::{self, Account, ConfigError, Loaded};

/// One settings file and the account in it that is asked about.
#[derive(Debug)]
pub(super) struct Plan {
    file: PathBuf,
    /// As it stands on the disk; empty when there is none yet.
    text: String,
    document: DocumentMut,
    account: String,
    present: Present,
}

/// What the answers lead to.
#[derive(Debug)]
pub(super) struct Outcome {
    /// None: everything is so already.
    pub(super) writing: Option<Writing>,
    pub(super) loaded: Loaded,
    /// One line each, without secrets.
    pub(super) changes: Vec<String>,
}

impl Plan {
    /// Reads the file, which need not exist. `account`: as it was named.
    pub(super) fn open(file: &Path, account: Option<&str>) -> Result<Self, CliError> {
        let text = read(file)?;
        Self::new(file, text.unwrap_or_default(), account)
    }

    pub(super) fn new(file: &Path, text: String, account: Option<&str>) -> Result<Self, CliError> {
        let Ok(document) = text.parse::<DocumentMut>() else {
            // The loader says what and where, and quotes no secret.
            let error = config::load_text(file, &text, std::iter::empty(), &[]);
            return Err(error.map_or_else(CliError::from, |_| unreadable(file)));
        };
        let account = match account {
            Some(account) => account.to_owned(),
            None => the_account(&document)?,
        };
        let present = Present::read(&document, &account);
        Ok(Self {
            file: file.to_owned(),
            text,
            document,
            account,
            present,
        })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    /// The defaults of the interview.
    pub(super) fn present(&self) -> &Present {
        &self.present
    }

    /// The settings after these answers; an error when a daemon would not start with them.
    pub(super) fn outcome(&self, answers: &Answers) -> Result<Outcome, CliError> {
        let (text, changes) = self.edited(answers);
        let loaded = config::load_text(&self.file, &text, config::environment(), &[]);
        let loaded = loaded.map_err(|error| CliError::from(error).at("nothing was written"))?;
        let secret = match &answers.secret {
            SecretAnswer::New(secret) => Some((self.secret_file(), secret.clone()))
                .filter(|(path, secret)| !write::holds(path, secret)),
            SecretAnswer::Keep | SecretAnswer::None | SecretAnswer::Place { .. } => None,
        };
        let is_new = text != self.text || secret.is_some();
        let writing = is_new.then(|| Writing {
            file: self.file.clone(),
            text,
            secret,
        });
        Ok(Outcome {
            writing,
            loaded,
            changes,
        })
    }

    /// The text after, and what changes in it.
    pub(super) fn edited(&self, answers: &Answers) -> (String, Vec<String>) {
        let mut document = self.document.clone();
        let secret = self.secret_file();
        let changes = document::edit(
            &mut document,
            &self.account,
            &self.present,
            answers,
            &secret,
        );
        let text = document.to_string();
        let text = if self.text.is_empty() {
            format!("{HEADER}{text}")
        } else {
            text
        };
        (text, changes)
    }

    /// Where it was, else beside the settings.
    fn secret_file(&self) -> PathBuf {
        let name = match self.account.as_str() {
            "default" => "client-secret".to_owned(),
            account => format!("client-secret-{account}"),
        };
        let there = self.present.secret_file.clone();
        there.unwrap_or_else(|| folder(&self.file).join(name))
    }
}

impl Outcome {
    /// What is about to happen.
    pub(super) fn summary(&self, file: &Path) -> String {
        let mut text = format!("{}:\n", file.display());
        for change in &self.changes {
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "  {change}");
        }
        if let Some((path, _)) = self
            .writing
            .as_ref()
            .and_then(|writing| writing.secret.as_ref())
        {
            let _ = writeln!(text, "{}: the secret", path.display());
        }
        text
    }

    /// The account as it will be.
    pub(super) fn account(&self, name: &str) -> Result<Account, CliError> {
        let account = self.loaded.settings.accounts.get(name).cloned();
        account.ok_or_else(|| {
            CliError::new(Exit::Configuration, format!("account.{name}: is missing"))
        })
    }

    /// All settings as they will be.
    pub(super) fn settings(&self) -> config::Settings {
        self.loaded.settings.clone()
    }
}

/// What has happened.
pub(super) fn written(writing: &Writing, changes: &[String]) -> String {
    let mut text = String::new();
    if let Some((path, _)) = &writing.secret {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "written  {}", path.display());
    }
    let _ = writeln!(text, "written  {}", writing.file.display());
    for change in changes {
        let _ = writeln!(text, "  {change}");
    }
    text
}

/// The only account, or the one named `default`.
fn the_account(document: &DocumentMut) -> Result<String, CliError> {
    let section = document
        .get("account")
        .and_then(|item| item.as_table_like());
    let names: Vec<&str> = section
        .into_iter()
        .flat_map(|table| table.iter())
        .map(|(name, _)| name)
        .collect();
    match names.as_slice() {
        [] => Ok("default".to_owned()),
        [only] => Ok((*only).to_owned()),
        several if several.contains(&"default") => Ok("default".to_owned()),
        several => Err(CliError::new(
            Exit::Usage,
            format!(
                "name the account with --account; there are {}",
                several.join(", ")
            ),
        )),
    }
}

fn read(path: &Path) -> Result<Option<String>, CliError> {
    let failed = |source: io::Error| {
        CliError::from(ConfigError::Read {
            path: path.to_owned(),
            source,
        })
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    let read = file.take(SIZE_MAX_BYTES + 1).read_to_string(&mut text);
    read.map_err(failed)?;
    if text.len() as u64 > SIZE_MAX_BYTES {
        return Err(CliError::from(ConfigError::TooLarge {
            path: path.to_owned(),
            limit_bytes: SIZE_MAX_BYTES,
        }));
    }
    Ok(Some(text))
}

fn unreadable(file: &Path) -> CliError {
    let line = format!("{}: cannot be changed; correct it by hand", file.display());
    CliError::new(Exit::Configuration, line)
}

const HEADER: &str = "\
# Made by exorelay setup, which can be run again: what is written by hand stays.
# Every key with its default stands in the shipped config/exorelay.toml.

";
/// As the loader's own bound.
const SIZE_MAX_BYTES: u64 = 1024 * 1024;
