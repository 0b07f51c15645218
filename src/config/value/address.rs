//! Where a listener listens.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::config::setting::{Fault, Given, Setting, quoted};

/// `127.0.0.1:2525`, `[::1]:2525`, `unix:PATH` or `systemd:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
    /// A socket that systemd opened, by its `FileDescriptorName=`.
    Systemd(String),
}

impl ListenAddress {
    /// Whether another host can reach it. What systemd opened is not known, hence counts as reachable.
    pub fn is_reachable(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => false,
            Self::Systemd(_) => true,
        }
    }

    /// Whether both cannot be bound at the same time.
    pub(crate) fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(a), Self::Tcp(b)) => {
                let same_family = a.is_ipv4() == b.is_ipv4();
                let any = a.ip().is_unspecified() || b.ip().is_unspecified();
                a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || (same_family && any))
            }
            (Self::Unix(a), Self::Unix(b)) => a == b,
            (Self::Systemd(a), Self::Systemd(b)) => a == b,
            (Self::Tcp(_) | Self::Unix(_) | Self::Systemd(_), _) => false,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

impl Setting for ListenAddress {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        decode(given.text()?)
    }

    fn shown(&self) -> serde_json::Value {
        self.to_string().into()
    }
}

impl Setting for SocketAddr {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        socket_address(given.text()?)
    }

    fn shown(&self) -> serde_json::Value {
        self.to_string().into()
    }
}

fn decode(text: &str) -> Result<ListenAddress, Fault> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path).map(ListenAddress::Unix);
    }
    if let Some(name) = text.strip_prefix("systemd:") {
        if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
            return Err(Fault(
                "names no socket of systemd; write \"systemd:NAME\" as in FileDescriptorName=NAME"
                    .into(),
            ));
        }
        return Ok(ListenAddress::Systemd(name.to_owned()));
    }
    socket_address(text).map(ListenAddress::Tcp)
}

fn unix(path: &str) -> Result<PathBuf, Fault> {
    if !path.starts_with('/') {
        return Err(Fault(format!(
            "{} is not an absolute path; write \"unix:/run/exorelay/smtp.sock\"",
            quoted(path)
        )));
    }
    if path.len() > UNIX_PATH_MAX_OCTETS {
        return Err(Fault(too_long(path)));
    }
    Ok(path.into())
}

fn socket_address(text: &str) -> Result<SocketAddr, Fault> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let given = quoted(text);
    if let Ok(ip) = text.parse::<IpAddr>() {
        let example = SocketAddr::new(ip, 2525);
        return Err(Fault(format!("{given} has no port; write \"{example}\"")));
    }
    let port = text.rsplit_once(':').map_or(text, |(_, port)| port);
    let port: u16 = port.parse().unwrap_or(2525);
    Err(Fault(format!(
        "{given} is not an address with a port; write \"127.0.0.1:{port}\" for this machine only, or \
         \"0.0.0.0:{port}\" with allow = [...] for the network"
    )))
}

/// The text of the fault for a Unix socket whose path the system cannot hold.
pub(crate) fn too_long(path: &str) -> String {
    format!(
        "the socket's path has {} octets and the system takes {UNIX_PATH_MAX_OCTETS}; choose a shorter one",
        path.len()
    )
}

/// `sun_path` of unix(7), without its NUL.
pub(crate) const UNIX_PATH_MAX_OCTETS: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_written() {
        for text in [
            "127.0.0.1:2525",
            "[::1]:2525",
            "0.0.0.0:0",
            "unix:/run/exorelay/smtp.sock",
            "systemd:smtp",
        ] {
            assert_eq!(decode(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn faults_show_the_way() {
        for (text, remedy) in [
            ("127.0.0.1", "127.0.0.1:2525"),
            ("::1", "[::1]:2525"),
            ("*:25", "127.0.0.1:25"),
            (":587", "127.0.0.1:587"),
            ("localhost:2525", "127.0.0.1:2525"),
            ("unix:smtp.sock", "unix:/run"),
            ("systemd:", "systemd:NAME"),
        ] {
            let Fault(text) = decode(text).unwrap_err();
            assert!(text.contains(remedy), "{text}");
        }
    }

    #[test]
    fn only_loopback_is_out_of_reach() {
        for (text, reachable) in [
            ("127.0.0.1:1", false),
            ("127.8.0.1:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("unix:/s", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("10.0.0.1:1", true),
            ("systemd:smtp", true),
        ] {
            assert_eq!(decode(text).unwrap().is_reachable(), reachable, "{text}");
        }
    }

    #[test]
    fn a_wildcard_takes_every_address_of_its_family() {
        for (one, other, collides) in [
            ("127.0.0.1:25", "127.0.0.1:25", true),
            ("0.0.0.0:25", "127.0.0.1:25", true),
            ("[::]:25", "127.0.0.1:25", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("unix:/a", "unix:/a", true),
            ("unix:/a", "127.0.0.1:25", false),
        ] {
            let (one, other) = (decode(one).unwrap(), decode(other).unwrap());
            assert_eq!(one.collides(&other), collides, "{one} {other}");
        }
    }
}
