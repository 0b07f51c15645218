//! The URL of an endpoint of the authorization server.

use std::fmt;
use std::str::FromStr;

use oauth2::url::{Host, Url};

/// An absolute URL that secrets may be sent to: https, or http on this machine only.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointUrl {
    url: Url,
    host: Box<str>,
}

/// A text is not such a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointUrlError {
    /// Not a URL at all.
    #[error("not a URL such as https://login.microsoftonline.com/TENANT/oauth2/v2.0/token")]
    Syntax(#[source] oauth2::url::ParseError),
    /// Secrets would cross a network in the clear.
    #[error("http://{host} would send secrets in the clear: use https (http is for loopback only)")]
    Insecure {
        /// The host, which is not this machine.
        host: String,
    },
    /// `ftp:`, `mailto:`, or a host and port without a scheme.
    #[error("a URL of an endpoint begins with https://, not with {scheme}:")]
    Scheme {
        /// What stands before the first colon.
        scheme: String,
    },
    /// `https://user:password@host/`.
    #[error("a URL of an endpoint must not contain a user name or a password")]
    Userinfo,
    /// `#...`, RFC 6749 section 3.2.
    #[error("a URL of an endpoint must not contain a fragment (the part from # on)")]
    Fragment,
}

impl EndpointUrl {
    /// As [`str::parse`], for what the platform gives to its own machines: it answers over plain http on
    /// an address that is not routed (facts D.10), which is taken besides loopback.
    pub fn of_platform(text: &str) -> Result<Self, EndpointUrlError> {
        Self::parse(text, |url| is_loopback(url) || is_near(url))
    }

    fn parse(text: &str, plain: impl Fn(&Url) -> bool) -> Result<Self, EndpointUrlError> {
        let url = Url::parse(text).map_err(EndpointUrlError::Syntax)?;
        // A URL of http or https always has a host, and the others are refused below.
        let host = url.host_str().unwrap_or_default().to_owned();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointUrlError::Userinfo);
        }
        match url.scheme() {
            "https" => {}
            "http" if plain(&url) => {}
            "http" => return Err(EndpointUrlError::Insecure { host }),
            scheme => {
                let scheme = scheme.to_owned();
                return Err(EndpointUrlError::Scheme { scheme });
            }
        }
        if url.fragment().is_some() {
            return Err(EndpointUrlError::Fragment);
        }
        Ok(Self {
            url,
            host: host.into(),
        })
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The host alone, for messages.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is on this machine: no proxy is asked for it.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    pub(super) fn to_token_url(&self) -> oauth2::TokenUrl {
        oauth2::TokenUrl::from_url(self.url.clone())
    }

    pub(super) fn to_device_url(&self) -> oauth2::DeviceAuthorizationUrl {
        oauth2::DeviceAuthorizationUrl::from_url(self.url.clone())
    }
}

impl FromStr for EndpointUrl {
    type Err = EndpointUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, is_loopback)
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointUrl({self})")
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        // RFC 6761 section 6.3 reserves the name.
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Link-local (RFC 3927) and private (RFC 1918) addresses, which belong to the host or its network.
fn is_near(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Ipv4(address)) if address.is_link_local() || address.is_private())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_anywhere_and_http_on_loopback() {
        for text in [
            "https://login.microsoftonline.com/common/oauth2/v2.0/token",
            "https://sso.contoso.com:8443/token?policy=mail",
            "http://127.0.0.1:8080/token",
            "http://127.8.9.1/token",
            "http://[::1]:8080/token",
            "http://localhost/token",
        ] {
            assert_eq!(text.parse::<EndpointUrl>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn http_elsewhere_is_refused_and_named() {
        for text in [
            "http://login.microsoftonline.com/token",
            "http://192.168.1.1/token",
            "http://localhost.contoso.com/token",
            "http://127.0.0.1.contoso.com/token",
        ] {
            let error = text.parse::<EndpointUrl>().unwrap_err();
            assert!(matches!(error, EndpointUrlError::Insecure { .. }), "{text}");
            assert!(error.to_string().contains("https"), "{error}");
        }
    }

    #[test]
    fn http_next_door_is_for_the_platform_only() {
        for text in [
            "http://169.254.169.254/metadata/identity/oauth2/token",
            "http://10.92.0.4:2377/msi/token",
            "http://localhost:42356/msi/token",
        ] {
            assert_eq!(EndpointUrl::of_platform(text).unwrap().as_str(), text);
        }
        assert!("http://169.254.169.254/".parse::<EndpointUrl>().is_err());
        for text in ["http://168.63.129.16/token", "http://identity/token"] {
            let error = EndpointUrl::of_platform(text).unwrap_err();
            assert!(matches!(error, EndpointUrlError::Insecure { .. }), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        assert!(matches!(
            "login.microsoftonline.com".parse::<EndpointUrl>(),
            Err(EndpointUrlError::Syntax(_))
        ));
        for text in ["ftp://127.0.0.1/token", "login.contoso.com:443/token"] {
            let error = text.parse::<EndpointUrl>().unwrap_err();
            assert!(matches!(error, EndpointUrlError::Scheme { .. }), "{text}");
        }
        let password = "https://user:hunter2@host/"
            .parse::<EndpointUrl>()
            .unwrap_err();
        assert_eq!(password, EndpointUrlError::Userinfo);
        assert_eq!(
            "https://host/#top".parse::<EndpointUrl>(),
            Err(EndpointUrlError::Fragment)
        );
    }
}
