//! `check`: looks at everything that mail needs on its way out, step by step, and says what mends what is
//! wrong.
//!
//! ```text
//! settings -> files -> queue -> for each account:
//!     dns -> login -> clock -> tcp -> tls -> ehlo -> token -> claims -> auth -> limits -> message (--send)
//! ```
//!
//! A step that cannot be looked at because of an earlier one is told as skipped; the rest goes on, so that
//! one run shows all there is to mend. It asks the same code that the daemon sends with.

mod bundle;
mod claims;
mod dns;
mod explain;
mod files;
mod finding;
mod folder;
mod limits;
mod login;
mod message;
mod redact;
mod report;
mod service;
mod settings;
mod subject;
mod token;
mod trust;
mod user;

use std::path::PathBuf;

use self::explain::Shown;
use self::finding::{Finding, Step};
use self::report::Report;
use self::subject::Subject;
use self::user::User;
use super::context::{Context, block_on};
use super::error::{CliError, Exit};
use crate::admin::{Client, Status};
use crate::config::{Account, Settings};
use crate::delivery::Visit;
use crate::mail::Mailbox;
use crate::oauth::{AccessToken, Claims};

/// Look for what keeps mail from being sent, step by step, with the remedy for each
///
/// Settings, files, network, certificates, token, sign-in: a line for each step, ok, warning, failed or
/// skipped. Nothing is changed, and no message sent without --send. Exits 0 when all is ok or only a warning, 78
/// when the settings cannot be used, 69 when a host cannot be reached, 77 when something is not permitted, 1
/// otherwise.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Only this account [default: all of them]
    account: Option<String>,

    /// Send a message to this address too: the sign-in can succeed and the right to send still be missing
    #[arg(long, value_name = "ADDRESS", value_parser = Mailbox::parse)]
    send: Option<Mailbox>,

    /// As one JSON array of `account`, `step`, `outcome`, `detail` and `remedy`
    #[arg(long)]
    json: bool,

    /// Write what support needs to know into this new file: settings without secrets, this report, the
    /// daemon's state and the last messages without their content and the names in their addresses
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        if let Some(path) = &self.bundle {
            bundle::refuse_existing(path)?;
        }
        let mut report = Report::new(self.json);
        let loaded = settings::check(context, &mut report)?;
        let mut daemon = None;
        if let Some(loaded) = &loaded {
            let accounts = self.accounts(&loaded.settings)?;
            daemon = block_on(ask_daemon(&loaded.settings))?;
            let queue = &loaded.settings.queue;
            let user = User::of_daemon(daemon.as_ref(), &queue.directory);
            files::check(loaded, user, &mut report)?;
            folder::check(queue, user, &mut report)?;
            for account in accounts {
                let subject = Subject {
                    loaded,
                    account,
                    daemon: daemon.as_ref(),
                };
                report.turn_to(&account.name);
                block_on(examine(&subject, self.send.as_ref(), &mut report))?;
            }
        }
        report.end()?;
        if let Some(path) = &self.bundle {
            bundle::write(path, loaded.as_ref(), daemon.as_ref(), report.findings())?;
        }
        match report.exit() {
            Exit::Done => Ok(()),
            // All is said.
            exit => Err(CliError::quiet(exit)),
        }
    }

    fn accounts<'l>(&self, settings: &'l Settings) -> Result<Vec<&'l Account>, CliError> {
        let Some(wanted) = &self.account else {
            return Ok(settings.accounts.values().collect());
        };
        let found = settings.accounts.get(wanted);
        found.map(|account| vec![account]).ok_or_else(|| {
            let names: Vec<&str> = settings.accounts.keys().map(String::as_str).collect();
            let line = format!(
                "no account {wanted} in the settings; they have {}",
                names.join(", ")
            );
            CliError::new(Exit::Failed, line)
        })
    }
}

/// What the daemon says of itself. One that cannot be asked is as good as none: this is about the way out.
async fn ask_daemon(settings: &Settings) -> Result<Option<Status>, CliError> {
    let client = Client::new(&settings.admin.socket)?;
    Ok(match client.is_answered().await {
        Ok(true) => client.status().await.ok(),
        Ok(false) | Err(_) => None,
    })
}

async fn examine(
    subject: &Subject<'_>,
    send: Option<&Mailbox>,
    report: &mut Report,
) -> Result<(), CliError> {
    let known = dns::check(subject, report).await?;
    let oauth = match subject.settings().oauth_part(subject.account) {
        Ok(oauth) => Some(oauth),
        Err(error) => {
            let finding = Finding::failed(Step::Login, Exit::Configuration, error.to_string());
            report.add(finding)?;
            None
        }
    };
    let can_login = match &oauth {
        _ if subject.is_managed() => {
            let detail = "a managed identity asks this machine itself";
            report.add(Finding::skipped(Step::Login, detail))?;
            true
        }
        Some(oauth) if known.login => login::check(subject, oauth, report).await?,
        Some(_) => {
            let detail = "its name is not known";
            report.add(Finding::skipped(Step::Login, detail))?;
            false
        }
        None => false,
    };
    let settings = service::settings(subject);
    let mut visit = if known.smtp {
        service::check(subject, &settings, report).await?
    } else {
        report.add(Finding::skipped(Step::Tcp, "its name is not known"))?;
        None
    };
    let token = if let Some(oauth) = oauth.filter(|_| can_login) {
        token::check(subject, oauth, report).await?
    } else {
        let detail = "the sign-in service is not reached";
        report.add(Finding::skipped(Step::Token, detail))?;
        None
    };
    let claims = token.as_ref().and_then(|it| Claims::decode(it.secret()));
    let odd = match token {
        Some(_) => claims::check(subject, claims.as_ref(), report)?,
        None => Vec::new(),
    };
    let shown = Shown {
        claims: claims.as_ref(),
        odd: &odd,
    };
    let offered = visit.as_ref().map(|visit| visit.capabilities().clone());
    let signed_in = sign_in(subject, visit.as_mut(), token.as_ref(), shown, report).await?;
    limits::check(subject, offered.as_ref(), report)?;
    if let Some(to) = send {
        match visit.as_mut().filter(|_| signed_in) {
            Some(visit) => message::check(subject, visit, to, shown, report).await?,
            None => report.add(Finding::skipped(Step::Message, "nobody has signed in"))?,
        }
    }
    if let Some(visit) = visit {
        visit.quit().await;
    }
    Ok(())
}

async fn sign_in(
    subject: &Subject<'_>,
    visit: Option<&mut Visit>,
    token: Option<&AccessToken>,
    shown: Shown<'_>,
    report: &mut Report,
) -> Result<bool, CliError> {
    let (visit, token) = match (visit, token) {
        (Some(visit), Some(token)) => (visit, token),
        (None, _) => {
            let detail = "there is no connection to sign in on";
            report.add(Finding::skipped(Step::Auth, detail))?;
            return Ok(false);
        }
        (_, None) => {
            report.add(Finding::skipped(Step::Auth, "there is no token"))?;
            return Ok(false);
        }
    };
    let mailbox = subject.account.mailbox.as_str();
    match visit.sign_in(mailbox, token).await {
        Ok(()) => {
            let detail = format!("signed in as {mailbox} with XOAUTH2");
            report.add(Finding::ok(Step::Auth, detail))?;
            Ok(true)
        }
        Err(obstacle) => {
            let finding = explain::obstacle(subject, Step::Auth, &obstacle, Some(shown));
            report.add(finding)?;
            Ok(false)
        }
    }
}
