//! `token show`.

use jiff::Timestamp;
use serde::Serialize;

use super::claims::TokenClaims;
use super::{not_obtained, not_stored, origin_words};
use crate::admin::SignInReport;
use crate::cli::account::account;
use crate::cli::context::{Context, block_on};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::text::{harmless, local_time, since};
use crate::config::Access;
use crate::oauth::{Claims, StoredToken, obtain_once};

/// Show who signed in, and what an access token says: audience, tenant, application, rights, life
///
/// One is obtained for that, beside the daemon's. No token is ever shown.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The account; default: the only one, or the one named default
    #[arg(value_name = "ACCOUNT")]
    account: Option<String>,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Both shapes of the answer; keys may be added, never renamed.
#[derive(Debug, Serialize)]
struct Page {
    account: String,
    mailbox: String,
    access: &'static str,
    sign_in: Option<SignInReport>,
    token: Option<TokenClaims>,
    /// Why there is no token.
    error: Option<String>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        let account = account(&settings, self.account.as_deref())?;
        let part = settings.oauth_part(account)?;
        let obtained = block_on(async { Ok(obtain_once(part).await) })?;
        let sign_in = match account.access {
            // After the renewal, which may have moved its date.
            Access::Delegated => settings.token_store_part().load(&account.name),
            Access::Application | Access::ManagedIdentity | Access::WorkloadIdentity => Ok(None),
        };
        let failed = obtained.as_ref().err();
        let failed = failed.map(|error| not_obtained(&account.name, error));
        let sign_in = match sign_in {
            Ok(stored) => stored.as_ref().map(StoredToken::sign_in),
            // Obtaining a token has failed of the same.
            Err(_) if failed.is_some() => None,
            Err(error) => return Err(not_stored(&error)),
        };
        let page = Page {
            account: account.name.clone(),
            mailbox: account.mailbox.to_string(),
            access: account.access.as_str(),
            sign_in: sign_in.as_ref().map(SignInReport::of),
            error: obtained
                .as_ref()
                .err()
                .map(|error| harmless(&error.report())),
            token: obtained.ok().map(|(token, lifetime)| {
                let expires_at = Timestamp::now().checked_add(lifetime);
                let expires_at = expires_at.unwrap_or(Timestamp::MAX);
                TokenClaims::of(Claims::decode(&token), expires_at)
            }),
        };
        let mut output = Output::new();
        if self.json {
            output.json_pretty(&page)?;
        } else if page.token.is_some() || page.sign_in.is_some() {
            for line in page.lines(account.access == Access::Delegated, Timestamp::now()) {
                output.line(harmless(&line))?;
            }
        }
        output.finish()?;
        failed.map_or(Ok(()), Err)
    }
}

impl Page {
    fn lines(&self, is_delegated: bool, now: Timestamp) -> Vec<String> {
        let mut lines = vec![(
            "Account",
            format!("{} ({}), {}", self.account, self.mailbox, self.access),
        )];
        if let Some(sign_in) = &self.sign_in {
            let user = sign_in.user.as_deref().unwrap_or("an unknown person");
            let how = origin_words(&sign_in.origin);
            let when = |at| format!("{} ({} ago)", local_time(at), since(at, now));
            lines.push((
                "Signed in",
                format!("as {user} {how} {}", when(sign_in.obtained_at)),
            ));
            lines.push(("Renewed", when(sign_in.renewed_at)));
            lines.push(("For", format!("the application {}", sign_in.client_id)));
        }
        if let Some(token) = &self.token {
            lines.extend(token.lines(is_delegated, now));
        }
        let lines = lines.into_iter();
        lines
            .map(|(label, text)| format!("{label:<11} {text}"))
            .collect()
    }
}
