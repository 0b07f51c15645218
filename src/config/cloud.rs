//! What follows from provider, cloud and tenant where the settings say nothing.
//!
//! The table of Microsoft's clouds is [`Cloud`]'s own; all of its values can be overridden.

use super::account::{Access, Provider};
use super::setting::{Fault, Given, Setting, unknown_word};
use crate::oauth::Cloud;

impl Setting for Cloud {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let text = given.text()?;
        let cloud = Self::ALL.into_iter().find(|cloud| cloud.name() == text);
        cloud.ok_or_else(|| unknown_word(text, &Self::ALL.map(Self::name)))
    }

    fn shown(&self) -> serde_json::Value {
        self.name().into()
    }
}

/// Where a person signs in.
pub(super) fn authorize_url(provider: Provider, cloud: Cloud, tenant: &str) -> String {
    match provider {
        Provider::Microsoft => endpoint(cloud, tenant, "authorize"),
        // Without the first there is no refresh token, without the second none at the second sign-in.
        Provider::Google => {
            "https://accounts.google.com/o/oauth2/v2/auth?access_type=offline&prompt=consent"
                .to_owned()
        }
    }
}

/// Where tokens are issued.
pub(super) fn token_url(provider: Provider, cloud: Cloud, tenant: &str) -> String {
    match provider {
        Provider::Microsoft => endpoint(cloud, tenant, "token"),
        Provider::Google => "https://oauth2.googleapis.com/token".to_owned(),
    }
}

/// Where a device without a browser begins a sign-in.
pub(super) fn device_code_url(provider: Provider, cloud: Cloud, tenant: &str) -> String {
    match provider {
        Provider::Microsoft => endpoint(cloud, tenant, "devicecode"),
        Provider::Google => "https://oauth2.googleapis.com/device/code".to_owned(),
    }
}

/// What a token is asked for: a person's grant needs `offline_access` to be renewed later.
pub(super) const fn scope(provider: Provider, cloud: Cloud, access: Access) -> &'static str {
    match (provider, access) {
        (Provider::Google, _) => "https://mail.google.com/",
        (Provider::Microsoft, Access::Delegated) => cloud.delegated_scope(),
        (
            Provider::Microsoft,
            Access::Application | Access::ManagedIdentity | Access::WorkloadIdentity,
        ) => cloud.application_scope(),
    }
}

/// Where mail is submitted.
pub(super) const fn smtp_host(provider: Provider, cloud: Cloud) -> &'static str {
    match provider {
        Provider::Google => "smtp.gmail.com",
        Provider::Microsoft => cloud.smtp_host(),
    }
}

fn endpoint(cloud: Cloud, tenant: &str, last: &str) -> String {
    format!("https://{}/{tenant}/oauth2/v2.0/{last}", cloud.login_host())
}
