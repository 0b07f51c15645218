//! Who or what stands in the way.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Why there is no connection to the upstream.
#[derive(Debug, thiserror::Error)]
pub(in crate::delivery) enum DialError {
    /// No address, or none that answers.
    #[error("cannot connect to {host}:{port}: {reason}; check name, network and firewall")]
    Target {
        host: String,
        port: u16,
        reason: Unreachable,
    },
    /// As before, for the proxy.
    #[error(
        "cannot connect to the proxy {proxy}: {reason}; check smtp.proxy, network and firewall"
    )]
    Proxy { proxy: String, reason: Unreachable },
    /// The proxy is there, and does not give the connection.
    #[error("the proxy {proxy} {refusal}")]
    Refused { proxy: String, refusal: Refusal },
}

/// Why a host is not reached.
#[derive(Debug)]
pub(in crate::delivery) enum Unreachable {
    /// Its name gave no address.
    Unresolved(io::Error),
    /// Every address that was tried, and what came of it.
    NoAnswer(Vec<(SocketAddr, io::Error)>),
}

/// Why a proxy gives no connection.
#[derive(Debug, thiserror::Error)]
pub(in crate::delivery) enum Refusal {
    /// The connection to it broke.
    #[error("closed the connection: {0}; check the scheme and port in smtp.proxy")]
    Lost(#[from] io::Error),
    /// It, or the target behind it, took too long.
    #[error("gave no connection within {} s", .0.as_secs())]
    Silent(Duration),
    /// Another protocol.
    #[error("does not speak {0}; check the scheme and port in smtp.proxy")]
    OtherProtocol(&'static str),
    /// No user name is given.
    #[error(
        "wants to know who asks; write user name and password in smtp.proxy, as SCHEME://USER:PASSWORD@HOST:PORT"
    )]
    LoginNeeded,
    /// It does not like the one given.
    #[error("refuses the user name and password; check them in smtp.proxy")]
    LoginRefused,
    /// Its rules.
    #[error("does not allow connections to {target} ({reply}); ask those who run it to allow them")]
    Forbidden { target: String, reply: String },
    /// Its network, its resolver, or the target.
    #[error(
        "cannot reach {target} ({reply}): the target or the proxy's network is at fault; check smtp.host and smtp.port"
    )]
    Target { target: String, reply: String },
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved(error) => write!(f, "the name cannot be resolved: {error}"),
            Self::NoAnswer(tried) => {
                let mut separator = "";
                for (address, error) in tried {
                    write!(f, "{separator}{address}: {error}")?;
                    separator = ", ";
                }
                Ok(())
            }
        }
    }
}
