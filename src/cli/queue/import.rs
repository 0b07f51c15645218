//! `queue import`: files as messages, the inverse of `queue export`.

use std::io;
use std::path::{Path, PathBuf};

use tokio::task::JoinSet;

use super::hands::Hands;
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CliError, Exit, complain, is_permission};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::text::count;
use crate::config::Settings;
use crate::queue::{AddressPattern, ImportRequest, QueueId, Sidecar, pool_members};

/// Queue messages from files: ID.eml with its ID.json, as queue export writes them
///
/// Each gets a new ID. Recipients that have a message already do not get it again; what was held or had
/// failed is held. A .eml alone needs --from and --to. Exits 1 when a file could not be imported, 75 when
/// the queue is full: with --remove, the same command goes on later.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// .eml files, or folders of them
    #[arg(value_name = "FILE|DIR", required = true)]
    paths: Vec<PathBuf>,

    /// The reverse-path, in place of the sidecar's; <> for the null path
    #[arg(long, value_name = "ADDRESS")]
    from: Option<AddressPattern>,

    /// A recipient, in place of the sidecar's; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<String>,

    /// The account that sends them, in place of the sidecar's
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,

    /// Remove each file once its message is safely queued
    #[arg(long)]
    remove: bool,
}

/// Messages on their way at once: they share the price of a sync.
const AT_ONCE: usize = 16;

/// More is no sidecar.
const SIDECAR_MAX_BYTES: u64 = 64 * 1024 * 1024;

type Done = (PathBuf, Result<QueueId, CliError>);

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        if let Some(account) = &self.account {
            known_account(&settings, account)?;
        }
        let files = self.files()?;
        let mut output = Output::new();
        let (queued, ended) = block_on(async {
            let hands = Hands::find(&settings).await?;
            let ended = self.import(&settings, &hands, files, &mut output).await;
            hands.close().await?;
            Ok(ended)
        })?;
        output.line(format!("{} queued", count(queued, "message")))?;
        output.finish()?;
        ended
    }

    /// How many were queued, and how it ended.
    async fn import(
        &self,
        settings: &Settings,
        hands: &Hands,
        files: Vec<PathBuf>,
        output: &mut Output,
    ) -> (u64, Result<(), CliError>) {
        let (mut queued, mut seen, total) = (0, 0, files.len() as u64);
        let mut progress = Progress::new("importing");
        let mut ended = Ok(());
        let mut tasks: JoinSet<Done> = JoinSet::new();
        let mut files = files.into_iter();
        loop {
            while tasks.len() < AT_ONCE && is_worth_going_on(&ended) {
                let Some(path) = files.next() else { break };
                let request = self.request(settings, &path);
                let hands = hands.clone();
                tasks.spawn(async move {
                    let done = match request {
                        Ok(request) => send(&hands, request, &path).await,
                        Err(error) => Err(error),
                    };
                    (path, done)
                });
            }
            let Some(done) = tasks.join_next().await else {
                return (queued, ended);
            };
            let Ok((path, done)) = done else { continue };
            seen += 1;
            progress.show(seen, total);
            match done {
                Ok(id) => {
                    queued += 1;
                    if let Err(error) = output.line(format!("{id}  {}", path.display())) {
                        ended = Err(error);
                    }
                    if self.remove {
                        remove(&path);
                    }
                }
                Err(error) if error.exit() == Exit::Failed => {
                    error.at(path.display()).say();
                    if is_worth_going_on(&ended) {
                        ended = Err(CliError::quiet(Exit::Failed));
                    }
                }
                // A full queue, or a daemon that has gone: the next file will fare no better.
                Err(error) => ended = Err(error.at(path.display())),
            }
        }
    }

    /// Every `.eml`, in the order of names, which for exported ones is that of their time.
    fn files(&self) -> Result<Vec<PathBuf>, CliError> {
        let mut files = Vec::new();
        for path in &self.paths {
            if !path.is_dir() {
                if path.extension().is_none_or(|extension| extension != "eml") {
                    let line = format!("{} is no .eml file and no folder", path.display());
                    return Err(CliError::new(Exit::Usage, line));
                }
                files.push(path.clone());
                continue;
            }
            let entries = std::fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
            let mut found = Vec::new();
            for entry in entries {
                let file = entry.map_err(|error| unreadable(path, &error))?.path();
                if file.extension().is_some_and(|extension| extension == "eml") {
                    found.push(file);
                }
            }
            found.sort();
            files.extend(found);
        }
        if files.is_empty() {
            return Err(CliError::new(
                Exit::Failed,
                "there are no .eml files to import",
            ));
        }
        Ok(files)
    }

    /// What the sidecar and the options say of a message.
    fn request(&self, settings: &Settings, path: &Path) -> Result<ImportRequest, CliError> {
        let sidecar = read_sidecar(&path.with_extension("json"))?;
        let mut request = match &sidecar {
            Some(sidecar) if self.to.is_empty() => ImportRequest::of(sidecar)?,
            _ => self.bare(path, sidecar.as_ref())?,
        };
        if let Some(from) = &self.from {
            request.reverse_path = reverse_path(from);
        }
        if let Some(account) = &self.account {
            request.account.clone_from(account);
        } else if request.account.is_empty() {
            let account = settings.default_account().ok_or_else(|| {
                CliError::new(
                    Exit::Failed,
                    "there are several accounts; name one with --account",
                )
            })?;
            request.account.clone_from(&account.name);
        }
        let account = known_account(settings, &request.account)?;
        request.mailbox = account.mailbox.to_string();
        request.hostname.clone_from(&settings.hostname);
        Ok(request)
    }

    /// A message of which only the options tell who sends it and who gets it.
    fn bare(&self, path: &Path, sidecar: Option<&Sidecar>) -> Result<ImportRequest, CliError> {
        let from = match (&self.from, sidecar) {
            (Some(from), _) => reverse_path(from),
            (None, Some(sidecar)) => sidecar.message.message.reverse_path.clone(),
            (None, None) => return Err(no_envelope(path)),
        };
        if self.to.is_empty() {
            return Err(no_envelope(path));
        }
        Ok(ImportRequest {
            reverse_path: from,
            recipients: self.to.iter().map(Into::into).collect(),
            account: sidecar.map_or_else(String::new, |one| one.message.message.account.clone()),
            smtputf8: false,
            ret: None,
            envelope_id: None,
            held: false,
            last_reply: None,
            listener: "import".to_owned(),
            client: String::new(),
            helo: String::new(),
            tls: None,
            auth_name: None,
            mailbox: String::new(),
            hostname: String::new(),
            detail: Some(format!("from {}", path.display())),
        })
    }
}

