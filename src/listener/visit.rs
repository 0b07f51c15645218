//! One client, from its connection to its end.

use std::future::Future;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::Instrument;

use crate::listener::access::Admission;
use crate::listener::session::Session;
use crate::listener::transport::Transport;
use crate::listener::{Current, EncryptionMode, HANDSHAKE_MAX, Peer, Sessions, Stop};
use crate::queue::Queue;

/// What a client meets.
pub(super) struct Visit {
    pub(super) peer: Peer,
    /// The settings that it gets.
    pub(super) current: Arc<Current>,
    /// The settings in force by now.
    pub(super) latest: watch::Receiver<Arc<Current>>,
    pub(super) queue: Queue,
    pub(super) stop: Stop,
    pub(super) sessions: Sessions,
    /// Its place, free again when all of this is gone.
    pub(super) _admission: Admission,
}

impl Visit {
    /// The whole visit. A defect that breaks it off stays within.
    pub(super) fn run(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> impl Future<Output = ()> + Send {
        let (sessions, current, peer) =
            (self.sessions.clone(), Arc::clone(&self.current), self.peer);
        // Every line of the session tells where and whose it is. The span is there at every level that there are
        // lines of.
        let listener = current.settings.name.as_str();
        let span = tracing::error_span!("session", listener, client = %peer);
        let session = Box::pin(self.serve(stream).instrument(span));
        async move {
            let listener = current.settings.name.as_str();
            sessions.contain(listener, peer, session).await;
        }
    }

    pub(super) async fn serve(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin) {
        let Some(stream) = self.encrypted(stream).await else {
            return;
        };
        match Session::new(stream, &self).run().await {
            Ok(ended) => tracing::debug!(?ended, "session ended"),
            Err(error) => tracing::debug!(%error, "session broke off"),
        }
    }

    /// Under TLS, if that begins with the first octet; none: the client did not manage.
    async fn encrypted<S: AsyncRead + AsyncWrite + Send + Unpin>(
        &self,
        stream: S,
    ) -> Option<Transport<S>> {
        let mut stream = Transport::Plain(stream);
        let settings = &self.current.settings;
        let mode = settings.encryption.as_ref().map(|one| one.mode);
        let (Some(EncryptionMode::Implicit), Some(certificate)) = (mode, &self.current.certificate)
        else {
            return Some(stream);
        };
        // Needed once for a session: an idle one is not to hold its room.
        let handshake = Box::pin(stream.start_tls(Arc::clone(certificate.config())));
        let done = tokio::select! {
            done = timeout(settings.timeouts.command.min(HANDSHAKE_MAX), handshake) => done,
            () = self.stop.cut.cancelled() => return None,
        };
        match done {
            Ok(Ok(())) => Some(stream),
            Ok(Err(error)) => {
                tracing::info!(%error, "TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::info!("TLS handshake took too long");
                None
            }
        }
    }
}
