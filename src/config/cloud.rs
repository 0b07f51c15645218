//! The login service, scope and submission host of each provider and cloud.
//!
//! National clouds differ in all three, and an application lives in exactly one of them. Values marked
//! uncertain below come from products in the field, not from Microsoft's pages; all can be overridden.

use super::account::{Access, Provider};
use super::setting::words;

words! {
    /// Microsoft's separate clouds.
    pub enum Cloud {
        /// The commercial cloud, GCC included.
        Global = "global",
        /// US government, GCC High.
        GccHigh = "gcc_high",
        /// US Department of Defense.
        Dod = "dod",
        /// Operated by 21Vianet.
        China = "china",
    }
}

/// Where a person signs in.
pub(super) fn authorize_url(provider: Provider, cloud: Cloud, tenant: &str) -> String {
    match provider {
        Provider::Microsoft => endpoint(cloud, tenant, "authorize"),
        Provider::Google => "https://accounts.google.com/o/oauth2/v2/auth".to_owned(),
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
pub(super) fn scope(provider: Provider, cloud: Cloud, access: Access) -> String {
    if provider == Provider::Google {
        return "https://mail.google.com/".to_owned();
    }
    let delegated = access == Access::Delegated;
    let resource = match cloud {
        Cloud::Global if delegated => "https://outlook.office.com",
        Cloud::Global => "https://outlook.office365.com",
        Cloud::GccHigh | Cloud::Dod => "https://outlook.office365.us",
        Cloud::China => "https://partner.outlook.cn",
    };
    if delegated {
        format!("{resource}/SMTP.Send offline_access")
    } else {
        format!("{resource}/.default")
    }
}

/// Where mail is submitted.
pub(super) const fn smtp_host(provider: Provider, cloud: Cloud) -> &'static str {
    match (provider, cloud) {
        (Provider::Google, _) => "smtp.gmail.com",
        (Provider::Microsoft, Cloud::Global) => "smtp.office365.com",
        (Provider::Microsoft, Cloud::GccHigh) => "smtp.office365.us",
        // Uncertain.
        (Provider::Microsoft, Cloud::Dod) => "outlook-dod.office365.us",
        (Provider::Microsoft, Cloud::China) => "smtp.partner.outlook.cn",
    }
}

fn endpoint(cloud: Cloud, tenant: &str, last: &str) -> String {
    let host = match cloud {
        Cloud::Global => "login.microsoftonline.com",
        Cloud::GccHigh | Cloud::Dod => "login.microsoftonline.us",
        Cloud::China => "login.partner.microsoftonline.cn",
    };
    format!("https://{host}/{tenant}/oauth2/v2.0/{last}")
}
