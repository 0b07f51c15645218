//! `[account.NAME.smtp]`: the submission service and its limits.

use std::path::PathBuf;
use std::time::Duration;

use super::account::Provider;
use super::reader::Table;
use super::setting::words;
use super::value::HostName;
use crate::proxy::Proxy;

/// The service that mail is handed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Name or address; also the name in its certificate.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: UpstreamTls,
    /// PEM roots to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// What to connect through.
    pub proxy: Option<Proxy>,
    /// At the same time, for this account.
    pub connections: u32,
    /// In any 60 s; 0: no pacing.
    pub messages_per_minute: u32,
    /// In one transaction.
    pub recipients_per_message: u32,
    /// In any 24 h; 0: no limit.
    pub recipients_per_day: u32,
    /// For each step.
    pub timeouts: Timeouts,
}

/// How long each step may take (RFC 5321 section 4.5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP connection.
    pub connect: Duration,
    /// TLS handshake.
    pub tls: Duration,
    /// The 220.
    pub greeting: Duration,
    /// Any other reply.
    pub command: Duration,
    /// The 354.
    pub data: Duration,
    /// One block of content.
    pub body: Duration,
    /// The reply to the final dot.
    pub end_of_data: Duration,
}

words! {
    /// TLS towards the service.
    pub enum UpstreamTls {
        /// STARTTLS, and nothing goes out before it.
        Starttls = "starttls",
        /// TLS from the first octet.
        Implicit = "implicit",
        /// Plain text, on loopback only.
        None = "none",
    }
}

/// What a provider takes from a mailbox, as far as it is told.
struct Limits {
    messages_per_minute: u32,
    recipients_per_day: u32,
}

impl Limits {
    const fn of(provider: Provider) -> Self {
        match provider {
            // Facts B.1.
            Provider::Microsoft => Self {
                messages_per_minute: 30,
                recipients_per_day: 10_000,
            },
            // Workspace takes 2,000 messages in 24 hours, each of which has a recipient at least; no rate is
            // known (facts G.4).
            Provider::Google => Self {
                messages_per_minute: 0,
                recipients_per_day: 2_000,
            },
        }
    }
}

impl Upstream {
    pub(super) fn read(table: Table<'_>, provider: Provider, host: &str) -> Self {
        let limits = Limits::of(provider);
        let upstream = Self {
            host: table.derived("host", HostName::known(host)).into_string(),
            port: table.bounded("port", 587, 1..=u16::MAX),
            tls: table.read("tls", UpstreamTls::Starttls),
            ca_file: table.read("ca_file", None),
            proxy: table.read("proxy", None),
            connections: table.bounded("connections", 3, 1..=1000),
            messages_per_minute: table.bounded(
                "messages_per_minute",
                limits.messages_per_minute,
                0..=1_000_000,
            ),
            recipients_per_message: table.bounded("recipients_per_message", 500, 1..=100_000),
            recipients_per_day: table.bounded(
                "recipients_per_day",
                limits.recipients_per_day,
                0..=1_000_000_000,
            ),
            timeouts: Timeouts::read(table.section("timeouts")),
        };
        table.finish();
        upstream
    }
}

impl Timeouts {
    fn read(table: Table<'_>) -> Self {
        let bounds = Duration::from_secs(1)..=Duration::from_hours(1);
        let step = |key, seconds| table.bounded(key, Duration::from_secs(seconds), bounds.clone());
        let timeouts = Self {
            connect: step("connect", 30),
            tls: step("tls", 30),
            greeting: step("greeting", 300),
            command: step("command", 300),
            data: step("data", 120),
            body: step("body", 180),
            end_of_data: step("end_of_data", 600),
        };
        table.finish();
        timeouts
    }
}
