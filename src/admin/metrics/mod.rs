//! `GET /metrics`: what the relay counts and how it does, in the words of Prometheus (docs/metrics.md).
//!
//! What cannot be read, such as the counts of a damaged database, is left out; the rest is served.

mod accounts;
mod clients;
mod mail;
mod page;
mod process;
mod queue;
mod service;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;

use super::one_line;
use super::protocol::Status;
use super::routes::{Answers, Failure};
use crate::telemetry::{Counters, counters};

use page::Page;

/// The text format of Prometheus, which every version of it reads.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn router() -> Router<Answers> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(answers): State<Answers>) -> Result<Response, Failure> {
    let status = answers.status().await;
    // The process's own figures are files, if of a kind.
    let text = tokio::task::spawn_blocking(move || text(&status, counters(), Timestamp::now()));
    let text = text
        .await
        .map_err(|error| Failure::internal(one_line(&error)))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

fn text(status: &Status, counters: &Counters, now: Timestamp) -> String {
    let mut page = Page::default();
    service::show(&mut page, status, counters);
    mail::show(&mut page, status, counters);
    queue::show(&mut page, &status.queue, now);
    accounts::show(&mut page, &status.accounts, counters, now);
    clients::show(&mut page, &status.clients);
    process::show(&mut page, status.started_at);
    page.into_text()
}

/// Until `then`; nothing once it has passed.
fn seconds_until(then: Timestamp, now: Timestamp) -> u64 {
    let left = then.as_second().saturating_sub(now.as_second());
    u64::try_from(left).unwrap_or_default()
}
