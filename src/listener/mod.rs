//! Takes mail in: the tokio shell round [`crate::smtp::Session`].
//!
//! It promises that nobody gets in who is not allowed to, that a client hears 250 only with a
//! [`crate::queue::Receipt`] in the relay's hand, and that it holds no more than a few blocks of
//! content for each session. It knows nothing of delivery: the queue is where they meet.

mod access;
mod intake;
mod replies;
mod session;
mod settings;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::queue::Queue;
use crate::smtp::Session as Machine;

use access::{Access, Denied};
use session::Session;

pub use settings::{Limits, Settings, Timeouts};

/// A listener cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("listener.{name}: cannot listen on {address}: {source}{}", remedy(.source))]
pub struct BindError {
    name: String,
    address: SocketAddr,
    source: io::Error,
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program uses this port: stop it or set another address"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        _ => "",
    }
}

/// A listener whose port is open; clients wait in the backlog until [`Listener::run`].
#[derive(Debug)]
pub struct Listener {
    settings: Arc<Settings>,
    socket: TcpListener,
}

impl Listener {
    /// Opens the port.
    pub async fn bind(settings: Settings) -> Result<Self, BindError> {
        match TcpListener::bind(settings.address).await {
            Ok(socket) => Ok(Self {
                settings: Arc::new(settings),
                socket,
            }),
            Err(source) => Err(BindError {
                name: settings.name,
                address: settings.address,
                source,
            }),
        }
    }

    /// Where it listens, with the port that was taken.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves clients until `stop`; then takes no more, and each session ends with its transaction.
    /// `sessions` tells who is still busy.
    pub async fn run(self, queue: Queue, stop: CancellationToken, sessions: TaskTracker) {
        let access = Access::new();
        let machine = self.settings.machine();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, usually: wait for sessions to end rather than spin.
                    tracing::warn!(listener = self.settings.name, %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            match access.admit(peer.ip(), &self.settings) {
                Ok(admission) => {
                    let settings = Arc::clone(&self.settings);
                    let machine = Machine::new(Arc::clone(&machine));
                    let (queue, stop) = (queue.clone(), stop.clone());
                    sessions.spawn(async move {
                        let _admission = admission;
                        serve(stream, peer, &settings, machine, &queue, &stop).await;
                    });
                }
                Err(denied) => {
                    turn_away(stream, peer, &self.settings, denied);
                }
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    settings: &Settings,
    machine: Machine,
    queue: &Queue,
    stop: &CancellationToken,
) {
    // Replies are gathered into one write; waiting for more would only add delay.
    let _ = stream.set_nodelay(true);
    let session = Session::new(stream, peer.ip(), settings, machine, queue);
    let stopping = std::pin::pin!(stop.cancelled());
    match session.run(stopping).await {
        Ok(ended) => tracing::debug!(listener = settings.name, %peer, ?ended, "session ended"),
        Err(error) => tracing::debug!(listener = settings.name, %peer, %error, "session broke off"),
    }
}

/// One short write that cannot block, then the connection is closed.
fn turn_away(stream: TcpStream, peer: SocketAddr, settings: &Settings, denied: Denied) {
    let reply = match denied {
        Denied::Network => replies::ACCESS_DENIED,
        Denied::Total | Denied::Client => replies::TOO_MANY_CONNECTIONS,
    };
    tracing::warn!(listener = settings.name, client = %peer.ip(), reason = ?denied, "connection refused");
    let mut output = BytesMut::new();
    reply.encode(&mut output);
    // The socket stays non-blocking, and its empty send buffer takes one line.
    let _ = stream
        .into_std()
        .and_then(|mut stream| stream.write_all(&output));
}
