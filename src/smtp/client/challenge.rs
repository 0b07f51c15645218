//! The error challenge of XOAUTH2: `334` and base64 JSON, before the refusal itself.
//!
//! Google sends it (facts G.4), Exchange does not. It says more than the refusal that follows: the
//! status of the token, and the scope that it should have had.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::smtp::Reply;

/// `{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}`; every part may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorChallenge {
    /// As of HTTP: 400 or 401.
    pub status: Option<String>,
    /// How the server wants to be authenticated to.
    pub schemes: Option<String>,
    /// What the token should be for.
    pub scope: Option<String>,
}

impl ErrorChallenge {
    /// Reads the text of a 334; `None` when it is something else.
    pub(super) fn decode(reply: &Reply) -> Option<Self> {
        let encoded: String = reply.lines().collect();
        let json = STANDARD.decode(encoded.trim()).ok()?;
        let json: Value = serde_json::from_slice(&json).ok()?;
        let text = |key: &str| match json.get(key)? {
            Value::String(text) => Some(printable(text)),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let challenge = Self {
            status: text("status"),
            schemes: text("schemes"),
            scope: text("scope"),
        };
        let is_empty = challenge.parts().next().is_none();
        (!is_empty).then_some(challenge)
    }

    fn parts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let parts = [
            ("status", &self.status),
            ("schemes", &self.schemes),
            ("scope", &self.scope),
        ];
        let parts = parts.into_iter();
        parts.filter_map(|(name, text)| Some((name, text.as_deref()?)))
    }
}

/// `status 400, schemes Bearer, scope https://mail.google.com/`
impl fmt::Display for ErrorChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, text)) in self.parts().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            write!(f, "{separator}{name} {text}")?;
        }
        Ok(())
    }
}

/// Foreign text, fit for a log line.
fn printable(text: &str) -> String {
    let text = text.chars().filter(|c| !c.is_control());
    text.take(TEXT_MAX_CHARS).collect()
}

/// Scopes are URLs.
const TEXT_MAX_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::smtp::ReplyDecoder;

    fn decoded(text: &str) -> Option<ErrorChallenge> {
        let mut buffer = BytesMut::from(format!("334 {text}\r\n").as_str());
        let reply = ReplyDecoder::new().decode(&mut buffer).unwrap().unwrap();
        ErrorChallenge::decode(&reply)
    }

    #[test]
    fn googles_challenge_is_read() {
        let challenge = decoded(
            "eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==",
        );
        let challenge = challenge.unwrap();
        assert_eq!(challenge.status.as_deref(), Some("400"));
        assert_eq!(
            challenge.to_string(),
            "status 400, schemes Bearer, scope https://mail.google.com/"
        );
    }

    #[test]
    fn half_a_challenge_is_better_than_none() {
        for (json, shown) in [
            (r#"{"status":401}"#, "status 401"),
            (r#"{"status":["x"],"scope":"a\r\nb"}"#, "scope ab"),
        ] {
            let challenge = decoded(&STANDARD.encode(json)).unwrap();
            assert_eq!(challenge.to_string(), shown);
        }
        let long = format!(r#"{{"scope":"{}"}}"#, "x".repeat(300));
        let long = decoded(&STANDARD.encode(long)).unwrap().to_string();
        assert_eq!(long.len(), "scope ".len() + TEXT_MAX_CHARS);
    }

    #[test]
    fn anything_else_is_no_challenge() {
        for json in ["{}", "[]", "null", "401", r#"{"other":"x"}"#, "{"] {
            assert_eq!(decoded(&STANDARD.encode(json)), None, "{json}");
        }
        for text in ["", "VXNlcm5hbWU6", "no base64!"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
