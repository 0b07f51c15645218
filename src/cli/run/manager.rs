//! Words to the service manager (`sd_notify`(3)), which nobody waits for.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use sd_notify::NotifyState;

/// Whether there is one.
pub(super) fn is_there() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some()
}

/// Whether it was told, if there is one.
///
/// A manager that hangs, as systemd does after an error of its own, has no room for more words after a few. They
/// are dropped then: `sd_notify::notify` would wait, and mail with it.
pub(super) fn tell(state: &[NotifyState<'_>]) -> bool {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else {
        return true;
    };
    let mut text = String::new();
    for one in state {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{one}");
    }
    let sent = send(&socket, &text);
    if let Err(error) = &sent {
        tracing::debug!(%error, "the service manager was not told");
    }
    sent.is_ok()
}

fn send(socket: &OsStr, text: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let datagrams = UnixDatagram::unbound()?;
    datagrams.set_nonblocking(true)?;
    datagrams.send_to_addr(text.as_bytes(), &address)?;
    Ok(())
}
