//! A proxy on the way out, for SMTP and for token requests alike.

use std::fmt;
use std::str::FromStr;

use oauth2::url::Url;

use crate::secret::Secret;

/// `socks5://[USER:PASSWORD@]HOST:PORT` or `http://[USER:PASSWORD@]HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// The protocol spoken to it.
    pub kind: ProxyKind,
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// For a proxy that asks who we are.
    pub login: Option<Login>,
}

/// How a proxy is asked for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// RFC 1928.
    Socks5,
    /// `CONNECT`, RFC 9110 section 9.3.6.
    Http,
}

/// RFC 1929, or the Basic scheme of RFC 7617.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Not shown either: some services put the key there.
    pub user: Secret,
    /// May be empty for HTTP only.
    pub password: Secret,
}

/// A text is not the URL of a proxy. It is not quoted: a password may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Another scheme, no port, a path.
    #[error(
        "is not of the form \"socks5://HOST:PORT\" or \"http://HOST:PORT\", with USER:PASSWORD@ before the host if the proxy asks for them"
    )]
    Syntax,
    /// What stands before `@` cannot be sent.
    #[error(
        "has a user name or password the proxy cannot be told; write other characters than letters and digits as %XX, and for socks5 both of them"
    )]
    Login,
}

/// RFC 1929 section 2 has one octet for the length.
const LOGIN_PART_MAX_OCTETS: usize = 255;

impl ProxyKind {
    /// What stands before `://`.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Socks5 => "socks5",
            Self::Http => "http",
        }
    }
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let (scheme, rest) = text.split_once("://").ok_or(ProxyError::Syntax)?;
        let kind = [ProxyKind::Socks5, ProxyKind::Http]
            .into_iter()
            .find(|kind| kind.scheme() == scheme)
            .ok_or(ProxyError::Syntax)?;
        // A scheme that the URL standard has no default port for keeps every port visible.
        let url = Url::parse(&format!("proxy://{rest}")).map_err(|_| ProxyError::Syntax)?;
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_host = |octet: u8| octet.is_ascii_alphanumeric() || b".-_:".contains(&octet);
        let bare = matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
            && text.trim() == text;
        let Some(port) = url.port().filter(|port| *port > 0 && bare) else {
            return Err(ProxyError::Syntax);
        };
        if host.is_empty() || !host.bytes().all(is_host) {
            return Err(ProxyError::Syntax);
        }
        Ok(Self {
            kind,
            host: host.to_owned(),
            port,
            login: Login::of(&url, kind)?,
        })
    }
}

/// Without the login.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.kind.scheme();
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

impl Login {
    fn of(url: &Url, kind: ProxyKind) -> Result<Option<Self>, ProxyError> {
        let (user, password) = (url.username(), url.password());
        if user.is_empty() && password.is_none() {
            return Ok(None);
        }
        let part = |text: &str| decode(text).filter(|text| text.len() <= LOGIN_PART_MAX_OCTETS);
        let user = part(user).ok_or(ProxyError::Login)?;
        let password = part(password.unwrap_or_default()).ok_or(ProxyError::Login)?;
        let can_be_told = match kind {
            ProxyKind::Socks5 => !user.is_empty() && !password.is_empty(),
            // RFC 7617 section 2: the first colon ends the user name.
            ProxyKind::Http => !user.is_empty() && !user.contains(':'),
        };
        if !can_be_told {
            return Err(ProxyError::Login);
        }
        Ok(Some(Self {
            user: Secret::new(user),
            password: Secret::new(password),
        }))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(redacted)")
    }
}

/// `%XX`, RFC 3986 section 2.1. None when the octets are not text without controls.
fn decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        octets.push((digit()? * 16 + digit()?) as u8);
    }
    let decoded = String::from_utf8(octets).ok()?;
    (!decoded.chars().any(char::is_control)).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read() {
        for (text, shown, login) in [
            ("socks5://proxy:1080", "socks5://proxy:1080", None),
            ("http://10.0.0.1:80/", "http://10.0.0.1:80", None),
            ("socks5://[::1]:1080", "socks5://[::1]:1080", None),
            (
                "socks5://me:hunter2@proxy:1",
                "socks5://proxy:1",
                Some(("me", "hunter2")),
            ),
            (
                "http://dom%5Cme:p%40ss%3A%25%C3%BC@proxy:3128",
                "http://proxy:3128",
                Some(("dom\\me", "p@ss:%ü")),
            ),
            ("http://key@proxy:1", "http://proxy:1", Some(("key", ""))),
        ] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(proxy.to_string(), shown);
            assert!(!proxy.host.contains('['));
            let read = proxy.login.as_ref();
            let read = read.map(|login| (login.user.reveal(), login.password.reveal()));
            assert_eq!(read, login, "{text}");
            let debug = format!("{proxy:?}");
            let redacted = debug.ends_with("login: Some(Login(redacted)) }");
            assert_eq!(redacted, login.is_some(), "{debug}");
        }
    }

    #[test]
    fn other_text_is_refused_without_being_quoted() {
        for text in [
            "proxy:1080",
            "socks4://proxy:1080",
            "https://proxy:443",
            "socks5://proxy",
            "socks5://proxy:0",
            "socks5://:1080",
            "http://proxy:1/path",
            "http://proxy:1?query",
            "http://pro%20xy:1",
            " http://proxy:1",
        ] {
            assert_eq!(text.parse::<Proxy>(), Err(ProxyError::Syntax), "{text}");
        }
        let long = format!("socks5://{}:hunter2@proxy:1", "u".repeat(256));
        for text in [
            "socks5://me@proxy:1",
            "socks5://me:@proxy:1",
            "socks5://:hunter2@proxy:1",
            "http://a%3Ab:hunter2@proxy:1",
            "http://me:hunter2%0D%0A@proxy:1",
            "http://me:hunter2%FF@proxy:1",
            "http://me:hunter2%4@proxy:1",
            &long,
        ] {
            assert_eq!(text.parse::<Proxy>(), Err(ProxyError::Login), "{text}");
        }
    }
}
