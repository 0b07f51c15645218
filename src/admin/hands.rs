//! What changes something, or hands out what is confidential: only where callers are known.

use std::pin::Pin;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::listing::{self, Lines};
use super::one_line;
use super::peer::Peer;
use super::protocol::{ExportLine, ImportHeader, Imported, Progress};
use super::routes::{Answers, Failure};
use super::user::user_name;
use crate::queue::{
    Action, Actor, DraftError, ImportError, Piece, Selection, SelectionRequest, StorageError,
    Through,
};

pub(super) fn router() -> Router<Answers> {
    Router::new()
        .route("/v1/actions/{action}", post(act))
        .route("/v1/export", post(export))
        .route("/v1/import", post(import))
}

pub(super) async fn actor(peer: Peer) -> Result<Actor, Failure> {
    let uid = peer
        .uid
        .ok_or_else(|| Failure::new(StatusCode::FORBIDDEN, "who asks is not known"))?;
    let name = tokio::task::spawn_blocking(move || user_name(uid))
        .await
        .map_err(|error| Failure::internal(one_line(&error)))?;
    Ok(Actor {
        name,
        through: Through::Socket,
    })
}

fn selection(request: Result<Json<SelectionRequest>, JsonRejection>) -> Result<Selection, Failure> {
    let Json(request) =
        request.map_err(|rejection| Failure::new(rejection.status(), rejection.body_text()))?;
    Selection::try_from(request)
        .map_err(|error| Failure::new(StatusCode::BAD_REQUEST, error.to_string()))
}

/// A line for each step, the last one with `done`.
async fn act(
    State(answers): State<Answers>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    action: Result<Path<Action>, PathRejection>,
    request: Result<Json<SelectionRequest>, JsonRejection>,
) -> Result<Response, Failure> {
    let Path(action) =
        action.map_err(|rejection| Failure::new(StatusCode::NOT_FOUND, rejection.body_text()))?;
    let selection = selection(request)?;
    let actor = actor(peer).await?;
    let place = answers.place()?;
    let queue = answers.queue.clone();
    let body = listing::stream(place, answers.stop, move |lines| {
        let who = actor.name.clone();
        let mut change = queue.change(action, &selection, actor)?;
        let runtime = lines.runtime();
        loop {
            // The writer is on a thread of its own, so waiting here holds nobody up.
            let is_done = !runtime.block_on(change.step())?;
            let progress = Progress {
                done: is_done,
                tally: change.tally().clone(),
            };
            if is_done {
                let tally = change.tally();
                tracing::info!(
                    actor = who,
                    action = action.done(),
                    messages = tally.touched,
                    "an operator changed the queue"
                );
            }
            // Told while it happens; who does not listen any more wants it stopped.
            if lines.push(&progress).is_break() || lines.flush().is_break() || is_done {
                return Ok(());
            }
        }
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// An [`ExportLine`] for each message, followed by its content of `size_bytes` octets.
async fn export(
    State(answers): State<Answers>,
    request: Result<Json<SelectionRequest>, JsonRejection>,
) -> Result<Response, Failure> {
    let selection = selection(request)?;
    let place = answers.place()?;
    let reader = answers.queue.reader();
    let body = listing::stream(place, answers.stop, move |lines: &mut Lines| {
        reader.export(&selection, |piece| match piece {
            Piece::Total(messages) => lines.push(&ExportLine::Total(messages)),
            Piece::Message(sidecar) => lines.push(&ExportLine::Message(sidecar)),
            Piece::Octets(octets) => lines.octets(octets),
            Piece::End => std::ops::ControlFlow::Continue(()),
            Piece::Skipped { id, why } => lines.push(&ExportLine::Skipped { id, why }),
        })
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// An [`ImportHeader`] on a line, followed by the content.
async fn import(
    State(answers): State<Answers>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut body: Body,
) -> Result<Json<Imported>, Failure> {
    let actor = actor(peer).await?;
    let bad = |why: String| Failure::new(StatusCode::BAD_REQUEST, why);
    let mut head = Vec::new();
    let rest = loop {
        let Some(octets) = next(&mut body).await? else {
            return Err(bad("the message is missing".into()));
        };
        match memchr::memchr(b'\n', &octets) {
            Some(end) => {
                head.extend_from_slice(octets.get(..end).unwrap_or_default());
                break octets.slice(end + 1..);
            }
            None => head.extend_from_slice(&octets),
        }
        if head.len() > ImportHeader::MAX_BYTES {
            return Err(bad("the message's first line is too long".into()));
        }
    };
    let header: ImportHeader =
        serde_json::from_slice(&head).map_err(|error| bad(one_line(&error)))?;
    let mut import = answers
        .queue
        .import(header.request, Some(header.size_bytes), actor)
        .map_err(|error| refused(&error))?;
    let mut received = rest.len() as u64;
    import
        .append(&rest)
        .await
        .map_err(|error| refused(&error))?;
    while let Some(octets) = next(&mut body).await? {
        received += octets.len() as u64;
        import
            .append(&octets)
            .await
            .map_err(|error| refused(&error))?;
    }
    // A caller that was killed ends its request like one that is done.
    if received != header.size_bytes {
        return Err(bad(format!(
            "{received} of {} bytes came",
            header.size_bytes
        )));
    }
    let id = import.commit().await.map_err(|error| refused(&error))?;
    Ok(Json(Imported { id }))
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, Failure> {
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        let Some(frame) = frame else {
            return Ok(None);
        };
        let frame =
            frame.map_err(|error| Failure::new(StatusCode::BAD_REQUEST, one_line(&error)))?;
        if let Ok(octets) = frame.into_data() {
            return Ok(Some(octets));
        }
    }
}

fn refused(error: &ImportError) -> Failure {
    let status = match error {
        ImportError::Draft(DraftError::Full(_) | DraftError::Storage(StorageError::DiskFull)) => {
            StatusCode::INSUFFICIENT_STORAGE
        }
        ImportError::Draft(DraftError::Storage(error)) => return Failure::storage(error),
        ImportError::Address { .. }
        | ImportError::Parameter { .. }
        | ImportError::Envelope(_)
        | ImportError::NobodyLeft
        | ImportError::NoAccount => StatusCode::BAD_REQUEST,
    };
    Failure::new(status, one_line(error))
}
