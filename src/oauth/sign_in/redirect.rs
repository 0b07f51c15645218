//! Where the browser returns to after a sign-in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use oauth2::RedirectUrl;
use oauth2::url::{Host, Url};

/// A redirect URI, kept octet by octet: the authorization server compares it so (facts D.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUri {
    uri: RedirectUrl,
    loopback: Option<Loopback>,
}

/// A URI that this machine can listen on, in the pieces around its port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Loopback {
    /// `http://localhost`
    before: String,
    port: Option<u16>,
    /// `/OAuth2Callback?from=relay`
    after: String,
    addresses: &'static [IpAddr],
}

/// Browsers try both for the name.
const LOCALHOST: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

impl RedirectUri {
    /// As registered with the application.
    pub fn new(uri: RedirectUrl) -> Self {
        let loopback = Loopback::of(uri.as_str(), uri.url());
        Self { uri, loopback }
    }

    /// The text, for the wire and for the registration.
    pub fn as_str(&self) -> &str {
        self.uri.as_str()
    }

    /// Whether the browser's return can be awaited here; if not, somebody has to paste the address it
    /// ends up at.
    pub fn is_loopback(&self) -> bool {
        self.loopback.is_some()
    }

    /// Of the URI as browsers ask for it.
    pub(super) fn path(&self) -> &str {
        self.uri.url().path()
    }

    pub(super) fn to_redirect_url(&self) -> RedirectUrl {
        self.uri.clone()
    }

    /// Where to listen: addresses, the first of which is needed, and the port, 0 for any.
    pub(super) fn listen_on(&self) -> Option<(&'static [IpAddr], u16)> {
        let loopback = self.loopback.as_ref()?;
        Some((loopback.addresses, loopback.port.unwrap_or(0)))
    }

    /// The same with the port that was found; RFC 8252 section 7.3 lets a native application choose it.
    pub(super) fn at(&self, port: u16) -> Self {
        let Some(loopback) = self.loopback.as_ref().filter(|l| l.port.is_none()) else {
            return self.clone();
        };
        let text = format!("{}:{port}{}", loopback.before, loopback.after);
        // Only digits were put in; should the result be no URL all the same, the old one serves.
        RedirectUrl::new(text).map_or_else(|_| self.clone(), Self::new)
    }
}

impl Loopback {
    fn of(text: &str, url: &Url) -> Option<Self> {
        let addresses = match url.host()? {
            Host::Domain("localhost") => LOCALHOST,
            Host::Ipv4(Ipv4Addr::LOCALHOST) => LOCALHOST.get(..1)?,
            // Entra knows no others (facts D.11).
            Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_) => return None,
        };
        if url.scheme() != "http" {
            return None;
        }
        let start = text.find("://")? + "://".len();
        let rest = text.get(start..)?;
        let (authority, after) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        // The parsed URL does not tell port 80 from none.
        let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
        Some(Self {
            before: text.get(..start + host.len())?.to_owned(),
            port: match port {
                "" => None,
                port => Some(port.parse().ok()?),
            },
            after: after.to_owned(),
            addresses,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> RedirectUri {
        RedirectUri::new(RedirectUrl::new(text.to_owned()).unwrap())
    }

    #[test]
    fn free_port_is_put_in_and_the_rest_kept() {
        for (registered, used, path) in [
            ("http://localhost", "http://localhost:4711", "/"),
            ("http://localhost/", "http://localhost:4711/", "/"),
            (
                "http://localhost/OAuth2Callback",
                "http://localhost:4711/OAuth2Callback",
                "/OAuth2Callback",
            ),
            (
                "http://127.0.0.1/a%2Fb?From=Relay:1",
                "http://127.0.0.1:4711/a%2Fb?From=Relay:1",
                "/a%2Fb",
            ),
            (
                "http://localhost?x=http://y",
                "http://localhost:4711?x=http://y",
                "/",
            ),
            ("http://localhost:/x", "http://localhost:4711/x", "/x"),
        ] {
            let found = uri(registered).at(4711);
            assert_eq!(found.as_str(), used);
            assert_eq!(found.path(), path);
            assert_eq!(uri(registered).listen_on().unwrap().1, 0, "{registered}");
            assert_eq!(found.listen_on().unwrap().1, 4711);
        }
    }

    #[test]
    fn given_port_is_used() {
        for (text, port) in [
            ("http://localhost:8080/cb", 8080),
            ("http://127.0.0.1:80", 80),
        ] {
            assert_eq!(uri(text).listen_on().unwrap().1, port);
            assert_eq!(uri(text).at(4711), uri(text));
        }
    }

    #[test]
    fn name_is_listened_for_on_both_families() {
        let families = |text: &str| uri(text).listen_on().unwrap().0.len();
        assert_eq!(families("http://localhost"), 2);
        assert_eq!(families("http://127.0.0.1"), 1);
    }

    #[test]
    fn others_have_to_be_pasted() {
        for text in [
            "https://login.microsoftonline.com/common/oauth2/nativeclient",
            "https://localhost/cb",
            "http://[::1]/cb",
            "http://127.0.0.2/cb",
            "http://localhost.contoso.com/cb",
            "http://localhost:99999999999/cb",
        ] {
            let Ok(parsed) = RedirectUrl::new(text.to_owned()) else {
                continue;
            };
            assert!(!RedirectUri::new(parsed).is_loopback(), "{text}");
        }
    }
}
