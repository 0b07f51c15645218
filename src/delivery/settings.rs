//! What delivery for one account needs to know.

use std::time::Duration;

use crate::delivery::SenderPolicy;
use crate::proxy::Proxy;
use crate::smtp::Tls;

/// Settings of one account's delivery.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The NAME of `[account.NAME]`.
    pub account: String,
    /// The XOAUTH2 user.
    pub mailbox: String,
    /// Where mail is submitted.
    pub host: String,
    /// Usually 587.
    pub port: u16,
    /// What to connect through.
    pub proxy: Option<Proxy>,
    /// How TLS begins.
    pub tls: Tls,
    /// The name given in EHLO.
    pub ehlo_name: String,
    /// Connections at once, at least one.
    pub connections_max: usize,
    /// Started in any sixty seconds; 0 for upstreams without the limit.
    pub messages_per_minute: u32,
    /// In one transaction.
    pub recipients_per_message_max: usize,
    /// In any 24 hours; 0 for upstreams without the limit.
    pub recipients_per_day: u32,
    /// How long the remote may take.
    pub timeouts: Timeouts,
    /// Who messages are from when they leave.
    pub sender: SenderPolicy,
}

/// How long the remote may take (RFC 5321 section 4.5.3.2).
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// TCP.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// The 220.
    pub greeting: Duration,
    /// Any command but the following.
    pub command: Duration,
    /// The 354.
    pub data: Duration,
    /// Each block of content.
    pub body: Duration,
    /// The reply to the final dot.
    pub end_of_data: Duration,
}

/// An idle connection is closed by us before the service does it (facts A.5).
pub(crate) const IDLE_MAX: Duration = Duration::from_mins(1);

/// A connection is used for this long at most.
pub(crate) const CONNECTION_AGE_MAX: Duration = Duration::from_mins(10);

/// And for this many messages.
pub(crate) const CONNECTION_MESSAGES_MAX: u32 = 50;
