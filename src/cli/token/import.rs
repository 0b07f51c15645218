//! `token import`.

use jiff::Timestamp;

use super::input::read_secret;
use super::{not_obtained, not_stored, tell_daemon};
use crate::cli::account::delegated;
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::cli::text::harmless;
use crate::oauth::{self, Claims, Origin, StoredToken};
use crate::secret::Secret;

/// Store a refresh token that was made elsewhere: on standard input, never as an argument
///
/// It is exchanged once to see that it works, and stored only then; the daemon goes over to it at once. It must
/// have been issued to the application of the account.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The account; default: the only one, or the one named default
    #[arg(value_name = "ACCOUNT")]
    account: Option<String>,

    /// Store it without trying it, for a machine without network yet
    #[arg(long)]
    no_check: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        let account = delegated(&settings, self.account.as_deref())?;
        let part = settings.oauth_part(account)?;
        let store = settings.token_store_part();
        let name = account.name.as_str();
        let text = read_secret(&format!("refresh token for account {name}: "))?;
        let refresh_token =
            refresh_token(&text).map_err(|line| CliError::new(Exit::Failed, line))?;
        let now = Timestamp::now();
        let token = StoredToken {
            refresh_token,
            client_id: account.client_id.clone(),
            user: None,
            origin: Origin::Import,
            obtained_at: now,
            renewed_at: now,
        };
        let mut output = Output::new();
        if self.no_check {
            let saved = store.save(name, &token);
            saved.map_err(|error| not_stored(&error))?;
            output.line(format!("account {name}: refresh token stored, untried"))?;
        } else {
            let imported = block_on(async {
                let imported = oauth::import(part, token).await;
                imported.map_err(|error| not_obtained(name, &error).at("nothing was stored"))
            });
            let (access_token, _) = imported?;
            for line in worked(name, account.mailbox.as_str(), &access_token) {
                output.line(harmless(&line))?;
            }
        }
        let told = block_on(async { Ok(tell_daemon(&settings, name).await) })?;
        output.line(told)?;
        output.finish()
    }
}

fn worked(account: &str, mailbox: &str, access_token: &Secret) -> Vec<String> {
    let user = Claims::decode(access_token).map(|claims| claims.upn);
    let Some(user) = user.filter(|user| !user.is_empty()) else {
        return vec![format!(
            "account {account}: refresh token stored, and it works"
        )];
    };
    let mut lines = vec![format!(
        "account {account}: refresh token stored, and it works, for {user}"
    )];
    if !user.eq_ignore_ascii_case(mailbox) {
        lines.push(format!(
            "{user} is not the mailbox {mailbox}: right if it is a shared mailbox that {user} may open and send as"
        ));
    }
    lines
}

/// What is surely something else is refused with what it is; the text itself is in no message.
fn refresh_token(text: &str) -> Result<Secret, String> {
    let text = text.trim();
    let secret = Secret::new(text);
    let why = if text.is_empty() {
        "standard input holds no token; give the refresh token there: exorelay token import < FILE"
            .to_owned()
    } else if text.starts_with('{') {
        "this is JSON; give the value of its refresh_token only, without quotes".to_owned()
    } else if let Some(claims) = Claims::decode(&secret) {
        let audience = Some(claims.aud).filter(|audience| !audience.is_empty());
        let audience = audience.map_or_else(String::new, |audience| format!(" (for {audience})"));
        format!(
            "this is an access token{audience}, which ends within the hour; give the refresh_token that came with it"
        )
    } else if text.starts_with("ya29.") {
        "this is an access token of Google, which ends within the hour; give the refresh_token that came with it"
            .to_owned()
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('"') {
        "this is no refresh token: there is a space, a line end or a quote in it".to_owned()
    } else if text.len() > LENGTH_MAX_BYTES {
        format!("this is no refresh token: it is longer than {LENGTH_MAX_BYTES} bytes")
    } else {
        return Ok(secret);
    };
    Err(harmless(&why))
}

/// Those of Entra have 1 to 2 KiB.
const LENGTH_MAX_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_around_a_token_are_no_part_of_it() {
        let token = refresh_token(" 1.AXoA-_.AgABAAEAAAD\r\n").unwrap();
        assert_eq!(token.reveal(), "1.AXoA-_.AgABAAEAAAD");
    }

    #[test]
    fn what_is_something_else_is_named_and_never_quoted() {
        // {"aud":"https://outlook.office.com"}
        let access = "eyJ0pl4nted.eyJhdWQiOiJodHRwczovL291dGxvb2sub2ZmaWNlLmNvbSJ9.c2ln";
        for (text, words) in [
            ("", "holds no token"),
            (" \n", "holds no token"),
            ("{\"refresh_token\":\"pl4nted\"}", "is JSON"),
            (access, "access token (for https://outlook.office.com)"),
            ("ya29.pl4nted", "access token of Google"),
            ("pl4nted pl4nted", "a space"),
            ("\"pl4nted\"", "a quote"),
            ("pl4ntéd", "a space"),
            (&"pl4nted".repeat(3_000), "longer than"),
        ] {
            let why = refresh_token(text).unwrap_err();
            assert!(why.contains(words), "{why}");
            assert!(!why.contains("pl4nt"), "{why}");
        }
    }
}
