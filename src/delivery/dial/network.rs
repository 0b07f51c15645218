//! Names and addresses: the system's, or those of a test.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Resolves names and connects to addresses.
pub(in crate::delivery) trait Network: Sync {
    /// What a connection is.
    type Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static;

    /// The addresses of a name, in the order of preference (RFC 6724); an address is its own.
    fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// A connection to one address.
    fn connect(&self, address: SocketAddr)
    -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// The system's resolver, and TCP.
#[derive(Clone, Copy, Debug)]
pub(in crate::delivery) struct System;

impl Network for System {
    type Stream = TcpStream;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        // Commands are written in groups already; a failure costs speed only.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}
