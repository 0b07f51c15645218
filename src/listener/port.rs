//! Opening a TCP port, also one that this process holds and is about to give up.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use rustix::net::sockopt::set_socket_reuseport;
use tokio::net::{TcpListener, TcpSocket};

/// Opens `address`; `leaving` are sockets of ours on the same port that will be closed.
///
/// A listener that is widened from 127.0.0.1 to 0.0.0.0 wants a port that it still holds itself. To
/// close the old socket first would leave a moment without the port, and perhaps no way back. So both
/// sockets may share the port for as long as it takes: other processes cannot join in, as the option
/// must be set on every socket of the port.
pub(crate) async fn open(
    address: SocketAddr,
    leaving: &[impl AsFd],
    backlog: u32,
) -> io::Result<TcpListener> {
    let in_use = match TcpListener::bind(address).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => error,
        bound => return bound,
    };
    if leaving.is_empty() {
        return Err(in_use);
    }
    share(leaving, true)?;
    let bound = open_shared(address, backlog);
    // What cannot be taken back ends with the old sockets.
    let _ = share(leaving, false);
    bound
}

fn open_shared(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    let listener = socket.listen(backlog)?;
    set_socket_reuseport(listener.as_fd(), false)?;
    Ok(listener)
}

fn share(sockets: &[impl AsFd], shared: bool) -> io::Result<()> {
    for socket in sockets {
        set_socket_reuseport(socket.as_fd(), shared)?;
    }
    Ok(())
}

/// What to do about a port that cannot be opened, to stand after the error.
pub(crate) fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program uses this port: stop it or set another address"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        _ => "",
    }
}
