//! What a step came to.

use serde::Serialize;

use crate::cli::error::Exit;

/// What is looked at, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum Step {
    /// The settings themselves.
    Settings,
    /// Files that the settings name: whether they can be read, and by whom else.
    Files,
    /// The queue's folder.
    Queue,
    /// The names of both hosts.
    Dns,
    /// The way to the token endpoint.
    Login,
    /// This machine's clock against that of the token endpoint.
    Clock,
    /// The way to the submission service.
    Tcp,
    /// Its certificate, and how the connection is encrypted.
    Tls,
    /// What it offers.
    Ehlo,
    /// Whether a token can be had.
    Token,
    /// What stands in it.
    Claims,
    /// Whether the service takes it.
    Auth,
    /// What of the settings goes beyond the service's limits.
    Limits,
    /// A message to somebody.
    Message,
}

/// What it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum Outcome {
    Ok,
    Warning,
    Failed,
    /// Something before it failed, or there is nothing to be looked at.
    Skipped,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Finding {
    /// None: it concerns all of them.
    pub(super) account: Option<String>,
    pub(super) step: Step,
    pub(super) outcome: Outcome,
    /// What was found, in one line.
    pub(super) detail: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
    /// What the command ends with because of it.
    #[serde(skip)]
    pub(super) exit: Exit,
}

impl Finding {
    pub(super) fn ok(step: Step, detail: impl Into<String>) -> Self {
        Self::new(step, Outcome::Ok, Exit::Done, detail.into())
    }

    pub(super) fn skipped(step: Step, detail: impl Into<String>) -> Self {
        Self::new(step, Outcome::Skipped, Exit::Done, detail.into())
    }

    pub(super) fn warning(step: Step, detail: impl Into<String>) -> Self {
        Self::new(step, Outcome::Warning, Exit::Done, detail.into())
    }

    /// `exit` tells scripts who has to do something.
    pub(super) fn failed(step: Step, exit: Exit, detail: impl Into<String>) -> Self {
        Self::new(step, Outcome::Failed, exit, detail.into())
    }

    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self {
            remedy: Some(remedy.into()),
            ..self
        }
    }

    fn new(step: Step, outcome: Outcome, exit: Exit, detail: String) -> Self {
        Self {
            account: None,
            step,
            outcome,
            detail,
            remedy: None,
            exit,
        }
    }
}

impl Step {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Files => "files",
            Self::Queue => "queue",
            Self::Dns => "dns",
            Self::Login => "login",
            Self::Clock => "clock",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ehlo => "ehlo",
            Self::Token => "token",
            Self::Claims => "claims",
            Self::Auth => "auth",
            Self::Limits => "limits",
            Self::Message => "message",
        }
    }
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// `ok       default: token    ...`, and the remedy on a line of its own.
impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = match &self.account {
            Some(account) => format!("{account}: {}", self.step.name()),
            None => self.step.name().to_owned(),
        };
        write!(f, "{:<8} {place:<18} {}", self.outcome.name(), self.detail)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n         remedy: {remedy}"),
            None => Ok(()),
        }
    }
}
