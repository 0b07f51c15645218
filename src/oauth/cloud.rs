//! Microsoft's clouds: which hosts and scopes belong together.

use serde::{Deserialize, Serialize};

use super::endpoint::{EndpointUrl, EndpointUrlError};

/// A cloud is a bundle of hosts; an app must be registered in the cloud it is used in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// Worldwide, and the US government's GCC.
    #[default]
    Global,
    /// Office 365 US Government GCC High.
    GccHigh,
    /// Office 365 US Government, Department of Defense.
    Dod,
    /// Office 365 operated by 21Vianet.
    China,
}

/// A tenant cannot be put into a token URL.
#[derive(Debug, thiserror::Error)]
#[error("\"{tenant}\" is not a tenant: give its GUID or one of its domains")]
pub struct TenantError {
    tenant: String,
}

impl Cloud {
    /// All of them, for listings.
    pub const ALL: [Self; 4] = [Self::Global, Self::GccHigh, Self::Dod, Self::China];

    /// The name in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::GccHigh => "gcc_high",
            Self::Dod => "dod",
            Self::China => "china",
        }
    }

    /// Where tokens are issued.
    pub const fn login_host(self) -> &'static str {
        match self {
            Self::Global => "login.microsoftonline.com",
            Self::GccHigh | Self::Dod => "login.microsoftonline.us",
            // Some products still use login.chinacloudapi.cn; Entra's own page names this one.
            Self::China => "login.partner.microsoftonline.cn",
        }
    }

    /// The scope for tokens of the application itself (client credentials).
    ///
    /// Those of `dod` and `china` are not documented by Microsoft; both can be overridden in the settings.
    pub const fn application_scope(self) -> &'static str {
        match self {
            Self::Global => "https://outlook.office365.com/.default",
            Self::GccHigh | Self::Dod => "https://outlook.office365.us/.default",
            Self::China => "https://partner.outlook.cn/.default",
        }
    }

    /// The scope for tokens of a signed-in user; `offline_access` brings the refresh token.
    pub const fn delegated_scope(self) -> &'static str {
        match self {
            // office.com here and office365.com above: that is how Microsoft documents the two.
            Self::Global => "https://outlook.office.com/SMTP.Send offline_access",
            Self::GccHigh | Self::Dod => "https://outlook.office365.us/SMTP.Send offline_access",
            Self::China => "https://partner.outlook.cn/SMTP.Send offline_access",
        }
    }

    /// Where mail is submitted, port 587.
    pub const fn smtp_host(self) -> &'static str {
        match self {
            Self::Global => "smtp.office365.com",
            Self::GccHigh => "smtp.office365.us",
            Self::Dod => "outlook-dod.office365.us",
            Self::China => "smtp.partner.outlook.cn",
        }
    }

    /// The token endpoint of a tenant: a GUID, a verified domain, or one of the shared names.
    pub fn token_url(self, tenant: &str) -> Result<EndpointUrl, TenantError> {
        let refused = || TenantError {
            tenant: tenant.to_owned(),
        };
        if !is_tenant(tenant) {
            return Err(refused());
        }
        let url = format!("https://{}/{tenant}/oauth2/v2.0/token", self.login_host());
        // A tenant of those characters always fits into a URL.
        url.parse().map_err(|_: EndpointUrlError| refused())
    }
}

/// Whether `tenant` is one of the names that stand for many tenants.
///
/// Client credentials need a tenant of their own: on a shared name Entra answers AADSTS50194 or
/// AADSTS9001023.
pub fn is_shared_tenant(tenant: &str) -> bool {
    ["common", "organizations", "consumers"]
        .iter()
        .any(|shared| tenant.eq_ignore_ascii_case(shared))
}

/// Letters, digits and hyphens, in labels between dots: what GUIDs, domains and shared names have in
/// common, and nothing that could change the path.
fn is_tenant(tenant: &str) -> bool {
    tenant.len() <= 253
        && tenant.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_settings() {
        for cloud in Cloud::ALL {
            let name = serde_json::to_value(cloud).unwrap();
            assert_eq!(name, cloud.name());
            assert_eq!(serde_json::from_value::<Cloud>(name).unwrap(), cloud);
        }
        assert_eq!(Cloud::default(), Cloud::Global);
    }

    #[test]
    fn token_url_is_built_from_host_and_tenant() {
        let guid = "11111111-2222-3333-4444-555555555555";
        assert_eq!(
            Cloud::Global.token_url(guid).unwrap().as_str(),
            format!("https://login.microsoftonline.com/{guid}/oauth2/v2.0/token")
        );
        assert_eq!(
            Cloud::China.token_url("contoso.cn").unwrap().as_str(),
            "https://login.partner.microsoftonline.cn/contoso.cn/oauth2/v2.0/token"
        );
        for cloud in Cloud::ALL {
            assert_eq!(
                cloud.token_url("common").unwrap().host(),
                cloud.login_host()
            );
        }
    }

    #[test]
    fn text_that_would_change_the_url_is_no_tenant() {
        for tenant in [
            "",
            ".",
            "..",
            "a..b",
            "a/b",
            "a?b",
            "a#b",
            "a@b",
            "a b",
            "%2e%2e",
            "contoso.com.",
            "{tenant}",
            "ü.de",
        ] {
            let error = Cloud::Global.token_url(tenant).unwrap_err();
            assert!(error.to_string().contains("GUID"), "{tenant}");
        }
    }

    #[test]
    fn shared_names_are_known() {
        assert!(is_shared_tenant("common") && is_shared_tenant("Organizations"));
        assert!(!is_shared_tenant("contoso.com"));
    }
}
