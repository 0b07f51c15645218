//! Where a machine's identity is to be had, and in which of the three protocols.

use std::path::Path;

use crate::oauth::endpoint::EndpointUrl;
use crate::oauth::settings::SettingsError;
use crate::secret::Secret;

/// Whose protocol is spoken.
#[derive(Debug)]
pub(super) enum Platform {
    /// An Azure VM's Instance Metadata Service.
    Vm,
    /// Azure Arc: a machine elsewhere, with Azure's agent on it.
    Arc,
    /// A VM's path on this machine: a VM's, until it asks for a key as Arc does.
    VmOrArc,
    /// App Service, Functions, Container Apps.
    AppService {
        /// `IDENTITY_HEADER`: proves that who asks is a process of the app.
        header: Secret,
    },
}

/// What the platform tells its processes.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// `IDENTITY_ENDPOINT`.
    pub(super) endpoint: Option<String>,
    /// `IDENTITY_HEADER`.
    pub(super) header: Option<Secret>,
    /// `IMDS_ENDPOINT` is there; it says nothing that `IDENTITY_ENDPOINT` does not.
    pub(super) imds: bool,
    /// The agent of Azure Arc is installed.
    pub(super) agent: bool,
}

impl Environment {
    /// This process's. A short blocking look at the disk.
    pub(super) fn of_this_process() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        Self {
            endpoint: variable("IDENTITY_ENDPOINT"),
            header: variable("IDENTITY_HEADER").map(Secret::new),
            imds: variable("IMDS_ENDPOINT").is_some(),
            agent: Path::new(ARC_AGENT).exists(),
        }
    }
}

impl Platform {
    /// Goes by the endpoint of the settings where there is one, else by the environment.
    ///
    /// An endpoint of the settings tells by its form whose it is: port 40342 is Arc's; the path
    /// `/metadata/identity/oauth2/token` a VM's, and on loopback, where no VM has it, Arc's as soon as it
    /// asks for a key; any other path App Service's, which takes `IDENTITY_HEADER` from the environment.
    ///
    /// The environment of App Service has `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`, that of Arc
    /// `IDENTITY_ENDPOINT` and `IMDS_ENDPOINT`, unless a service manager has dropped them: then its agent
    /// is seen on the disk. A VM has nothing of all this.
    pub(super) fn find(
        settings: Option<&EndpointUrl>,
        environment: Environment,
    ) -> Result<(Self, EndpointUrl), SettingsError> {
        if let Some(endpoint) = settings {
            let platform = Self::by_form(endpoint, environment.header);
            return Ok((
                platform.ok_or(SettingsError::IdentityHeader)?,
                endpoint.clone(),
            ));
        }
        let Environment {
            endpoint,
            header,
            imds,
            agent,
        } = environment;
        let (platform, endpoint) = match (endpoint, header) {
            (Some(endpoint), Some(header)) => (Self::AppService { header }, endpoint),
            (Some(endpoint), None) if imds => (Self::Arc, endpoint),
            _ if agent => (Self::Arc, ARC_ENDPOINT.to_owned()),
            _ => (Self::Vm, VM_ENDPOINT.to_owned()),
        };
        let endpoint = EndpointUrl::of_platform(&endpoint).map_err(SettingsError::Environment)?;
        Ok((platform, endpoint))
    }

    fn by_form(endpoint: &EndpointUrl, header: Option<Secret>) -> Option<Self> {
        let url = endpoint.url();
        if url.port() == Some(ARC_PORT) {
            Some(Self::Arc)
        } else if url.path().trim_end_matches('/') == METADATA_PATH {
            Some(if endpoint.is_loopback() {
                Self::VmOrArc
            } else {
                Self::Vm
            })
        } else {
            header.map(|header| Self::AppService { header })
        }
    }

