//! One question: who asks it, and who judges the answer.

use std::path::Path;

use crate::cli::error::CliError;
use crate::config::{self, ConfigError};
use crate::secret::Secret;

/// One thing to know.
#[derive(Debug)]
pub(super) struct Question<'q> {
    /// The setting's name, as in an answers file.
    pub(super) key: &'static str,
    /// What a person is asked.
    pub(super) prompt: &'q str,
    /// What an empty answer means, as it is shown; none: there has to be an answer.
    pub(super) default: Option<&'q str>,
}

/// What was given as a secret.
#[derive(Debug)]
pub(super) enum SecretReply {
    /// Nothing: the default.
    Default,
    /// The secret itself.
    Text(Secret),
    /// Where it is kept: `file`, `env` or `credential`, and the path or name.
    Place(String, String),
}

/// Who answers: a person at a terminal, or a file.
pub(super) trait Replies {
    /// Said before the next question, to a person.
    fn say(&mut self, text: &str) -> Result<(), CliError>;

    /// The answer as it was given; empty: the default.
    fn text(&mut self, question: &Question<'_>) -> Result<String, CliError>;

    /// As [`Replies::text`], without showing it.
    fn secret(&mut self, question: &Question<'_>) -> Result<SecretReply, CliError>;

    /// The answer cannot be taken. An error ends the interview, else the question is asked again.
    fn refuse(&mut self, question: &Question<'_>, why: &str) -> Result<(), CliError>;

    /// The answer looks wrong; whether it is taken all the same.
    fn doubt(&mut self, question: &Question<'_>, why: &str) -> Result<bool, CliError>;

    /// All questions are answered; an error for what was answered and not asked.
    fn finish(&mut self) -> Result<(), CliError>;

    /// Whether all of this may be written.
    fn confirm(&mut self, summary: &str) -> Result<bool, CliError>;
}

/// Asks until the answer is taken.
pub(super) fn ask<T>(
    replies: &mut impl Replies,
    question: &Question<'_>,
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<T, CliError> {
    loop {
        let given = replies.text(question)?;
        let given = given.trim();
        let answer = match question.default {
            Some(default) if given.is_empty() => default,
            _ => given,
        };
        let checked = if answer.is_empty() && question.default.is_none() {
            Err("is needed".to_owned())
        } else {
            check(answer)
        };
        match checked {
            Ok(value) => return Ok(value),
            Err(why) => replies.refuse(question, &why)?,
        }
    }
}

/// What the settings' own reader has against `value` for `key`, in an account that is complete otherwise.
/// `beside` are other keys that matter to it; a problem of any key below `about` counts.
pub(super) fn judge(
    about: &str,
    key: &str,
    value: &str,
    beside: &[(&str, &str)],
) -> Result<(), String> {
    let itself = [(key, value)];
    let given = beside.iter().chain(&itself);
    let given: Vec<(String, String)> = given
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let loaded = config::load_text(Path::new("answers"), COMPLETE, std::iter::empty(), &given);
    let Err(ConfigError::Invalid(problems)) = loaded else {
        return Ok(());
    };
    let mut problems = problems.into_iter();
    match problems.find(|problem| problem.key.starts_with(about)) {
        Some(problem) => Err(problem.text),
        None => Ok(()),
    }
}

const COMPLETE: &str = "[account.default]
mailbox = \"relay@contoso.com\"
tenant_id = \"contoso.com\"
client_id = \"exorelay\"
client_secret = { env = \"SECRET\" }
";
