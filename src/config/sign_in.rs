//! What an account needs in order to sign in, made from its settings.

use super::account::{Access, Account, Provider};
use super::settings::Settings;
use crate::oauth;

/// Where an account is to sign in is no URL that would do.
#[derive(Debug, thiserror::Error)]
#[error("account.{account}.oauth.{key}: {source}")]
pub struct SignInUrlError {
    account: String,
    key: &'static str,
    source: oauth::EndpointUrlError,
}

impl Settings {
    /// For [`oauth::TokenSource::new`].
    pub fn oauth_part(&self, account: &Account) -> Result<oauth::Settings, SignInUrlError> {
        let token_url = account.oauth.token_url.as_str().parse();
        Ok(oauth::Settings {
            token_url: token_url.map_err(account.bad_url("token_url"))?,
            client_id: account.client_id.clone(),
            credential: account.credential(),
            way: match account.access {
                Access::Application | Access::WorkloadIdentity => oauth::Way::ClientCredentials,
                Access::Delegated => oauth::Way::Delegated {
                    store: self.token_store_part(),
                    account: account.name.clone(),
                },
                Access::ManagedIdentity => oauth::Way::ManagedIdentity(account.identity_part()?),
            },
            scope: account.oauth.scope.clone(),
            timeout: account.oauth.timeout,
            ca_file: account.oauth.ca_file.clone(),
            proxy: account.smtp.proxy.clone(),
        })
    }

    /// Where sign-ins are kept.
    pub fn token_store_part(&self) -> oauth::TokenStore {
        let key = self.token_store.key.clone();
        oauth::TokenStore::new(&self.queue.directory).sealed_with(key)
    }

    /// For [`oauth::sign_in::SignIn::new`].
    pub fn sign_in_part(
        &self,
        account: &Account,
    ) -> Result<oauth::sign_in::SignInSettings, SignInUrlError> {
        let application = self.oauth_part(account)?;
        let device_code_url = account.oauth.device_code_url.as_str().parse();
        Ok(oauth::sign_in::SignInSettings {
            application,
            authorize_url: account.oauth.authorize_url.clone(),
            device_code_url: device_code_url.map_err(account.bad_url("device_code_url"))?,
            redirect_uri: account.oauth.redirect_uri.clone(),
            login_hint: account.mailbox.to_string(),
            parameters: match account.provider {
                // No refresh token without the first, and none for the second time without the other (facts G.4).
                Provider::Google => &[("access_type", "offline"), ("prompt", "consent")],
                Provider::Microsoft => &[],
            },
        })
    }
}

impl Account {
    fn bad_url(&self, key: &'static str) -> impl FnOnce(oauth::EndpointUrlError) -> SignInUrlError {
        let account = self.name.clone();
        move |source| SignInUrlError {
            account,
            key,
            source,
        }
    }

    fn identity_part(&self) -> Result<oauth::managed::Settings, SignInUrlError> {
        let endpoint = self.oauth.identity_endpoint.as_ref();
        let endpoint = endpoint.map(|url| oauth::EndpointUrl::of_platform(url.as_str()));
        Ok(oauth::managed::Settings {
            endpoint: endpoint
                .transpose()
                .map_err(self.bad_url("identity_endpoint"))?,
        })
    }

    /// What the application proves itself with: at most one of these, as was checked.
    fn credential(&self) -> oauth::Credential {
        let federated = self.oauth.federated_token_file.clone();
        match (self.access, federated, self.client_certificate.clone()) {
            (Access::ManagedIdentity, _, _) => oauth::Credential::None,
            (Access::WorkloadIdentity, Some(token_file), _) => {
                oauth::Credential::Federated { token_file }
            }
            (_, _, Some(certificate)) => oauth::Credential::Certificate {
                certificate,
                key: self.client_certificate_key.clone(),
                algorithm: self.oauth.assertion,
            },
            (_, _, None) if self.client_secrets.is_empty() => oauth::Credential::None,
            (_, _, None) => oauth::Credential::Secrets(self.client_secrets.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load_text;

    #[test]
    fn managed_identity_needs_a_mailbox_and_nothing_else() {
        let text =
            "[account.default]\nmailbox = \"relay@contoso.com\"\naccess = \"managed_identity\"\n";
        let endpoint = "http://169.254.169.254/metadata/identity/oauth2/token";
        let set = format!("{text}[account.default.oauth]\nidentity_endpoint = \"{endpoint}\"\n");
        for (text, expected) in [(text, None), (&set, Some(endpoint))] {
            let loaded = load_text(Path::new("x.toml"), text, std::iter::empty(), &[]).unwrap();
            assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
            let account = &loaded.settings.accounts["default"];
            let part = loaded.settings.oauth_part(account).unwrap();
            assert!(matches!(part.credential, oauth::Credential::None));
            let oauth::Way::ManagedIdentity(way) = part.way else {
                panic!("{:?}", part.way);
            };
            assert_eq!(
                way.endpoint.as_ref().map(oauth::EndpointUrl::as_str),
                expected
            );
            assert_eq!(part.scope, "https://outlook.office365.com/.default");
        }
    }

    #[test]
    fn managed_identity_is_of_azure_only() {
        let text = "[account.default]\nmailbox = \"relay@contoso.com\"\naccess = \"managed_identity\"\n\
                    provider = \"google\"\n";
        let refused = load_text(Path::new("x.toml"), text, std::iter::empty(), &[]).unwrap_err();
        let mut problems = refused.problems().iter();
        let problem = problems.find(|problem| problem.key == "account.default.access");
        assert!(
            problem.unwrap().text.contains("does not work with Google"),
            "{refused}"
        );
    }

    #[test]
    fn secret_beside_a_managed_identity_is_told_to_be_useless() {
        let text = "[account.default]\nmailbox = \"relay@contoso.com\"\naccess = \"managed_identity\"\n\
                    client_secret = { env = \"SECRET\" }\n";
        let loaded = load_text(Path::new("x.toml"), text, std::iter::empty(), &[]).unwrap();
        let [warning] = loaded.warnings.as_slice() else {
            panic!("{:?}", loaded.warnings);
        };
        assert!(
            warning.starts_with("account.default.client_secret: has no effect"),
            "{warning}"
        );
    }
}
