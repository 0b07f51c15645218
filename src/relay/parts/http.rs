//! The port of `admin.http`: opened, kept, moved, closed.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::admin::{HttpBindError, HttpPort, HttpServer};
use crate::relay::reload::Changes;

/// The port at work.
#[derive(Debug)]
pub(super) struct AtWork {
    /// As in the settings.
    configured: SocketAddr,
    port: HttpPort,
    stop: CancellationToken,
}

/// What becomes of it.
#[derive(Debug)]
pub(super) enum Next {
    Kept,
    Closed,
    Bound(SocketAddr, HttpServer),
}

impl Parts {
    pub(super) async fn next_http(
        &self,
        address: Option<SocketAddr>,
        changes: &mut Changes,
    ) -> Result<Next, HttpBindError> {
        let now = self.http.as_ref();
        if now.map(|now| now.configured) == address {
            return Ok(Next::Kept);
        }
        let next = match address {
            Some(address) => {
                let server = HttpServer::bind(address, now.map(|now| &now.port)).await?;
                let opened = server.port().local_address();
                changes.0.push(format!("admin.http opened on {opened}"));
                Next::Bound(address, server)
            }
            None => Next::Closed,
        };
        let closed = now.map(|now| now.port.local_address());
        let closed = closed.map(|address| format!("admin.http on {address} closed"));
        changes.0.extend(closed);
        Ok(next)
    }

    /// Where it is once `next` has taken over.
    pub(super) fn http_address(&self, next: &Next) -> Option<SocketAddr> {
        match next {
            Next::Kept => self.http.as_ref().map(|now| now.port.local_address()),
            Next::Closed => None,
            Next::Bound(_, server) => Some(server.port().local_address()),
        }
    }

    pub(super) fn switch_http(&mut self, next: Next) {
        let next = match next {
            Next::Kept => return,
            Next::Closed => None,
            Next::Bound(configured, server) => {
                let stop = self.answers.child_token();
                let at_work = AtWork {
                    configured,
                    port: server.port(),
                    stop: stop.clone(),
                };
                let view = Arc::clone(&self.view);
                self.answering
                    .spawn(server.run(self.queue.clone(), view, stop));
                Some(at_work)
            }
        };
        if let Some(before) = std::mem::replace(&mut self.http, next) {
            before.stop.cancel();
        }
    }
}
