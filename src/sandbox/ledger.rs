//! What the sandbox saw: messages, violations, counts.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

/// Messages that are listed; older ones stay on disk.
const MESSAGES_MAX: usize = 10_000;
/// Violations that are listed; later ones are only counted.
const VIOLATIONS_MAX: usize = 1_000;

/// A message that was answered with 250, or would have been but for an ordered disconnect.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// The name of its files.
    pub number: u64,
    /// The connection that it came over, counted from 1.
    pub connection: u64,
    /// The authenticated mailbox.
    pub mailbox: String,
    /// Empty for `<>`.
    pub reverse_path: String,
    /// In the order of the RCPT commands.
    pub recipients: Vec<String>,
    /// Octets of content.
    pub size_bytes: u64,
    /// The header's value.
    pub message_id: Option<String>,
    /// MAIL had `BODY=8BITMIME`.
    pub eight_bit: bool,
    /// MAIL had `SMTPUTF8`.
    pub smtputf8: bool,
    /// When the final dot was read, before any slowing.
    pub received_at: Timestamp,
    /// The same on the runtime's clock, to judge the pace of a client.
    #[serde(skip)]
    pub received: Instant,
    /// The final reply.
    pub reply: String,
    /// Where the content is, unless it is discarded.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

impl Message {
    /// The whole content, dots unstuffed; not found when the sandbox discards content or the file was removed.
    pub async fn content(&self) -> io::Result<Vec<u8>> {
        match &self.file {
            Some(file) => tokio::fs::read(file).await,
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// A rule of RFC 5321 and its kin that a client broke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The connection, counted from 1; 0: over HTTP.
    pub connection: u64,
    /// What was wrong; no content, no credentials.
    pub what: String,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// SMTP connections that are open.
    pub connections: u64,
    /// The most that ever were open together.
    pub connections_max: u64,
    /// All of them.
    pub connections_total: u64,
    /// TLS handshakes that failed, for instance as the client does not trust the CA.
    pub handshakes_failed: u64,
    /// Successful AUTH commands.
    pub authenticated: u64,
    /// The most authenticated connections that one mailbox ever had together.
    pub mailbox_connections_max: u64,
    /// AUTH commands that were refused.
    pub authentications_refused: u64,
    /// Messages accepted.
    pub messages: u64,
    /// Messages refused at the end of data.
    pub messages_refused: u64,
    /// Messages over `messages_per_minute`.
    pub over_rate: u64,
    /// Violations, the unlisted ones too.
    pub violations: u64,
    /// Requests to the token endpoint.
    pub token_requests: u64,
    /// The same by their grant type.
    pub token_requests_by_grant: Grants,
    /// Tokens handed out.
    pub tokens_issued: u64,
}

/// Requests to the token endpoint by `grant_type`, refused ones too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Grants {
    /// `client_credentials`.
    pub client_credentials: u64,
    /// `authorization_code`.
    pub authorization_code: u64,
    /// `refresh_token`.
    pub refresh_token: u64,
    /// `urn:ietf:params:oauth:grant-type:device_code`.
    pub device_code: u64,
    /// Of a managed identity, which is no grant of OAuth.
    pub managed_identity: u64,
    /// Unknown ones, and what is no request for a token.
    pub other: u64,
}

/// Which of [`Grants`] a request counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GrantType {
    ClientCredentials,
    AuthorizationCode,
    RefreshToken,
    DeviceCode,
    ManagedIdentity,
    Other,
}

/// A count of [`Stats`] that only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    HandshakeFailed,
    Authenticated,
    AuthenticationRefused,
    MessageRefused,
    OverRate,
    TokenRequest(GrantType),
    TokenIssued,
}

#[derive(Debug)]
pub(super) struct Ledger {
    stats: Mutex<Stats>,
    violations: Mutex<VecDeque<Violation>>,
    messages: Mutex<VecDeque<Arc<Message>>>,
    /// Messages since the start or the last clearing.
    listed: watch::Sender<u64>,
    next_number: AtomicU64,
}

