//! URLs: of the login service, of hooks, of proxies.

use oauth2::url::{Host, Url};

use crate::config::setting::{Fault, Given, Setting};
use crate::proxy::{Proxy, ProxyError};
use crate::secret::Secret;

/// A URL that carries secrets to and fro: https, or http on loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint(String);

impl Endpoint {
    /// As it was written: a redirect URI is compared octet by octet at the other end.
    pub(crate) fn into_string(self) -> String {
        self.0
    }

    /// For the built-in addresses, whose form is known.
    pub(crate) fn known(text: String) -> Self {
        debug_assert!(decode(&text).is_ok(), "{text}");
        Self(text)
    }
}

impl Setting for Endpoint {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let text = given.text()?;
        decode(text).map(|_| Self(text.to_owned()))
    }

    fn shown(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}

/// A managed identity's endpoint, which is plain http on this machine or its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpAddress(pub(crate) Url);

impl Setting for HttpAddress {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let url = http_url(given.text()?)?;
        // IMDS is 169.254.169.254 and Azure Arc 127.0.0.1, both over http only.
        let near = match url.host() {
            Some(Host::Ipv4(address)) => address.is_link_local() || address.is_private(),
            _ => false,
        };
        if url.scheme() != "https" && !near && !is_loopback(&url) {
            return Err(Fault(NOT_HTTPS.into()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            let text = "ends in ? or # and more, which is added to each request; leave that out";
            return Err(Fault(text.into()));
        }
        Ok(Self(url))
    }

    fn shown(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}

/// A URL to post to: https, or http on loopback. Chat services put the key into its path, so it is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Webhook(pub(crate) Secret);

impl Setting for Webhook {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let text = given.text()?;
        decode(text).map(|_| Self(Secret::new(text)))
    }

    fn shown(&self) -> serde_json::Value {
        "(redacted)".into()
    }
}

impl Setting for Proxy {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let parsed: Result<Self, ProxyError> = given.text()?.parse();
        parsed.map_err(|error| Fault(error.to_string()))
    }

    fn shown(&self) -> serde_json::Value {
        let shown = self.to_string();
        match &self.login {
            Some(_) => shown.replacen("://", "://(redacted)@", 1),
            None => shown,
        }
        .into()
    }
}

/// Whether `host` can only be this machine.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        // RFC 6761 section 6.3.
        Err(_) => bare.eq_ignore_ascii_case("localhost"),
    }
}

fn decode(text: &str) -> Result<Url, Fault> {
    let url = http_url(text)?;
    if url.scheme() != "https" && !is_loopback(&url) {
        return Err(Fault(NOT_HTTPS.into()));
    }
    if url.fragment().is_some() {
        return Err(Fault("has a fragment; leave out # and what follows".into()));
    }
    Ok(url)
}

fn http_url(text: &str) -> Result<Url, Fault> {
    let fault = || Fault("is not a URL of the form https://HOST/PATH".to_owned());
    let url = Url::parse(text).map_err(|_| fault())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || text.trim() != text {
        return Err(fault());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault(
            "has a user name in it; leave out what stands before @".into(),
        ));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback_host)
}

const NOT_HTTPS: &str = "carries secrets and is not https; http is taken on loopback only";
