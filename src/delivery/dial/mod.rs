//! The way to the upstream: its addresses, or the proxy's.
//!
//! Promises that the name is resolved anew each time, that an address that does not answer costs
//! little while another does (RFC 8305), that all of it ends in the time given, and that an error
//! names whatever was tried and says whether proxy or target is to blame.

mod error;
mod http;
mod network;
mod race;
mod socks5;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Instant, timeout_at};

use crate::proxy::{Proxy, ProxyKind};

use error::Refusal;
pub(super) use error::{DialError, Unreachable};
use network::Network;
pub(super) use network::System;
use race::race;

/// A connection to the target.
#[derive(Debug)]
pub(super) struct Dialed<S> {
    pub(super) stream: S,
    /// What of the target's first words was read together with those of a proxy.
    pub(super) early: BytesMut,
}

/// Connects to `target`, a name or address and a port, within `limit`. Through a proxy, the name is
/// resolved there.
pub(super) async fn dial<N: Network>(
    network: &N,
    target: (&str, u16),
    proxy: Option<&Proxy>,
    limit: Duration,
) -> Result<Dialed<N::Stream>, DialError> {
    let (host, port) = target;
    let deadline = Instant::now() + limit;
    let Some(proxy) = proxy else {
        let stream = race(network, host, port, deadline).await;
        return match stream {
            Ok(stream) => Ok(Dialed {
                stream,
                early: BytesMut::new(),
            }),
            Err(reason) => Err(DialError::Target {
                host: host.to_owned(),
                port,
                reason,
            }),
        };
    };
    let mut stream = race(network, &proxy.host, proxy.port, deadline)
        .await
        .map_err(|reason| DialError::Proxy {
            proxy: proxy.to_string(),
            reason,
        })?;
    let login = proxy.login.as_ref();
    let negotiation = async {
        match proxy.kind {
            ProxyKind::Socks5 => {
                socks5::connect(&mut stream, login, host, port).await?;
                Ok(BytesMut::new())
            }
            ProxyKind::Http => http::connect(&mut stream, login, host, port).await,
        }
    };
    let negotiated = timeout_at(deadline, negotiation)
        .await
        .unwrap_or(Err(Refusal::Silent(limit)));
    match negotiated {
        Ok(early) => Ok(Dialed { stream, early }),
        Err(refusal) => Err(DialError::Refused {
            proxy: proxy.to_string(),
            refusal,
        }),
    }
}