impl Ledger {
    /// `first_number` is the first message's.
    pub(super) fn new(first_number: u64) -> Self {
        Self {
            stats: Mutex::default(),
            violations: Mutex::default(),
            messages: Mutex::default(),
            listed: watch::Sender::new(0),
            next_number: AtomicU64::new(first_number),
        }
    }

    /// A new connection's number.
    pub(super) fn connected(&self) -> u64 {
        let mut stats = lock(&self.stats);
        stats.connections += 1;
        stats.connections_total += 1;
        stats.connections_max = stats.connections_max.max(stats.connections);
        stats.connections_total
    }

    pub(super) fn disconnected(&self) {
        lock(&self.stats).connections -= 1;
    }

    pub(super) fn count(&self, count: Count) {
        let mut stats = lock(&self.stats);
        match count {
            Count::HandshakeFailed => stats.handshakes_failed += 1,
            Count::Authenticated => stats.authenticated += 1,
            Count::AuthenticationRefused => stats.authentications_refused += 1,
            Count::MessageRefused => stats.messages_refused += 1,
            Count::OverRate => stats.over_rate += 1,
            Count::TokenRequest(grant_type) => {
                stats.token_requests += 1;
                let grants = &mut stats.token_requests_by_grant;
                *match grant_type {
                    GrantType::ClientCredentials => &mut grants.client_credentials,
                    GrantType::AuthorizationCode => &mut grants.authorization_code,
                    GrantType::RefreshToken => &mut grants.refresh_token,
                    GrantType::DeviceCode => &mut grants.device_code,
                    GrantType::ManagedIdentity => &mut grants.managed_identity,
                    GrantType::Other => &mut grants.other,
                } += 1;
            }
            Count::TokenIssued => stats.tokens_issued += 1,
        }
    }

    /// A mailbox has so many authenticated connections now.
    pub(super) fn mailbox_connections(&self, connections: u64) {
        let mut stats = lock(&self.stats);
        stats.mailbox_connections_max = stats.mailbox_connections_max.max(connections);
    }

    pub(super) fn violated(&self, connection: u64, what: String) {
        tracing::debug!(connection, what, "sandbox: the client broke a rule");
        lock(&self.stats).violations += 1;
        let mut violations = lock(&self.violations);
        if violations.len() < VIOLATIONS_MAX {
            violations.push_back(Violation { connection, what });
        }
    }

    pub(super) fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn publish(&self, message: Message) {
        lock(&self.stats).messages += 1;
        let mut messages = lock(&self.messages);
        if messages.len() == MESSAGES_MAX {
            messages.pop_front();
        }
        messages.push_back(Arc::new(message));
        // Under the lock, so that a reader who saw the count finds the message.
        self.listed.send_modify(|listed| *listed += 1);
    }

    pub(super) fn messages(&self) -> Vec<Arc<Message>> {
        lock(&self.messages).iter().cloned().collect()
    }

    pub(super) fn message(&self, number: u64) -> Option<Arc<Message>> {
        let messages = lock(&self.messages);
        messages
            .iter()
            .find(|message| message.number == number)
            .cloned()
    }

    /// Empties the list.
    pub(super) fn clear_messages(&self) -> Vec<Arc<Message>> {
        let mut messages = lock(&self.messages);
        self.listed.send_modify(|listed| *listed = 0);
        messages.drain(..).collect()
    }

    /// Waits for `count` messages since the start or the last clearing.
    pub(super) async fn wait_for_messages(&self, count: u64) -> Vec<Arc<Message>> {
        let mut listed = self.listed.subscribe();
        // Fails only when the sender is gone, and that one is ours.
        let _ = listed.wait_for(|listed| *listed >= count).await;
        self.messages()
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        lock(&self.violations).iter().cloned().collect()
    }

    pub(super) fn stats(&self) -> Stats {
        *lock(&self.stats)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Lists and counts are whole at every step: a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
