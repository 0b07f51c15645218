//! The control interface over HTTP, beside the login service.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::fs::File;
use tokio::net::TcpListener;
use tokio_util::io::ReaderStream;

use super::control::Control;
use super::fault::{Fault, Step, TokenFault};
use super::ledger::Stats;
use super::rights::SendAs;
use super::{Shared, entra, identity};

/// Requests in progress may end within this when the sandbox stops.
const DRAIN: Duration = Duration::from_secs(2);
/// What one read of a message's file may bring.
const READ_BYTES: usize = 64 * 1024;
/// A delay above this is no test of patience any more.
const SLOW_MAX_SECONDS: f64 = 3_600.0;

/// Serves until the sandbox stops.
pub(super) async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    let stop = shared.stop.clone();
    let control = Router::new()
        .route("/", get(help))
        .route("/messages", get(messages).delete(clear_messages))
        .route("/messages/{number}", get(message))
        .route("/violations", get(violations))
        .route("/stats", get(stats))
        .route("/control", delete(clear_faults))
        .route("/control/smtp", post(smtp_fault))
        .route("/control/send_as", post(send_as))
        .route("/control/token", post(token_fault))
        .route("/control/tokens", delete(revoke_tokens))
        .merge(entra::control())
        .with_state(Control::new(Arc::clone(&shared)));
    let router = control
        .merge(entra::router(Arc::clone(&shared)))
        .merge(identity::router().with_state(shared))
        .layer(from_fn(loopback_only));
    let serving =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => {
            if let Err(error) = served {
                tracing::warn!(%error, "sandbox: the HTTP side ended");
            }
        }
        () = drained => {}
    }
}

/// A web page in somebody's browser must not reach the sandbox through a name of its own that points to loopback.
async fn loopback_only(request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .and_then(|host| host.parse::<Uri>().ok());
    let is_loopback = host.as_ref().and_then(Uri::host).is_some_and(|host| {
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || literal
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    });
    if is_loopback {
        next.run(request).await
    } else {
        (
            StatusCode::FORBIDDEN,
            "address the sandbox as localhost or 127.0.0.1\n",
        )
            .into_response()
    }
}

async fn help() -> &'static str {
    include_str!("help.txt")
}

async fn messages(State(control): State<Control>) -> Response {
    let messages = control.messages();
    let list: Vec<&super::Message> = messages.iter().map(AsRef::as_ref).collect();
    Json(list).into_response()
}

async fn message(State(control): State<Control>, Path(number): Path<u64>) -> Response {
    let Some(message) = control.message(number) else {
        return (StatusCode::NOT_FOUND, "no such message, see /messages\n").into_response();
    };
    let Some(path) = &message.file else {
        return (StatusCode::NOT_FOUND, "this sandbox keeps no content\n").into_response();
    };
    match File::open(path).await {
        Ok(file) => {
            let body = Body::from_stream(ReaderStream::with_capacity(file, READ_BYTES));
            ([(CONTENT_TYPE, "message/rfc822")], body).into_response()
        }
        Err(_) => (StatusCode::NOT_FOUND, "the message's file is gone\n").into_response(),
    }
}

async fn clear_messages(State(control): State<Control>) -> StatusCode {
    control.clear_messages().await;
    StatusCode::NO_CONTENT
}

async fn violations(State(control): State<Control>) -> Response {
    Json(control.violations()).into_response()
}

async fn stats(State(control): State<Control>) -> Json<Stats> {
    Json(control.stats())
}

async fn clear_faults(State(control): State<Control>) -> StatusCode {
    control.clear_faults();
    StatusCode::NO_CONTENT
}

async fn revoke_tokens(State(control): State<Control>) -> StatusCode {
    control.revoke_tokens();
    StatusCode::NO_CONTENT
}

/// `{"step":"auth","reply":"535 ...","count":1}`, `{"step":"mail","action":"disconnect"}` or
/// `{"documented":"conditional_access"}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SmtpOrder {
    step: Option<Step>,
    documented: Option<String>,
    reply: Option<String>,
    action: Option<Action>,
    count: Option<usize>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Disconnect,
    Hang,
    DisconnectAfterAccept,
}

async fn smtp_fault(State(control): State<Control>, Json(order): Json<SmtpOrder>) -> Response {
    let (step, fault) = match order {
        SmtpOrder {
            step: None,
            documented: Some(name),
            reply: None,
            action: None,
            count,
        } => {
            if control.documented_fault(&name, count) {
                return StatusCode::NO_CONTENT.into_response();
            }
            let text = "no documented reply of that name, see docs/replies.md\n";
            return (StatusCode::NOT_FOUND, text).into_response();
        }
        SmtpOrder {
            step: Some(step),
            documented: None,
            reply: Some(reply),
            action: None,
            ..
        } if !reply.is_empty() => (step, Fault::Reply(reply)),
        SmtpOrder {
            step: Some(step),
            documented: None,
            reply: None,
            action: Some(action),
            ..
        } => (step, action.into()),
        _ => {
            let text =
                "give \"step\" with either \"reply\" or \"action\", or \"documented\" alone\n";
            return (StatusCode::UNPROCESSABLE_ENTITY, text).into_response();
        }
    };
    control.smtp_fault(step, fault, order.count);
    StatusCode::NO_CONTENT.into_response()
}

impl From<Action> for Fault {
    fn from(action: Action) -> Self {
        match action {
            Action::Disconnect => Self::Disconnect,
            Action::Hang => Self::Hang,
            Action::DisconnectAfterAccept => Self::DisconnectAfterAccept,
        }
    }
}

/// `{"only":["scan@contoso.com"]}`, `{"only":[]}`, or `{"only":null}` for anybody.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SendAsOrder {
    only: Option<Vec<String>>,
}

async fn send_as(State(control): State<Control>, Json(order): Json<SendAsOrder>) -> StatusCode {
    control.set_send_as(order.only.map_or(SendAs::Any, SendAs::Only));
    StatusCode::NO_CONTENT
}

/// `{"fault":"slow","seconds":5,"count":1}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenOrder {
    fault: TokenFaultName,
    seconds: Option<f64>,
    retry_after: Option<u64>,
    count: Option<usize>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TokenFaultName {
    None,
    Off,
    Cut,
    RefuseSecret,
    Slow,
    Throttle,
    Html,
    Garbage,
}

async fn token_fault(State(control): State<Control>, Json(order): Json<TokenOrder>) -> StatusCode {
    let fault = match order.fault {
        TokenFaultName::None => None,
        TokenFaultName::Off => Some(TokenFault::Off),
        TokenFaultName::Cut => Some(TokenFault::Cut),
        TokenFaultName::RefuseSecret => Some(TokenFault::RefuseSecret),
        TokenFaultName::Slow => {
            let seconds = order.seconds.unwrap_or(5.0).clamp(0.0, SLOW_MAX_SECONDS);
            Some(TokenFault::Slow(Duration::from_secs_f64(seconds)))
        }
        TokenFaultName::Throttle => Some(TokenFault::Throttle {
            retry_after: order.retry_after,
        }),
        TokenFaultName::Html => Some(TokenFault::Html),
        TokenFaultName::Garbage => Some(TokenFault::Garbage),
    };
    control.token_fault(fault, order.count);
    StatusCode::NO_CONTENT
}
