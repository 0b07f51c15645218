//! Whether the right person has signed in.

use std::io::{self, IsTerminal, Write};

use super::stdin;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::say;
use crate::cli::text::harmless;
use crate::config::Account;

/// Whether `user` may be somebody else than the mailbox.
pub(super) fn is_other(account: &Account, user: &str) -> bool {
    user.to_lowercase() != account.mailbox.as_str().to_lowercase()
}

/// Says who has signed in. If it is not the mailbox itself, `shared` or an answer at the terminal has to agree.
pub(super) async fn check(
    account: &Account,
    user: Option<&str>,
    shared: bool,
) -> Result<(), CliError> {
    let mailbox = &account.mailbox;
    let Some(user) = user.map(harmless) else {
        return say(&format!(
            "signed in; the token does not tell who it was, it has to be somebody who may send as {mailbox}\n"
        ));
    };
    if !is_other(account, &user) {
        return say(&format!("signed in as {user}\n"));
    }
    if shared {
        return say(&format!(
            "signed in as {user}, who needs FullAccess and SendAs on {mailbox}\n"
        ));
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(CliError::new(
            Exit::Failed,
            format!(
                "{user} has signed in, and the mailbox is {mailbox}: nothing was kept; sign in as {mailbox}, or say \
                 --shared if {user} has FullAccess and SendAs on it"
            ),
        ));
    }
    say(&format!(
        "signed in as {user}, and the mailbox is {mailbox}.\n\
         That is right if {mailbox} is a shared mailbox on which {user} has FullAccess and SendAs, or another address \
         of the same mailbox. If not, Exchange will refuse every message.\n"
    ))?;
    // Who has closed standard error is not asked, and has not agreed.
    let _ = write!(io::stderr(), "Keep this sign-in? [y/N] ");
    let answer = stdin::line().await.ok().flatten();
    if answer.is_some_and(|answer| is_yes(&answer)) {
        return Ok(());
    }
    Err(CliError::new(
        Exit::Failed,
        format!(
            "nothing was kept; run exorelay login again and sign in as {mailbox} (\"Use another account\", or a private \
             window)"
        ),
    ))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_one() {
        for yes in ["y\n", " Yes \r\n", "YES"] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "yes please", "j"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }
}
