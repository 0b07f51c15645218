//! What a sandbox is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::entra::Registration;
use super::rights::SendAs;
use crate::secret::Secret;

/// A tenant id in the form Entra gives them.
const TENANT_ID: &str = "6f1b7a52-5a9d-4c55-9a3e-0f0c5e1d2b77";
/// An application (client) id.
const CLIENT_ID: &str = "c0ffee00-3d0b-4f7e-8b1a-2a4e6c8f1d35";
/// The application (client) id of the public client.
const PUBLIC_CLIENT_ID: &str = "de71ce00-58f2-4d0c-a8be-6b1f3a7c9e24";
/// The tenant's verified domain, which can stand in the place of its id.
pub(super) const TENANT_DOMAIN: &str = "sandbox.example";
/// Holds every octet that a client may forget to percent-encode (facts D.7). It protects nothing: the sandbox listens
/// on loopback, and its mail is test mail.
const CLIENT_SECRET: &str = "sand~box+Secret/1.0&x=%41 =";
/// Not worth more than the secret.
const IDENTITY_HEADER: &str = "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a";

/// How to start a [`Sandbox`](super::Sandbox).
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the Exchange side listens; loopback only, port 0 picks a free one.
    pub smtp_address: SocketAddr,
    /// Where the token endpoint and the control interface listen; loopback only.
    pub http_address: SocketAddr,
    /// Where received messages and the CA certificate go; made when it is missing.
    pub directory: PathBuf,
    /// Mailboxes that the application may submit for, as `user=` of XOAUTH2; empty: any.
    pub mailboxes: Vec<String>,
    /// People who can sign in, by their user principal names; empty: the owners of `mailboxes`.
    pub users: Vec<String>,
    /// Whom mailboxes may send as.
    pub send_as: SendAs,
    /// The one tenant that the login service knows.
    pub tenant_id: String,
    /// The application in it that has a secret and certificates.
    pub client_id: String,
    /// That application's secret.
    pub client_secret: Secret,
    /// `IDENTITY_HEADER` of an app in App Service.
    pub identity_header: Secret,
    /// That application's certificates, PEM texts.
    pub certificates: Vec<String>,
    /// The application that has neither, and acts for people only.
    pub public_client_id: String,
    /// What is set for both.
    pub registration: Registration,
    /// How often a device may ask whether somebody has signed in; 5 seconds at Entra (facts D.6).
    pub device_interval: Duration,
    /// `expires_in` of the tokens; Entra's are 60 to 90 minutes (facts D.6).
    pub token_lifetime: Duration,
    /// What Exchange Online limits.
    pub limits: Limits,
    /// Whether content is kept.
    pub store: Store,
    /// Silence after which a session is closed, about five minutes in Exchange (facts A.5).
    pub idle_timeout: Duration,
}

impl Settings {
    /// Free ports on 127.0.0.1, any mailbox, the limits of Exchange Online.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            smtp_address: loopback,
            http_address: loopback,
            directory: directory.into(),
            mailboxes: Vec::new(),
            users: Vec::new(),
            send_as: SendAs::Any,
            tenant_id: TENANT_ID.to_owned(),
            client_id: CLIENT_ID.to_owned(),
            client_secret: Secret::new(CLIENT_SECRET),
            identity_header: Secret::new(IDENTITY_HEADER),
            certificates: Vec::new(),
            public_client_id: PUBLIC_CLIENT_ID.to_owned(),
            registration: Registration::default(),
            device_interval: Duration::from_secs(5),
            token_lifetime: Duration::from_secs(3599),
            limits: Limits::default(),
            store: Store::Keep,
            idle_timeout: Duration::from_mins(5),
        }
    }
}

/// What Exchange Online limits per mailbox and per message (facts A.2, B.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one mailbox that may submit at the same time; 0: no limit.
    pub connections: usize,
    /// Messages of one mailbox in any 60 seconds; 0: no limit.
    pub messages_per_minute: usize,
    /// What happens to a message over `messages_per_minute`.
    pub excess: Excess,
    /// Accepted RCPT commands of one message.
    pub recipients_per_message: usize,
    /// Octets of one message, announced as SIZE.
    pub message_size_max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 3,
            messages_per_minute: 30,
            excess: Excess::Slow,
            recipients_per_message: 500,
            message_size_max_bytes: 157_286_400,
        }
    }
}

impl Limits {
    /// For measurements: only the size and recipient limits stay.
    pub fn unpaced() -> Self {
        Self {
            connections: 0,
            messages_per_minute: 0,
            ..Self::default()
        }
    }
}

/// What happens to a message over the rate: the sources disagree (facts B.1, I). However it is answered, it counts in
/// [`Stats::over_rate`](super::Stats::over_rate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// The final reply waits until the message has its place in a later minute.
    Slow,
    /// `451 4.7.500 Server busy. Please try again later`; no text is documented for this limit.
    Refuse,
    /// Accepted at once; for tests that only look at the count.
    Count,
}

/// What becomes of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// `NNNNNN.eml` and `NNNNNN.json` in the directory.
    Keep,
    /// Read, checked, forgotten: for measurements.
    Discard,
}
