//! A browser on another machine, in which a code is typed.

use super::{awaited, tell_trouble};
use crate::cli::error::CliError;
use crate::cli::output::say;
use crate::cli::text::harmless;
use crate::config::Account;
use crate::oauth::TokenError;
use crate::oauth::sign_in::{SignIn, SignedIn};

pub(super) async fn sign_in(sign_in: &SignIn, account: &Account) -> Result<SignedIn, CliError> {
    let code = sign_in.device_code().await?;
    say(&format!(
        "account {}: open {} in any browser, type {} and sign in as {}\n\
         waiting for it; the code is good for {} minutes\n",
        account.name,
        harmless(&code.verification_uri),
        harmless(&code.user_code),
        account.mailbox,
        code.expires_in.as_secs() / 60,
    ))?;
    let mut told: Option<TokenError> = None;
    let trouble = |error: &TokenError| {
        if !told.as_ref().is_some_and(|told| told.is_like(error)) {
            tell_trouble(error);
            told = Some(error.clone());
        }
    };
    let waiting = sign_in.wait_for_device(&code, trouble);
    let signed_in = awaited("waiting, second", code.expires_in, waiting).await;
    Ok(signed_in?)
}
