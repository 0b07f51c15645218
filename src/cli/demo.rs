//! `exorelay demo`: sandbox and daemon together, in a throw-away folder.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::cli::context::Context;
use crate::cli::output::say;
use crate::cli::run::{runtime, serve};
use crate::cli::sandbox::{cannot_start, settings_for};
use crate::cli::signals::Signals;
use crate::cli::submit::submit;
use crate::cli::{CliError, Exit};
use crate::config;
use crate::listener::Inherited;
use crate::mail::Mailbox;
use crate::oauth::TokenStatus;
use crate::queue::{MessageDetail, MessageState, QueueId};
use crate::relay::View;
use crate::sandbox::{Sandbox, Settings};
use crate::telemetry;

/// Try it: the daemon and a stand-in for Exchange Online, in a folder that is removed at the end
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Send one sample message through, show each step and end: exit 0 when it arrived
    #[arg(long)]
    once: bool,
    /// Where the daemon takes mail; with --once any free port is taken
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// Where devices and applications send to, as with the installed daemon.
const ADDRESS: &str = "127.0.0.1:2525";

/// A sample message that has not arrived by then never will.
const PATIENCE: Duration = Duration::from_mins(1);

const PAGE_PORT: u16 = 2580;

const MAILBOX: &str = "relay@sandbox.example";

impl Args {
    pub(super) fn run(self, _: &Context) -> Result<(), CliError> {
        demonstrate(&self)
    }
}

fn demonstrate(args: &Args) -> Result<(), CliError> {
    let folder = throw_away_folder()?;
    let filter = telemetry::Filter::parse(if args.once { "warn" } else { "info" });
    telemetry::init(&filter, telemetry::Format::Text);
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let address = match (args.listen, args.once) {
        (Some(address), _) => address,
        (None, true) => any_port,
        (None, false) => ADDRESS.parse().unwrap_or(any_port),
    };
    runtime()?.block_on(async {
        let sandbox = Sandbox::start(Settings::new(folder.path().join("sandbox"))).await;
        let sandbox = sandbox.map_err(|error| cannot_start(&error))?;
        let path = folder.path().join("exorelay.toml");
        let page = (!args.once).then(page_address);
        let text = configuration(folder.path(), address, page, &sandbox);
        tokio::fs::write(&path, &text).await.map_err(|error| {
            CliError::new(
                Exit::Failed,
                format!("cannot write {}: {error}", path.display()),
            )
        })?;
        let loaded = config::load_text(&path, &text, std::iter::empty(), &[])
            .map_err(|error| CliError::new(Exit::Configuration, error.to_string()))?;
        let stop = CancellationToken::new();
        tokio::spawn(Signals::catch()?.stop(stop.clone()));
        let (ready, view) = oneshot::channel();
        let daemon = serve(&loaded, Inherited::default(), stop.clone(), |relay, _| {
            drop(ready.send(relay.view()));
        });
        let show = async {
            // Without a view the daemon did not start, and says why itself.
            let Ok(view) = view.await else {
                return Ok(());
            };
            if args.once {
                let shown = send_one(&view, &sandbox).await;
                stop.cancel();
                shown
            } else {
                explain(&view, &sandbox, &path)
            }
        };
        let (ended, shown) = tokio::join!(daemon, show);
        sandbox.shutdown().await;
        ended.and(shown)
    })
}

pub(super) fn throw_away_folder() -> Result<TempDir, CliError> {
    tempfile::Builder::new()
        .prefix("exorelay-demo-")
        .tempdir()
        .map_err(|error| {
            CliError::new(
                Exit::Failed,
                format!("cannot make a folder for the demonstration: {error}"),
            )
        })
}

/// The port of the documentation, or any that is free.
fn page_address() -> SocketAddr {
    let usual = SocketAddr::from(([127, 0, 0, 1], PAGE_PORT));
    match TcpListener::bind(usual) {
        Ok(_) => usual,
        Err(_) => SocketAddr::from(([127, 0, 0, 1], 0)),
    }
}

fn configuration(
    folder: &Path,
    address: SocketAddr,
    page: Option<SocketAddr>,
    sandbox: &Sandbox,
) -> String {
    let page = page.map(|address| format!("http = \"{address}\"\n"));
    format!(
        "# The demonstration's own settings; a real account needs none of the last two sections.\n\
         hostname = \"localhost\"\n\
         \n\
         [listener.local]\n\
         address = \"{address}\"\n\
         \n\
         [queue]\n\
         directory = \"{queue}\"\n\
         min_free_disk = \"16MiB\"\n\
         \n\
         [admin]\n\
         socket = \"{socket}\"\n\
         {page}\
         \n\
         {account}",
        queue = folder.join("queue").display(),
        socket = folder.join("admin.sock").display(),
        page = page.unwrap_or_default(),
        account = settings_for(sandbox, MAILBOX),
    )
}

