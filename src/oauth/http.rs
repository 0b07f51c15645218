//! The HTTP client that the `oauth2` crate sends its requests with.
//!
//! It refuses everything that is no success before `oauth2` sees it: that crate would call a busy
//! server or a web page a parse error, drop the headers, and keep the body.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use oauth2::http::{self, HeaderMap, StatusCode, header};
use oauth2::url::Url;
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::redirect;
use rustls::ClientConfig;
use zeroize::Zeroizing;

use super::endpoint::EndpointUrl;
use super::settings::SettingsError;
use crate::proxy::{Proxy, ProxyKind};
use crate::tls;

/// No answer of a token endpoint comes near; a token of Entra has 2 to 3 KiB.
pub(super) const BODY_MAX_BYTES: usize = 64 * 1024;

/// One client for one token endpoint.
pub(super) struct HttpClient {
    client: reqwest::Client,
    /// The one that was set; without its login.
    proxy: Option<Box<str>>,
}

/// The client itself would show a proxy's password.
impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

/// Anything but a success with a body to look into.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// The request did not get through, or the answer did not arrive whole.
    #[error("the request failed")]
    Transport(#[from] reqwest::Error),
    /// Any status but 200, and a 200 without a body.
    #[error("the server answers {}", .0.status)]
    Status(Answer),
    /// HTML, with whatever status.
    #[error("the server answers {0} with a web page")]
    WebPage(StatusCode),
    /// The body is longer than [`BODY_MAX_BYTES`].
    #[error("the answer is too large")]
    TooLarge,
}

/// An answer without a token response.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    /// `WWW-Authenticate`, RFC 9110 section 11.6.1: how the server wants to be asked.
    pub(super) challenge: Option<Box<str>>,
    /// Not looked into yet; a server may repeat in it what it was sent.
    pub(super) body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}

impl HttpClient {
    /// Reads the trust store; a short blocking read.
    pub(super) fn new(
        endpoint: &EndpointUrl,
        ca_file: Option<&std::path::Path>,
        timeout: Duration,
        proxy: Option<&Proxy>,
    ) -> Result<Self, SettingsError> {
        let tls = tls_for(endpoint, ca_file)?;
        Self::with_tls(endpoint, &tls, timeout, proxy)
    }

    /// With a configuration of one's own.
    pub(super) fn with_tls(
        endpoint: &EndpointUrl,
        tls: &ClientConfig,
        timeout: Duration,
        proxy: Option<&Proxy>,
    ) -> Result<Self, SettingsError> {
        let mut builder = builder(tls, timeout);
        let proxy = proxy.filter(|_| !endpoint.is_loopback());
        // Without either, the environment decides: HTTPS_PROXY and NO_PROXY.
        if endpoint.is_loopback() {
            builder = builder.no_proxy();
        } else if let Some(proxy) = proxy {
            builder = builder.proxy(reqwest_proxy(proxy).map_err(SettingsError::Http)?);
        }
        let client = builder.build().map_err(SettingsError::Http)?;
        Ok(Self {
            client,
            proxy: proxy.map(|proxy| proxy.to_string().into()),
        })
    }

    /// As [`Self::new`], past every proxy, whatever the environment says.
    pub(super) fn direct(
        endpoint: &EndpointUrl,
        ca_file: Option<&std::path::Path>,
        timeout: Duration,
    ) -> Result<Self, SettingsError> {
        let tls = tls_for(endpoint, ca_file)?;
        let client = builder(&tls, timeout).no_proxy().build();
        Ok(Self {
            client: client.map_err(SettingsError::Http)?,
            proxy: None,
        })
    }

    /// What requests go through, if that was set.
    pub(super) fn proxy(&self) -> Option<&str> {
        self.proxy.as_deref()
    }

    /// A plain GET; its answer is looked at as that of a token request.
    pub(super) async fn get(
        &self,
        url: Url,
        headers: HeaderMap,
    ) -> Result<HttpResponse, HttpError> {
        let request = self.client.get(url).headers(headers).build()?;
        self.execute(request).await
    }

    /// What the server's clock says, whatever it answers to a request that asks for nothing.
    pub(super) async fn date(&self, endpoint: &EndpointUrl) -> reqwest::Result<Option<Timestamp>> {
        let response = self.client.get(endpoint.as_str()).send().await?;
        let date = response.headers().get(header::DATE);
        Ok(date.and_then(|value| http_date(value.to_str().ok()?)))
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.execute(reqwest::Request::try_from(request)?).await
    }

