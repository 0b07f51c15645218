//! A person at a terminal answers.
//!
//! Questions go to standard error, so that what is printed in the end can be kept in a file.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, StdinLock, Write as _};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex};
use zeroize::Zeroizing;

use super::question::{Question, Replies, SecretReply};
use crate::cli::error::{CliError, Exit};
use crate::cli::silence::Silence;
use crate::secret::Secret;

/// Standard input and standard error, both a terminal.
#[derive(Debug)]
pub(super) struct Terminal {
    input: StdinLock<'static>,
}

impl Terminal {
    /// An error where nobody could answer.
    pub(super) fn open() -> Result<Self, CliError> {
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            let input = io::stdin().lock();
            return Ok(Self { input });
        }
        Err(CliError::new(
            Exit::Usage,
            "setup asks questions, and there is no terminal to answer at; write the answers into a file and name \
             it with --answers (exorelay setup --help shows one)",
        ))
    }

    fn line(&mut self, prompt: &str) -> Result<String, CliError> {
        show(prompt)?;
        let mut line = String::new();
        let read = (&mut self.input).take(LINE_MAX_BYTES).read_line(&mut line);
        match read {
            Ok(0) => Err(broken_off()),
            Ok(_) => Ok(line),
            Err(error) => Err(cannot_ask(&error)),
        }
    }

    /// Character by character, as a line discipline without echo has nothing that a signal would leave
    /// behind: Ctrl-C is a character like others here, and the guard restores what was before.
    fn hidden_line(&mut self, prompt: &str) -> Result<Zeroizing<String>, CliError> {
        let _guard = hidden().map_err(|error| cannot_ask(&error))?;
        show(prompt)?;
        let mut typed = Zeroizing::new(Vec::with_capacity(LINE_MAX_BYTES as usize));
        loop {
            let mut octet = [0];
            let read = self.input.read(&mut octet).map_err(|e| cannot_ask(&e))?;
            match octet {
                _ if read == 0 => return Err(broken_off()),
                [CTRL_C | CTRL_D] => return Err(broken_off()),
                [b'\n' | b'\r'] => break,
                [BACKSPACE | DELETE] => {
                    // Of a character of several octets, all go.
                    while typed.pop().is_some_and(|octet| octet & 0xc0 == 0x80) {}
                }
                [CTRL_U] => typed.clear(),
                [octet] if (typed.len() as u64) < LINE_MAX_BYTES => typed.push(octet),
                [_] => {}
            }
        }
        show("\n")?;
        let text = std::str::from_utf8(&typed).map_err(|_| {
            CliError::new(
                Exit::Failed,
                "what was typed is not UTF-8 text; nothing was written",
            )
        })?;
        Ok(Zeroizing::new(text.trim().to_owned()))
    }
}

impl Replies for Terminal {
    fn say(&mut self, text: &str) -> Result<(), CliError> {
        show(&format!("\n{text}"))
    }

    fn text(&mut self, question: &Question<'_>) -> Result<String, CliError> {
        self.line(&prompt(question))
    }

    fn secret(&mut self, question: &Question<'_>) -> Result<SecretReply, CliError> {
        let typed = self.hidden_line(&prompt(question))?;
        Ok(if typed.is_empty() {
            SecretReply::Default
        } else {
            SecretReply::Text(Secret::new(typed.as_str()))
        })
    }

    fn refuse(&mut self, _: &Question<'_>, why: &str) -> Result<(), CliError> {
        show(&format!("  {why}\n"))
    }

    fn doubt(&mut self, _: &Question<'_>, why: &str) -> Result<bool, CliError> {
        let answer = self.line(&format!("  {why}\nTake it all the same? [no]: "))?;
        Ok(is_yes(&answer))
    }

    fn finish(&mut self) -> Result<(), CliError> {
        Ok(())
    }

    fn confirm(&mut self, summary: &str) -> Result<bool, CliError> {
        let answer = self.line(&format!("\n{summary}Write this? [yes]: "))?;
        Ok(answer.trim().is_empty() || is_yes(&answer))
    }
}

fn prompt(question: &Question<'_>) -> String {
    match question.default {
        Some(default) => format!("{} [{default}]: ", question.prompt),
        None => format!("{}: ", question.prompt),
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn show(text: &str) -> Result<(), CliError> {
    let mut output = io::stderr().lock();
    let written = output.write_all(text.as_bytes());
    written.map_err(|error| cannot_ask(&error))
}

fn broken_off() -> CliError {
    CliError::new(Exit::Failed, "broken off; nothing was written")
}

fn cannot_ask(error: &io::Error) -> CliError {
    let line = format!("cannot ask at this terminal: {error}; nothing was written");
    CliError::new(Exit::Failed, line)
}

/// The terminal shows nothing of what is typed, and hands over each character.
fn hidden() -> io::Result<Silence> {
    let now = OptionalActions::Now;
    Silence::begin(now, now, |terminal| {
        let shown = LocalModes::ECHO | LocalModes::ECHONL;
        terminal
            .local_modes
            .remove(shown | LocalModes::ICANON | LocalModes::ISIG);
        terminal.special_codes[SpecialCodeIndex::VMIN] = 1;
        terminal.special_codes[SpecialCodeIndex::VTIME] = 0;
    })
}

const LINE_MAX_BYTES: u64 = 4096;
const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const DELETE: u8 = 0x7f;
