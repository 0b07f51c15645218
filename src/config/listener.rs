//! `[listener.NAME]`: where clients connect, who may, and how much.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::reader::Table;
use super::setting::words;
use super::value::{AddressPattern, ListenAddress, Mode, Size};

/// One socket for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The name in `[listener.NAME]`.
    pub name: String,
    /// Where it listens.
    pub address: ListenAddress,
    /// Permissions of a Unix socket.
    pub socket_mode: u32,
    /// Networks that may connect; compare canonical (unmapped) peer addresses.
    pub allow: Vec<IpNet>,
    /// What it asks of TLS.
    pub tls: ListenerTls,
    /// PEM chain; set whenever `tls` is not `None`.
    pub certificate: Option<PathBuf>,
    /// PEM key; set whenever `tls` is not `None`.
    pub private_key: Option<PathBuf>,
    /// What it asks of AUTH.
    pub auth: ListenerAuth,
    /// `NAME:HASH` lines; set whenever `auth` is not `None`.
    pub users: Option<PathBuf>,
    /// The account that every message of this listener goes through; none: as routed.
    pub account: Option<String>,
    /// What happens to line ends other than CRLF in content.
    pub bare_newline: BareNewline,
    /// Whom mail may be sent to; empty: anybody.
    pub allow_recipients: Vec<AddressPattern>,
    /// Sessions at the same time.
    pub max_connections: u32,
    /// Of these, from one peer address.
    pub max_connections_per_client: u32,
    /// As announced with SIZE.
    pub max_message_size_bytes: u64,
    /// Per message.
    pub max_recipients: u32,
    /// Replies 5xx to one session before it is ended with 421.
    pub max_errors: u32,
    /// For one command line.
    pub command_timeout: Duration,
    /// Between two blocks of content.
    pub data_timeout: Duration,
    /// From the greeting to the end.
    pub session_timeout: Duration,
}

words! {
    /// TLS towards clients.
    pub enum ListenerTls {
        /// Plain text only.
        None = "none",
        /// STARTTLS is offered.
        Optional = "optional",
        /// Nothing but STARTTLS before it.
        Required = "required",
        /// TLS from the first octet.
        Implicit = "implicit",
    }
}

words! {
    /// AUTH towards clients.
    pub enum ListenerAuth {
        /// Not offered.
        None = "none",
        /// Offered.
        Optional = "optional",
        /// No mail without it.
        Required = "required",
    }
}

words! {
    /// What happens to a bare LF or CR in content.
    pub enum BareNewline {
        /// It becomes CRLF.
        Normalize = "normalize",
        /// The message is refused.
        Reject = "reject",
        /// As `Normalize`, and LF.LF ends the content too.
        Lenient = "lenient",
    }
}

/// All listeners; the one called `local` when none is set.
pub(super) fn read_all(root: &Table<'_>) -> Vec<Listener> {
    let sections = root.named("listener");
    if sections.is_empty() {
        let section = root.absent("listener", LOCAL);
        return Listener::read(LOCAL.to_owned(), section)
            .into_iter()
            .collect();
    }
    let listeners = sections.into_iter();
    listeners
        .filter_map(|(name, section)| Listener::read(name, section))
        .collect()
}

impl Listener {
    fn read(name: String, table: Table<'_>) -> Option<Self> {
        let address = if name == LOCAL {
            Some(table.read("address", local_address()))
        } else {
            table.required("address", "write address = \"127.0.0.1:2525\" or another")
        };
        let loopback = vec![
            IpNet::V4(Ipv4Net::new_assert(
                std::net::Ipv4Addr::new(127, 0, 0, 0),
                8,
            )),
            IpNet::V6(Ipv6Net::from(std::net::Ipv6Addr::LOCALHOST)),
        ];
        let any_count = 1..=100_000;
        let any_timeout = Duration::from_secs(1)..=Duration::from_hours(24);
        let listener = Self {
            // Without an address there is a problem already, and only the other keys are read on.
            address: address.clone().unwrap_or_else(local_address),
            socket_mode: table.read("socket_mode", Mode(0o660)).0,
            allow: table.read("allow", loopback),
            tls: table.read("tls", ListenerTls::None),
            certificate: table.read("certificate", None),
            private_key: table.read("private_key", None),
            auth: table.read("auth", ListenerAuth::None),
            users: table.read("users", None),
            account: table.read("account", None),
            bare_newline: table.read("bare_newline", BareNewline::Normalize),
            allow_recipients: table.read("allow_recipients", Vec::new()),
            max_connections: table.bounded("max_connections", 200, any_count.clone()),
            max_connections_per_client: table.bounded(
                "max_connections_per_client",
                50,
                any_count.clone(),
            ),
            max_message_size_bytes: table
                .bounded(
                    "max_message_size",
                    Size::mib(150),
                    Size::kib(1)..=Size::gib(2),
                )
                .bytes(),
            max_recipients: table.bounded("max_recipients", 500, any_count.clone()),
            max_errors: table.bounded("max_errors", 20, any_count),
            command_timeout: table.bounded(
                "command_timeout",
                Duration::from_mins(5),
                any_timeout.clone(),
            ),
            data_timeout: table.bounded(
                "data_timeout",
                Duration::from_mins(3),
                any_timeout.clone(),
            ),
            session_timeout: table.bounded("session_timeout", Duration::from_mins(30), any_timeout),
            name,
        };
        table.finish();
        address.map(|_| listener)
    }

    /// Whether some other host could send mail to the world through it.
    pub(super) fn is_open(&self, allow_is_set: bool) -> bool {
        let guarded = allow_is_set && !self.allow.is_empty() && !covers_everything(&self.allow);
        self.address.is_reachable() && !guarded && self.auth != ListenerAuth::Required
    }

    /// What is wrong when networks are let in that can never get here.
    pub(super) fn shut_out(&self) -> Option<String> {
        let ListenAddress::Tcp(address) = &self.address else {
            return None;
        };
        let within_reach = |network: &IpNet| network.contains(&address.ip().to_canonical());
        if self.address.is_reachable() || self.allow.iter().any(within_reach) {
            return None;
        }
        Some(format!(
            "holds no address of this machine, and {address} can be reached from here only; to serve other \
             hosts, write address = \"0.0.0.0:{}\"",
            address.port()
        ))
    }
}

fn local_address() -> ListenAddress {
    ListenAddress::Tcp(std::net::SocketAddr::from(([127, 0, 0, 1], 2525)))
}

/// Halves of the address space, given one by one, are the whole of it too.
fn covers_everything(allow: &[IpNet]) -> bool {
    let networks = allow.to_vec();
    IpNet::aggregate(&networks)
        .iter()
        .any(|network| network.prefix_len() == 0)
}

const LOCAL: &str = "local";
