//! The Exchange side: accepting connections, the handshake, the end of a session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::Shared;
use super::fault::{Fault, Step};
use super::ledger::Count;
use super::session::{Next, Session, Struck};
use super::wire::{End, Wire};

/// Connections that are served together; more wait in the system's backlog.
const CONNECTIONS_MAX: usize = 1_000;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// A pause when the system has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the sandbox stops.
pub(super) async fn listen(shared: Arc<Shared>, listener: TcpListener, tasks: TaskTracker) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let accepting = async {
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let shared = Arc::clone(&shared);
                    tasks.spawn(async move {
                        shared
                            .stop
                            .run_until_cancelled(serve(&shared, stream, peer))
                            .await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "sandbox: cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    shared.stop.run_until_cancelled(accepting).await;
}

async fn serve(shared: &Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    // Replies are whole when they are written: waiting for more only delays them.
    let _ = stream.set_nodelay(true);
    let connected = Connected::new(shared);
    let mut session = Session::new(Arc::clone(shared), connected.number, peer.ip());
    let mut wire = Wire::new(stream, shared.settings.idle_timeout);
    let opened = open(&mut session, &mut wire).await;
    let next = match opened {
        Ok(Next::Read) => session.converse(&mut wire).await,
        other => other,
    };
    if matches!(next, Ok(Next::StartTls)) {
        if let Ok(mut wire) = secure(&session, wire).await {
            session.secured();
            let next = session.converse(&mut wire).await;
            finish(&mut wire, next).await;
        }
    } else {
        finish(&mut wire, next).await;
    }
}

/// The greeting, or what was ordered in its place.
async fn open(session: &mut Session, wire: &mut Wire<TcpStream>) -> Result<Next, End> {
    match session.shared.faults.strike(Step::Connect) {
        None => {}
        Some(Fault::Reply(text)) => {
            wire.reply(&text).await?;
            return Ok(Next::Close);
        }
        Some(Fault::Hang) => {
            wire.hang().await;
            return Err(End::Cut);
        }
        Some(Fault::Disconnect | Fault::DisconnectAfterAccept) => return Err(End::Cut),
    }
    let greeting = match session.strike(wire, Step::Greeting).await? {
        Struck::Refused(_) => return Ok(Next::Close),
        Struck::Reworded(text) => text,
        Struck::Nothing => session.voice.greeting(),
    };
    wire.reply(&greeting).await?;
    Ok(Next::Read)
}

/// The handshake; its failure ends the connection.
async fn secure(
    session: &Session,
    mut wire: Wire<TcpStream>,
) -> Result<Wire<tokio_rustls::server::TlsStream<TcpStream>>, End> {
    wire.flush().await?;
    match session.shared.faults.strike(Step::Handshake) {
        None => {}
        Some(Fault::Reply(text)) => {
            wire.reply(&text).await?;
            wire.close().await;
            return Err(End::Cut);
        }
        Some(Fault::Hang) => {
            wire.hang().await;
            return Err(End::Cut);
        }
        Some(Fault::Disconnect | Fault::DisconnectAfterAccept) => return Err(End::Cut),
    }
    let handshake = session.shared.tls.accept(wire.into_stream());
    match timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => Ok(Wire::new(stream, session.shared.settings.idle_timeout)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "sandbox: the TLS handshake failed");
            session.shared.ledger.count(Count::HandshakeFailed);
            Err(End::Gone)
        }
        Err(_) => {
            session.shared.ledger.count(Count::HandshakeFailed);
            Err(End::Silent)
        }
    }
}

async fn finish<S>(wire: &mut Wire<S>, next: Result<Next, End>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match next {
        Ok(_) => wire.close().await,
        Err(End::Silent) => {
            let told = wire
                .reply("451 4.7.0 Timeout waiting for client input")
                .await;
            if told.is_ok() {
                wire.close().await;
            }
        }
        Err(End::Gone | End::Cut) => {}
    }
}

/// Counts a connection for as long as it is open.
struct Connected<'a> {
    shared: &'a Shared,
    number: u64,
}

impl<'a> Connected<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            number: shared.ledger.connected(),
        }
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.shared.ledger.disconnected();
    }
}
