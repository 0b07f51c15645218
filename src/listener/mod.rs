//! Takes mail in: the tokio shell round [`crate::smtp::Session`].
//!
//! It promises that nobody gets in who is not allowed to, that a client hears 250 only with a
//! [`crate::queue::Receipt`] in the relay's hand, and that it holds no more than a few blocks of
//! content for each session. It knows nothing of delivery: the queue is where they meet.

mod access;
mod address;
mod attempts;
mod certificate;
mod clients;
mod hours;
mod inherited;
mod intake;
mod login;
mod password;
mod patience;
mod peer;
pub(crate) mod port;
mod prepared;
mod rates;
mod repeats;
mod replies;
mod routing;
mod session;
mod sessions;
mod settings;
mod socket;
#[cfg(test)]
mod tests;
mod transport;
mod users;
mod visit;

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::BytesMut;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::queue::Queue;
use crate::smtp::{Reply, ServerSettings};
use crate::telemetry::counters;

use access::{Access, Denied};
use attempts::Attempts;
use certificate::Certificate;
use peer::Peer;
use repeats::Repeats;
use socket::{Connection, Socket};
use users::Users;
use visit::Visit;

pub use address::Address;
pub use certificate::{CertificateError, CertificateFiles};
pub use hours::Hours;
pub use inherited::Inherited;
pub use password::{HashError, PasswordHash, PasswordHashError};
pub use prepared::{PrepareError, Prepared};
pub use routing::{Client, Pattern, Route, Routing, Sender, Table};
pub use sessions::Sessions;
pub use settings::{Encryption, EncryptionMode, Limits, LoginSettings, Settings, Timeouts};
pub use users::{LineFault, UserNameError, UsersError, check_user_name, check_users};

/// A listener cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("listener.{name}: cannot listen on {address}: {source}{}", port::remedy(.source))]
pub struct BindError {
    name: String,
    address: Address,
    source: io::Error,
}

/// A listener whose port is open; clients wait in the backlog until [`Listener::run`].
#[derive(Debug)]
pub struct Listener {
    current: watch::Sender<Arc<Current>>,
    socket: Arc<Socket>,
    closed: CancellationToken,
}

/// A hold on a listener that somebody else runs.
#[derive(Clone, Debug)]
pub struct Handle {
    current: watch::Sender<Arc<Current>>,
    /// Weak, so that the port closes when the listener wants it to.
    socket: Weak<Socket>,
    closed: CancellationToken,
}

/// How a listener is told to stop.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Its port closes, and each session ends with its transaction.
    pub drain: CancellationToken,
    /// Transactions get no more time either: their clients hear 421.
    pub cut: CancellationToken,
    /// How much time they get otherwise.
    pub grace: Duration,
}

/// The settings in force and what follows from them.
#[derive(Debug)]
struct Current {
    settings: Settings,
    machine: Arc<ServerSettings>,
    /// For clients on this machine.
    near_machine: Arc<ServerSettings>,
    /// For STARTTLS and for TLS from the first octet.
    certificate: Option<Arc<Certificate>>,
    /// For AUTH.
    users: Option<Arc<Users>>,
    /// Not settings; it goes over to those that come after.
    lasting: Lasting,
}

/// What a listener remembers of its clients, whatever its settings become.
#[derive(Clone, Debug, Default)]
struct Lasting {
    repeats: Arc<Repeats>,
    attempts: Arc<Attempts>,
}

impl Current {
    fn new(prepared: Prepared, lasting: Lasting) -> Arc<Self> {
        let Prepared {
            settings,
            certificate,
            users,
        } = prepared;
        Arc::new(Self {
            machine: settings.machine(false),
            near_machine: settings.machine(true),
            settings,
            certificate,
            users,
            lasting,
        })
    }

    /// What a session with the client at `peer` begins with.
    fn machine(&self, peer: Peer) -> Arc<ServerSettings> {
        Arc::clone(if peer.is_near() {
            &self.near_machine
        } else {
            &self.machine
        })
    }

