//! A browser on this machine.

use std::process::Stdio;

use tokio::process::Command;

use super::{PATIENCE, awaited, user};
use crate::cli::error::CliError;
use crate::cli::output::say;
use crate::config::Account;
use crate::oauth::sign_in::{Loopback, Page, SignIn, SignInError, SignedIn};

pub(super) async fn sign_in(sign_in: &SignIn, account: &Account) -> Result<SignedIn, CliError> {
    let mut loopback = Loopback::bind(sign_in.redirect()).await?;
    let authorization = sign_in.authorize(loopback.redirect().clone());
    let what = if open(authorization.url()) {
        "a browser opens; if none appears, open this address"
    } else {
        "open this address in a browser on this machine"
    };
    say(&format!(
        "account {}: {what} and sign in as {}\n\n{}\n\n\
         waiting for the browser to come back to {} (for a browser elsewhere: --paste or --device)\n\
         AADSTS50011 in the browser means: add the redirect URI {} to the app registration\n",
        account.name,
        account.mailbox,
        authorization.url(),
        loopback.redirect().as_str(),
        sign_in.redirect().as_str(),
    ))?;
    let arrival = loopback.wait(authorization.state());
    let arrival = awaited("waiting, second", PATIENCE, arrival).await;
    say("the browser is back\n")?;
    let signed_in = sign_in.redeem(&authorization, arrival.answer).await;
    arrival.browser.show(page(account, &signed_in)).await;
    Ok(signed_in?)
}

/// The last that the browser shows; that the sign-in is kept is not certain yet.
fn page(account: &Account, signed_in: &Result<SignedIn, SignInError>) -> Page {
    match signed_in {
        Ok(SignedIn {
            user: Some(user), ..
        }) if user::is_other(account, user) => Page::success(format!(
            "You are {user}, and exorelay sends from {}. Go back to the terminal.",
            account.mailbox
        )),
        Ok(_) => Page::success("exorelay goes on in the terminal. This window can be closed."),
        Err(error) => Page::failure(error.to_string()),
    }
}

/// Where there is a desktop, and only as its user: a browser must not run as root. Whether it has worked
/// shows by itself.
fn open(url: &str) -> bool {
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"]
        .into_iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if !has_display || rustix::process::geteuid().is_root() {
        return false;
    }
    Command::new("xdg-open")
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C here is not meant for the browser.
        .process_group(0)
        .spawn()
        .is_ok()
}
