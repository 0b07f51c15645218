//! The folder of received messages: `NNNNNN.eml` is the content, `NNNNNN.json` the envelope.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::ledger::Message;
use super::settings::Store;

/// Content is held in memory up to this, then moved to its file.
const BUFFER_BYTES: usize = 256 * 1024;
/// The ending of what is not complete.
const PART: &str = "part";

#[derive(Debug)]
pub(super) struct Inbox {
    directory: PathBuf,
    store: Store,
}

impl Inbox {
    /// Makes the folder if need be and throws half-received content of an earlier run away. Also: the first number
    /// that no message of an earlier run has. Blocking.
    pub(super) fn open(directory: &Path, store: Store) -> io::Result<(Self, u64)> {
        // What people send to try things out is theirs alone.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let inbox = Self {
            directory: directory.to_owned(),
            store,
        };
        inbox.sweep()?;
        let mut last = 0;
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            let number = path
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            last = last.max(number.unwrap_or_default());
        }
        Ok((inbox, last.saturating_add(1)))
    }

    /// Removes what is not complete. Blocking.
    pub(super) fn sweep(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == PART) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Room for one content that comes over `connection`.
    pub(super) fn spool(&self, connection: u64) -> Spool {
        Spool {
            buffer: Vec::new(),
            keep: self.store == Store::Keep,
            file: None,
            part: self
                .directory
                .join(format!("connection-{connection}.{PART}")),
        }
    }

    /// Removes the files of these messages.
    pub(super) async fn remove(&self, messages: Vec<Arc<Message>>) {
        let removal = tokio::task::spawn_blocking(move || {
            for file in messages
                .iter()
                .filter_map(|message| message.file.as_deref())
            {
                // A file that somebody took away is as good as removed.
                let _ = std::fs::remove_file(file);
                let _ = std::fs::remove_file(file.with_extension("json"));
            }
        });
        let _ = removal.await;
    }

    /// Puts content and envelope in place and tells the message where it is.
    pub(super) async fn keep(&self, mut spool: Spool, message: &mut Message) -> io::Result<()> {
        if !spool.keep {
            return Ok(());
        }
        if let Some(file) = &mut spool.file {
            file.write_all(&spool.buffer).await?;
            file.flush().await?;
            spool.buffer = Vec::new();
        }
        let small = spool.file.is_none();
        let eml = self.directory.join(format!("{:06}.eml", message.number));
        message.file = Some(eml.clone());
        let record = serde_json::to_vec_pretty(message)?;
        tokio::task::spawn_blocking(move || {
            if small {
                std::fs::write(&spool.part, &spool.buffer)?;
            }
            // Whoever waits for the .eml finds it whole, with its envelope beside it.
            std::fs::write(eml.with_extension("json"), record)?;
            std::fs::rename(&spool.part, &eml)
        })
        .await
        .map_err(io::Error::other)?
    }
}

/// Content on its way in.
#[derive(Debug)]
pub(super) struct Spool {
    /// What was decoded and not yet written.
    pub(super) buffer: Vec<u8>,
    keep: bool,
    file: Option<File>,
    part: PathBuf,
}

impl Spool {
    /// Moves the buffer to the file once it is full, so that memory stays bounded.
    pub(super) async fn relieve(&mut self) -> io::Result<()> {
        if !self.keep {
            self.buffer.clear();
            return Ok(());
        }
        if self.buffer.len() < BUFFER_BYTES {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::create(&self.part).await?),
        };
        file.write_all(&self.buffer).await?;
        self.buffer.clear();
        Ok(())
    }

    /// Keeps nothing of it, and takes what else comes only to forget it.
    pub(super) async fn forget(&mut self) {
        self.keep = false;
        self.buffer.clear();
        if self.file.take().is_some() {
            // What stays behind here is swept at the next start.
            let _ = tokio::fs::remove_file(&self.part).await;
        }
    }
}