/// After a file that cannot be imported the others are still tried.
fn is_worth_going_on(ended: &Result<(), CliError>) -> bool {
    ended
        .as_ref()
        .map_or_else(|error| error.exit() == Exit::Failed, |()| true)
}

async fn send(hands: &Hands, request: ImportRequest, path: &Path) -> Result<QueueId, CliError> {
    let file = tokio::fs::File::open(path).await;
    let file = file.map_err(|error| unreadable(path, &error))?;
    let metadata = file.metadata().await;
    let metadata = metadata.map_err(|error| unreadable(path, &error))?;
    hands.import(request, metadata.len(), file).await
}

/// Removed sidecar first: a .eml alone asks who gets it, and is not sent twice by itself.
fn remove(path: &Path) {
    for file in [path.with_extension("json"), path.to_owned()] {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                complain(format!("{} is queued and stays: {error}", file.display()));
            }
            _ => {}
        }
    }
}

fn read_sidecar(path: &Path) -> Result<Option<Sidecar>, CliError> {
    let length = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let bad = |why: &str| CliError::new(Exit::Failed, format!("{}: {why}", path.display()));
    if length > SIDECAR_MAX_BYTES {
        return Err(bad("is too large for a sidecar"));
    }
    let octets = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let sidecar = serde_json::from_slice(&octets)
        .map_err(|error| bad(&format!("is no sidecar of an export: {error}")))?;
    Ok(Some(sidecar))
}

fn known_account<'s>(
    settings: &'s Settings,
    name: &str,
) -> Result<&'s crate::config::Account, CliError> {
    // One of a pool that an export names is enough.
    let mut accounts = pool_members(name).filter_map(|name| settings.accounts.get(name));
    accounts.next().ok_or_else(|| {
        let line = format!("no account {name} in these settings; name another with --account");
        CliError::new(Exit::Failed, line)
    })
}

fn reverse_path(from: &AddressPattern) -> String {
    match from.as_str() {
        "<>" => String::new(),
        address => address.to_owned(),
    }
}

fn no_envelope(path: &Path) -> CliError {
    let sidecar = path.with_extension("json");
    let line = format!("there is no {}; say --from and --to", sidecar.display());
    CliError::new(Exit::Failed, line)
}

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    let exit = if is_permission(error) {
        Exit::NotPermitted
    } else {
        Exit::Failed
    };
    CliError::new(exit, format!("cannot read {}: {error}", path.display()))
}
