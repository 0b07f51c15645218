//! Authorization codes: ten minutes, one use, one client, one redirect URI, one verifier (facts D.6, RFC 7636).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

use super::client::App;
use super::clock::Moment;
use super::random::{RandomError, opaque};
use super::refusal::Refusal;
use super::request::Request;
use super::shelf::Shelf;
use super::sign_in::{SignIn, of_another_client};

const CODES_MAX: usize = 1_000;
const LIFETIME: Duration = Duration::from_mins(10);

/// Codes that were given out.
pub(in crate::sandbox) struct Codes {
    issued: Mutex<Shelf<Code>>,
}

struct Code {
    sign_in: SignIn,
    redirect_uri: String,
    challenge: String,
    expires: Moment,
    redeemed: bool,
}

impl Codes {
    pub(in crate::sandbox) fn new() -> Self {
        Self {
            issued: Mutex::new(Shelf::new(CODES_MAX)),
        }
    }

    pub(super) fn issue(
        &self,
        sign_in: SignIn,
        redirect_uri: &str,
        challenge: &str,
        now: Moment,
    ) -> Result<String, RandomError> {
        let text = format!("1.{}", opaque::<420>()?);
        let code = Code {
            sign_in,
            redirect_uri: redirect_uri.to_owned(),
            challenge: challenge.to_owned(),
            expires: now.after(LIFETIME),
            redeemed: false,
        };
        self.lock().insert(text.clone(), code);
        Ok(text)
    }

    /// The sign-in that a code stands for. Only a request that is right in all uses it up.
    pub(super) fn redeem(
        &self,
        request: &Request,
        app: App,
        now: Moment,
    ) -> Result<SignIn, Refusal> {
        let code = request.required("code")?;
        let redirect_uri = request.required("redirect_uri")?;
        let mut issued = self.lock();
        let Some(code) = issued.get_mut(code) else {
            return Err(Refusal::grant(
                70_000,
                "Provided grant is invalid or malformed.",
            ));
        };
        if code.sign_in.app != app {
            return Err(of_another_client());
        }
        if code.redeemed {
            let text = "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an \
                        existing refresh token.";
            return Err(Refusal::grant(54_005, text));
        }
        if code.expires <= now {
            let text = "The provided authorization code or refresh token has expired due to inactivity. Send a new \
                        interactive authorization request for this user and resource.";
            return Err(Refusal::grant(70_008, text));
        }
        if code.redirect_uri != redirect_uri {
            let text = "The reply address of this request does not match the reply address provided when requesting \
                        Authorization code.";
            return Err(Refusal::client(500_112, text));
        }
        if !answers(request.required("code_verifier")?, &code.challenge) {
            let text = "The Code_Verifier does not match the code_challenge supplied in the authorization request.";
            return Err(Refusal::grant(501_481, text));
        }
        code.redeemed = true;
        Ok(code.sign_in.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Shelf<Code>> {
        // At worst a code is forgotten: a panic elsewhere leaves nothing dangerous half done.
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `code-challenge = BASE64URL(SHA256(code-verifier))`, the verifier being 43 to 128 unreserved octets (RFC 7636
/// section 4).
fn answers(verifier: &str, challenge: &str) -> bool {
    let unreserved = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(unreserved)
        && BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())) == challenge
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_answers() {
        // RFC 7636 appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(answers(verifier, challenge));
        assert!(!answers(verifier, verifier));
        assert!(!answers(&verifier[1..], challenge));
        assert!(!answers(&"a".repeat(129), challenge));
        assert!(!answers(
            &format!("{verifier} "),
            &BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, format!("{verifier} ").as_bytes()))
        ));
    }
}
