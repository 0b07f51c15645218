//! `[listener.NAME]`: where clients connect, who may, and how much.

use std::net::{Ipv4Addr, Ipv6Addr};
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
    /// AUTH is offered without TLS to other hosts too.
    pub allow_plain_auth: bool,
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
    /// Opened in a minute, from one peer address; 0: unlimited.
    pub connections_per_client_per_minute: u32,
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
        let auth = table.read("auth", ListenerAuth::None);
        // Who has to log in may come from anywhere, unless it is said from where.
        let is_reachable = address.as_ref().is_some_and(ListenAddress::is_reachable);
        let allow = if is_reachable && auth == ListenerAuth::Required {
            everywhere()
        } else {
            loopback()
        };
        let any_count = 1..=100_000;
        let any_timeout = Duration::from_secs(1)..=Duration::from_hours(24);
        let listener = Self {
            // Without an address there is a problem already, and only the other keys are read on.
            address: address.clone().unwrap_or_else(local_address),
            socket_mode: table.read("socket_mode", Mode(0o660)).0,
            allow: table.read("allow", allow),
            tls: table.read("tls", ListenerTls::None),
            certificate: table.read("certificate", None),
            private_key: table.read("private_key", None),
            auth,
            users: table.read("users", None),
            allow_plain_auth: table.read("allow_plain_auth", false),
            account: table.read("account", None),
            bare_newline: table.read("bare_newline", BareNewline::Normalize),
            allow_recipients: table.read("allow_recipients", Vec::new()),
            max_connections: table.bounded("max_connections", 200, any_count.clone()),
            max_connections_per_client: table.bounded(
                "max_connections_per_client",
                50,
                any_count.clone(),
            ),
            connections_per_client_per_minute: table.bounded(
                "connections_per_client_per_minute",
                0,
                0..=100_000,
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

    /// Whether some other host could send mail to the world through it, without being asked who it is.
    pub(super) fn is_open(&self, allow_is_set: bool) -> bool {
        let guarded = allow_is_set && !self.allow.is_empty() && !holds_the_internet(&self.allow);
        self.address.is_reachable() && !guarded && self.auth != ListenerAuth::Required
    }

    /// Whether other hosts get to log in.
    pub(super) fn offers_auth_to_others(&self) -> bool {
        self.tls != ListenerTls::None || self.allow_plain_auth
    }

    /// A network that no site of one's own fills, if one is let in without a login.
    pub(super) fn huge_network(&self) -> Option<IpNet> {
        let is_guarded = !self.address.is_reachable() || self.auth == ListenerAuth::Required;
        let mut networks = self.allow.iter().filter(|_| !is_guarded);
        networks.find(|network| is_huge(network)).copied()
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

fn loopback() -> Vec<IpNet> {
    vec![
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
        IpNet::V6(Ipv6Net::from(Ipv6Addr::LOCALHOST)),
    ]
}

fn everywhere() -> Vec<IpNet> {
    vec![IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())]
}

/// Half of all addresses of IPv4, or an eighth of those of IPv6 (all that are given out are in one), however they
/// are cut: nobody's devices fill that.
fn holds_the_internet(allow: &[IpNet]) -> bool {
    let networks = IpNet::aggregate(&allow.to_vec());
    let size_of = |network: &IpNet| match network {
        IpNet::V4(four) => 1_u64 << (32 - four.prefix_len()),
        IpNet::V6(_) => 0,
    };
    let six = |network: &IpNet| matches!(network, IpNet::V6(six) if six.prefix_len() <= 3);
    networks.iter().map(size_of).sum::<u64>() >= 1 << 31 || networks.iter().any(six)
}

fn is_huge(network: &IpNet) -> bool {
    match network {
        IpNet::V4(four) => four.prefix_len() < 8,
        // Unique local addresses (RFC 4193) and those of a link are everybody's own.
        IpNet::V6(six) => {
            let network = six.network();
            let is_own = network.is_unique_local() || network.is_unicast_link_local();
            six.prefix_len() < 16 && !is_own
        }
    }
}

const LOCAL: &str = "local";
