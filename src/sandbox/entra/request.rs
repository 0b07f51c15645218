//! The form that a program posts, and the client in its headers.

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::refusal::Refusal;
use crate::sandbox::content::printable;
use crate::sandbox::form;

/// A decoded request to an endpoint that programs ask.
pub(super) struct Request {
    fields: Vec<(String, String)>,
    basic: Option<(String, String)>,
    /// As the client wrote it, with the port.
    host: String,
}

impl Request {
    /// A body of another type than a form has no fields.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let is_form = text(CONTENT_TYPE)
            .and_then(|value| value.split(';').next())
            .is_some_and(|value| {
                value
                    .trim()
                    .eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        let fields = if is_form {
            form::decode(body).ok_or_else(Refusal::malformed)?
        } else {
            Vec::new()
        };
        Ok(Self {
            fields,
            basic: text(AUTHORIZATION).and_then(basic_credentials),
            host: text(HOST).unwrap_or_default().to_owned(),
        })
    }

    /// A field that is not empty.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.field(name).ok_or_else(|| Refusal::missing(name))
    }

    pub(super) fn client_id(&self) -> Result<&str, Refusal> {
        match &self.basic {
            Some((client_id, _)) => Ok(client_id),
            None => self.required("client_id"),
        }
    }

    pub(super) fn client_secret(&self) -> Option<&str> {
        match &self.basic {
            Some((_, client_secret)) => Some(client_secret),
            None => self.field("client_secret"),
        }
    }

    /// An address on this server, as the client would write it.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    /// The v1 parameter that says what a scope says in v2.
    pub(super) fn refuse_resource(&self) -> Result<(), Refusal> {
        match self.field("resource") {
            None => Ok(()),
            Some(resource) => {
                let shown = printable(resource.as_bytes());
                let text = format!(
                    "The 'resource' request parameter is not supported. The value was '{shown}'."
                );
                Err(Refusal::request(901_002, text))
            }
        }
    }
}

/// HTTP Basic, both parts form-encoded (RFC 6749 section 2.3.1).
fn basic_credentials(value: &str) -> Option<(String, String)> {
    let decoded = BASE64_STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let at = memchr::memchr(b':', &decoded)?;
    let (client_id, client_secret) = decoded.split_at(at);
    Some((
        form::component(client_id)?,
        form::component(client_secret.get(1..)?)?,
    ))
}
