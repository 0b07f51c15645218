//! Sockets that the service manager has opened for us (`sd_listen_fds`(3)).

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

/// By their names. They stay open for as long as the program runs: a listener that is taken out of the
/// settings may come back.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: BTreeMap<String, InheritedSocket>,
}

#[derive(Debug)]
pub(super) enum InheritedSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Inherited {
    /// Takes them over, with their names in `LISTEN_FDNAMES`. It changes the environment: to be called once,
    /// before there are threads that read it.
    pub fn take() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(str::to_owned);
        let mut descriptors = ListenFd::from_env();
        let mut sockets = BTreeMap::new();
        for index in 0..descriptors.len() {
            // What systemd calls a socket without a name.
            let name = names.next().unwrap_or_else(|| "unknown".to_owned());
            let Some(socket) = take(&mut descriptors, index) else {
                tracing::warn!(
                    name,
                    "a descriptor from systemd is no listening stream socket, and is left alone"
                );
                continue;
            };
            if sockets.contains_key(&name) {
                tracing::warn!(
                    name,
                    "systemd opened several sockets of this name; the first is used (give each a FileDescriptorName=)"
                );
                continue;
            }
            sockets.insert(name, socket);
        }
        Self { sockets }
    }

    /// Another hold on the socket called `name`.
    pub(super) fn get(&self, name: &str) -> io::Result<InheritedSocket> {
        let Some(socket) = self.sockets.get(name) else {
            let known: Vec<&str> = self.sockets.keys().map(String::as_str).collect();
            let text = if known.is_empty() {
                "systemd has opened no socket for this process; install a .socket unit with FileDescriptorName= and start that"
                    .to_owned()
            } else {
                format!(
                    "systemd has opened no socket of this name, but: {}",
                    known.join(", ")
                )
            };
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        };
        Ok(match socket {
            InheritedSocket::Tcp(socket) => InheritedSocket::Tcp(socket.try_clone()?),
            InheritedSocket::Unix(socket) => InheritedSocket::Unix(socket.try_clone()?),
        })
    }
}

fn take(descriptors: &mut ListenFd, index: usize) -> Option<InheritedSocket> {
    if let Ok(Some(socket)) = descriptors.take_tcp_listener(index) {
        return Some(InheritedSocket::Tcp(socket));
    }
    let socket = descriptors.take_unix_listener(index).ok().flatten();
    socket.map(InheritedSocket::Unix)
}
