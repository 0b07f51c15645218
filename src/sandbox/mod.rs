//! A stand-in for Exchange Online's SMTP submission, for Entra's login service, and for the managed identities of
//! Azure's machines, on loopback.
//!
//! For `exorelay demo` and `exorelay sandbox`, for tests, and for people who try an application offline. The replies,
//! extensions and limits are those of the real services as far as they are known; what a tolerant server would
//! forgive is refused, or at least recorded as a [`Violation`]. It shares no code with the relay's own SMTP codec, so
//! that a mistake there cannot cancel itself out, and it knows nothing of the relay.
//!
//! ```no_run
//! use exorelay::sandbox::{Fault, Sandbox, Settings, Step};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::start(Settings::new("/tmp/sandbox")).await?;
//! let control = sandbox.control();
//! control.smtp_fault(Step::Auth, Fault::Reply("454 4.7.0 Temporary authentication failure".into()), Some(1));
//! // ... point a relay to sandbox.smtp_address(), sandbox.token_url() and sandbox.ca_file(), send through it ...
//! let messages = control.wait_for_messages(1).await;
//! assert!(control.violations().is_empty());
//! # drop(messages);
//! sandbox.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Exchange Online
//! STARTTLS, then `AUTH XOAUTH2` with a token that the sandbox issued, for a permitted mailbox; then MAIL, RCPT, DATA,
//! pipelined or not, any number of messages per connection. Content goes to `NNNNNN.eml` in the folder, its envelope to
//! `NNNNNN.json`. Over the rate of a mailbox the final reply is delayed ([`Excess`]), over its connections the message
//! gets 432 after its content. BDAT is offered, as by Exchange, and refused: no client of ours may use it.
//!
//! Refused and recorded: bare CR or LF in commands and content, a line that begins with a dot that was not doubled,
//! paths and parameters outside the grammar, commands out of order, octets behind a command that must be the last of
//! its group. Recorded only: 8-bit content without `BODY=8BITMIME`, content above its announced SIZE.
//!
//! # Entra
//! One tenant with two applications, a confidential one ([`Settings::client_id`]) and a public one
//! ([`Settings::public_client_id`]), and every way to a token: client credentials with a secret, with a certificate and
//! with another provider's token; authorization code with PKCE; device code; rotating refresh tokens. Requests are
//! checked as strictly as Entra does or more so, and refused with its numbers and words; [`Control::aadsts_fault`] gives
//! any of [`aadsts`] on demand.
//!
//! # Over HTTP
//! Everything that [`Control`] does can also be done with `curl`:
//!
//! ```text
#![doc = include_str!("help.txt")]
//! ```

mod auth;
mod certificate;
mod command;
mod content;
mod control;
mod entra;
mod fault;
mod form;
mod http;
mod identity;
mod inbox;
mod ledger;
mod mailboxes;
mod replies;
mod rights;
mod session;
mod settings;
mod smtp;
mod submission;
mod tokens;
mod voice;
mod wire;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::certificate::Identity;
use self::entra::Entra;
use self::fault::Faults;
use self::inbox::Inbox;
use self::ledger::Ledger;
use self::mailboxes::Mailboxes;
use self::rights::Rights;
use self::tokens::Tokens;
use crate::secret::Secret;

pub use self::certificate::CertificateError;
pub use self::control::Control;
pub use self::entra::{
    Aadsts, AppCertificateError, FederatedToken, Permission, RandomError, Registration, Rotation,
    aadsts,
};
pub use self::fault::{Fault, Step, TokenFault};
pub use self::ledger::{Grants, Message, Stats, Violation};
pub use self::replies::{Documented, documented};
pub use self::rights::SendAs;
pub use self::settings::{Excess, Limits, Settings, Store};

/// The CA certificate's name in the folder.
const CA_FILE: &str = "ca.pem";
/// Sessions are cut off at once; only answers to HTTP requests in progress take time.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A running stand-in. Dropping it stops it as well, without waiting.
#[derive(Debug)]
pub struct Sandbox {
    control: Control,
    shared: Arc<Shared>,
    smtp_address: SocketAddr,
    http_address: SocketAddr,
    ca_file: PathBuf,
    tasks: TaskTracker,
}

