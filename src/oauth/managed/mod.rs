//! The identity of the machine itself, which Azure vouches for (facts D.10): no secret, but a token from
//! an endpoint that only this machine reaches.
//!
//! The platform keeps the token for about a day and gives the same one again until then: it cannot be
//! forced fresh. After a refusal by the mail service a renewal may bring what was refused already, and a
//! right granted in Exchange or Entra is seen only with the next token. [`super::TokenSource`] needs no
//! exception for this: what it was told is a new token to it, and a refusal forces one request a minute at
//! most.

mod answer;
mod app_service;
mod arc;
mod error;
mod imds;
mod platform;

use std::path::PathBuf;

use oauth2::HttpResponse;
use oauth2::http::HeaderMap;
use oauth2::url::Url;

pub use self::error::IdentityError;
use self::platform::{Environment, Platform};
use super::blocking::Blocking;
use super::endpoint::EndpointUrl;
use super::error::TokenError;
use super::grant::Granted;
use super::grant::exchange::Exchange;
use super::http::HttpError;
use super::settings::SettingsError;
use crate::oauth;

/// What is particular to this way.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where the identity is to be had; none: it is found. Made with [`EndpointUrl::of_platform`].
    pub endpoint: Option<EndpointUrl>,
}

/// The way to the machine's token.
#[derive(Debug)]
pub(super) struct Managed {
    exchange: Exchange,
    platform: Platform,
    resource: String,
    /// Which of several identities; empty: the machine's own.
    client_id: String,
    /// Where the agent of Azure Arc leaves its keys; only tests have another.
    keys: PathBuf,
    reading: Blocking,
}

impl Managed {
    /// Reads the environment, looks for Azure Arc's agent and reads the trust store; short and blocking.
    pub(super) fn new(settings: &oauth::Settings, way: &Settings) -> Result<Self, SettingsError> {
        Self::on(settings, way, Environment::of_this_process())
    }

    fn on(
        settings: &oauth::Settings,
        way: &Settings,
        environment: Environment,
    ) -> Result<Self, SettingsError> {
        let (platform, endpoint) = Platform::find(way.endpoint.as_ref(), environment)?;
        Ok(Self {
            exchange: Exchange::next_door(endpoint, settings)?,
            platform,
            resource: resource(&settings.scope).to_owned(),
            client_id: settings.client_id.clone(),
            keys: arc::KEYS.into(),
            reading: Blocking::new(),
        })
    }

    pub(super) async fn obtain(&self) -> Result<Granted, TokenError> {
        match &self.platform {
            Platform::Vm => self.granted(imds::ask(self).await, None),
            Platform::VmOrArc => match imds::ask(self).await {
                Err(HttpError::Status(answer)) if arc::challenge(&answer).is_some() => {
                    arc::obtain(self).await
                }
                answer => self.granted(answer, None),
            },
            Platform::Arc => arc::obtain(self).await,
            Platform::AppService { header } => {
                self.granted(app_service::ask(self, header).await, Some(header))
            }
        }
    }

    /// The request that all of them have in common.
    async fn ask(&self, version: &str, headers: HeaderMap) -> Result<HttpResponse, HttpError> {
        self.exchange.http.get(self.url(version), headers).await
    }

    fn url(&self, version: &str) -> Url {
        let mut url = self.exchange.endpoint.url().clone();
        let mut query = url.query_pairs_mut();
        query
            .clear()
            .append_pair("api-version", version)
            .append_pair("resource", &self.resource);
        if !self.client_id.is_empty() {
            query.append_pair("client_id", &self.client_id);
        }
        drop(query);
        url
    }
}

/// These endpoints are of the first version of Entra, which knows resources and no scopes.
fn resource(scope: &str) -> &str {
    let scope = scope.trim();
    scope.strip_suffix("/.default").unwrap_or(scope)
}

#[cfg(test)]
mod tests;
