//! The error response of the token endpoint, RFC 6749 section 5.2 with Entra's additions.

use std::borrow::Cow;
use std::fmt;

use oauth2::url::form_urlencoded;
use serde_json::Value;

use super::aadsts;
use crate::secret::Secret;

/// What the authorization server said when it gave no token: its own words, kept for the operator.
///
/// The text is one line of bounded length, and secrets that were sent are taken out of it should
/// the server have repeated them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    error: Box<str>,
    description: Option<Box<str>>,
    aadsts: Option<u32>,
    trace_id: Option<Box<str>>,
    correlation_id: Option<Box<str>>,
}

impl ErrorResponse {
    /// Reads a body; `None` when it is not JSON with an `error` in it.
    ///
    /// Only `error` has to be there. Additions of an unexpected type are passed over: better half an
    /// explanation than none.
    ///
    /// Each of `secrets` is taken out, should the server have repeated it.
    pub(super) fn decode<'s>(
        body: &[u8],
        secrets: impl IntoIterator<Item = &'s Secret>,
    ) -> Option<Self> {
        let secrets: Vec<&Secret> = secrets.into_iter().collect();
        let body: Value = serde_json::from_slice(body).ok()?;
        let text = |key: &str| {
            body.get(key)
                .and_then(Value::as_str)
                .map(|text| one_line(text, &secrets))
                .filter(|text| !text.is_empty())
        };
        let description = text("error_description");
        // The description's number is the specific one; `error_codes` may list several.
        let aadsts = description
            .as_deref()
            .and_then(aadsts::number_in)
            .or_else(|| {
                body.get("error_codes")?
                    .as_array()?
                    .iter()
                    .find_map(|code| u32::try_from(code.as_u64()?).ok())
            });
        Some(Self {
            error: text("error")?,
            description,
            aadsts,
            trace_id: text("trace_id"),
            correlation_id: text("correlation_id"),
        })
    }

    /// The code of RFC 6749, such as `invalid_client`.
    pub fn error(&self) -> &str {
        &self.error
    }

    /// Microsoft's own number, the `7000215` of `AADSTS7000215`.
    pub fn aadsts(&self) -> Option<u32> {
        self.aadsts
    }

    /// The server's sentence.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Microsoft's support asks for it.
    pub fn trace_id(&self) -> Option<&str> {
        self.trace_id.as_deref()
    }

    /// Finds the request in the tenant's sign-in logs.
    pub fn correlation_id(&self) -> Option<&str> {
        self.correlation_id.as_deref()
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let description = self.description().unwrap_or_default();
        f.write_str(&self.error)?;
        if !description.is_empty() {
            write!(f, ": {description}")?;
        }
        match self.aadsts {
            Some(number) if aadsts::number_in(description) != Some(number) => {
                write!(f, " (AADSTS{number})")?;
            }
            _ => {}
        }
        // The description usually ends with both already.
        for (name, id) in [
            ("Trace ID", self.trace_id()),
            ("Correlation ID", self.correlation_id()),
        ] {
            if let Some(id) = id
                && !description.contains(id)
            {
                write!(f, " {name}: {id}")?;
            }
        }
        Ok(())
    }
}

/// Foreign text made fit for a log line: no control characters, bounded, and without `secrets`.
fn one_line(text: &str, secrets: &[&Secret]) -> Box<str> {
    let mut text = Cow::Borrowed(text);
    for secret in secrets.iter().map(|secret| secret.reveal()) {
        if !secret.is_empty() {
            text = hide(&text, secret).into();
        }
    }
    let mut line = String::new();
    for word in text.split(|character: char| character.is_control() || character == ' ') {
        if word.is_empty() {
            continue;
        }
        if line.len() + word.len() >= TEXT_MAX_BYTES {
            line.push_str(" ...");
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line.into()
}

/// Takes the secret out as it is and as it was sent.
fn hide(text: &str, secret: &str) -> String {
    let sent: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    text.replace(secret, "(redacted)")
        .replace(&sent, "(redacted)")
}

/// Entra's longest descriptions have some 600 bytes.
const TEXT_MAX_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRA: &str = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '11111111-2222-3333-4444-555555555555'.\r\nTrace ID: aaaa\r\nCorrelation ID: bbbb\r\nTimestamp: 2026-11-20 10:00:00Z","error_codes":[7000215],"timestamp":"2026-11-20 10:00:00Z","trace_id":"aaaa","correlation_id":"bbbb","error_uri":"https://login.microsoftonline.com/error?code=7000215"}"#;

    #[test]
    fn body_of_entra_keeps_number_text_and_ids() {
        let response = ErrorResponse::decode(ENTRA.as_bytes(), None).unwrap();
        assert_eq!(response.error(), "invalid_client");
        assert_eq!(response.aadsts(), Some(7_000_215));
        assert_eq!(response.trace_id(), Some("aaaa"));
        assert_eq!(response.correlation_id(), Some("bbbb"));
        let shown = response.to_string();
        assert!(shown.starts_with("invalid_client: AADSTS7000215: Invalid client secret"));
        assert!(shown.contains("Trace ID: aaaa Correlation ID: bbbb"));
        assert_eq!(shown.matches("aaaa").count(), 1);
        assert!(!shown.contains(['\r', '\n']));
    }

    #[test]
    fn ids_and_number_outside_the_description_are_shown_too() {
        let body = br#"{"error":"invalid_grant","error_codes":["x",50173],"trace_id":"t","correlation_id":7}"#;
        let response = ErrorResponse::decode(body, None).unwrap();
        assert_eq!(
            response.to_string(),
            "invalid_grant (AADSTS50173) Trace ID: t"
        );
    }

    #[test]
    fn only_json_with_an_error_is_an_error_response() {
        for body in [
            &b""[..],
            b"null",
            b"[]",
            b"<html>",
            br#"{"error":7}"#,
            br#"{"error":""}"#,
            br#"{"access_token":"x"}"#,
            b"\xff",
        ] {
            assert_eq!(ErrorResponse::decode(body, None), None);
        }
    }

    #[test]
    fn repeated_secret_is_taken_out() {
        let secret = Secret::new("p~S8Q/+ %");
        let sent: String = form_urlencoded::byte_serialize(b"p~S8Q/+ %").collect();
        let body = serde_json::json!({
            "error": "invalid_client",
            "error_description": format!("bad p~S8Q/+ % in client_secret={sent}&x"),
        });
        let response = ErrorResponse::decode(body.to_string().as_bytes(), Some(&secret)).unwrap();
        let shown = format!("{response} {response:?}");
        assert!(!shown.contains("S8Q"), "{shown}");
        assert!(shown.contains("client_secret=(redacted)&x"));
    }

    #[test]
    fn long_text_is_cut() {
        let body = serde_json::json!({"error": "x", "error_description": "word ".repeat(9_000)});
        let response = ErrorResponse::decode(body.to_string().as_bytes(), None).unwrap();
        let description = response.description().unwrap();
        assert!(description.len() <= TEXT_MAX_BYTES + 4 && description.ends_with("word ..."));
    }
}
