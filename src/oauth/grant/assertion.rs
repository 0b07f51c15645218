//! A JWT that the application signs with the key of its certificate, in place of a secret (RFC 7523, facts
//! D.8).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::oauth::certificate::ClientCertificate;
use crate::oauth::settings::AssertionAlgorithm;
use crate::secret::Secret;
use crate::tls::{self, Padding, SignError, sha1, sha256};

/// What an assertion says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Assertion<'a> {
    pub(super) client_id: &'a str,
    /// The token endpoint, exactly as it is requested.
    pub(super) audience: &'a str,
    pub(super) now: Timestamp,
}

/// The JOSE header, RFC 7515 section 4.1.
#[derive(Serialize)]
struct Header {
    alg: &'static str,
    typ: &'static str,
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    x5t_s256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x5t: Option<String>,
}

/// RFC 7523 section 3.
#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: String,
    nbf: i64,
    iat: i64,
    exp: i64,
}

impl Assertion<'_> {
    /// Each one is new: an authorization server may refuse to see a `jti` twice.
    pub(super) fn sign(
        self,
        certificate: &ClientCertificate,
        algorithm: AssertionAlgorithm,
    ) -> Result<Secret, SignError> {
        let der = certificate.der();
        let (padding, x5t_s256, x5t) = match algorithm {
            AssertionAlgorithm::Ps256 => (Padding::Pss, Some(encode(sha256(der))), None),
            AssertionAlgorithm::Rs256 => (Padding::Pkcs1, None, Some(encode(sha1(der)))),
        };
        let header = Header {
            alg: algorithm.name(),
            typ: "JWT",
            x5t_s256,
            x5t,
        };
        let now_s = self.now.as_second();
        let claims = Claims {
            aud: self.audience,
            iss: self.client_id,
            sub: self.client_id,
            jti: guid()?,
            nbf: now_s - BACKDATED_S,
            iat: now_s,
            exp: now_s + LIFETIME_S,
        };
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = certificate.key().sign(padding, signed.as_bytes())?;
        let whole = Zeroizing::new(format!("{signed}.{}", encode(signature)));
        Ok(Secret::new(whole.as_str()))
    }
}

/// A random UUID, RFC 9562 section 5.4.
fn guid() -> Result<String, SignError> {
    let mut octets = [0; 16];
    let random = tls::provider().secure_random;
    random.fill(&mut octets).map_err(|_| SignError)?;
    let number = u128::from_be_bytes(octets);
    let number = (number & !VERSION_AND_VARIANT) | VERSION_4_AND_VARIANT_10;
    let hex = format!("{number:032x}");
    let digits = hex.chars().enumerate();
    Ok(
        digits.fold(String::with_capacity(36), |mut guid, (at, digit)| {
            if [8, 12, 16, 20].contains(&at) {
                guid.push('-');
            }
            guid.push(digit);
            guid
        }),
    )
}

/// JSON of text and numbers, which cannot fail.
fn part(value: &impl Serialize) -> String {
    encode(serde_json::to_vec(value).unwrap_or_default())
}

fn encode(octets: Vec<u8>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

/// For a clock that is ahead of Entra's: it refuses what is not valid yet (AADSTS700024).
const BACKDATED_S: i64 = 5 * 60;
/// What Microsoft's own library takes.
const LIFETIME_S: i64 = 10 * 60;

const VERSION_AND_VARIANT: u128 = 0x0000_0000_0000_f000_c000_0000_0000_0000;
const VERSION_4_AND_VARIANT_10: u128 = 0x0000_0000_0000_4000_8000_0000_0000_0000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn guids_are_of_version_4_and_never_the_same() {
        let guids: BTreeSet<String> = (0..64).map(|_| guid().unwrap()).collect();
        assert_eq!(guids.len(), 64);
        for guid in guids {
            let lengths: Vec<usize> = guid.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12]);
            assert_eq!(guid.as_bytes()[14], b'4', "{guid}");
            assert!(b"89ab".contains(&guid.as_bytes()[19]), "{guid}");
        }
    }
}
