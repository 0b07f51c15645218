//! One visit to the service, a step at a time: for who looks for a mistake before mail has to find it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use rustls::ClientConfig;

use crate::delivery::connection::{Connection, ConnectionError, Encryption, Wire};
use crate::delivery::dial::{self, DialError, Dialed, Unreachable};
use crate::delivery::letter::Letter;
use crate::delivery::members::Limits;
use crate::delivery::rules::{Rule, classify};
use crate::delivery::trouble::reply_in;
use crate::delivery::{Quota, Settings};
use crate::mail::Envelope;
use crate::oauth::AccessToken;
use crate::queue::Content;
use crate::smtp::{Capabilities, ClientError, Reply, Step};

/// A connection that is opened a step at a time, over the same code as every other. It is not counted
/// among those of the mailbox: a daemon that sends at the same time knows nothing of it.
pub struct Visit {
    connection: Connection,
    address: Option<SocketAddr>,
}

/// How far a visit came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// TCP, through the proxy if there is one.
    Connect,
    /// The greeting and EHLO, before and after TLS.
    Greet,
    /// STARTTLS and the handshake.
    Encrypt,
    /// AUTH.
    SignIn,
    /// From MAIL to the reply to the final dot.
    Message,
}

/// What a network does in the way of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// The name has no address.
    Name,
    /// Nobody listens on the port, or a firewall says so.
    Refused,
    /// No answer: packets are dropped.
    Silent,
    /// There is no way to the address.
    Unreachable,
    /// The proxy does not give the connection.
    Proxy,
}

/// Why a visit ended.
#[derive(Debug)]
pub struct Obstacle {
    /// Where.
    pub stage: Stage,
    /// What the network did, if it was the network.
    pub barrier: Option<Barrier>,
    /// What happened, in the words of the service or the network.
    pub said: String,
    /// The reply of the service, if there was one.
    pub reply: Option<Reply>,
    /// What that reply means.
    pub rule: Option<&'static Rule>,
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Visit {
    /// Connects, and says nothing.
    pub async fn connect(settings: &Settings) -> Result<Self, Obstacle> {
        let dialed = dial::dial(
            &dial::System,
            (&settings.host, settings.port),
            settings.proxy.as_ref(),
            settings.timeouts.connect,
        );
        let Dialed { stream, early } = dialed.await.map_err(|error| Obstacle::of_dial(&error))?;
        let limits = Limits {
            connections: 1,
            messages_per_minute: 0,
            recipients_per_day: 0,
        };
        let slot = Quota::default().begin(limits).slot().await;
        let address = stream.peer_addr().ok();
        Ok(Self {
            connection: Connection::new(Wire::new(stream, early), settings, slot),
            address,
        })
    }

    /// The other end: the service, or the proxy before it.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Goes on to the point where the service wants to know who we are.
    pub async fn open(
        &mut self,
        settings: &Settings,
        config: &Arc<ClientConfig>,
    ) -> Result<(), Obstacle> {
        let opened = self.connection.introduce(settings, config).await;
        opened.map_err(|error| {
            let step = match reply_in(&error) {
                Some((step, _)) => step,
                None => self.connection.expecting(),
            };
            let stage = match (&error, step) {
                (_, Some(Step::StartTls))
                | (ConnectionError::Protocol(ClientError::StartTlsNotOffered), _) => Stage::Encrypt,
                (ConnectionError::Protocol(_), _) | (_, Some(_)) => Stage::Greet,
                // Within the handshake no reply is waited for.
                (_, None) => Stage::Encrypt,
            };
            Obstacle::new(stage, &error)
        })
    }

    /// What the service offered last.
    pub fn capabilities(&self) -> &Capabilities {
        self.connection.capabilities()
    }

    /// How the connection is encrypted; none: it is not.
    pub fn encryption(&self) -> Option<Encryption> {
        self.connection.encryption()
    }

    /// Signs in.
    pub async fn sign_in(&mut self, mailbox: &str, token: &AccessToken) -> Result<(), Obstacle> {
        let signed_in = self.connection.authenticate(mailbox, token).await;
        signed_in.map_err(|error| Obstacle::new(Stage::SignIn, &error))
    }

    /// Sends one message to the one recipient of `envelope`; what the service said to it.
    pub async fn send(&mut self, envelope: &Envelope, content: Bytes) -> Result<Reply, Obstacle> {
        let size_bytes = content.len() as u64;
        let mut letter = Letter::plain(Content::Inline(content), size_bytes);
        let sent = self.connection.send(envelope, &mut letter).await;
        let outcome = sent.map_err(|broken| Obstacle::new(Stage::Message, &broken.error))?;
        let Some((step, reply)) = outcome.recipients.into_iter().next() else {
            return Err(Obstacle::new(
                Stage::Message,
                &ClientError::OutOfTurn.into(),
            ));
        };
        if reply.code() < 300 {
            return Ok(reply);
        }
        Err(Obstacle {
            stage: Stage::Message,
            barrier: None,
            said: reply.to_string(),
            rule: Some(classify(Some(step), &reply)),
            reply: Some(reply),
        })
    }

    /// Says good-bye.
    pub async fn quit(self) {
        self.connection.quit().await;
    }
}

impl Obstacle {
    fn new(stage: Stage, error: &ConnectionError) -> Self {
        let said = reply_in(error);
        Self {
            stage,
            barrier: None,
            said: match (stage, said) {
                // There the reply says it all; before, the error says at which step it came.
                (Stage::SignIn | Stage::Message, Some((_, reply))) => reply.to_string(),
                _ => error.to_string(),
            },
            rule: said.map(|(step, reply)| classify(step, reply)),
            reply: said.map(|(_, reply)| reply.clone()),
        }
    }

    fn of_dial(error: &DialError) -> Self {
        let (barrier, said) = match error {
            DialError::Target { reason, .. } => (barrier(reason), reason.to_string()),
            DialError::Proxy { .. } | DialError::Refused { .. } => {
                (Barrier::Proxy, error.to_string())
            }
        };
        Self {
            stage: Stage::Connect,
            barrier: Some(barrier),
            said,
            reply: None,
            rule: None,
        }
    }
}

/// Of several addresses one that was refused says most: the way there is open.
fn barrier(reason: &Unreachable) -> Barrier {
    let tried = match reason {
        Unreachable::Unresolved(_) => return Barrier::Name,
        Unreachable::NoAnswer(tried) => tried,
    };
    let any = |kind| tried.iter().any(|(_, error)| error.kind() == kind);
    if any(io::ErrorKind::ConnectionRefused) {
        Barrier::Refused
    } else if any(io::ErrorKind::TimedOut) {
        Barrier::Silent
    } else {
        Barrier::Unreachable
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind::{ConnectionRefused, NetworkUnreachable, TimedOut};

    use super::*;

    #[test]
    fn what_most_addresses_did_is_not_what_says_most() {
        let tried = |kinds: &[io::ErrorKind]| {
            let address = SocketAddr::from(([192, 0, 2, 1], 587));
            let tried = kinds.iter().map(|kind| (address, io::Error::from(*kind)));
            barrier(&Unreachable::NoAnswer(tried.collect()))
        };
        assert_eq!(tried(&[NetworkUnreachable, TimedOut]), Barrier::Silent);
        assert_eq!(
            tried(&[TimedOut, TimedOut, ConnectionRefused]),
            Barrier::Refused
        );
        assert_eq!(tried(&[NetworkUnreachable]), Barrier::Unreachable);
        let unresolved = Unreachable::Unresolved(io::ErrorKind::NotFound.into());
        assert_eq!(barrier(&unresolved), Barrier::Name);
    }
}
