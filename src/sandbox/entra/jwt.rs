//! Signed tokens in compact form (RFC 7515 section 3.1), read and made.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What came as an assertion; nothing of it is verified yet.
pub(super) struct Jwt<'a> {
    pub(super) header: Header,
    pub(super) claims: Claims,
    /// `header.payload`, what the signature is of.
    pub(super) signed: &'a str,
    pub(super) signature: Vec<u8>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    /// SHA-1 of the certificate, base64url.
    pub(super) x5t: Option<String>,
    /// SHA-256 of the certificate, base64url.
    #[serde(rename = "x5t#S256")]
    pub(super) x5t_s256: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) sub: String,
    pub(super) aud: Audience,
    pub(super) exp: i64,
    pub(super) nbf: Option<i64>,
    pub(super) jti: Option<String>,
}

/// One or several (RFC 7519 section 4.1.3).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    pub(super) fn contains(&self, wanted: &str) -> bool {
        match self {
            Self::One(audience) => audience == wanted,
            Self::Several(audiences) => audiences.iter().any(|audience| audience == wanted),
        }
    }

    /// What a refusal quotes.
    pub(super) fn first(&self) -> &str {
        match self {
            Self::One(audience) => audience,
            Self::Several(audiences) => audiences.first().map_or("", String::as_str),
        }
    }
}

impl<'a> Jwt<'a> {
    pub(super) fn decode(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        Some(Self {
            header: part(header)?,
            claims: part(payload)?,
            signed,
            signature: BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }
}

fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    serde_json::from_slice(&json).ok()
}

/// `header.payload`, ready to be signed.
pub(in crate::sandbox) fn signing_input(
    header: &serde_json::Value,
    payload: &serde_json::Value,
) -> String {
    let header = BASE64_URL_SAFE_NO_PAD.encode(header.to_string());
    let payload = BASE64_URL_SAFE_NO_PAD.encode(payload.to_string());
    format!("{header}.{payload}")
}
