//! A file answers: TOML with the settings' names, for machines that set up machines.

use std::collections::BTreeMap;
use std::path::Path;

use toml_edit::{ImDocument, Item, TableLike, Value};

use super::question::{Question, Replies, SecretReply};
use crate::cli::error::{CliError, Exit, complain};
use crate::secret::SecretSource;

/// Answers by dotted key; one that is taken is removed.
#[derive(Debug)]
pub(super) struct AnswerFile {
    name: String,
    answers: BTreeMap<String, String>,
}

impl AnswerFile {
    /// Reads all of it. Errors name keys, and never quote what could be a secret.
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| CliError::new(Exit::Usage, format!("cannot read {name}: {error}")))?;
        Self::parse(name, &text)
    }

    fn parse(name: String, text: &str) -> Result<Self, CliError> {
        let document = ImDocument::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = 1 + text
                .bytes()
                .take(at)
                .filter(|octet| *octet == b'\n')
                .count();
            let message = error.message().trim().replace('\n', "; ");
            CliError::new(Exit::Usage, format!("{name}:{line}: {message}"))
        })?;
        let mut answers = BTreeMap::new();
        let flat = flatten("", document.as_table(), &mut answers);
        let file = Self { name, answers };
        flat.map_err(|(key, why)| file.wrong(&key, &why))?;
        Ok(file)
    }

    fn wrong(&self, key: &str, why: &str) -> CliError {
        CliError::new(Exit::Usage, format!("{}: {key}: {why}", self.name))
    }

    /// A secret to be read now, and to be written to a file of its own.
    fn copy(&self, key: &str, source: &SecretSource) -> Result<SecretReply, CliError> {
        let secret = source.read();
        let secret = secret.map_err(|error| self.wrong(key, &error.to_string()))?;
        Ok(SecretReply::Text(secret))
    }
}

impl Replies for AnswerFile {
    fn say(&mut self, _: &str) -> Result<(), CliError> {
        Ok(())
    }

    fn text(&mut self, question: &Question<'_>) -> Result<String, CliError> {
        Ok(self.answers.remove(question.key).unwrap_or_default())
    }

    fn secret(&mut self, _: &Question<'_>) -> Result<SecretReply, CliError> {
        let mut found = SECRET_KEYS.iter().filter_map(|key| {
            let place = self.answers.remove(*key)?;
            Some((*key, place))
        });
        let first = found.next();
        if let (Some((one, _)), Some((other, _))) = (&first, found.next()) {
            return Err(self.wrong(one, &format!("stands beside {other}; keep one of the two")));
        }
        match first {
            None => Ok(SecretReply::Default),
            Some((key @ "client_secret_file", path)) => {
                self.copy(key, &SecretSource::File(path.into()))
            }
            Some((key @ "client_secret_env", name)) => self.copy(key, &SecretSource::Env(name)),
            Some((key, place)) => {
                let kind = key.rsplit('.').next().unwrap_or(key);
                Ok(SecretReply::Place(kind.to_owned(), place))
            }
        }
    }

    fn refuse(&mut self, question: &Question<'_>, why: &str) -> Result<(), CliError> {
        Err(self.wrong(question.key, why))
    }

    fn doubt(&mut self, question: &Question<'_>, why: &str) -> Result<bool, CliError> {
        complain(format_args!("warning: {}: {why}", question.key));
        Ok(true)
    }

    fn finish(&mut self) -> Result<(), CliError> {
        match self.answers.keys().next() {
            Some(key) => Err(self.wrong(
                key,
                "has no meaning for this way and these listeners; leave it out",
            )),
            None => Ok(()),
        }
    }

    fn confirm(&mut self, _: &str) -> Result<bool, CliError> {
        Ok(true)
    }
}

/// Texts by dotted key, and lists as a person would type them.
fn flatten(
    above: &str,
    table: &dyn TableLike,
    answers: &mut BTreeMap<String, String>,
) -> Result<(), (String, String)> {
    for (key, item) in table.iter() {
        let key = if above.is_empty() {
            key.to_owned()
        } else {
            format!("{above}.{key}")
        };
        if let Some(table) = item.as_table_like() {
            flatten(&key, table, answers)?;
            continue;
        }
        if !KEYS.contains(&key.as_str()) {
            let why = unknown(&key);
            return Err((key, why));
        }
        let Some(text) = text(item) else {
            return Err((
                key,
                "is neither text nor a list of texts; put it in quotes".to_owned(),
            ));
        };
        answers.insert(key, text);
    }
    Ok(())
}

fn text(item: &Item) -> Option<String> {
    match item.as_value()? {
        Value::String(text) => Some(text.value().clone()),
        // A date without quotes means the same as one with them.
        Value::Datetime(day) => Some(day.value().to_string()),
        Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            // Nobody besides this machine.
            Some(items?.join(", ")).map(|list| {
                if list.is_empty() {
                    "local".to_owned()
                } else {
                    list
                }
            })
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::InlineTable(_) => None,
    }
}

fn unknown(key: &str) -> String {
    if key == "client_secret" {
        return "is not written here; name a file that holds it with client_secret_file, or a variable with \
                client_secret_env"
            .to_owned();
    }
    format!("is not a known key; there are {}", KEYS.join(", "))
}

const KEYS: [&str; 17] = [
    "way",
    "cloud",
    "tenant_id",
    "client_id",
    "client_secret_file",
    "client_secret_env",
    "client_secret.file",
    "client_secret.env",
    "client_secret.credential",
    "credential_expires",
    "client_certificate",
    "client_certificate_key",
    "oauth.federated_token_file",
    "mailbox",
    "listener.allow",
    "listener.address",
    "bounce.to",
];

const SECRET_KEYS: [&str; 5] = [
    "client_secret_file",
    "client_secret_env",
    "client_secret.file",
    "client_secret.env",
    "client_secret.credential",
];
