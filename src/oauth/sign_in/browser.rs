//! A sign-in in a browser: authorization code (RFC 6749 section 4.1) with PKCE (RFC 7636).

use std::borrow::Cow;
use std::collections::HashSet;

use oauth2::url::{Url, form_urlencoded};
use oauth2::{AuthUrl, AuthorizationCode, CsrfToken, PkceCodeChallenge, PkceCodeVerifier};

use super::answer::Answer;
use super::error::SignInError;
use super::redirect::RedirectUri;
use super::{SignIn, SignedIn};
use crate::oauth::error::TokenError;
use crate::oauth::grant::authentication::Proof;
use crate::secret::Secret;

/// A sign-in that has been begun.
#[derive(Debug)]
pub struct Authorization {
    url: Url,
    state: Secret,
    verifier: Secret,
    redirect: RedirectUri,
}

impl Authorization {
    /// To be opened in a browser. There is no secret in it.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// What the answer has to repeat.
    pub fn state(&self) -> &Secret {
        &self.state
    }
}

impl SignIn {
    /// Begins a sign-in whose answer comes to `redirect`.
    pub fn authorize(&self, redirect: RedirectUri) -> Authorization {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let base = without(self.authorize_url.url(), &OURS);
        let given: HashSet<String> = base.query_pairs().map(|(name, _)| name.into()).collect();
        let client = self
            .authentication
            .client(&self.exchange.endpoint, &Proof::None)
            .set_auth_uri(AuthUrl::from_url(base));
        let mut request = client
            .authorize_url(CsrfToken::new_random)
            .set_pkce_challenge(challenge)
            .set_redirect_uri(Cow::Owned(redirect.to_redirect_url()))
            .add_scopes(self.scopes.iter().cloned());
        let hint = ("login_hint", self.login_hint.as_str());
        for (name, value) in self.parameters.iter().copied().chain([hint]) {
            // What the operator has written into the URL is what the operator wants.
            if !given.contains(name) {
                request = request.add_extra_param(name, value);
            }
        }
        let (url, state) = request.url();
        Authorization {
            url,
            state: Secret::new(state.into_secret()),
            verifier: Secret::new(verifier.into_secret()),
            redirect,
        }
    }

    /// Makes tokens of the answer.
    pub async fn redeem(
        &self,
        authorization: &Authorization,
        answer: Answer,
    ) -> Result<SignedIn, SignInError> {
        let registered = self.redirect.as_str();
        let code = match answer {
            Answer::Code(code) => code,
            Answer::Refused(response) => {
                let host = self.authorize_url.url().host_str().unwrap_or_default();
                let error = TokenError::from_response(host, response, None, true);
                return Err(SignInError::explain(error, registered));
            }
        };
        let redeemed = self
            .authentication
            .in_turn(&self.exchange.endpoint, |proof| {
                self.exchange_code(authorization, &code, proof)
            })
            .await;
        let response = redeemed.map_err(|error| SignInError::explain(error, registered))?;
        self.signed_in(&response)
    }

    async fn exchange_code(
        &self,
        authorization: &Authorization,
        code: &Secret,
        proof: Proof,
    ) -> Result<super::Response, TokenError> {
        let client = self.authentication.client(&self.exchange.endpoint, &proof);
        let verifier = PkceCodeVerifier::new(authorization.verifier.reveal().to_owned());
        let redirect = authorization.redirect.to_redirect_url();
        let mut request = client
            .exchange_code(AuthorizationCode::new(code.reveal().to_owned()))
            .set_pkce_verifier(verifier)
            .set_redirect_uri(Cow::Owned(redirect));
        for (name, value) in proof.extra_params() {
            request = request.add_extra_param(name, value);
        }
        let response = request.request_async(&self.exchange.http).await;
        response.map_err(|error| self.exchange.explain(error, proof.sent()))
    }
}

/// What this program puts into the query; given twice the server would refuse it (RFC 6749 section 3.1).
const OURS: [&str; 7] = [
    "response_type",
    "client_id",
    "state",
    "code_challenge",
    "code_challenge_method",
    "redirect_uri",
    "scope",
];

fn without(url: &Url, names: &[&str]) -> Url {
    let mut url = url.clone();
    let kept: Vec<_> = url
        .query_pairs()
        .into_owned()
        .filter(|(name, _)| !names.contains(&name.as_str()))
        .collect();
    let mut query = form_urlencoded::Serializer::new(String::new());
    let query = query.extend_pairs(kept).finish();
    url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
    url
}
