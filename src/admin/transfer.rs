//! What a running daemon is told to do, and what goes to and from it in bulk.

use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use serde::de::DeserializeOwned;
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use super::client::{Client, ClientError, Lines};
use super::protocol::{ExportLine, ImportHeader, Imported, Progress};
use crate::queue::{
    Action, Filter, HistoryFilter, ImportRequest, MessageDetail, MessageRecord, Piece, Selection,
    SelectionRequest, Tally,
};

const BLOCK_BYTES: usize = 64 * 1024;

impl Client {
    /// Calls `each` for every message the filter takes, oldest first, until it breaks.
    pub async fn list(
        &self,
        filter: &Filter,
        each: impl FnMut(MessageRecord) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        self.lines(&["v1", "queue"], filter, each).await
    }

    /// Calls `each` for every message that is remembered and that the filter takes, until it breaks.
    pub async fn history(
        &self,
        filter: &HistoryFilter,
        each: impl FnMut(MessageDetail) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        self.lines(&["v1", "history"], filter, each).await
    }

    async fn lines<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &impl serde::Serialize,
        mut each: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let mut response = self.get(path, &pairs(query)).await?;
        let mut lines = Lines::default();
        while let Some(octets) = self.chunk(&mut response).await? {
            lines.push(&octets).map_err(|_| self.strange(None))?;
            while let Some(line) = lines.next() {
                let record = serde_json::from_slice(line).map_err(|e| self.strange(Some(e)))?;
                if each(record).is_break() {
                    return Ok(());
                }
            }
        }
        if lines.is_empty() {
            Ok(())
        } else {
            Err(self.strange(None))
        }
    }

    /// Has something done to the selection; `each` is told how far it is. Dropped, it ends the work
    /// after the step that is under way.
    pub async fn act(
        &self,
        action: Action,
        selection: &Selection,
        mut each: impl FnMut(&Tally),
    ) -> Result<Tally, ClientError> {
        let word = serde_json::to_value(action).unwrap_or_default();
        let path = ["v1", "actions", word.as_str().unwrap_or_default()];
        let request = SelectionRequest::from(selection.clone());
        let mut response = self.post_json(&path, &request).await?;
        let mut lines = Lines::default();
        while let Some(octets) = self.chunk(&mut response).await? {
            lines.push(&octets).map_err(|_| self.strange(None))?;
            while let Some(line) = lines.next() {
                let progress: Progress =
                    serde_json::from_slice(line).map_err(|e| self.strange(Some(e)))?;
                if progress.done {
                    return Ok(progress.tally);
                }
                each(&progress.tally);
            }
        }
        Err(self.strange(None))
    }

    /// Calls `each` with the pieces of every message of the selection, until it breaks.
    pub async fn export(
        &self,
        selection: &Selection,
        mut each: impl FnMut(Piece<'_>) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let request = SelectionRequest::from(selection.clone());
        let mut response = self.post_json(&["v1", "export"], &request).await?;
        let mut lines = Lines::default();
        // Octets of the present message that are still to come; none: a line is next.
        let mut left: Option<u64> = None;
        while let Some(octets) = self.chunk(&mut response).await? {
            lines.push(&octets).map_err(|_| self.strange(None))?;
            loop {
                let flow = if let Some(missing) = left {
                    let part = lines.take(usize::try_from(missing).unwrap_or(usize::MAX));
                    let missing = missing - part.len() as u64;
                    if missing > 0 && part.is_empty() {
                        break;
                    }
                    left = (missing > 0).then_some(missing);
                    let mut flow = ControlFlow::Continue(());
                    if !part.is_empty() {
                        flow = each(Piece::Octets(part));
                    }
                    if flow.is_continue() && left.is_none() {
                        flow = each(Piece::End);
                    }
                    flow
                } else {
                    let Some(line) = lines.next() else { break };
                    match serde_json::from_slice(line).map_err(|e| self.strange(Some(e)))? {
                        ExportLine::Total(messages) => each(Piece::Total(messages)),
                        ExportLine::Message(sidecar) => {
                            left = Some(sidecar.message.message.size_bytes);
                            each(Piece::Message(sidecar))
                        }
                        ExportLine::Skipped { id, why } => each(Piece::Skipped { id, why }),
                    }
                };
                if flow.is_break() {
                    return Ok(());
                }
            }
        }
        if left.is_none() && lines.is_empty() {
            Ok(())
        } else {
            Err(self.strange(None))
        }
    }

    /// Sends a message of `size_bytes` to be queued; its new id.
    pub async fn import(
        &self,
        request: ImportRequest,
        size_bytes: u64,
        content: impl AsyncRead + Send + Sync + Unpin + 'static,
    ) -> Result<crate::queue::QueueId, ClientError> {
        let header = ImportHeader {
            size_bytes,
            request,
        };
        let mut head = serde_json::to_vec(&header).map_err(|e| self.strange(Some(e)))?;
        head.push(b'\n');
        let body = ImportBody {
            head: Some(head.into()),
            content,
            block: BytesMut::new(),
        };
        let response = self
            .post(
                &["v1", "import"],
                "application/octet-stream",
                reqwest::Body::wrap(body),
            )
            .await?;
        let Imported { id } = self.decode(response).await?;
        Ok(id)
    }
}

/// The fields of a filter that are set, as they stand in a query.
fn pairs(filter: &impl serde::Serialize) -> Vec<(String, String)> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(filter) else {
        return Vec::new();
    };
    let fields = fields.into_iter();
    fields
        .map(|(name, value)| match value {
            serde_json::Value::String(text) => (name, text),
            value => (name, value.to_string()),
        })
        .collect()
}

/// A line, then a file, in blocks.
struct ImportBody<R> {
    head: Option<Bytes>,
    content: R,
    block: BytesMut,
}

impl<R: AsyncRead + Unpin> Body for ImportBody<R> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(head) = self.head.take() {
            return Poll::Ready(Some(Ok(Frame::data(head))));
        }
        let body = &mut *self;
        body.block.reserve(BLOCK_BYTES);
        let read = ready!(poll_read_buf(
            Pin::new(&mut body.content),
            context,
            &mut body.block
        ));
        Poll::Ready(match read {
            Ok(0) => None,
            Ok(_) => Some(Ok(Frame::data(body.block.split().freeze()))),
            Err(error) => Some(Err(error)),
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::MessageState;

    #[test]
    fn filters_become_queries() {
        let filter = Filter {
            state: Some(MessageState::Failed),
            from: Some("*@contoso.com".parse().unwrap()),
            older_than_s: Some(60),
            ..Filter::default()
        };
        let mut pairs = pairs(&filter);
        pairs.sort();
        let expected = [
            ("from", "*@contoso.com"),
            ("older_than_s", "60"),
            ("state", "failed"),
        ];
        assert_eq!(
            pairs,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
