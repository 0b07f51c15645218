//! The questions, whoever asks them over whatever connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::hands;
use super::listing::{self, ListError};
use super::metrics;
use super::one_line;
use super::peer::Peer;
use super::protocol::{ErrorBody, Status, StatusSource};
use super::recent::Recent;
use super::senders;
use super::{accounts, clients, timeline};
use crate::queue::{Filter, HistoryFilter, MessageDetail, Queue, QueueId, StorageError};

/// Each holds a thread and a database connection until its reader is done.
const LISTINGS_MAX: usize = 4;

/// What the answers are made from.
#[derive(Clone)]
pub(super) struct Answers {
    pub(super) queue: Queue,
    pub(super) status: Arc<dyn StatusSource>,
    recent: Arc<Recent<Arc<Status>>>,
    listings: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

impl Answers {
    pub(super) fn new(
        queue: Queue,
        status: Arc<dyn StatusSource>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            queue,
            status,
            recent: Arc::new(Recent::new(Duration::ZERO)),
            listings: Arc::new(Semaphore::new(LISTINGS_MAX)),
            stop,
        }
    }

    /// For callers who ask again and again: what was counted less than `age` ago will do.
    pub(super) fn shared_for(mut self, age: Duration) -> Self {
        self.recent = Arc::new(Recent::new(age));
        self
    }

    /// The daemon's state, now or a moment ago.
    pub(super) async fn status(&self) -> Arc<Status> {
        let find = async { Arc::new(self.status.status().await) };
        self.recent.get(find).await
    }

    /// A thread and a connection for a long answer.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let place = Arc::clone(&self.listings).try_acquire_owned();
        place.map_err(|_| {
            Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{LISTINGS_MAX} long answers are under way already; end one or try again"),
            )
        })
    }
}

/// Everything, for the socket.
pub(super) fn router(answers: Answers) -> Router {
    read_only()
        .merge(hands::router())
        .merge(senders::router())
        .merge(accounts::router())
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(answers)
}

/// Changes nothing and hands out no content.
pub(super) fn read_only() -> Router<Answers> {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/queue", get(list))
        .route("/v1/queue/{id}", get(show))
        .route("/v1/history", get(history))
        .route("/v1/clients", get(clients::list))
        .merge(metrics::router())
        .route("/v1/timeline", get(timeline::show))
}

/// Lets only permitted peers through; needs `into_make_service_with_connect_info::<Peer>`.
pub(super) fn admit(router: Router) -> Router {
    router.layer(middleware::from_fn(refuse_others))
}

async fn refuse_others(
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if peer.permitted {
        return next.run(request).await;
    }
    let who = peer.uid.map_or_else(
        || "a peer without credentials".to_owned(),
        |uid| format!("user {uid}"),
    );
    let path = request.uri().path();
    tracing::warn!(uid = peer.uid, path, "admin socket: refused");
    Failure::new(
        StatusCode::FORBIDDEN,
        format!("{who} may not use this socket; be root or join the socket's group"),
    )
    .into_response()
}

async fn status(State(answers): State<Answers>) -> Response {
    Json(&*answers.status().await).into_response()
}

/// A name that is not known is refused: a later version's filter must not become no filter.
async fn list(
    State(answers): State<Answers>,
    query: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, Failure> {
    let filter = filter(query)?;
    let (reader, place) = (answers.queue.reader(), answers.place()?);
    let body = listing::stream(place, answers.stop, move |lines| {
        reader.list(&filter, |record| lines.push(&record))
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

async fn history(
    State(answers): State<Answers>,
    query: Result<Query<HistoryFilter>, QueryRejection>,
) -> Result<Response, Failure> {
    let filter = filter(query)?;
    let (reader, place) = (answers.queue.reader(), answers.place()?);
    let body = listing::stream(place, answers.stop, move |lines| {
        reader.history(&filter, |detail| lines.push(&detail))
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

pub(super) fn filter<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Failure> {
    let Query(filter) =
        query.map_err(|rejection| Failure::new(StatusCode::BAD_REQUEST, rejection.body_text()))?;
    Ok(filter)
}

async fn show(
    State(answers): State<Answers>,
    text: Result<Path<String>, PathRejection>,
) -> Result<Json<MessageDetail>, Failure> {
    let unknown = |why| Failure::new(StatusCode::NOT_FOUND, why);
    let Path(text) = text.map_err(|rejection| unknown(rejection.body_text()))?;
    let id = QueueId::parse(&text).map_err(|error| unknown(error.to_string()))?;
    let found = tokio::task::spawn_blocking(move || answers.queue.reader().show(id))
        .await
        .map_err(|error| Failure::internal(one_line(&error)))?
        .map_err(|error| Failure::storage(&error))?;
    found
        .map(Json)
        .ok_or_else(|| unknown(format!("no message {id} in queue or history")))
}

pub(super) async fn unknown(request: Request) -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        format!("no such resource {}", request.uri().path()),
    )
}

pub(super) async fn wrong_method(request: Request) -> Failure {
    Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!(
            "{} does not take {}",
            request.uri().path(),
            request.method()
        ),
    )
}

/// Any answer but the one asked for.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    error: String,
}

impl Failure {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            error: error.into(),
        }
    }

    pub(super) fn internal(error: String) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error)
    }

    pub(super) fn storage(error: &StorageError) -> Self {
        let error = one_line(error);
        tracing::warn!(%error, "admin: the queue cannot be used");
        Self::internal(error)
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Storage(error) => Self::storage(&error),
            ListError::Stopping => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping")
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(ErrorBody { error: self.error })).into_response()
    }
}
