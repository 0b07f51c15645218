//! `exorelay sandbox`: only the stand-in for Exchange Online and Entra.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::cli::context::Context;
use crate::cli::output::say;
use crate::cli::run::runtime;
use crate::cli::signals::Signals;
use crate::cli::{CliError, Exit};
use crate::sandbox::{Limits, Sandbox, Settings, StartError, Store};

/// Run only a stand-in for Exchange Online and Entra, to test applications offline
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Where the stand-in for smtp.office365.com listens; loopback only
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2587")]
    smtp: SocketAddr,
    /// Where the token endpoint and the control interface listen; loopback only
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2588")]
    http: SocketAddr,
    /// Where received messages and the CA certificate go; default: a folder that is removed at the end
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Without Exchange's limits on connections and messages a minute
    #[arg(long)]
    no_limits: bool,
    /// Read and check messages, but keep none: for measurements
    #[arg(long)]
    discard: bool,
}

impl Args {
    pub(super) fn run(self, _: &Context) -> Result<(), CliError> {
        sandbox(self)
    }
}

fn sandbox(args: Args) -> Result<(), CliError> {
    let throw_away = match &args.directory {
        Some(_) => None,
        None => Some(super::demo::throw_away_folder()?),
    };
    let directory = args
        .directory
        .or_else(|| throw_away.as_ref().map(|folder| folder.path().to_owned()))
        .unwrap_or_default();
    runtime()?.block_on(async {
        let mut settings = Settings::new(directory);
        settings.smtp_address = args.smtp;
        settings.http_address = args.http;
        if args.no_limits {
            settings.limits = Limits::unpaced();
        }
        if args.discard {
            settings.store = Store::Discard;
        }
        let sandbox = Sandbox::start(settings)
            .await
            .map_err(|error| cannot_start(&error))?;
        say(&format!(
            "A stand-in for Exchange Online and Entra is running; nothing leaves this machine.\n\
             \n\
             {}\n\
             Control and received messages: http://{}/\n\
             Ctrl-C ends it.\n",
            settings_for(&sandbox, "me@sandbox.example"),
            sandbox.http_address(),
        ))?;
        let stop = CancellationToken::new();
        tokio::spawn(Signals::catch()?.stop(stop.clone()));
        stop.cancelled().await;
        sandbox.shutdown().await;
        Ok(())
    })
}

/// The lines of a configuration that sends to the sandbox.
pub(super) fn settings_for(sandbox: &Sandbox, mailbox: &str) -> String {
    format!(
        "[account.default]\n\
         mailbox = \"{mailbox}\"\n\
         tenant_id = \"{}\"\n\
         client_id = \"{}\"\n\
         client_secret = \"{}\"\n\
         \n\
         [account.default.oauth]\n\
         token_url = \"{}\"\n\
         \n\
         [account.default.smtp]\n\
         host = \"localhost\"\n\
         port = {}\n\
         ca_file = \"{}\"\n",
        sandbox.tenant_id(),
        sandbox.client_id(),
        // The sandbox's own, worth nothing anywhere else.
        sandbox.client_secret().reveal(),
        sandbox.token_url(),
        sandbox.smtp_address().port(),
        sandbox.ca_file().display(),
    )
}

pub(super) fn cannot_start(error: &StartError) -> CliError {
    CliError::new(Exit::Failed, format!("sandbox: {error}"))
}
