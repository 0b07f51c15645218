//! A URL that takes JSON.

use std::fmt;
use std::time::Duration;

use reqwest::{StatusCode, header, redirect};

use super::lane::Carrier;
use super::settings::SettingsError;
use crate::oauth::EndpointUrl;
use crate::secret::Secret;
use crate::{telemetry, tls};

/// Of connect, request and answer together.
const TIME_MAX: Duration = Duration::from_secs(30);

/// `alert.webhook`. Only the host is ever shown: chat services put a key into the path.
pub(super) struct Webhook {
    url: Secret,
    host: Box<str>,
    client: reqwest::Client,
}

/// The notice did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebhookError {
    #[error("{host} answers {status}")]
    Status { host: Box<str>, status: StatusCode },
    /// Without the URL.
    #[error("{host} cannot be reached: {reason}")]
    Transport { host: Box<str>, reason: String },
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl Webhook {
    /// Reads the trust store; a short blocking read.
    pub(super) fn new(url: Secret) -> Result<Self, SettingsError> {
        let endpoint: EndpointUrl = url.reveal().parse().map_err(SettingsError::Url)?;
        let tls = if endpoint.as_str().starts_with("https:") {
            tls::client_config(None)
        } else {
            tls::untrusting_client_config()
        };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls.map_err(SettingsError::Tls)?).clone())
            .user_agent(concat!("exorelay/", env!("CARGO_PKG_VERSION")))
            // What is told is for this host and no other.
            .redirect(redirect::Policy::none())
            .timeout(TIME_MAX)
            // A kept connection would always be found dead.
            .pool_max_idle_per_host(0);
        if endpoint.is_loopback() {
            builder = builder.no_proxy();
        }
        Ok(Self {
            host: endpoint.host().into(),
            client: builder.build().map_err(SettingsError::Http)?,
            url,
        })
    }
}

impl Carrier for Webhook {
    type Error = WebhookError;

    async fn carry(&self, notice: Vec<u8>) -> Result<(), WebhookError> {
        let request = self.client.post(self.url.reveal());
        let request = request.header(header::CONTENT_TYPE, "application/json");
        // The answer's body is of no interest; dropping it closes the connection.
        let answer = request.body(notice).send().await;
        let host = self.host.clone();
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(WebhookError::Status {
                host,
                status: answer.status(),
            }),
            Err(error) => Err(WebhookError::Transport {
                host,
                reason: telemetry::with_causes(&error.without_url()),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
