//! Opening a port, also one that is about to be given up.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::net::sockopt::set_socket_reuseport;
use rustix::net::{SocketFlags, accept_with};
use tokio::net::{TcpListener, TcpSocket};

use super::Handle;

/// Connections that may wait to be accepted; the system lowers it to its own bound.
const BACKLOG: u32 = 1024;

/// Opens `address`.
///
/// A listener that is widened from 127.0.0.1 to 0.0.0.0 wants a port that it still holds itself. To
/// close the old socket first would leave a moment without the port, and perhaps no way back. So both
/// sockets may share the port for as long as it takes: other processes cannot join in, as the option
/// must be set on every socket of the port.
pub(super) async fn bind(address: SocketAddr, leaving: &[&Handle]) -> io::Result<TcpListener> {
    let in_use = match TcpListener::bind(address).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => error,
        bound => return bound,
    };
    let sharing: Vec<Arc<TcpListener>> = leaving
        .iter()
        .filter_map(|handle| handle.socket.upgrade())
        .filter(|socket| {
            socket
                .local_addr()
                .is_ok_and(|held| held.port() == address.port())
        })
        .collect();
    if sharing.is_empty() {
        return Err(in_use);
    }
    share(&sharing, true)?;
    let bound = bind_shared(address);
    // What cannot be taken back ends with the old sockets.
    let _ = share(&sharing, false);
    bound
}

/// Connections in the backlog of a port that is about to be closed. One that comes in the very moment
/// is reset by the system.
///
/// The socket itself is asked: the runtime learns of connections only when it looks again.
pub(super) fn waiting(listener: &TcpListener) -> impl Iterator<Item = TcpStream> {
    let next = move || accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).ok();
    std::iter::from_fn(next)
        .take(BACKLOG as usize)
        .map(TcpStream::from)
}

fn bind_shared(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    set_socket_reuseport(listener.as_fd(), false)?;
    Ok(listener)
}

fn share(sockets: &[Arc<TcpListener>], shared: bool) -> io::Result<()> {
    for socket in sockets {
        set_socket_reuseport(socket.as_fd(), shared)?;
    }
    Ok(())
}
