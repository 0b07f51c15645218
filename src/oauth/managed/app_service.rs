//! App Service, Functions and Container Apps.

use oauth2::HttpResponse;
use oauth2::http::{HeaderMap, HeaderName, HeaderValue};

use super::Managed;
use crate::oauth::http::HttpError;
use crate::secret::Secret;

pub(super) async fn ask(managed: &Managed, header: &Secret) -> Result<HttpResponse, HttpError> {
    let mut headers = HeaderMap::new();
    // One that no header can carry is left out, and the platform says what it thinks of it.
    if let Ok(mut value) = HeaderValue::from_str(header.reveal()) {
        value.set_sensitive(true);
        headers.insert(IDENTITY_HEADER, value);
    }
    managed.ask(VERSION, headers).await
}

const VERSION: &str = "2019-08-01";
const IDENTITY_HEADER: HeaderName = HeaderName::from_static("x-identity-header");
