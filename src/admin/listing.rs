//! A listing of any length as a response body of bounded size in memory.
//!
//! ```text
//! thread: a line each -> blocks of BLOCK_BYTES -> channel of BLOCKS_AHEAD -> body
//! ```

use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use http_body::Frame;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::one_line;
use crate::queue::StorageError;

const BLOCK_BYTES: usize = 32 * 1024;
const BLOCKS_AHEAD: usize = 2;

/// Why there is no listing at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListError {
    /// The database cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The daemon goes away.
    #[error("the daemon is stopping")]
    Stopping,
}

/// What the thread sends. A channel that closes before [`Block::End`] has broken off.
pub(super) enum Block {
    Rows(Bytes),
    End,
}

/// Starts `produce` on a thread and returns once the first block is there, so that a failure at the
/// start still has a status of its own. A failure later breaks the body off, which the client sees.
pub(super) async fn stream(
    place: OwnedSemaphorePermit,
    stop: CancellationToken,
    produce: impl FnOnce(&mut Lines) -> Result<(), StorageError> + Send + 'static,
) -> Result<Body, ListError> {
    let (sender, mut receiver) = mpsc::channel(BLOCKS_AHEAD);
    let stopped = stop.clone();
    let mut lines = Lines {
        sender,
        runtime: Handle::current(),
        stop,
        block: Vec::new(),
        is_broken: false,
    };
    tokio::task::spawn_blocking(move || {
        let produced = produce(&mut lines);
        lines.end(produced);
        drop(place);
    });
    let first = match receiver.recv().await {
        Some(block) => block?,
        None if stopped.is_cancelled() => return Err(ListError::Stopping),
        None => return Err(StorageError::Closed.into()),
    };
    Ok(Body::new(ListingBody {
        first: Some(first),
        receiver,
    }))
}

/// Where the thread writes to. Once it has said `Break`, nobody reads any more.
pub(super) struct Lines {
    sender: mpsc::Sender<Result<Block, StorageError>>,
    runtime: Handle,
    stop: CancellationToken,
    block: Vec<u8>,
    is_broken: bool,
}

impl Lines {
    /// For what must be waited for on the thread.
    pub(super) fn runtime(&self) -> Handle {
        self.runtime.clone()
    }

    /// One value on a line of its own.
    pub(super) fn push(&mut self, record: &impl Serialize) -> ControlFlow<()> {
        if let Err(error) = serde_json::to_writer(&mut self.block, record) {
            // Text and numbers always serialise; were it not so, the caller must not take the
            // listing for complete.
            tracing::error!(%error, "admin: a record cannot be sent");
            self.is_broken = true;
            return ControlFlow::Break(());
        }
        self.block.push(b'\n');
        self.flush_if_long()
    }

    /// Octets as they are.
    pub(super) fn octets(&mut self, octets: &[u8]) -> ControlFlow<()> {
        self.block.extend_from_slice(octets);
        self.flush_if_long()
    }

    /// What there is so far, for a reader who watches.
    pub(super) fn flush(&mut self) -> ControlFlow<()> {
        if self.block.is_empty() {
            return ControlFlow::Continue(());
        }
        let rows = Bytes::from(std::mem::take(&mut self.block));
        self.send(Ok(Block::Rows(rows)))
    }

    fn flush_if_long(&mut self) -> ControlFlow<()> {
        if self.block.len() < BLOCK_BYTES {
            return ControlFlow::Continue(());
        }
        self.flush()
    }

    fn end(mut self, produced: Result<(), StorageError>) {
        // Nobody is left to hear of what cannot be sent.
        let _ = match produced {
            Ok(()) if self.is_broken || self.flush().is_break() => ControlFlow::Break(()),
            Ok(()) => self.send(Ok(Block::End)),
            Err(error) => {
                tracing::warn!(error = %one_line(&error), "admin: an answer was broken off");
                self.send(Err(error))
            }
        };
    }

    /// Waits for a slow reader, until it is gone or the daemon stops.
    fn send(&mut self, block: Result<Block, StorageError>) -> ControlFlow<()> {
        let sent = self.runtime.block_on(async {
            tokio::select! {
                sent = self.sender.send(block) => sent.is_ok(),
                () = self.stop.cancelled() => false,
            }
        });
        if sent {
            ControlFlow::Continue(())
        } else {
            self.is_broken = true;
            ControlFlow::Break(())
        }
    }
}

/// The rows in order; an error unless the listing is complete.
struct ListingBody {
    first: Option<Block>,
    receiver: mpsc::Receiver<Result<Block, StorageError>>,
}

impl HttpBody for ListingBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let block = match self.first.take() {
            Some(first) => Some(Ok(first)),
            None => ready!(self.receiver.poll_recv(context)),
        };
        Poll::Ready(match block {
            Some(Ok(Block::Rows(rows))) => Some(Ok(Frame::data(rows))),
            Some(Ok(Block::End)) => None,
            Some(Err(error)) => Some(Err(io::Error::other(error))),
            None => Some(Err(io::ErrorKind::Interrupted.into())),
        })
    }
}
