//! Telling a running daemon that a sign-in has changed.

use std::fmt;

use crate::admin::{Client, ClientError, one_line};
use crate::config::Settings;

/// What became of telling it; shown as what that means for a new sign-in.
#[derive(Debug)]
pub(in crate::cli) enum Told {
    /// It asks for a token with what is stored now.
    Renewing,
    /// Nobody is there to be told.
    NoDaemon,
    /// Its settings are older than the account.
    UnknownAccount,
    /// It runs, and could not be told.
    Untold(ClientError),
}

/// Has the daemon, if one runs, go over to what is stored for `account` at once. What is stored is good
/// either way, so that this never fails.
pub(in crate::cli) async fn tell_daemon(settings: &Settings, account: &str) -> Told {
    let renewed = match Client::new(&settings.admin.socket) {
        Ok(client) => client.renew(account).await,
        Err(error) => Err(error),
    };
    match renewed {
        Ok(true) => Told::Renewing,
        Ok(false) => Told::UnknownAccount,
        Err(ClientError::NoDaemon { .. }) => Told::NoDaemon,
        Err(error) => Told::Untold(error),
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renewing => {
                f.write_str("the daemon goes over to it now; exorelay status tells how it does")
            }
            Self::NoDaemon => f.write_str("no daemon runs; the next one uses it"),
            Self::UnknownAccount => f.write_str(
                "the running daemon does not have this account yet; reload it (systemctl reload exorelay)",
            ),
            Self::Untold(error) => write!(
                f,
                "the daemon could not be told ({}); it goes over to it with its next renewal",
                one_line(error)
            ),
        }
    }
}
