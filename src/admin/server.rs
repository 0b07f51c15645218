//! Answers for as long as the daemon lives.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio_util::sync::CancellationToken;

use super::peer::Peer;
use super::protocol::StatusSource;
use super::routes::{self, Answers};
use super::socket::Socket;
use crate::queue::Queue;
use crate::unix_socket::UnixSocketError;

/// How long answers under way may take once the daemon stops.
const GRACE: Duration = Duration::from_secs(2);

/// The admin socket cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("admin socket: {0}, or set another admin.socket")]
pub struct BindError(#[from] pub UnixSocketError);

/// A bound admin socket, not yet answering.
#[derive(Debug)]
pub struct Server {
    socket: Socket,
}

impl Server {
    /// Makes the socket, with mode 0660, in a folder that exists. A socket that nobody answers at
    /// any more is replaced. Blocking for a moment.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let socket = Socket::bind(path)?;
        Ok(Self { socket })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.socket.path()
    }

    /// Answers until `stop`, then gives what is under way a moment to end and removes the socket.
    ///
    /// # Cancel safety
    /// A dropped call stops accepting and removes the socket; answers under way go on.
    pub async fn run(
        self,
        queue: Queue,
        status: Arc<dyn StatusSource>,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let answers = Answers::new(queue, status, stop.clone());
        let router = routes::admit(routes::router(answers));
        serve::<Peer, _>(self.socket.listen()?, router, stop).await
    }
}

/// Until `stop`, and a moment longer.
pub(super) async fn serve<C, L>(
    listener: L,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()>
where
    C: for<'a> Connected<IncomingStream<'a, L>>,
    L: Listener<Addr: Debug>,
{
    let service = router.into_make_service_with_connect_info::<C>();
    let serve =
        axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned());
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serve.into_future() => served,
        () = overdue => Ok(()),
    }
}