    async fn execute(&self, request: reqwest::Request) -> Result<HttpResponse, HttpError> {
        let mut response = self.client.execute(request).await?;
        let status = response.status();

        let mut body = Zeroizing::new(Vec::new());
        let mut complete = true;
        while let Some(chunk) = response.chunk().await? {
            let room = BODY_MAX_BYTES - body.len();
            body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
            if chunk.len() > room {
                complete = false;
                break;
            }
        }

        let headers = response.headers();
        let busy = is_busy(status);
        if !busy && !status.is_redirection() && is_web_page(headers, &body) {
            return Err(HttpError::WebPage(status));
        }
        if !complete && !busy {
            return Err(HttpError::TooLarge);
        }
        if status != StatusCode::OK || body.is_empty() {
            return Err(HttpError::Status(Answer {
                status,
                retry_after: retry_after(headers, Timestamp::now()),
                challenge: text(headers, &header::WWW_AUTHENTICATE).map(Box::from),
                body: std::mem::take(&mut *body),
            }));
        }
        // Of the headers only this one: oauth2 would insist on one content type, and JSON is JSON.
        let date = headers.get(header::DATE).cloned();
        let mut response = http::Response::new(std::mem::take(&mut *body));
        response
            .headers_mut()
            .extend(date.map(|date| (header::DATE, date)));
        Ok(response)
    }
}

/// What all clients have in common. Reads the trust store.
fn tls_for(
    endpoint: &EndpointUrl,
    ca_file: Option<&std::path::Path>,
) -> Result<Arc<ClientConfig>, SettingsError> {
    let tls = if endpoint.is_https() {
        tls::client_config(ca_file)
    } else {
        tls::untrusting_client_config()
    };
    tls.map_err(SettingsError::Tls)
}

fn builder(tls: &ClientConfig, timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .user_agent(concat!("exorelay/", env!("CARGO_PKG_VERSION")))
        // A request carries the secret; it goes where the settings say and nowhere else.
        .redirect(redirect::Policy::none())
        // Of connect, request and answer together.
        .timeout(timeout)
        // One request an hour: a kept connection would always be found dead.
        .pool_max_idle_per_host(0)
}

fn reqwest_proxy(proxy: &Proxy) -> Result<reqwest::Proxy, reqwest::Error> {
    let shown = proxy.to_string();
    let url = match proxy.kind {
        ProxyKind::Http => shown,
        // The h: names are resolved at the proxy.
        ProxyKind::Socks5 => shown.replacen("socks5:", "socks5h:", 1),
    };
    let made = reqwest::Proxy::all(url)?;
    Ok(match &proxy.login {
        Some(login) => made.basic_auth(login.user.reveal(), login.password.reveal()),
        None => made,
    })
}

impl<'c> AsyncHttpClient<'c> for HttpClient {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// Statuses that mean "not now" whatever the body says.
pub(super) fn is_busy(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
}

/// Proxies are careless with the content type, so the first character counts as well: no JSON begins
/// with `<`.
fn is_web_page(headers: &HeaderMap, body: &[u8]) -> bool {
    let declared = text(headers, &header::CONTENT_TYPE)
        .is_some_and(|value| value.to_ascii_lowercase().contains("html"));
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    declared || body.trim_ascii_start().starts_with(b"<")
}

/// `Retry-After = HTTP-date / delay-seconds`, RFC 9110 section 10.2.3.
///
/// A date is compared with the server's own `Date` where there is one: our clock may be wrong.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = text(headers, &header::RETRY_AFTER)?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too large for 64 bits still means "long"; the back-off bounds it.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = http_date(value)?;
    let now = server_time(headers).unwrap_or(now);
    // A date in the past means now.
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

/// What the server's clock says, RFC 9110 section 6.6.1.
pub(super) fn server_time(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(text(headers, &header::DATE)?)
}

fn text<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// `Fri, 20 Nov 2026 10:00:00 GMT` (RFC 9110 section 5.6.7); the two obsolete forms are not read.
fn http_date(value: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(value)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Fri, 20 Nov 2026 10:00:30 GMT", Some(30)),
            ("Fri, 20 Nov 2026 09:00:00 GMT", Some(0)),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let headers = headers(&[(header::RETRY_AFTER, value)]);
            assert_eq!(
                retry_after(&headers, now),
                seconds.map(Duration::from_secs),
                "{value}"
            );
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn date_is_compared_with_the_servers_clock() {
        let headers = headers(&[
            (header::RETRY_AFTER, "Fri, 20 Nov 2026 10:01:00 GMT"),
            (header::DATE, "Fri, 20 Nov 2026 10:00:00 GMT"),
        ]);
        let now: Timestamp = "2000-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(retry_after(&headers, now), Some(Duration::from_mins(1)));
    }

    #[test]
    fn web_page_is_told_from_json() {
        let html = headers(&[(header::CONTENT_TYPE, "text/HTML; charset=utf-8")]);
        let json = headers(&[(header::CONTENT_TYPE, "application/json")]);
        assert!(is_web_page(&html, b""));
        assert!(is_web_page(&json, b"\xef\xbb\xbf \r\n<!doctype html>"));
        assert!(!is_web_page(&json, b"{\"error\":\"<html>\"}"));
        assert!(!is_web_page(&HeaderMap::new(), b""));
    }

    #[test]
    fn answers_do_not_show_their_body() {
        let error = HttpError::Status(Answer {
            status: StatusCode::BAD_REQUEST,
            retry_after: None,
            challenge: None,
            body: b"hunter2".to_vec(),
        });
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("104, 117"));
    }
}
