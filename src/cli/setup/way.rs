//! The ways to a token, as a person chooses among them.

use crate::config::{Access, Account, Provider};

/// How a token is to be obtained; several are one `access` of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The application by itself, with a secret.
    Secret,
    /// The application by itself, with a certificate.
    Certificate,
    /// A person signs in here in a browser.
    Browser,
    /// A person signs in on another device.
    Device,
    /// The Azure machine.
    ManagedIdentity,
    /// A token of another identity provider.
    WorkloadIdentity,
    /// A person's mailbox at Google.
    Google,
}

impl Way {
    /// In the order of the menu.
    pub(super) const ALL: [Self; 7] = [
        Self::Secret,
        Self::Certificate,
        Self::Browser,
        Self::Device,
        Self::ManagedIdentity,
        Self::WorkloadIdentity,
        Self::Google,
    ];

    /// The word in an answers file.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Certificate => "certificate",
            Self::Browser => "browser",
            Self::Device => "device",
            Self::ManagedIdentity => "managed_identity",
            Self::WorkloadIdentity => "workload_identity",
            Self::Google => "google",
        }
    }

    /// Its line in the menu.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Secret => "an application with a secret (for most)",
            Self::Certificate => "an application with a certificate",
            Self::Browser => "a person signs in once, in a browser",
            Self::Device => "a person signs in once, with a code on another device",
            Self::ManagedIdentity => "managed identity: Azure VM, Azure Arc, App Service",
            Self::WorkloadIdentity => "workload identity: a token file, as in Kubernetes",
            Self::Google => "Google Workspace or Gmail",
        }
    }

    /// Its number in the menu, or its word.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let numbered = (1..).zip(Self::ALL);
        let found = numbered
            .into_iter()
            .find(|(number, way)| text == number.to_string() || text == way.word());
        found.map(|(_, way)| way).ok_or_else(|| {
            let words = Self::ALL.map(Self::word).join(", ");
            format!("is none of 1 to 7, or {words}")
        })
    }

    /// The setting `access` that it takes.
    pub(super) const fn access(self) -> Access {
        match self {
            Self::Secret | Self::Certificate => Access::Application,
            Self::Browser | Self::Device | Self::Google => Access::Delegated,
            Self::ManagedIdentity => Access::ManagedIdentity,
            Self::WorkloadIdentity => Access::WorkloadIdentity,
        }
    }

    /// The page that tells it from the beginning.
    pub(super) const fn page(self) -> &'static str {
        match self {
            Self::Secret => "docs/sign-in/app-rbac.md",
            Self::Certificate => "docs/sign-in/certificate.md",
            Self::Browser => "docs/sign-in/browser.md",
            Self::Device => "docs/sign-in/device-code.md",
            Self::ManagedIdentity => "docs/sign-in/managed-identity.md",
            Self::WorkloadIdentity => "docs/sign-in/workload-identity.md",
            Self::Google => "docs/sign-in/google.md",
        }
    }

    /// What an account's settings are for. A browser and a code on another device leave the same settings.
    pub(super) fn of(account: &Account) -> Self {
        Self::from_settings(
            account.provider == Provider::Google,
            account.access.as_str(),
            account.client_certificate.is_some(),
        )
    }

    /// As [`Way::of`], of what stands in a file.
    pub(super) fn from_settings(google: bool, access: &str, certificate: bool) -> Self {
        if google {
            return Self::Google;
        }
        match access {
            "delegated" => Self::Browser,
            "managed_identity" => Self::ManagedIdentity,
            "workload_identity" => Self::WorkloadIdentity,
            _ if certificate => Self::Certificate,
            _ => Self::Secret,
        }
    }
}
