//! Azure VMs: the Instance Metadata Service.

use oauth2::HttpResponse;
use oauth2::http::{HeaderMap, HeaderName, HeaderValue};

use super::Managed;
use crate::oauth::http::HttpError;

pub(super) async fn ask(managed: &Managed) -> Result<HttpResponse, HttpError> {
    managed.ask(VERSION, metadata()).await
}

/// What a request has that was led here by nobody else: no proxy and no browser adds it.
pub(super) fn metadata() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(METADATA, HeaderValue::from_static("true"));
    headers
}

const VERSION: &str = "2018-02-01";
const METADATA: HeaderName = HeaderName::from_static("metadata");
