//! Why a connection could not be opened or came to an end.

use std::io;
use std::time::Duration;

use crate::delivery::dial::DialError;
use crate::smtp::{ClientError, Reply, ReplyError, Step};

/// Why a connection could not be opened or came to an end.
#[derive(Debug, thiserror::Error)]
pub(in crate::delivery) enum ConnectionError {
    /// No address, none that answers, or a proxy that does not let us through.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The handshake failed.
    #[error("no TLS with {host}: {reason}")]
    Handshake { host: String, reason: String },
    /// Octets before the handshake: somebody injects replies (RFC 3207 section 6).
    #[error("{host} sent data before the TLS handshake; somebody interferes with the connection")]
    Injected { host: String },
    /// The remote said something that ends the session.
    #[error(transparent)]
    Protocol(#[from] ClientError),
    /// More than was asked for: which reply answers what is no longer known.
    #[error("the server sent a reply that nothing was waiting for: {text:?}")]
    Unasked { text: String },
    /// What the remote sent is no SMTP reply.
    #[error("the server does not speak SMTP: {0}")]
    Reply(#[from] ReplyError),
    /// The connection broke.
    #[error("the connection was lost: {0}")]
    Lost(#[from] io::Error),
    /// The remote took too long.
    #[error("no answer from the server within {} s", .0.as_secs())]
    Timeout(Duration),
    /// Our own content cannot be read.
    #[error("cannot read the message: {0}")]
    Content(io::Error),
}

/// A transaction that an error cut short.
#[derive(Debug)]
pub(in crate::delivery) struct Interrupted {
    pub(in crate::delivery) error: ConnectionError,
    /// One for each recipient, in the order of the envelope; `None` is undecided.
    pub(in crate::delivery) decided: Vec<Option<(Step, Reply)>>,
    /// The final dot was sent and its reply never came: the remote may have the message.
    pub(in crate::delivery) uncertain: bool,
}

impl Interrupted {
    /// The remote had gone before it heard of the message.
    pub(in crate::delivery) fn is_stale(&self) -> bool {
        let gone = match &self.error {
            ConnectionError::Lost(_) => true,
            ConnectionError::Protocol(ClientError::Goodbye { step, .. }) => {
                matches!(step, None | Some(Step::Mail | Step::Rset))
            }
            _ => false,
        };
        gone && !self.uncertain && self.decided.iter().all(Option::is_none)
    }
}