    /// As the client at `peer` gets it: what its `[client.NAME]` says goes before.
    fn for_client(self: &Arc<Self>, peer: Peer) -> Arc<Self> {
        let routing = &self.settings.routing;
        let Some(client) = peer.address().and_then(|address| routing.client(address)) else {
            return Arc::clone(self);
        };
        if client.bare_newline.is_none() && client.message_size_max_bytes.is_none() {
            return Arc::clone(self);
        }
        let mut settings = self.settings.clone();
        if let Some(bare_newline) = client.bare_newline {
            settings.bare_newline = bare_newline;
        }
        if let Some(bytes) = client.message_size_max_bytes {
            settings.limits.message_size_max_bytes = bytes;
        }
        let prepared = Prepared {
            settings,
            certificate: self.certificate.clone(),
            users: self.users.clone(),
        };
        Self::new(prepared, self.lasting.clone())
    }
}

/// How often the files of a certificate, and that of the users, are looked at.
const FILES_POLL: Duration = Duration::from_secs(30);

/// How often a certificate that runs out is told of.
const EXPIRY_PERIOD: Duration = Duration::from_hours(24);

/// A handshake is a matter of two round trips.
const HANDSHAKE_MAX: Duration = Duration::from_mins(1);

/// What sessions get to say good-bye once they are cut.
const FAREWELL: Duration = Duration::from_secs(1);

impl Listener {
    /// Opens the port. `leaving` are listeners whose ports are about to be closed: one of them may hold
    /// this very port, on other addresses or on more of them.
    pub async fn bind(
        prepared: Prepared,
        inherited: &Inherited,
        leaving: &[&Handle],
    ) -> Result<Self, BindError> {
        let address = prepared.settings.address.clone();
        match Socket::open(&address, inherited, leaving).await {
            Ok(socket) => Ok(Self {
                current: watch::Sender::new(prepared.current()),
                socket: Arc::new(socket),
                closed: CancellationToken::new(),
            }),
            Err(source) => Err(BindError {
                name: prepared.settings.name,
                address,
                source,
            }),
        }
    }

    /// Where it listens, with the port that was taken.
    pub fn local_address(&self) -> Address {
        let address = self.current.borrow().settings.address.clone();
        match (&address, self.socket.tcp_address()) {
            (Address::Tcp(_), Some(taken)) => Address::Tcp(taken),
            _ => address,
        }
    }

    /// For whoever changes its settings while it runs.
    pub fn handle(&self) -> Handle {
        Handle {
            current: self.current.clone(),
            socket: Arc::downgrade(&self.socket),
            closed: self.closed.clone(),
        }
    }

    /// Serves clients until it is to stop, then waits for its sessions: each ends with its
    /// transaction, within the grace period.
    pub async fn run(self, queue: Queue, stop: Stop, all: Sessions) {
        let sessions = TaskTracker::new();
        // Sessions of this listener are cut with all others, or when their own grace has ended.
        let stop = Stop {
            cut: stop.cut.child_token(),
            ..stop
        };
        {
            // However it ends.
            let _closed = self.closed.drop_guard();
            let socket = self.socket;
            tokio::select! {
                () = accept(&socket, &self.current, &queue, &stop, &sessions, &all) => {}
                // Never ends by itself.
                () = watch_files(&self.current) => {}
            }
        }
        sessions.close();
        tokio::select! {
            () = sessions.wait() => return,
            () = stop.cut.cancelled() => {}
            () = tokio::time::sleep(stop.grace) => {}
        }
        stop.cut.cancel();
        if timeout(FAREWELL, sessions.wait()).await.is_err() {
            let name = &self.current.borrow().settings.name;
            let left = sessions.len();
            tracing::warn!(listener = name, left, "gave up waiting for sessions");
        }
    }
}

impl Handle {
    /// Other settings for the same port: they hold for new sessions, and the routing for the next
    /// message of any session.
    pub fn apply(&self, prepared: Prepared) {
        let lasting = self.current.borrow().lasting.clone();
        self.current.send_replace(Current::new(prepared, lasting));
    }

