//! A message on its way in.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::queue::batch::Intake;
use crate::queue::bounds::Reservation;
use crate::queue::content::{self, ContentFile, FinishError, INLINE_MAX_BYTES};
use crate::queue::import::Imported;
use crate::queue::insert::{Maker, NewContent, NewMessage};
use crate::queue::op::Op;
use crate::queue::{DraftError, NoticeError, NoticeOf, Queue, QueueId, StorageError, Submission};

/// Proof that envelope and content are on stable storage; only [`Draft::commit`] makes one.
#[derive(Clone, Copy, Debug)]
#[must_use = "a committed message is answered with 250"]
pub struct Receipt {
    queue_id: QueueId,
}

impl Receipt {
    pub(super) fn new(queue_id: QueueId) -> Self {
        Self { queue_id }
    }

    /// The id to tell the client.
    pub fn queue_id(&self) -> QueueId {
        self.queue_id
    }
}

/// Content being taken in; dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    queue: Queue,
    id: QueueId,
    reservation: Reservation,
    /// Ends when the writer has the message.
    intake: Intake,
    /// What is not in the file yet, or all of it while there is no file.
    buffer: Vec<u8>,
    file: Option<ContentFile>,
    size_bytes: u64,
}

/// Octets gathered before a write to the content file.
const SPILL_BYTES: usize = 128 * 1024;

impl Draft {
    pub(super) fn new(queue: Queue, reservation: Reservation) -> Self {
        Self {
            id: queue.shared.ids.generate(),
            intake: queue.shared.intakes.begin(),
            queue,
            reservation,
            buffer: Vec::new(),
            file: None,
            size_bytes: 0,
        }
    }

    /// The id the message will have.
    pub fn queue_id(&self) -> QueueId {
        self.id
    }

    /// Octets taken in so far.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Takes more content in; never holds more than a few blocks of it in memory.
    ///
    /// # Errors
    /// The draft is of no use afterwards; dropping it removes what was written.
    ///
    /// # Cancel safety
    /// Not cancel safe: a dropped call leaves the draft without its content file. Drop the draft too.
    pub async fn append(&mut self, octets: &[u8]) -> Result<(), DraftError> {
        let size_bytes = self.size_bytes + octets.len() as u64;
        self.reservation.grow_to(size_bytes)?;
        self.size_bytes = size_bytes;
        self.buffer.extend_from_slice(octets);
        let limit = if self.file.is_some() {
            SPILL_BYTES
        } else {
            INLINE_MAX_BYTES
        };
        if self.buffer.len() > limit {
            self.spill().await?;
        }
        Ok(())
    }

    async fn spill(&mut self) -> Result<(), StorageError> {
        let octets = std::mem::take(&mut self.buffer);
        let file = self.file.take();
        let path = content::path_of(&self.queue.shared.directory, self.id);
        let (file, mut octets) = blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => ContentFile::create(path)?,
            };
            file.append(&octets)?;
            Ok((file, octets))
        })
        .await?;
        octets.clear();
        self.buffer = octets;
        self.file = Some(file);
        Ok(())
    }

    /// Puts the message on stable storage.
    ///
    /// # Errors
    /// The message is not accepted, and nothing of it is left.
    ///
    /// # Cancel safety
    /// A dropped call may still have stored the message: it will be delivered although the client
    /// was told nothing, as with a connection that dies before the reply.
    pub async fn commit(self, submission: Submission) -> Result<Receipt, DraftError> {
        self.store(submission, Maker::Client).await
    }

    /// As [`Draft::commit`], for what an operator brings.
    pub(super) async fn commit_imported(
        self,
        submission: Submission,
        imported: Imported,
    ) -> Result<Receipt, DraftError> {
        self.store(submission, Maker::Operator(Box::new(imported)))
            .await
    }

    /// As [`Draft::commit`], for a notice: with it, in one transaction, it is stored that what it tells
    /// of has been told.
    ///
    /// # Errors
    /// [`NoticeError::Overtaken`]: it would not be true any more, and nothing is stored.
    pub async fn commit_notice(
        self,
        submission: Submission,
        about: NoticeOf,
    ) -> Result<Receipt, NoticeError> {
        let made_by = Maker::Daemon(Box::new(about));
        Ok(self.store(submission, made_by).await?)
    }

    async fn store(
        mut self,
        submission: Submission,
        made_by: Maker,
    ) -> Result<Receipt, DraftError> {
        let stored = match self.file {
            Some(_) => {
                self.spill().await?;
                match self.file.take() {
                    Some(file) => {
                        let shared = Arc::clone(&self.queue.shared);
                        let finish = move || {
                            file.finish().map_err(|error| match error {
                                FinishError::NotStored(error) => error,
                                FinishError::Unknown(error) => {
                                    shared.latch(&error);
                                    error
                                }
                            })
                        };
                        NewContent::File(blocking(finish).await?)
                    }
                    None => return Err(StorageError::Closed.into()),
                }
            }
            None => NewContent::Inline(std::mem::take(&mut self.buffer)),
        };
        let (answer, answered) = oneshot::channel();
        let message = NewMessage {
            id: self.id,
            submission,
            content: stored,
            size_bytes: self.size_bytes,
            reservation: self.reservation,
            made_by,
        };
        let message = Box::new(message);
        self.queue.send(Op::Commit { message, answer }).await?;
        drop(self.intake);
        Ok(answered.await.map_err(|_| StorageError::Closed)??)
    }
}

/// File work, off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(StorageError::Closed))
}
