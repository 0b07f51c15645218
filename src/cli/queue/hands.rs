//! Where the queue is changed: through the daemon, or in its folder when none runs.

use std::fmt::Write as _;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::spawn_blocking;

use super::source;
use crate::admin::{Client, one_line, user_name};
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CliError, Exit, complain, is_permission};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::text::count;
use crate::config::{LogFormat, Settings};
use crate::queue::{
    Action, Actor, DraftError, ImportError, ImportRequest, OpenError, Queue, QueueId, Selection,
    Skip, StorageError, Tally, Through,
};
use crate::telemetry;

/// Read from a file at once.
const BLOCK_BYTES: usize = 64 * 1024;

#[derive(Clone, Debug)]
pub(in crate::cli) enum Hands {
    Daemon(Client),
    Folder(Queue, Actor),
}

impl Hands {
    /// Asks at the socket first; without a daemon the folder is locked as one would.
    pub(in crate::cli) async fn find(settings: &Settings) -> Result<Self, CliError> {
        let client = Client::patient(&settings.admin.socket)?;
        if client.is_answered().await? {
            return Ok(Self::Daemon(client));
        }
        // A folder without a queue is more likely a slip than a wish.
        source::folder(&settings.queue.directory)?;
        // What is done to messages belongs to their stories. On a terminal the answer tells it already, and the
        // history keeps it.
        if settings.log.format == LogFormat::Journald {
            let (filter, format) = settings.log.telemetry_part();
            telemetry::init(&filter, format);
        }
        let part = settings.queue_part();
        let opened = spawn_blocking(move || {
            let name = user_name(rustix::process::getuid().as_raw());
            let actor = Actor {
                name,
                through: Through::Folder,
            };
            Queue::open(part).map(|queue| Self::Folder(queue, actor))
        });
        let opened = opened.await.map_err(|error| broken(&error))?;
        opened.map_err(|error| cannot_open(&error))
    }

    /// Does it, and shows how far it is.
    async fn change(&self, action: Action, selection: &Selection) -> Result<Tally, CliError> {
        let mut progress = Progress::new(doing(action));
        let mut show = |tally: &Tally| progress.show(tally.seen(), tally.selected);
        match self {
            Self::Daemon(client) => Ok(client.act(action, selection, show).await?),
            Self::Folder(queue, actor) => {
                let (queue, actor) = (queue.clone(), actor.clone());
                let selection = selection.clone();
                let begun = spawn_blocking(move || queue.change(action, &selection, actor));
                let mut change = begun.await.map_err(|error| broken(&error))??;
                while change.step().await? {
                    show(change.tally());
                }
                Ok(change.tally().clone())
            }
        }
    }

    /// One message from a file.
    pub(in crate::cli) async fn import(
        &self,
        request: ImportRequest,
        size_bytes: u64,
        mut content: impl AsyncRead + Send + Sync + Unpin + 'static,
    ) -> Result<QueueId, CliError> {
        let (queue, actor) = match self {
            Self::Daemon(client) => return Ok(client.import(request, size_bytes, content).await?),
            Self::Folder(queue, actor) => (queue, actor),
        };
        let mut import = queue.import(request, Some(size_bytes), actor.clone())?;
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let read = content.read(&mut block).await.map_err(|error| {
                CliError::new(Exit::Failed, format!("cannot be read to its end: {error}"))
            })?;
            match block.get(..read) {
                Some(octets) if read > 0 => import.append(octets).await?,
                _ => return Ok(import.commit().await?),
            }
        }
    }

    /// Has refused senders forgotten; how many were.
    pub(in crate::cli) async fn forget_denied(
        &self,
        account: Option<&str>,
        address: Option<&str>,
    ) -> Result<u64, CliError> {
        match self {
            Self::Daemon(client) => Ok(client.forget_denied(account, address).await?),
            Self::Folder(queue, _) => Ok(queue.forget_denied(account, address).await?),
        }
    }

    /// What was changed is folded into the database.
    pub(in crate::cli) async fn close(self) -> Result<(), CliError> {
        match self {
            Self::Daemon(_) => Ok(()),
            Self::Folder(queue, _) => spawn_blocking(move || queue.close())
                .await
                .map_err(|error| broken(&error)),
        }
    }
}