    /// Resolves when the port is closed.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

/// Takes connections until the drain begins; those that wait in the backlog then are told.
async fn accept(
    socket: &Socket,
    current: &watch::Sender<Arc<Current>>,
    queue: &Queue,
    stop: &Stop,
    sessions: &TaskTracker,
    all: &Sessions,
) {
    let access = Access::new(all.clone());
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.drain.cancelled() => break,
            accepted = socket.accept() => accepted,
        };
        let latest = current.subscribe();
        let current = Arc::clone(&latest.borrow());
        let settings = &current.settings;
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, usually: wait for sessions to end rather than spin.
                tracing::warn!(listener = settings.name, %error, "cannot accept a connection");
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(100)) => continue,
                    () = stop.drain.cancelled() => break,
                }
            }
        };
        match access.admit(peer, settings) {
            Ok(admission) => {
                let visit = Visit {
                    peer,
                    current: current.for_client(peer),
                    latest,
                    queue: queue.clone(),
                    stop: stop.clone(),
                    sessions: all.clone(),
                    _admission: admission,
                };
                match stream {
                    Connection::Tcp(stream) => {
                        // Replies are gathered into one write; waiting for more would only add delay.
                        let _ = stream.set_nodelay(true);
                        sessions.spawn(visit.run(stream));
                    }
                    Connection::Unix(stream) => {
                        sessions.spawn(visit.run(stream));
                    }
                }
            }
            Err(denied) => {
                tracing::warn!(listener = settings.name, client = %peer, reason = ?denied, "connection refused");
                let reply = match denied {
                    Denied::Network => replies::ACCESS_DENIED,
                    Denied::Total | Denied::Client | Denied::Descriptors => {
                        replies::TOO_MANY_CONNECTIONS
                    }
                    Denied::Rate => replies::TOO_MANY_A_MINUTE,
                };
                clients::turned_away(queue, &peer.to_string(), &settings.name, &reply);
                if let Ok(stream) = stream.into_file() {
                    say(&stream, &reply);
                }
            }
        }
    }
    for stream in socket.waiting() {
        say(&stream, &replies::STOPPING);
    }
}

/// Takes over a certificate and users that were replaced, since tools that renew one know nothing of a reload, and
/// warns of a certificate that runs out.
async fn watch_files(current: &watch::Sender<Arc<Current>>) {
    let mut warned: Option<Instant> = None;
    loop {
        let now = Arc::clone(&current.borrow());
        let listener = now.settings.name.as_str();
        if let Some(certificate) = now.certificate.clone() {
            match tokio::task::spawn_blocking(move || certificate.refresh()).await {
                Ok(Ok(true)) => {
                    tracing::info!(listener, "the certificate was replaced");
                    warned = None;
                }
                Ok(Ok(false)) | Err(_) => {}
                Ok(Err(error)) => {
                    tracing::error!(listener, %error, "the certificate has changed and cannot be used; the old one stays in force");
                }
            }
        }
        if let Some(users) = now.users.clone() {
            match tokio::task::spawn_blocking(move || {
                users.refresh().map(|done| done.then(|| users.count()))
            })
            .await
            {
                Ok(Ok(Some(count))) => tracing::info!(listener, count, "the users were replaced"),
                Ok(Ok(None)) | Err(_) => {}
                Ok(Err(error)) => {
                    tracing::error!(listener, %error, "the users have changed and cannot be used; the old ones stay in force");
                }
            }
        }
        if warned.is_none_or(|warned| warned.elapsed() >= EXPIRY_PERIOD) {
            warned = Some(Instant::now());
            let certificate = now.certificate.as_ref();
            if let Some(warning) = certificate.and_then(|one| one.warning(Timestamp::now())) {
                tracing::warn!(listener, "{warning}");
            }
        }
        tokio::time::sleep(FILES_POLL).await;
    }
}

/// One short write, which the empty send buffer takes; then the connection is closed.
fn say(mut stream: &File, reply: &Reply) {
    counters().replies.add(reply.code());
    let mut output = BytesMut::new();
    reply.encode(&mut output);
    // Who has gone already need not be told.
    let _ = stream.write_all(&output);
}