/// Why a sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its mail and its secrets are test data: nobody else may reach it.
    #[error("the sandbox listens on loopback only, not on {address}: use 127.0.0.1 or [::1]")]
    NotLoopback {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The folder cannot be made, read or written.
    #[error("use {path} as the sandbox's folder")]
    Directory {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An address is taken, or not this machine's.
    #[error("listen on {address} for the sandbox: choose another port, or 0 for a free one")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No certificate could be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// One of the application's certificates cannot be used.
    #[error("use a certificate for the sandbox's application")]
    AppCertificate(#[from] AppCertificateError),
    /// No key could be made.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// What the parts of a sandbox have in common.
struct Shared {
    settings: Settings,
    ledger: Ledger,
    faults: Faults,
    mailboxes: Arc<Mailboxes>,
    rights: Rights,
    tokens: Tokens,
    entra: Entra,
    inbox: Inbox,
    identity: identity::Platform,
    tls: TlsAcceptor,
    stop: CancellationToken,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Makes the certificates, binds both sides and serves them on the current runtime.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let smtp = bind(settings.smtp_address).await?;
        let http = bind(settings.http_address).await?;
        let local_address = |listener: &TcpListener, address| {
            listener
                .local_addr()
                .map_err(|source| StartError::Bind { address, source })
        };
        let smtp_address = local_address(&smtp, settings.smtp_address)?;
        let http_address = local_address(&http, settings.http_address)?;

        let identity = Identity::generate()?;
        let ca_file = settings.directory.join(CA_FILE);
        let (inbox, first_number) = open_inbox(&settings, &ca_file, identity.ca_pem).await?;
        let shared = Arc::new(Shared {
            rights: Rights::new(settings.send_as.clone()),
            entra: Entra::new(&settings)?,
            identity: identity::Platform::new(&settings.directory),
            settings,
            ledger: Ledger::new(first_number),
            faults: Faults::new(),
            mailboxes: Arc::default(),
            tokens: Tokens::new(),
            inbox,
            tls: TlsAcceptor::from(identity.server),
            stop: CancellationToken::new(),
        });
        let tasks = TaskTracker::new();
        tasks.spawn(smtp::listen(Arc::clone(&shared), smtp, tasks.clone()));
        tasks.spawn(http::listen(Arc::clone(&shared), http));
        Ok(Self {
            control: Control::new(Arc::clone(&shared)),
            shared,
            smtp_address,
            http_address,
            ca_file,
            tasks,
        })
    }

    /// Where the Exchange side listens.
    pub fn smtp_address(&self) -> SocketAddr {
        self.smtp_address
    }

    /// Where the login service and the control interface listen.
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// The token endpoint of the one tenant.
    pub fn token_url(&self) -> String {
        self.endpoint("token")
    }

    /// Where a person signs in with a browser.
    pub fn authorize_url(&self) -> String {
        self.endpoint("authorize")
    }

    /// Where a device sign-in begins.
    pub fn device_code_url(&self) -> String {
        self.endpoint("devicecode")
    }

    fn endpoint(&self, name: &str) -> String {
        let tenant_id = &self.shared.settings.tenant_id;
        format!(
            "http://{}/{tenant_id}/oauth2/v2.0/{name}",
            self.http_address
        )
    }

    /// Where a machine asks for its managed identity: an Azure VM, and one with Azure Arc.
    pub fn metadata_url(&self) -> String {
        format!("http://{}{}", self.http_address, identity::METADATA_PATH)
    }

    /// `IDENTITY_ENDPOINT` of an app in App Service.
    pub fn app_service_url(&self) -> String {
        format!("http://{}{}", self.http_address, identity::APP_SERVICE_PATH)
    }

    /// The `IDENTITY_HEADER` that goes with it.
    pub fn identity_header(&self) -> &Secret {
        &self.shared.settings.identity_header
    }

    /// The CA certificate (PEM) that a client must trust; the server's is for `localhost`, `127.0.0.1` and `::1`.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// The one tenant that the login service knows.
    pub fn tenant_id(&self) -> &str {
        &self.shared.settings.tenant_id
    }

    /// The application that has a secret.
    pub fn client_id(&self) -> &str {
        &self.shared.settings.client_id
    }

    /// That application's secret.
    pub fn client_secret(&self) -> &Secret {
        &self.shared.settings.client_secret
    }

    /// The application that has none, and acts for people only.
    pub fn public_client_id(&self) -> &str {
        &self.shared.settings.public_client_id
    }

    /// Looks at what happens and orders faults.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Cuts off every connection and frees both ports. Received messages stay in the folder.
    pub async fn shutdown(self) {
        self.shared.stop.cancel();
        self.tasks.close();
        // An HTTP client that does not read its answer is not waited for.
        let _ = timeout(STOP_TIMEOUT, self.tasks.wait()).await;
        let shared = Arc::clone(&self.shared);
        let _ = tokio::task::spawn_blocking(move || {
            shared.identity.sweep();
            shared.inbox.sweep()
        })
        .await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    if !address.ip().is_loopback() {
        return Err(StartError::NotLoopback { address });
    }
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Bind { address, source })
}

async fn open_inbox(
    settings: &Settings,
    ca_file: &Path,
    ca_pem: String,
) -> Result<(Inbox, u64), StartError> {
    let path = settings.directory.clone();
    let store = settings.store;
    let ca_file = ca_file.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        let opened = Inbox::open(&path, store)?;
        std::fs::write(ca_file, ca_pem)?;
        Ok(opened)
    });
    opened
        .await
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
        .map_err(|source| StartError::Directory {
            path: settings.directory.clone(),
            source,
        })
}
