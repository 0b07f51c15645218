//! Who is at the other end of a connection.

use std::fmt;
use std::net::IpAddr;

/// A client's address as the socket tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    /// Over TCP; an IPv4 address mapped into IPv6 counts as IPv4.
    Network(IpAddr),
    /// Over a Unix socket: the user id of the process.
    Local(u32),
}

impl Peer {
    pub(crate) fn network(address: IpAddr) -> Self {
        Self::Network(address.to_canonical())
    }

    /// A program of this machine.
    pub(crate) fn is_local(self) -> bool {
        match self {
            Self::Network(address) => address.is_loopback(),
            Self::Local(_) => true,
        }
    }

    /// What networks are compared with; a local process is in none.
    pub(crate) fn address(self) -> Option<IpAddr> {
        match self {
            Self::Network(address) => Some(address),
            Self::Local(_) => None,
        }
    }
}

/// As it stands in logs, the history and the shares of the queue: an address, or `uid:1000`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) => address.fmt(f),
            Self::Local(user) => write!(f, "uid:{user}"),
        }
    }
}