    /// What to do when nobody answers.
    pub(super) const fn remedy(&self) -> &'static str {
        match self {
            Self::Vm | Self::VmOrArc => {
                "if this machine is no Azure VM, choose another access, or set oauth.identity_endpoint; if it is one, let it reach 169.254.169.254 past firewall and proxy"
            }
            Self::Arc => {
                "start the Azure Arc agent (systemctl start himdsd; azcmagent show), choose another access, or set oauth.identity_endpoint"
            }
            Self::AppService { .. } => {
                "check that the app has a managed identity, and oauth.identity_endpoint if it is set"
            }
        }
    }
}

const METADATA_PATH: &str = "/metadata/identity/oauth2/token";
const VM_ENDPOINT: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
const ARC_ENDPOINT: &str = "http://127.0.0.1:40342/metadata/identity/oauth2/token";
const ARC_PORT: u16 = 40_342;
const ARC_AGENT: &str = "/opt/azcmagent/bin/himds";

#[cfg(test)]
mod tests {
    use super::*;

    fn found(settings: Option<&str>, environment: Environment) -> (&'static str, String) {
        let settings = settings.map(|text| EndpointUrl::of_platform(text).unwrap());
        let (platform, endpoint) = Platform::find(settings.as_ref(), environment).unwrap();
        let platform = match platform {
            Platform::Vm => "vm",
            Platform::Arc => "arc",
            Platform::VmOrArc => "vm or arc",
            Platform::AppService { header } => {
                assert_eq!(header.reveal(), "h3ader");
                "app"
            }
        };
        (platform, endpoint.to_string())
    }

    fn environment(endpoint: &str, header: bool, imds: bool, agent: bool) -> Environment {
        Environment {
            endpoint: Some(endpoint.to_owned()).filter(|text| !text.is_empty()),
            header: header.then(|| Secret::new("h3ader")),
            imds,
            agent,
        }
    }

    #[test]
    fn environment_tells_the_platforms_apart() {
        let app = "http://127.0.0.1:41741/msi/token/";
        let arc = "http://localhost:40342/metadata/identity/oauth2/token";
        for (endpoint, header, imds, agent, expected) in [
            ("", false, false, false, ("vm", VM_ENDPOINT)),
            (app, true, false, false, ("app", app)),
            (app, true, true, true, ("app", app)),
            (arc, false, true, false, ("arc", arc)),
            ("", false, false, true, ("arc", ARC_ENDPOINT)),
            // Halves of an environment are somebody else's.
            (app, false, false, false, ("vm", VM_ENDPOINT)),
            ("", true, true, false, ("vm", VM_ENDPOINT)),
        ] {
            let (platform, url) = found(None, environment(endpoint, header, imds, agent));
            assert_eq!((platform, url.as_str()), expected, "{endpoint} {header}");
        }
    }

    #[test]
    fn endpoint_of_the_settings_counts_more_and_tells_by_its_form() {
        for (endpoint, expected) in [
            (VM_ENDPOINT, "vm"),
            ("http://10.92.0.4:2377/metadata/identity/oauth2/token", "vm"),
            (ARC_ENDPOINT, "arc"),
            (
                "http://localhost:40342/metadata/identity/oauth2/token",
                "arc",
            ),
            (
                "http://127.0.0.1:8080/metadata/identity/oauth2/token/",
                "vm or arc",
            ),
            ("http://169.254.129.2:8081/msi/token", "app"),
        ] {
            let elsewhere = environment("http://127.0.0.1:1/msi/token", true, true, true);
            let (platform, url) = found(Some(endpoint), elsewhere);
            assert_eq!((platform, url.as_str()), (expected, endpoint));
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let odd = EndpointUrl::of_platform("http://169.254.129.2:8081/msi/token").unwrap();
        let error = Platform::find(Some(&odd), Environment::default()).unwrap_err();
        assert!(matches!(error, SettingsError::IdentityHeader));
        let error = Platform::find(None, environment("8081/msi", true, false, false)).unwrap_err();
        assert!(
            error.to_string().starts_with("IDENTITY_ENDPOINT"),
            "{error}"
        );
    }
}
