//! `setup`: a short interview that ends with settings, and with what is left to do at Microsoft.
//!
//! Nothing is written before the last answer, and nothing that the settings' own reader would refuse.

mod answer_file;
mod answers;
mod certificate;
mod document;
mod follow_up;
mod interview;
mod plan;
mod present;
mod question;
mod steps;
mod terminal;
#[cfg(test)]
mod tests;
mod way;
mod write;

use std::path::{Path, PathBuf};

use super::context::{Context, block_on};
use super::error::{CliError, Exit, complain};
use super::output::{Output, say};
use super::signals::Signals;
use crate::config::DEFAULT_FILE;
use answer_file::AnswerFile;
use answers::Answers;
use plan::Plan;
use question::Replies;
use steps::Case;
use terminal::Terminal;
use way::Way;

/// Ask a few questions, write the settings, and print what is to do in Entra and Exchange Online
///
/// Can be run again: what stands in the settings is the default of each question, and what is not asked about
/// stays as it is, comments included. A new secret goes into a file of its own beside the settings, for the
/// daemon's user alone. Ends with the checks of the account.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ANSWERS_HELP)]
pub(super) struct Args {
    /// Take the answers from this TOML file and ask nothing
    #[arg(long, value_name = "FILE", conflicts_with = "print_steps")]
    answers: Option<PathBuf>,

    /// Write this settings file [default: the one of --config]
    #[arg(long, value_name = "FILE", conflicts_with = "print_steps")]
    output: Option<PathBuf>,

    /// The account that is asked about [default: the only one, or "default"]
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,

    /// Only print the steps and commands again, for the settings as they are
    #[arg(long)]
    print_steps: bool,

    /// Contact nobody: the object id is left to be filled in, and nothing is checked
    #[arg(long)]
    offline: bool,
}

const ANSWERS_HELP: &str = "\
Answers have the names of the settings; what is left out keeps its present value or the default:

  way = \"secret\"            # secret | certificate | browser | device | managed_identity |
                            # workload_identity | google
  cloud = \"global\"          # global | gcc_high | dod | china
  tenant_id = \"contoso.com\"
  client_id = \"11111111-2222-3333-4444-555555555555\"
  client_secret_file = \"/root/secret\"   # is copied; or client_secret_env = \"NAME\"
  # client_secret = { credential = \"exorelay-secret\" }   # or file, env: is read there each time
  credential_expires = \"2027-05-01\"
  # client_certificate = \"/etc/exorelay/app.pem\"
  # client_certificate_key = \"/etc/exorelay/app.key\"   # \"-\": in the same file
  # oauth.federated_token_file = \"/var/run/secrets/token\"
  mailbox = \"relay@contoso.com\"
  listener.allow = [\"10.20.1.0/24\"]     # networks besides this machine; \"local\": none
  listener.address = \"10.20.1.5:2525\"
  bounce.to = \"sender\"      # sender | none | an address

An answer that the way does not ask for is an error, as is an unknown key: exit 2, and nothing is written.";

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        if self.print_steps {
            return self.print_again(context);
        }
        let named = self.output.as_deref().or_else(|| context.config_file());
        let file = absolute(named.unwrap_or_else(|| Path::new(DEFAULT_FILE)))?;
        write::check_permission(&file)?;
        let plan = Plan::open(&file, self.account.as_deref())?;
        match &self.answers {
            Some(answers) => self.hold(&plan, &mut AnswerFile::read(answers)?),
            None => self.hold(&plan, &mut Terminal::open()?),
        }
    }

    fn hold(&self, plan: &Plan, replies: &mut impl Replies) -> Result<(), CliError> {
        replies.say(&format!(
            "Settings go to {}. Enter takes what stands in [brackets]; nothing is written before the last answer.\n",
            plan.file().display()
        ))?;
        let answers = interview::hold(replies, plan.present())?;
        let outcome = plan.outcome(&answers)?;
        for warning in &outcome.loaded.warnings {
            complain(format_args!("warning: {warning}"));
        }
        if outcome.writing.is_none() {
            say(&format!("{}: nothing changes\n", plan.file().display()))?;
        } else if !replies.confirm(&outcome.summary(plan.file()))? {
            return Err(CliError::new(Exit::Failed, "nothing was written"));
        }
        self.finish(plan, &answers, outcome)
    }

    /// From here on a signal does not break off in the middle of writing.
    fn finish(
        &self,
        plan: &Plan,
        answers: &Answers,
        outcome: plan::Outcome,
    ) -> Result<(), CliError> {
        let (settings, account) = (outcome.settings(), outcome.account(plan.account())?);
        block_on(async {
            let mut signals = Signals::catch()?;
            if let Some(writing) = outcome.writing {
                let written = tokio::task::spawn_blocking(move || {
                    let warnings = writing.carry_out(write::Daemon::find())?;
                    Ok::<_, CliError>((writing, warnings))
                });
                let failed = |error| CliError::new(Exit::Failed, format!("cannot write: {error}"));
                let (writing, warnings) = written.await.map_err(failed)??;
                for warning in warnings {
                    complain(format_args!("warning: {warning}"));
                }
                say(&plan::written(&writing, &outcome.changes))?;
            }
            let rest = async {
                let claims = follow_up::claims(&settings, &account, self.offline).await;
                let case = Case::new(&account, answers.way, plan.file(), claims.as_ref());
                say(&format!("\n{}\n", case.text()))
            };
            tokio::select! {
                done = rest => done,
                () = signals.stop_signal() => Err(CliError::new(
                    Exit::Failed,
                    "broken off; the settings are written, and exorelay setup --print-steps tells what is left",
                )),
            }
        })?;
        follow_up::check(plan.file(), self.offline);
        Ok(())
    }

    fn print_again(&self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        let file = context
            .config_file()
            .unwrap_or_else(|| Path::new(DEFAULT_FILE));
        let account = crate::cli::account::account(&settings, self.account.as_deref())?;
        let claims =
            block_on(async { Ok(follow_up::claims(&settings, account, self.offline).await) })?;
        let case = Case::new(account, Way::of(account), file, claims.as_ref());
        let mut output = Output::new();
        output.text(&case.text())?;
        output.finish()
    }
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    // A link stays one: what it points to is replaced.
    std::fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .map_err(|error| CliError::new(Exit::Usage, format!("{}: {error}", path.display())))
}
