//! Where a listener listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A listener's address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// A TCP port; port 0 takes any free one.
    Tcp(SocketAddr),
    /// A Unix socket that is made for it.
    Unix {
        /// Where.
        path: PathBuf,
        /// Its permissions: who may connect.
        mode: u32,
    },
    /// A socket that systemd opened, by its `FileDescriptorName=`.
    Systemd(String),
}

impl Address {
    /// Of a TCP port.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix { .. } | Self::Systemd(_) => None,
        }
    }

    /// Whether each socket on it is another one.
    pub fn is_any(&self) -> bool {
        self.tcp().is_some_and(|address| address.port() == 0)
    }
}

/// As in the settings.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}
