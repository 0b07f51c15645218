//! What changes nothing, for browsers and monitoring, over TCP.
//!
//! It promises that nobody who reaches the port can do more than look. It refuses to know who asks:
//! who may is decided by the address it is bound to, and by whatever stands before it.

mod connection;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::protocol::StatusSource;
use super::routes::{self, Answers};
use super::server;
use crate::queue::Queue;
use connection::{Caller, GuardedListener};

/// How old the status may be that is handed out.
const STATUS_AGE_MAX: Duration = Duration::from_secs(1);

/// `admin.http` cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("admin.http: cannot listen on {address}: {source}{}", remedy(.source))]
pub struct HttpBindError {
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

/// An open port, not yet answering.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    local_address: SocketAddr,
}

impl HttpServer {
    /// Opens the port; port 0 takes any free one.
    pub async fn bind(address: SocketAddr) -> Result<Self, HttpBindError> {
        let failed = |source| HttpBindError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local_address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            local_address,
        })
    }

    /// With the port that was taken.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
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
        let router = router(answers);
        let listener = GuardedListener::new(self.listener);
        server::serve::<Caller, _>(listener, router, stop).await
    }
}

/// Whatever is added here must change nothing and hand out no content.
fn router(answers: Answers) -> Router {
    routes::read_only()
        .fallback(routes::unknown)
        .method_not_allowed_fallback(routes::wrong_method)
        .with_state(answers)
}
