//! Whether it runs, takes mail, and gets on: for service managers, containers and load balancers.
//!
//! ```text
//! GET /healthz   the process answers
//! GET /readyz    mail is accepted; else 503 and why not, a reason a line
//! GET /livez     the daemon gets on with its work; else 503 and what does not
//! ```

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::header::{self, HeaderMap};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::time::timeout;

use crate::admin::one_line;
use crate::admin::protocol::StatusSource;
use crate::admin::recent::Recent;
use crate::admin::routes::Answers;
use crate::queue::Queue;

/// How long it may take to find out.
const PULSE_MAX: Duration = Duration::from_secs(10);

/// However often it is asked for, nobody is disturbed more often.
const PULSE_LIFE: Duration = Duration::from_secs(1);

/// None: it is well.
type Verdict = Vec<String>;

#[derive(Clone)]
pub(super) struct Health {
    queue: Queue,
    source: Arc<dyn StatusSource>,
    pulse: Arc<Recent<Verdict>>,
}

/// Its answers are few octets, whatever the state of the daemon.
pub(super) fn router(answers: &Answers) -> Router<Answers> {
    let health = Health::new(answers.queue.clone(), Arc::clone(&answers.status));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/livez", get(livez))
        .with_state(health)
}

async fn healthz(headers: HeaderMap) -> Response {
    answer(&headers, "ok", Vec::new())
}

async fn readyz(State(health): State<Health>, headers: HeaderMap) -> Response {
    // The disk is asked for its free space.
    let asked = tokio::task::spawn_blocking(move || health.refusals()).await;
    let reasons = asked.unwrap_or_else(|error| vec![one_line(&error)]);
    answer(&headers, "ready", reasons)
}

async fn livez(State(health): State<Health>, headers: HeaderMap) -> Response {
    answer(&headers, "alive", health.pulse().await)
}

impl Health {
    pub(super) fn new(queue: Queue, source: Arc<dyn StatusSource>) -> Self {
        Self {
            queue,
            source,
            pulse: Arc::new(Recent::new(PULSE_LIFE)),
        }
    }

    /// Why no mail is accepted.
    fn refusals(&self) -> Verdict {
        let state = self.source.reception();
        let mut reasons = Vec::new();
        if state.draining {
            reasons.push("draining: the daemon is stopping".to_owned());
        }
        if state.listeners == 0 {
            reasons.push("no listener is open".to_owned());
        }
        if self.queue.is_latched() {
            reasons.push("the queue has stopped after a storage failure, see the log".to_owned());
        } else if let Some(full) = self.queue.is_full() {
            reasons.push(full.to_string());
        }
        reasons
    }

    /// What the service manager's watchdog is told as well.
    pub(super) async fn pulse(&self) -> Verdict {
        let feel = async {
            match timeout(PULSE_MAX, self.source.pulse()).await {
                Ok(Ok(())) => Vec::new(),
                Ok(Err(reason)) => vec![reason],
                Err(_) => vec![format!("no sign of life for {} s", PULSE_MAX.as_secs())],
            }
        };
        self.pulse.get(feel).await
    }
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    status: &'a str,
    reasons: Verdict,
}

fn answer(headers: &HeaderMap, well: &str, reasons: Verdict) -> Response {
    let (code, status) = if reasons.is_empty() {
        (StatusCode::OK, well)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    };
    let wants = headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
    if wants.is_some_and(|wants| wants.starts_with(b"application/json")) {
        return (code, Json(Report { status, reasons })).into_response();
    }
    let lines = if reasons.is_empty() {
        vec![well.to_owned()]
    } else {
        reasons
    };
    (code, lines.join("\n") + "\n").into_response()
}
