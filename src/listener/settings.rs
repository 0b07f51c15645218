//! What one listener needs to know.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::listener::{Address, CertificateFiles, Hours, Pattern, Routing};
use crate::smtp::{BareNewline, Demand, ServerSettings};

/// Settings of one listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The NAME of `[listener.NAME]`.
    pub name: String,
    /// Where it listens.
    pub address: Address,
    /// Networks that may connect.
    pub allow: Vec<IpNet>,
    /// What the relay calls itself.
    pub hostname: String,
    /// Which account takes a message, and what single clients get: the same for all listeners.
    pub routing: Arc<Routing>,
    /// How much single clients have sent: the same for all listeners, for as long as the program runs.
    pub hours: Arc<Hours>,
    /// Whom mail may go to; empty: anybody.
    pub allow_recipients: Vec<Pattern>,
    /// Logins of clients; none: AUTH is not offered.
    pub login: Option<LoginSettings>,
    /// TLS towards clients; none: plain text only.
    pub encryption: Option<Encryption>,
    /// What happens to bare CR and LF in content.
    pub bare_newline: BareNewline,
    /// Bounds of one session and of all.
    pub limits: Limits,
    /// How long a client may take.
    pub timeouts: Timeouts,
}

/// AUTH towards clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSettings {
    /// No mail without it.
    pub is_required: bool,
    /// `NAME:HASH` lines.
    pub users: PathBuf,
    /// Also to other hosts whose session is not encrypted, which send their passwords for everybody to read.
    pub in_plain_text: bool,
}

/// TLS towards clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// When it begins.
    pub mode: EncryptionMode,
    /// What the listener proves itself with.
    pub files: CertificateFiles,
}

/// When encryption begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptionMode {
    /// With STARTTLS, for clients that ask for it.
    Optional,
    /// With STARTTLS, before any mail.
    Required,
    /// With the first octet (RFC 8314 section 3.3).
    Implicit,
}

/// Bounds of one session and of all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Sessions at once.
    pub connections_max: usize,
    /// Of them, from one address.
    pub connections_per_client_max: usize,
    /// From one address, opened in a minute; 0: unlimited.
    pub connections_per_client_per_minute: u32,
    /// Of content, as the client sends it.
    pub message_size_max_bytes: u64,
    /// In one message.
    pub recipients_max: usize,
    /// Then 421 and the end.
    pub errors_max: u32,
}

/// How long a client may take (RFC 5321 section 4.5.3.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeouts {
    /// For the next command.
    pub command: Duration,
    /// For the next block of content.
    pub data: Duration,
    /// For everything.
    pub session: Duration,
}

impl Settings {
    /// Whether programs of this machine may connect.
    pub(super) fn serves_this_machine(&self) -> bool {
        let loopback =
            |network: &IpNet| network.network().is_loopback() || network.prefix_len() == 0;
        matches!(self.address, Address::Unix { .. }) || self.allow.iter().any(loopback)
    }

    /// What the protocol machine needs of it. `is_near`: the client is on this machine.
    pub(super) fn machine(&self, is_near: bool) -> Arc<ServerSettings> {
        let login = self.login.as_ref();
        Arc::new(ServerSettings {
            hostname: self.hostname.clone(),
            message_size_max_bytes: self.limits.message_size_max_bytes,
            recipients_max: self.limits.recipients_max,
            errors_max: self.limits.errors_max,
            starttls: match self.encryption.as_ref().map(|encryption| encryption.mode) {
                None | Some(EncryptionMode::Implicit) => Demand::Never,
                Some(EncryptionMode::Optional) => Demand::Offered,
                Some(EncryptionMode::Required) => Demand::Required,
            },
            auth: match login.map(|login| login.is_required) {
                None => Demand::Never,
                Some(false) => Demand::Offered,
                Some(true) => Demand::Required,
            },
            auth_in_plain_text: is_near || login.is_some_and(|login| login.in_plain_text),
        })
    }
}
