//! Answers of the endpoints that programs ask, and those that are none.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::ReaderStream;

use super::aadsts::THROTTLED;
use super::clock::Clock;
use super::refusal::Refusal;
use crate::sandbox::fault::TokenFault;
use crate::sandbox::voice::guid;

pub(super) fn json_answer(status: StatusCode, body: impl Into<Body>) -> Response {
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        ),
        (
            CACHE_CONTROL,
            HeaderValue::from_static("no-store, no-cache"),
        ),
        (PRAGMA, HeaderValue::from_static("no-cache")),
        (
            HeaderName::from_static("x-ms-request-id"),
            HeaderValue::from_str(&guid()).unwrap_or(HeaderValue::from_static("sandbox")),
        ),
    ];
    (status, headers, body.into()).into_response()
}

/// Answers that were ordered in place of a token.
pub(super) fn broken(fault: &TokenFault, clock: &Clock) -> Response {
    match fault {
        TokenFault::Cut => {
            let body = Body::from_stream(ReaderStream::new(Cut { sent: false }));
            json_answer(StatusCode::OK, body)
        }
        TokenFault::Throttle { retry_after } => {
            let mut response = Refusal::from(&THROTTLED).answer(clock);
            if let Some(seconds) = retry_after {
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(*seconds));
            }
            response
        }
        TokenFault::Html => {
            let page = "<!DOCTYPE html><html><head><title>Sign in to the network</title></head>\
                        <body><h1>Sign in to the network</h1></body></html>";
            ([(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
        }
        TokenFault::Garbage => json_answer(StatusCode::OK, GARBAGE),
        TokenFault::Aadsts(known) => Refusal::from(*known).answer(clock),
        // The last two never come here: the token endpoint answers them.
        TokenFault::Off | TokenFault::RefuseSecret | TokenFault::Slow(_) => {
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

const GARBAGE: &str = r#"{"token_type":"Bearer","expires_in":"#;

/// Half an answer, then a failure: the server closes the connection.
struct Cut {
    sent: bool,
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.sent {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.sent = true;
        buf.put_slice(GARBAGE.as_bytes());
        Poll::Ready(Ok(()))
    }
}
