//! A browser on another machine, whose last address is brought here by hand.

use std::io::{self, IsTerminal};

use super::stdin;
use crate::cli::error::{CliError, Exit, complain};
use crate::cli::output::say;
use crate::config::Account;
use crate::oauth::sign_in::{Answer, Authorization, SignIn, SignedIn};

/// What a terminal hands over of one line at most (termios(3), canonical mode).
const TERMINAL_LINE_BYTES: usize = 4095;

pub(super) async fn sign_in(sign_in: &SignIn, account: &Account) -> Result<SignedIn, CliError> {
    let authorization = sign_in.authorize(sign_in.redirect().clone());
    let redirect = sign_in.redirect().as_str();
    let mailbox = &account.mailbox;
    say(&format!(
        "account {}: open this address in any browser and sign in as {mailbox}\n\n{}\n\n\
         the browser ends up at {redirect}, perhaps with an error page: that is all right\n\
         AADSTS50011 in the browser means: add the redirect URI {redirect} to the app registration\n\
         paste the whole address from the browser here, or only the value of code:\n",
        account.name,
        authorization.url(),
    ))?;
    let answer = ask(&authorization).await?;
    let signed_in = sign_in.redeem(&authorization, answer).await;
    Ok(signed_in?)
}

/// At a terminal, until something of use is pasted; elsewhere there is one try.
async fn ask(authorization: &Authorization) -> Result<Answer, CliError> {
    let is_terminal = io::stdin().is_terminal();
    loop {
        let line = stdin::line().await.map_err(|error| {
            CliError::new(
                Exit::Failed,
                format!("cannot read standard input: {error}; nothing was kept"),
            )
        })?;
        let Some(line) = line else {
            let line = "nothing was pasted, nothing was kept; run exorelay login --paste again";
            return Err(CliError::new(Exit::Failed, line));
        };
        if line.trim().is_empty() {
            continue;
        }
        let problem = match Answer::from_paste(&line, authorization.state()) {
            Ok(_) | Err(_) if is_terminal && line.len() >= TERMINAL_LINE_BYTES => {
                "the terminal has cut that line off: paste only the value of code, or put the address into a file \
                 and use --paste < FILE"
                    .to_owned()
            }
            Ok(answer) => return Ok(answer),
            Err(error) => error.to_string(),
        };
        if !is_terminal {
            return Err(CliError::new(
                Exit::Failed,
                format!("{problem}; nothing was kept"),
            ));
        }
        complain(problem);
    }
}
