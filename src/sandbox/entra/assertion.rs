//! `client_assertion`: a signed token in place of a secret (RFC 7523 section 2.2, facts D.8).

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::certificate::AppCertificate;
use super::jwt::{Claims, Jwt};
use super::refusal::Refusal;
use super::shelf::Shelf;
use crate::sandbox::content::printable;

/// The one value of `client_assertion_type`.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// By how much a client's clock may be ahead.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// Five to ten minutes are usual; what lives longer than this was made by mistake.
const LIFETIME_MAX_SECONDS: i64 = 3_600;
/// Identifiers that are remembered.
const SEEN_MAX: usize = 10_000;

/// Identifiers of assertions that were accepted.
pub(in crate::sandbox) struct Assertions {
    seen: Mutex<Shelf<()>>,
}

impl Assertions {
    pub(in crate::sandbox) fn new() -> Self {
        Self {
            seen: Mutex::new(Shelf::new(SEEN_MAX)),
        }
    }

    /// An assertion that the application signed itself.
    pub(super) fn check(
        &self,
        jwt: &Jwt<'_>,
        client_id: &str,
        endpoint: &str,
        certificates: &[AppCertificate],
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let claims = &jwt.claims;
        if claims.iss != client_id || claims.sub != client_id {
            let text = "Client assertion application identifier doesn't match 'client_id' parameter. Review the \
                        documentation at https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials .";
            return Err(Refusal::client(700_021, text));
        }
        check_signature(jwt, certificates, now)?;
        if !claims.aud.contains(endpoint) {
            let text = format!(
                "Client assertion audience claim does not match Realm issuer: the audience of this endpoint is \
                 '{endpoint}'. Review the documentation at \
                 https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials ."
            );
            return Err(Refusal::client(700_023, text));
        }
        in_time(claims, now)?;
        let Some(begin) = claims.nbf else {
            return Err(invalid("The claim 'nbf' is missing."));
        };
        if claims.exp.saturating_sub(begin) > LIFETIME_MAX_SECONDS {
            return Err(invalid("Its lifetime is over an hour."));
        }
        match claims.jti.as_deref() {
            None | Some("") => Err(invalid("The claim 'jti' is missing.")),
            Some(id) => self.remember(id),
        }
    }

    fn remember(&self, id: &str) -> Result<(), Refusal> {
        // Whole at every step: a panic elsewhere leaves nothing half done.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.insert(id.to_owned(), ()) {
            None => Ok(()),
            Some(()) => Err(invalid("An assertion with the same 'jti' was used before.")),
        }
    }
}

fn check_signature(
    jwt: &Jwt<'_>,
    certificates: &[AppCertificate],
    now: Timestamp,
) -> Result<(), Refusal> {
    let header = &jwt.header;
    let Some(shown) = header.x5t_s256.as_ref().or(header.x5t.as_ref()) else {
        let text = "Invalid JWT token. No certificate SHA-1 thumbprint, certificate SHA-256 thumbprint, nor keyId \
                    specified in token header.";
        return Err(Refusal::client(5_002_723, text));
    };
    let unsigned = |reason: &str| {
        let text = format!(
            "The certificate with identifier used to sign the client assertion is not registered on application. \
             [Reason - {reason}, Thumbprint of key used by client: '{}', Please visit the Azure Portal, Graph \
             Explorer or directly use MS Graph to see configured keys.]",
            printable(shown.as_bytes())
        );
        Refusal::client(700_027, text)
    };
    let Some(certificate) = certificates.iter().find(|known| known.is_meant(jwt)) else {
        return Err(unsigned("The key was not found."));
    };
    match certificate.signed(jwt) {
        Some(true) => {}
        Some(false) => {
            return Err(unsigned(
                "The provided signature value did not match the expected signature value.",
            ));
        }
        None => {
            let text = format!(
                "The algorithm '{}' is not PS256 or RS256.",
                printable(header.alg.as_bytes())
            );
            return Err(invalid(&text));
        }
    }
    if now < certificate.not_before || certificate.not_after < now {
        return Err(unsigned("The key used is expired."));
    }
    Ok(())
}

/// Between `nbf` and `exp`, clocks a little apart forgiven.
pub(super) fn in_time(claims: &Claims, now: Timestamp) -> Result<(), Refusal> {
    let now_s = now.as_second();
    let skew = SKEW.as_secs();
    let begun = claims.nbf.is_none_or(|begin| begin <= now_s + skew);
    // A clock that is behind is forgiven as far as the assertion's lifetime goes; Entra may forgive more.
    if begun && now_s < claims.exp {
        return Ok(());
    }
    let shown = |seconds: Option<i64>| {
        seconds
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .map_or_else(|| "unknown".to_owned(), |time| time.to_string())
    };
    let text = format!(
        "Client assertion is not within its valid time range. Current time: {now}, assertion valid from {}, expiry \
         time of assertion {}. Review the documentation at \
         https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials .",
        shown(claims.nbf),
        shown(Some(claims.exp)),
    );
    Err(Refusal::client(700_024, text))
}

fn invalid(reason: &str) -> Refusal {
    Refusal::client(
        50_027,
        format!("JWT token is invalid or malformed. {reason}"),
    )
}
