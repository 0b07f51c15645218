//! The types of single values: durations, sizes, networks, addresses, URLs, secrets.

mod address;
mod duration;
mod mode;
mod name;
mod network;
mod secret;
mod size;
mod url;

pub use address::ListenAddress;
pub(crate) use duration::{parse_duration, shown_duration};
pub use name::AddressPattern;
pub(crate) use name::is_guid;
pub(crate) use network::shown_network;

pub(super) use address::{UNIX_PATH_MAX_OCTETS, too_long};
pub(super) use mode::Mode;
pub(super) use name::{HostName, LogLevel, Tenant};
pub(super) use secret::Secrets;
pub(super) use size::Size;
pub(crate) use url::is_loopback_host;
pub(super) use url::{Endpoint, HttpAddress, Webhook};
