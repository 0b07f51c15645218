//! What changes nothing, for browsers and monitoring, over TCP.
//!
//! It promises that nobody who reaches the port can do more than look. It refuses to know who asks:
//! who may is decided by the address it is bound to, and by whatever stands before it.

mod connection;
mod guard;
mod health;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::middleware;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::page;
use super::protocol::StatusSource;
use super::routes::{self, Answers};
use super::server;
use crate::listener::port;
use crate::queue::Queue;
use connection::{Answering, GuardedListener};

/// How old the status may be that is handed out.
const STATUS_AGE_MAX: Duration = Duration::from_secs(1);

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 128;

/// `admin.http` cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("admin.http: cannot listen on {address}: {source}{}", port::remedy(.source))]
pub struct HttpBindError {
    address: SocketAddr,
    source: io::Error,
}

/// An open port, not yet answering.
#[derive(Debug)]
pub struct HttpServer {
    listener: Arc<TcpListener>,
    local_address: SocketAddr,
}

/// A hold on a port at which somebody else answers.
#[derive(Clone, Debug)]
pub struct HttpPort {
    /// Weak, so that the port closes with the server.
    listener: Weak<TcpListener>,
    local_address: SocketAddr,
}

impl HttpServer {
    /// Opens the port; port 0 takes any free one. `leaving` is the one that is given up for it.
    pub async fn bind(
        address: SocketAddr,
        leaving: Option<&HttpPort>,
    ) -> Result<Self, HttpBindError> {
        let failed = |source| HttpBindError { address, source };
        let held = leaving.filter(|held| held.local_address.port() == address.port());
        let held: Vec<_> = held
            .and_then(|held| held.listener.upgrade())
            .into_iter()
            .collect();
        let listener = port::open(address, &held, BACKLOG).await.map_err(failed)?;
        let local_address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener: Arc::new(listener),
            local_address,
        })
    }

    /// For whoever moves it while it runs.
    pub fn port(&self) -> HttpPort {
        HttpPort {
            listener: Arc::downgrade(&self.listener),
            local_address: self.local_address,
        }
    }

    /// Answers until `stop`, then gives what is under way a moment to end.
    ///
    /// # Cancel safety
    /// A dropped call closes the port; answers under way go on.
    pub async fn run(
        self,
        queue: Queue,
        status: Arc<dyn StatusSource>,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let answers = Answers::new(queue, status, stop.clone()).shared_for(STATUS_AGE_MAX);
        let listener = GuardedListener::new(self.listener);
        server::serve::<Answering, _>(listener, router(answers), stop).await
    }
}

impl HttpPort {
    /// With the port that was taken.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }
}

/// Whatever is added here must change nothing and hand out no content.
fn router(answers: Answers) -> Router {
    let source = Arc::clone(&answers.status);
    routes::read_only()
        .merge(page::router())
        .merge(health::router(&answers))
        .fallback(routes::unknown)
        .method_not_allowed_fallback(routes::wrong_method)
        .with_state(answers)
        .layer(middleware::from_fn_with_state(source, guard::guard))
}
