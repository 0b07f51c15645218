//! A person signs in once, and a refresh token stays behind (facts D.11).
//!
//! [`SignIn`] knows both ways: in a browser whose answer comes back to this machine ([`Loopback`]) or is pasted,
//! and on another device with a code. Nothing is kept here: what to do with a [`SignedIn`] is the caller's to
//! decide.

mod answer;
mod browser;
mod device;
mod error;
mod loopback;
mod page;
mod redirect;

use oauth2::{AuthUrl, DeviceAuthorizationUrl, RedirectUrl, Scope, TokenResponse};

use super::claims::Claims;
use super::endpoint::EndpointUrl;
use super::error::TokenError;
use super::grant::authentication::{Authentication, Response};
use super::grant::exchange::Exchange;
use super::settings::{Settings, SettingsError};
use crate::secret::Secret;

pub use answer::{Answer, AnswerError};
pub use browser::Authorization;
pub use device::DeviceCode;
pub use error::SignInError;
pub use loopback::{Arrival, Browser, Loopback};
pub use page::Page;
pub use redirect::RedirectUri;

/// What a sign-in needs to know.
#[derive(Clone, Debug)]
pub struct SignInSettings {
    /// The application, its token endpoint and what is asked for; its `way` is of no importance here.
    pub application: Settings,
    /// Where a person signs in; a query in it is kept.
    pub authorize_url: AuthUrl,
    /// Where a sign-in on another device begins.
    pub device_code_url: EndpointUrl,
    /// As registered.
    pub redirect_uri: RedirectUrl,
    /// Who is expected.
    pub login_hint: String,
    /// Of the provider, unless `authorize_url` has them already.
    pub parameters: &'static [(&'static str, &'static str)],
}

/// The ways for a person to sign in to one application.
#[derive(Debug)]
pub struct SignIn {
    authentication: Authentication,
    exchange: Exchange,
    device: Exchange,
    authorize_url: AuthUrl,
    device_code_url: DeviceAuthorizationUrl,
    redirect: RedirectUri,
    scopes: Vec<Scope>,
    login_hint: String,
    parameters: &'static [(&'static str, &'static str)],
}

/// Somebody has signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// What brings further access tokens.
    pub refresh_token: Secret,
    /// The first of them.
    pub access_token: Secret,
    /// Who it was, as far as the tokens tell: those of Google and of personal accounts do not.
    pub user: Option<String>,
}

impl SignIn {
    /// Reads the trust store and `ca_file` (short and blocking).
    pub fn new(settings: SignInSettings) -> Result<Self, SettingsError> {
        let application = settings.application;
        let scopes = application.scopes();
        if scopes.is_empty() {
            let setting = "oauth.scope";
            return Err(SettingsError::Empty { setting });
        }
        let device_code_url = settings.device_code_url;
        let device = Settings {
            token_url: device_code_url.clone(),
            ..application.clone()
        };
        Ok(Self {
            exchange: Exchange::new(&application)?,
            device: Exchange::new(&device)?,
            authentication: Authentication::new(application.client_id, application.credential),
            authorize_url: settings.authorize_url,
            device_code_url: device_code_url.to_device_url(),
            redirect: RedirectUri::new(settings.redirect_uri),
            scopes,
            login_hint: settings.login_hint,
            parameters: settings.parameters,
        })
    }

    /// As registered.
    pub fn redirect(&self) -> &RedirectUri {
        &self.redirect
    }

    fn explain(&self, error: TokenError) -> SignInError {
        SignInError::explain(error, self.redirect.as_str())
    }

    fn signed_in(&self, response: &Response) -> Result<SignedIn, SignInError> {
        let accepted = self.exchange.accept(
            response.token_type(),
            response.access_token().secret(),
            response.expires_in(),
        );
        let access_token = accepted.map_err(SignInError::Token)?.token;
        let refresh_token = response
            .refresh_token()
            .map(|token| token.secret().as_str());
        let Some(refresh_token) = refresh_token.filter(|token| !token.is_empty()) else {
            return Err(SignInError::NoRefreshToken {
                host: self.exchange.endpoint.host().into(),
                remedy: self.why_no_refresh_token(),
            });
        };
        let id_token = response.extra_fields().id_token();
        let user = person(&access_token).or_else(|| person(&id_token?));
        Ok(SignedIn {
            refresh_token: Secret::new(refresh_token),
            access_token,
            user,
        })
    }

    fn why_no_refresh_token(&self) -> &'static str {
        let asked_offline = self.scopes.iter().any(|scope| ***scope == *OFFLINE_ACCESS);
        if !self.parameters.is_empty() {
            "leave access_type and prompt out of oauth.authorize_url, or write access_type=offline and prompt=consent"
        } else if asked_offline {
            "check that the app registration has the delegated permission offline_access"
        } else {
            "add offline_access to oauth.scope"
        }
    }
}

fn person(token: &Secret) -> Option<String> {
    Claims::decode(token)?.person().map(str::to_owned)
}

/// Facts D.3.
const OFFLINE_ACCESS: &str = "offline_access";

#[cfg(test)]
mod tests;
