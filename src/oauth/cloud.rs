//! Microsoft's clouds: which hosts and scopes belong together.

use serde::{Deserialize, Serialize};

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
    fn shared_names_are_known() {
        assert!(is_shared_tenant("common") && is_shared_tenant("Organizations"));
        assert!(!is_shared_tenant("contoso.com"));
    }
}
