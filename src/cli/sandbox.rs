//! `exorelay sandbox`: only the stand-in for Exchange Online and Entra.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::cli::context::Context;
use crate::cli::output::say;
use crate::cli::run::runtime;
use crate::cli::signals::Signals;
use crate::cli::{CliError, Exit};
use crate::sandbox::{FederatedToken, Limits, Sandbox, Settings, StartError, Store};
use crate::telemetry::with_causes;

/// Run only a stand-in for Exchange Online and Entra, to test applications offline
#[derive(clap::Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Where the stand-in for smtp.office365.com listens; loopback only
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2587")]
    smtp: SocketAddr,
    /// Where the login service and the control interface listen; loopback only
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2588")]
    http: SocketAddr,
    /// Where received messages and the CA certificate go; default: a folder that is removed at the end
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// A mailbox of the tenant, whose owner can sign in; may be repeated. Default: any address is one
    #[arg(long, value_name = "ADDRESS")]
    mailbox: Vec<String>,
    /// A certificate (PEM) of the application, in place of its secret; may be repeated
    #[arg(long, value_name = "FILE")]
    certificate: Vec<PathBuf>,
    /// The way to a token that the printed account section is for; the sandbox knows all of them at any time
    #[arg(long, value_name = "WAY", default_value = "application")]
    access: Access,
    /// Without Exchange's limits on connections and messages a minute
    #[arg(long)]
    no_limits: bool,
    /// Read and check messages, but keep none: for measurements
    #[arg(long)]
    discard: bool,
}

/// `access` of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Access {
    Application,
    Delegated,
    WorkloadIdentity,
}