/// The whole of a command that changes messages: does it and tells how many it touched.
pub(super) fn run(
    context: &Context,
    action: Action,
    selection: &Selection,
) -> Result<(), CliError> {
    let settings = context.load()?.settings;
    let tally = block_on(async {
        let hands = Hands::find(&settings).await?;
        let tally = hands.change(action, selection).await;
        hands.close().await?;
        tally
    })?;
    let mut output = Output::new();
    output.line(summary(action, &tally))?;
    output.finish()?;
    for (id, skip) in &tally.notes {
        complain(format!("{id} {skip}"));
    }
    if let Some(full) = &tally.full {
        let line =
            format!("not every message could be revived: {full}; retry them once mail has left");
        return Err(CliError::new(Exit::TryAgain, line));
    }
    let undone = tally.notes.iter().any(|(_, skip)| *skip != Skip::Already);
    if undone {
        return Err(CliError::quiet(Exit::Failed));
    }
    Ok(())
}

/// `3 messages retried, 2 skipped (1 is held; release it first, 1 is being sent; ...)`.
fn summary(action: Action, tally: &Tally) -> String {
    if tally.selected == 0 {
        return "no such message in the queue".to_owned();
    }
    let mut text = format!("{} {}", count(tally.touched, "message"), action.done());
    let skipped: u64 = tally.skipped.values().sum();
    if skipped > 0 {
        let reasons = tally.skipped.iter();
        let reasons: Vec<String> = reasons
            .map(|(skip, number)| format!("{number} {}", word(*skip)))
            .collect();
        // Writing to a `String` cannot fail.
        let _ = write!(text, ", {skipped} skipped ({})", reasons.join(", "));
    }
    text
}

fn word(skip: Skip) -> &'static str {
    match skip {
        Skip::Already => "so already",
        Skip::Sending => "being sent",
        Skip::Held => "held",
        Skip::NotHeld => "not held",
        Skip::Delivered => "delivered",
        Skip::Failed => "failed",
        Skip::Deleted => "deleted",
        Skip::NoRoom => "without room in the queue",
        Skip::Unknown => "not in the queue",
    }
}

fn doing(action: Action) -> &'static str {
    match action {
        Action::Retry => "retrying",
        Action::Flush => "flushing",
        Action::Hold => "holding",
        Action::Release => "releasing",
        Action::Delete => "deleting",
    }
}

fn broken(error: &tokio::task::JoinError) -> CliError {
    CliError::new(Exit::Failed, format!("the work was interrupted: {error}"))
}

fn cannot_open(error: &OpenError) -> CliError {
    let exit = match error {
        // It starts or stops just now, or answers at another socket.
        OpenError::Held { .. } => Exit::TryAgain,
        OpenError::Folder { source, .. } if is_permission(source) => Exit::NotPermitted,
        _ => Exit::Failed,
    };
    CliError::new(exit, one_line(error))
}

impl From<ImportError> for CliError {
    fn from(error: ImportError) -> Self {
        match &error {
            ImportError::Draft(
                DraftError::Full(_) | DraftError::Storage(StorageError::DiskFull),
            ) => {
                let line = format!("{}; try again once mail has left", one_line(&error));
                Self::new(Exit::TryAgain, line)
            }
            _ => Self::new(Exit::Failed, one_line(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touched_and_skipped_are_told() {
        let mut tally = Tally::default();
        assert_eq!(
            summary(Action::Hold, &tally),
            "no such message in the queue"
        );
        tally.selected = 6;
        tally.touched = 3;
        tally.skipped.extend([(Skip::Held, 2), (Skip::Sending, 1)]);
        assert_eq!(
            summary(Action::Retry, &tally),
            "3 messages retried, 3 skipped (1 being sent, 2 held)"
        );
    }
}