fn explain(view: &View, sandbox: &Sandbox, path: &Path) -> Result<(), CliError> {
    let address = view
        .now()
        .listeners
        .first()
        .map_or_else(String::new, |(_, address)| address.to_string());
    let http = sandbox.http_address();
    let page = view.now().admin_http;
    let page = page.map(|address| format!("Watch it:     http://{address}/\n"));
    let page = page.unwrap_or_default();
    let path = path.display();
    say(&format!(
        "exorelay is taking mail on {address} and sends it to a stand-in for Exchange Online on this machine.\n\
         \n\
         {page}\
         Send to it:   swaks --server {address} --from me@example.com --to you@example.com\n\
         or:           curl smtp://{address} --mail-from me@example.com --mail-rcpt you@example.com -T FILE\n\
         What arrived: curl http://{http}/messages      (all it can do: curl http://{http}/)\n\
         The daemon:   exorelay --config {path} status\n\
         The queue:    exorelay --config {path} queue list\n\
         \n\
         Ctrl-C ends it and removes everything.\n"
    ))
}

/// The sample message's way, told as it happens.
async fn send_one(view: &Arc<View>, sandbox: &Sandbox) -> Result<(), CliError> {
    let failed =
        |step: &str| CliError::new(Exit::Failed, format!("the demonstration failed: {step}"));
    let shown = view.now();
    let mut ports = shown
        .listeners
        .iter()
        .filter_map(|(_, address)| address.tcp());
    let Some(address) = ports.next() else {
        return Err(failed("no listener"));
    };
    say(&format!("listening            {address}\n"))?;
    let id = timeout(PATIENCE, sample(address))
        .await
        .map_err(|_| failed("the daemon did not answer"))?
        .map_err(|error| failed(&format!("the message was not accepted: {error}")))?;
    say(&format!(
        "accepted and queued  as {id}, on stable storage before the 250\n"
    ))?;
    let told = timeout(PATIENCE, tell(view, sandbox, id)).await;
    told.map_err(|_| failed("the message did not arrive in time; its last reply is in the log"))?
}

async fn tell(view: &Arc<View>, sandbox: &Sandbox, id: QueueId) -> Result<(), CliError> {
    if let Some(account) = view.now().accounts.first() {
        let mut token = account.token.clone();
        let valid = |status: &TokenStatus| matches!(status, TokenStatus::Valid { .. });
        if token.wait_for(valid).await.is_ok() {
            say(&format!(
                "token obtained       from {}\n",
                sandbox.token_url()
            ))?;
        }
    }
    until(|| sandbox.control().stats().authenticated > 0).await;
    say(&format!(
        "TLS                  with localhost:{}, certificate verified\n\
         authenticated        AUTH XOAUTH2 as {MAILBOX}\n",
        sandbox.smtp_address().port(),
    ))?;
    let detail = loop {
        if let Some(detail) = show(view, id).await
            && matches!(
                detail.message.state,
                MessageState::Delivered | MessageState::Failed
            )
        {
            break detail;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let reply = detail.message.last_reply.unwrap_or_default();
    if detail.message.state == MessageState::Failed {
        return Err(CliError::new(
            Exit::Failed,
            format!("the message was refused: {reply}"),
        ));
    }
    let arrived = sandbox.control().messages();
    let octets = arrived.last().map_or(0, |message| message.size_bytes);
    say(&format!(
        "delivered            {octets} octets; the upstream said: {reply}\n"
    ))
}

async fn show(view: &Arc<View>, id: QueueId) -> Option<MessageDetail> {
    let reader = view.queue.reader();
    tokio::task::spawn_blocking(move || reader.show(id).ok().flatten())
        .await
        .ok()
        .flatten()
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// As an old device would: HELO, no Date, no Message-ID.
async fn sample(address: SocketAddr) -> Result<QueueId, String> {
    let mailbox = |text| Mailbox::parse(text).map_err(|error| error.to_string());
    let from = mailbox("lobby-printer@sandbox.example")?;
    let to = mailbox("you@sandbox.example")?;
    let content = "Subject: Scan from the lobby\r\nTo: you@sandbox.example\r\n\r\nIt works.\r\n";
    let submitted = submit(address, "lobby-printer", (&from, &to), content).await;
    submitted.map_err(|error| error.to_string())
}
