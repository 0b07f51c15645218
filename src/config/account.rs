//! `[account.NAME]`: one mailbox of the provider, and the way to it.

use std::path::PathBuf;
use std::time::Duration;

use oauth2::url::Url;
use oauth2::{AuthUrl, DeviceAuthorizationUrl, RedirectUrl, TokenUrl};

use super::cloud;
use super::layers::FEDERATED_TOKEN_FILE;
use super::reader::Table;
use super::sender::Sender;
use super::setting::{Fault, Given, Setting, unknown_word, words};
use super::upstream::Upstream;
use super::value::{Endpoint, HttpAddress, Secrets, Tenant};
use crate::mail::Mailbox;
use crate::oauth::{AssertionAlgorithm, Cloud};
use crate::secret::SecretSource;

/// One mailbox to send through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name in `[account.NAME]`.
    pub name: String,
    /// The XOAUTH2 user.
    pub mailbox: Mailbox,
    /// Whose service it is.
    pub provider: Provider,
    /// Which of Microsoft's clouds.
    pub cloud: Cloud,
    /// Id or domain of the tenant; `common` when left empty.
    pub tenant_id: String,
    /// The application's id; empty only for a managed identity.
    pub client_id: String,
    /// How a token is obtained.
    pub access: Access,
    /// Tried in order when one is refused.
    pub client_secrets: Vec<SecretSource>,
    /// PEM certificate in place of a secret.
    pub client_certificate: Option<PathBuf>,
    /// Its PEM key; none: in the certificate's file.
    pub client_certificate_key: Option<PathBuf>,
    /// When secret or certificate run out, as far as the operator knows.
    pub credential_expires: Option<jiff::civil::Date>,
    /// The login service.
    pub oauth: Oauth,
    /// The submission service.
    pub smtp: Upstream,
    /// What happens to the From of messages.
    pub sender: Sender,
}

/// `[account.NAME.oauth]`: the login service, defaults from provider, cloud and tenant filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oauth {
    /// Where a person signs in.
    pub authorize_url: AuthUrl,
    /// Where tokens are issued.
    pub token_url: TokenUrl,
    /// Where a device sign-in begins.
    pub device_code_url: DeviceAuthorizationUrl,
    /// What a token is asked for, separated by spaces.
    pub scope: String,
    /// Where the browser returns to; as registered, octet by octet.
    pub redirect_uri: RedirectUrl,
    /// Of a managed identity; none: detected.
    pub identity_endpoint: Option<Url>,
    /// How an assertion is signed with the client certificate.
    pub assertion: AssertionAlgorithm,
    /// Where the token of the other identity provider is; only with `workload_identity`.
    pub federated_token_file: Option<PathBuf>,
    /// PEM roots to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// For one request.
    pub timeout: Duration,
}

impl Setting for AssertionAlgorithm {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let text = given.text()?;
        let algorithm = Self::ALL.into_iter().find(|known| known.name() == text);
        algorithm.ok_or_else(|| unknown_word(text, &Self::ALL.map(Self::name)))
    }

    fn shown(&self) -> serde_json::Value {
        self.name().into()
    }
}

words! {
    /// Whose service an account is at.
    pub enum Provider {
        /// Exchange Online.
        Microsoft = "microsoft",
        /// Gmail and Google Workspace.
        Google = "google",
    }
}

words! {
    /// How a token is obtained.
    pub enum Access {
        /// The application by itself: client credentials.
        Application = "application",
        /// On behalf of a person who signed in once.
        Delegated = "delegated",
        /// The Azure machine the daemon runs on.
        ManagedIdentity = "managed_identity",
        /// A token of another identity provider.
        WorkloadIdentity = "workload_identity",
    }
}

/// All accounts that could be read.
pub(super) fn read_all(root: &Table<'_>) -> Vec<Account> {
    let sections = root.named("account").into_iter();
    sections
        .filter_map(|(name, section)| Account::read(name, section))
        .collect()
}

impl Account {
    fn read(name: String, table: Table<'_>) -> Option<Self> {
        let mailbox: Option<Mailbox> = table.required(
            "mailbox",
            "write mailbox = \"relay@contoso.com\", the mailbox to send from",
        );
        let provider = table.read("provider", Provider::Microsoft);
        let cloud = table.read("cloud", Cloud::Global);
        let Tenant(tenant_id) = table.read("tenant_id", Tenant::default());
        let client_id = table.read("client_id", String::new());
        let access = table.read("access", Access::Application);
        let Secrets(client_secrets) = table.read("client_secret", Secrets::default());
        let client_certificate = table.read("client_certificate", None);
        let client_certificate_key = table.read("client_certificate_key", None);
        let credential_expires = table.read("credential_expires", None);
        let tenant_id = if tenant_id.is_empty() {
            "common".to_owned()
        } else {
            tenant_id
        };
        let oauth = Oauth::read(table.section("oauth"), provider, cloud, access, &tenant_id);
        let smtp = Upstream::read(
            table.section("smtp"),
            provider,
            cloud::smtp_host(provider, cloud),
        );
        let sender = Sender::read(table.section("sender"));
        table.finish();
        Some(Self {
            name,
            // Without one there is a problem already, and the other keys are looked at all the same.
            mailbox: mailbox.or_else(|| Mailbox::parse("nobody@invalid").ok())?,
            provider,
            cloud,
            tenant_id,
            client_id,
            access,
            client_secrets,
            client_certificate,
            client_certificate_key,
            credential_expires,
            oauth: oauth?,
            smtp,
            sender,
        })
    }
}

impl Oauth {
    /// `None` is never seen: every endpoint was parsed, or is a known one, before.
    fn read(
        table: Table<'_>,
        provider: Provider,
        cloud: Cloud,
        access: Access,
        tenant: &str,
    ) -> Option<Self> {
        let endpoint =
            |key, default: String| table.derived(key, Endpoint::known(default)).into_string();
        let authorize_url = endpoint(
            "authorize_url",
            cloud::authorize_url(provider, cloud, tenant),
        );
        let token_url = endpoint("token_url", cloud::token_url(provider, cloud, tenant));
        let device_code_url = endpoint(
            "device_code_url",
            cloud::device_code_url(provider, cloud, tenant),
        );
        let scope = table.derived("scope", cloud::scope(provider, cloud, access).to_owned());
        let redirect_uri = endpoint("redirect_uri", "http://localhost".to_owned());
        let identity_endpoint: Option<HttpAddress> = table.read("identity_endpoint", None);
        let oauth = Self {
            authorize_url: AuthUrl::new(authorize_url).ok()?,
            token_url: TokenUrl::new(token_url).ok()?,
            device_code_url: DeviceAuthorizationUrl::new(device_code_url).ok()?,
            scope,
            redirect_uri: RedirectUrl::new(redirect_uri).ok()?,
            identity_endpoint: identity_endpoint.map(|HttpAddress(url)| url),
            assertion: table.read("assertion", AssertionAlgorithm::default()),
            federated_token_file: if access == Access::WorkloadIdentity {
                table.or_platform("federated_token_file", FEDERATED_TOKEN_FILE)
            } else {
                table.read("federated_token_file", None)
            },
            ca_file: table.read("ca_file", None),
            timeout: table.bounded(
                "timeout",
                Duration::from_secs(30),
                Duration::from_secs(1)..=Duration::from_mins(10),
            ),
        };
        table.finish();
        Some(oauth)
    }
}