const AFTER_HELP: &str = "\
Its control interface (GET / of the --http address tells all of it) shows what came in, and orders what goes wrong: \
SMTP replies, any AADSTS error, a wrong clock, revoked refresh tokens, missing consent or permissions. It also signs \
people in without a browser.";

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
    let certificates = args.certificate.iter().map(|path| read(path));
    let certificates = certificates.collect::<Result<_, _>>()?;
    runtime()?.block_on(async {
        let mut settings = Settings::new(directory);
        settings.smtp_address = args.smtp;
        settings.http_address = args.http;
        settings.mailboxes.clone_from(&args.mailbox);
        settings.certificates = certificates;
        if args.no_limits {
            settings.limits = Limits::unpaced();
        }
        if args.discard {
            settings.store = Store::Discard;
        }
        let sandbox = Sandbox::start(settings)
            .await
            .map_err(|error| cannot_start(&error))?;
        let mailbox = args.mailbox.first();
        let mailbox = mailbox.map_or("me@sandbox.example", String::as_str);
        let way = match (args.access, args.certificate.first()) {
            (Access::Application, None) => Way::Secret,
            (Access::Application, Some(path)) => Way::Certificate(&absolute(path)),
            (Access::Delegated, _) => Way::Delegated,
            (Access::WorkloadIdentity, _) => Way::Federated(&federated_token(&sandbox).await?),
        };
        say(&format!(
            "A stand-in for Exchange Online and Entra is running; nothing leaves this machine.\n\
             \n\
             {}\n\
             Control and received messages: http://{}/\n\
             Ctrl-C ends it.\n",
            account(&sandbox, mailbox, way),
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
    account(sandbox, mailbox, Way::Secret)
}

/// What an account gets its token with.
#[derive(Clone, Copy, Debug)]
enum Way<'a> {
    Secret,
    Certificate(&'a Path),
    Delegated,
    Federated(&'a Path),
}

fn account(sandbox: &Sandbox, mailbox: &str, way: Way<'_>) -> String {
    let client_id = sandbox.client_id();
    let token_url = sandbox.token_url();
    let (application, endpoints) = match way {
        Way::Secret => (
            // The sandbox's own, worth nothing anywhere else.
            format!(
                "client_id = \"{client_id}\"\nclient_secret = \"{}\"\n",
                sandbox.client_secret().reveal()
            ),
            format!("token_url = \"{token_url}\"\n"),
        ),
        Way::Certificate(path) => (
            format!(
                "client_id = \"{client_id}\"\nclient_certificate = \"{}\"\n",
                path.display()
            ),
            format!("token_url = \"{token_url}\"\n"),
        ),
        Way::Delegated => (
            format!(
                "access = \"delegated\"\nclient_id = \"{}\"\n",
                sandbox.public_client_id()
            ),
            format!(
                "authorize_url = \"{}\"\ntoken_url = \"{token_url}\"\ndevice_code_url = \"{}\"\n",
                sandbox.authorize_url(),
                sandbox.device_code_url()
            ),
        ),
        Way::Federated(path) => (
            format!("access = \"workload_identity\"\nclient_id = \"{client_id}\"\n"),
            format!(
                "token_url = \"{token_url}\"\nfederated_token_file = \"{}\"\n",
                path.display()
            ),
        ),
    };
    format!(
        "[account.default]\n\
         mailbox = \"{mailbox}\"\n\
         tenant_id = \"{}\"\n\
         {application}\
         \n\
         [account.default.oauth]\n\
         {endpoints}\
         \n\
         [account.default.smtp]\n\
         host = \"localhost\"\n\
         port = {}\n\
         ca_file = \"{}\"\n",
        sandbox.tenant_id(),
        sandbox.smtp_address().port(),
        sandbox.ca_file().display(),
    )
}

/// A federated token for a day, in a file beside the CA's as the orchestrator of a real one would keep it.
async fn federated_token(sandbox: &Sandbox) -> Result<PathBuf, CliError> {
    let wanted = FederatedToken {
        lifetime_seconds: Some(86_400),
        ..FederatedToken::default()
    };
    let path = sandbox.ca_file().with_file_name("federated-token");
    let failed = |error: String| CliError::new(Exit::Failed, format!("sandbox: {error}"));
    let token = sandbox.control().federated_token(&wanted);
    let token = token.map_err(|error| failed(error.to_string()))?;
    let written = tokio::fs::write(&path, token.reveal()).await;
    written.map_err(|error| failed(format!("cannot write {}: {error}", path.display())))?;
    Ok(path)
}

/// The account's configuration may lie in another folder.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| {
        let text = format!("cannot read {}: {error}", path.display());
        CliError::new(Exit::Configuration, text)
    })
}

pub(super) fn cannot_start(error: &StartError) -> CliError {
    CliError::new(Exit::Failed, format!("sandbox: {}", with_causes(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_way_has_its_account_section() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(Settings::new(folder.path())).await.unwrap();
        let token = federated_token(&sandbox).await.unwrap();
        let shown = std::fs::read_to_string(&token).unwrap();
        assert_eq!(shown.split('.').count(), 3);
        let secret = sandbox.client_secret().reveal().to_owned();
        for (way, keys, has_secret) in [
            (Way::Secret, &["client_secret", "token_url"][..], true),
            (
                Way::Certificate(Path::new("/etc/exorelay/app.pem")),
                &["client_certificate", "token_url"],
                false,
            ),
            (
                Way::Delegated,
                &["access", "authorize_url", "token_url", "device_code_url"],
                false,
            ),
            (
                Way::Federated(&token),
                &["access", "token_url", "federated_token_file"],
                false,
            ),
        ] {
            let text = account(&sandbox, "relay@contoso.com", way);
            let parsed: toml_edit::ImDocument<String> = text.parse().unwrap();
            let account = &parsed["account"]["default"];
            for key in keys {
                let value = account.get(key).or_else(|| account["oauth"].get(key));
                assert!(value.is_some_and(toml_edit::Item::is_str), "{key}: {text}");
            }
            assert_eq!(text.contains(&secret), has_secret, "{text}");
        }
        sandbox.shutdown().await;
    }
}
