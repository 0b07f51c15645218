//! `exorelay login`: a person signs in once for an account, and the daemon sends on their behalf.

mod browser;
mod device;
mod paste;
pub(super) mod stdin;
mod user;

use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rustix::fs::Access as Permission;
use tokio::time::{Instant, MissedTickBehavior};

use super::account::delegated;
use super::context::{Context, block_on};
use super::error::{CliError, Exit, complain, is_permission};
use super::output::say;
use super::progress::Progress;
use super::signals::Signals;
use super::text::harmless;
use super::token::tell_daemon;
use crate::admin::one_line;
use crate::config::{Account, Provider, Settings};
use crate::oauth::sign_in::{SignIn, SignInError, SignedIn};
use crate::oauth::{Origin, StoreError, StoredToken, TokenError};

/// Sign in for an account with access = "delegated", so that the daemon can send on your behalf
///
/// Opens a browser on this machine, or prints the address to be opened in it. What the sign-in leaves behind is
/// kept in the queue's folder once everything is checked; Ctrl-C before keeps nothing. The daemon need not run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The account [default: the only one, or the one named default]
    #[arg(value_name = "ACCOUNT")]
    account: Option<String>,

    /// For a browser on another machine: paste the address that it ends up at
    #[arg(long, conflicts_with = "device")]
    paste: bool,

    /// For a browser on another machine: type a code there
    #[arg(long)]
    device: bool,

    /// Whoever signs in is a delegate of the mailbox: do not ask
    #[arg(long)]
    shared: bool,
}

/// Entra's codes are not good for longer, and nobody waits for longer.
const PATIENCE: Duration = Duration::from_mins(15);

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        let account = delegated(&settings, self.account.as_deref())?;
        check_writable(&settings.queue.directory)?;
        let store = settings.token_store_part();
        store
            .check_key()
            .map_err(|error| CliError::new(Exit::Configuration, error))?;
        let part = settings
            .sign_in_part(account)
            .map_err(|error| CliError::new(Exit::Configuration, error))?;
        let sign_in = SignIn::new(part).map_err(|error| {
            let line = format!("account.{}: {}", account.name, one_line(&error));
            CliError::new(Exit::Configuration, line)
        })?;
        block_on(async {
            let mut signals = Signals::catch()?;
            let signed_in = tokio::select! {
                biased;
                _ = signals.next() => {
                    Err(CliError::new(Exit::Failed, "ended; nothing was kept of the sign-in"))
                }
                signed_in = tokio::time::timeout(PATIENCE, self.sign_in(&sign_in, account)) => {
                    signed_in.unwrap_or_else(|_| Err(too_late()))
                }
            }?;
            // From here on signals wait: it is a moment's work, and is done as a whole.
            self.keep(&settings, account, signed_in).await
        })
    }

    /// The person's part, and what is to be checked of it.
    async fn sign_in(&self, sign_in: &SignIn, account: &Account) -> Result<SignedIn, CliError> {
        let signed_in = if self.device {
            device::sign_in(sign_in, account).await?
        } else if self.paste {
            paste::sign_in(sign_in, account).await?
        } else {
            browser::sign_in(sign_in, account).await?
        };
        user::check(account, signed_in.user.as_deref(), self.shared).await?;
        Ok(signed_in)
    }

    async fn keep(
        &self,
        settings: &Settings,
        account: &Account,
        signed_in: SignedIn,
    ) -> Result<(), CliError> {
        let now = Timestamp::now();
        let token = StoredToken {
            refresh_token: signed_in.refresh_token,
            client_id: account.client_id.clone(),
            user: signed_in.user,
            origin: if self.device {
                Origin::Device
            } else {
                Origin::Browser
            },
            obtained_at: now,
            renewed_at: now,
        };
        let store = settings.token_store_part();
        let name = account.name.clone();
        let saved = tokio::task::spawn_blocking(move || store.save(&name, &token)).await;
        saved
            .map_err(|error| CliError::new(Exit::Failed, format!("not kept: {error}")))?
            .map_err(|error| not_kept(&error))?;
        say(&format!(
            "kept in {}\n{}\n{}\nnext: exorelay check {}\n",
            settings.queue.directory.display(),
            tell_daemon(settings, &account.name).await,
            lifetime(account.provider, now),
            account.name,
        ))
    }
}

/// Told before anybody has taken the trouble to sign in.
fn check_writable(directory: &Path) -> Result<(), CliError> {
    let Some(folder) = directory.ancestors().find(|folder| folder.exists()) else {
        return Ok(());
    };
    rustix::fs::access(folder, Permission::WRITE_OK | Permission::EXEC_OK).map_err(|errno| {
        let error = std::io::Error::from(errno);
        let line = format!("cannot keep a sign-in in {}: {error}", folder.display());
        if is_permission(&error) {
            let line = format!("{line}; run as root or as the daemon's user");
            return CliError::new(Exit::NotPermitted, line);
        }
        CliError::new(Exit::Failed, line)
    })
}

fn not_kept(error: &StoreError) -> CliError {
    let line = format!("the sign-in was not kept: {}", one_line(error));
    match error {
        StoreError::File { source, .. } if is_permission(source) => {
            let line = format!("{line}; run as root or as the daemon's user");
            CliError::new(Exit::NotPermitted, line)
        }
        _ => CliError::new(Exit::Failed, line),
    }
}

/// How long what was kept is good for (facts D.6, G.4).
fn lifetime(provider: Provider, now: Timestamp) -> String {
    let until = |days: i64| {
        let then = now + SignedDuration::from_hours(days * 24);
        then.to_zoned(TimeZone::system()).date()
    };
    match provider {
        Provider::Microsoft => format!(
            "good until {}, and for another 90 days from each time that the daemon renews it",
            until(90)
        ),
        Provider::Google => "good until it is not used for 6 months; only 7 days while the app's consent screen is in \
                             \"Testing\""
            .to_owned(),
    }
}

/// `work`, with the seconds on a terminal.
async fn awaited<T>(doing: &'static str, limit: Duration, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let mut progress = Progress::new(doing);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = tick.tick() => progress.show(start.elapsed().as_secs(), limit.as_secs()),
        }
    }
}

/// The time ran out.
fn too_late() -> CliError {
    CliError::new(
        Exit::TryAgain,
        "nobody has signed in within 15 minutes; nothing was kept, run exorelay login again",
    )
}

/// Trouble that is tried again.
fn tell_trouble(error: &TokenError) {
    complain(format!("{}; trying again", harmless(&error.report())));
}

impl From<SignInError> for CliError {
    fn from(error: SignInError) -> Self {
        let exit = match &error {
            SignInError::Token(TokenError::Retry(_) | TokenError::Operator(_))
            | SignInError::Registration { .. }
            | SignInError::NoRefreshToken { .. } => Exit::Unavailable,
            SignInError::Token(TokenError::Fault(_)) | SignInError::Declined { .. } => Exit::Failed,
            SignInError::Expired | SignInError::Listen { .. } => Exit::TryAgain,
            SignInError::Elsewhere { .. } => Exit::Configuration,
        };
        let mut line = harmless(&one_line(&error));
        if matches!(error, SignInError::Elsewhere { .. }) {
            line.push_str("; use --paste, or set oauth.redirect_uri to http://localhost");
        }
        Self::new(exit, line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetime_is_told_as_a_date() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let line = lifetime(Provider::Microsoft, now);
        assert!(line.starts_with("good until 2027-02-19,"), "{line}");
        assert!(lifetime(Provider::Google, now).contains("6 months"));
    }
}
