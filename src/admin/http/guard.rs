//! What every question must be like, and what every answer says of itself to a browser.
//!
//! A page of any site can make the browser of somebody who may reach the port ask whatever it likes. It
//! cannot read the answer, unless its name is made to point here (DNS rebinding): then the browser takes
//! both for one site. The name still stands in `Host`, and gives it away.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};

use super::connection::{Answer, Answering};
use crate::admin::protocol::StatusSource;
use crate::admin::routes::Failure;

/// A page that is served from here may ask here, and nothing may frame it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Of every answer, whatever a route says.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

const SEC_FETCH_SITE: &str = "sec-fetch-site";
const SEC_FETCH_MODE: &str = "sec-fetch-mode";

/// Round every route; needs `into_make_service_with_connect_info::<Answering>`.
pub(super) async fn guard(
    State(source): State<Arc<dyn StatusSource>>,
    ConnectInfo(answering): ConnectInfo<Answering>,
    request: Request,
    next: Next,
) -> Response {
    let answer = answering.begin();
    let mut response = match check(&request, &*source) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response.map(|body| {
        Body::new(Answered {
            body,
            _answer: answer,
        })
    })
}

fn check(request: &Request, source: &dyn StatusSource) -> Result<(), Failure> {
    // Before anything is looked up: whatever is there, it is only looked at.
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let method = request.method();
        return Err(Failure::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!(
                "{method} is not taken here, where nothing can be changed; the commands use the admin socket"
            ),
        ));
    }
    check_host(request, source)?;
    check_site(request)
}

fn check_host(request: &Request, source: &dyn StatusSource) -> Result<(), Failure> {
    let bad = |why: &str| Failure::new(StatusCode::BAD_REQUEST, why);
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let authority = match (request.uri().authority(), hosts.next(), hosts.next()) {
        (_, _, Some(_)) => return Err(bad("there is more than one Host header")),
        // RFC 9112 3.2.2: a name in the request line is the one that counts.
        (Some(authority), _, None) => authority.clone(),
        (None, Some(host), None) => {
            let host = host.to_str().ok().and_then(|host| host.parse().ok());
            host.ok_or_else(|| bad("the Host header is not a host"))?
        }
        // RFC 9112 3.2. Health checks of an older kind have none, and no browser is without.
        (None, None, None) if request.version() == Version::HTTP_10 => return Ok(()),
        (None, None, None) => return Err(bad("there is no Host header")),
    };
    let names = source.names();
    if is_known(&authority, &names) {
        return Ok(());
    }
    let names = [vec!["localhost".to_owned()], names].concat();
    let text = format!(
        "this relay is not called {}: ask it by IP address, or as one of: {} (hostname in the settings is \
         another); a reverse proxy has to send one of these as Host",
        authority.host(),
        names.join(", ")
    );
    Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, text))
}

/// An address cannot be made to point elsewhere; a name must be ours.
fn is_known(authority: &Authority, names: &[String]) -> bool {
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if bare.unwrap_or(host).parse::<IpAddr>().is_ok() {
        return true;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let is = |name: &str| host.eq_ignore_ascii_case(name);
    // A name of one label is nobody's to point elsewhere but the local network's.
    let is_either = |name: &String| is(name) || name.split('.').next().is_some_and(is);
    is("localhost") || names.iter().any(is_either)
}

/// Another site's page has no business with the data. A link to the page itself may stand anywhere.
fn check_site(request: &Request) -> Result<(), Failure> {
    let headers = request.headers();
    if !says(headers, SEC_FETCH_SITE, "cross-site") {
        return Ok(());
    }
    let is_link = says(headers, SEC_FETCH_MODE, "navigate");
    if is_link && !request.uri().path().starts_with("/v1/") {
        return Ok(());
    }
    Err(Failure::new(
        StatusCode::FORBIDDEN,
        "a page of another site asks for this; only the relay's own page may",
    ))
}

fn says(headers: &HeaderMap, name: &str, value: &str) -> bool {
    let said = headers.get(name);
    said.is_some_and(|said| said.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
}

/// A body that keeps its connection open for as long as it takes.
struct Answered {
    body: Body,
    _answer: Answer,
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
