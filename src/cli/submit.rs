//! Hands a message to a listener, as a device would.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::mail::Mailbox;
use crate::queue::QueueId;

/// Of a listener of ours; no reply to HELO, MAIL, RCPT or DATA is longer.
const REPLY_MAX_BYTES: u64 = 4096;

/// Why the listener has not taken it.
#[derive(Debug, thiserror::Error)]
pub(super) enum SubmitError {
    /// The connection.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// In its own words: 4yz or 5yz.
    #[error("{0}")]
    Refused(String),
}

impl SubmitError {
    /// Whether it may take it later.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, Self::Refused(reply) if reply.starts_with('4'))
    }
}

/// An old device says HELO and knows no extension. `content` ends in CRLF, and no line of it begins with a
/// dot.
pub(super) async fn submit(
    address: SocketAddr,
    name: &str,
    (from, to): (&Mailbox, &Mailbox),
    content: &str,
) -> Result<QueueId, SubmitError> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let mut last = reply(&mut stream).await?;
    for block in [
        format!("HELO {name}\r\n"),
        format!("MAIL FROM:<{from}>\r\n"),
        format!("RCPT TO:<{to}>\r\n"),
        "DATA\r\n".to_owned(),
        format!("{content}.\r\n"),
    ] {
        stream.get_mut().write_all(block.as_bytes()).await?;
        last = reply(&mut stream).await?;
    }
    stream.get_mut().write_all(b"QUIT\r\n").await?;
    let id = last.rsplit(' ').next();
    let id = id.and_then(|word| QueueId::parse(word).ok());
    id.ok_or(SubmitError::Refused(last))
}

/// One line, which is all that is said to an old device.
async fn reply(stream: &mut BufReader<TcpStream>) -> Result<String, SubmitError> {
    let mut line = String::new();
    stream.take(REPLY_MAX_BYTES).read_line(&mut line).await?;
    let line = line.trim_end().to_owned();
    if line.is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    if line.starts_with(['2', '3']) {
        Ok(line)
    } else {
        Err(SubmitError::Refused(line))
    }
}
