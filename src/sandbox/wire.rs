//! One connection as octets: strict lines in, replies out, flushed once per group of pipelined commands.
//!
//! Written apart from the relay's own codec on purpose: two readers that share code share its mistakes.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use memchr::{memchr, memchr2};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// The longest line without its CRLF; the AUTH extension needs this much (RFC 4954 section 4).
pub(super) const LINE_MAX_BYTES: usize = 12_288;
/// What one read may bring.
const READ_BYTES: usize = 64 * 1024;
/// Replies wait for the end of a pipelined group, but not beyond this.
const OUTPUT_MAX_BYTES: usize = 64 * 1024;
/// An endless line is given up after this.
const ENDLESS_LINE_BYTES: usize = 1024 * 1024;

/// Why a session is over before QUIT.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed the connection, or it broke.
    Gone,
    /// The client was silent for too long.
    Silent,
    /// We close it, without another word: a fault, or a client that broke the rules.
    Cut,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// What stood before a line feed.
#[derive(Debug)]
pub(super) enum Line {
    /// A line that ended in CRLF, without it.
    Whole(BytesMut),
    /// CR or LF in another place than the line's end.
    BareNewline,
    /// Longer than [`LINE_MAX_BYTES`]; read past and gone.
    TooLong,
}

/// A connection and its buffers.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    /// Read and not yet used.
    pub(super) input: BytesMut,
    output: Vec<u8>,
    patience: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self {
            stream,
            input: BytesMut::with_capacity(READ_BYTES),
            output: Vec::with_capacity(1024),
            patience,
        }
    }

    /// The stream, for the TLS handshake. Whatever was buffered is gone: look at `input` before.
    pub(super) fn into_stream(self) -> S {
        self.stream
    }

    /// The next line. Waiting replies are sent when there is no complete line in the buffer.
    pub(super) async fn line(&mut self) -> Result<Line, End> {
        let mut searched = 0;
        let end = loop {
            let fresh = self.input.get(searched..).unwrap_or_default();
            if let Some(at) = memchr(b'\n', fresh) {
                break searched + at;
            }
            searched = self.input.len();
            if searched > LINE_MAX_BYTES + 1 {
                self.skip_line().await?;
                return Ok(Line::TooLong);
            }
            self.fill().await?;
        };
        let mut line = self.input.split_to(end + 1);
        if line.len() > LINE_MAX_BYTES + 2 {
            return Ok(Line::TooLong);
        }
        if !line.ends_with(b"\r\n") {
            return Ok(Line::BareNewline);
        }
        line.truncate(line.len() - 2);
        if memchr2(b'\r', b'\n', &line).is_some() {
            return Ok(Line::BareNewline);
        }
        Ok(Line::Whole(line))
    }

    /// Reads at least one octet more; replies that wait are sent before.
    pub(super) async fn fill(&mut self) -> Result<(), End> {
        self.flush().await?;
        if self.input.capacity() - self.input.len() < READ_BYTES / 4 {
            self.input.reserve(READ_BYTES);
        }
        match timeout(self.patience, self.stream.read_buf(&mut self.input)).await {
            Ok(Ok(0) | Err(_)) => Err(End::Gone),
            Ok(Ok(_)) => Ok(()),
            Err(_) => Err(End::Silent),
        }
    }

    /// Adds a reply without its final CRLF.
    pub(super) async fn reply(&mut self, text: &str) -> Result<(), End> {
        self.output.extend_from_slice(text.as_bytes());
        if !text.ends_with('\n') {
            self.output.extend_from_slice(b"\r\n");
        }
        if self.output.len() > OUTPUT_MAX_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends what waits.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        if self.output.is_empty() {
            return Ok(());
        }
        let sent = timeout(self.patience, async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        });
        match sent.await {
            Ok(done) => done?,
            Err(_) => return Err(End::Silent),
        }
        self.output.clear();
        Ok(())
    }

    /// Sends what waits and closes in good order.
    pub(super) async fn close(&mut self) {
        if self.flush().await.is_ok() {
            let _ = timeout(self.patience, self.stream.shutdown()).await;
        }
    }

    /// Says nothing more, until the client goes away or loses its patience.
    pub(super) async fn hang(&mut self) {
        self.input.clear();
        while matches!(self.stream.read_buf(&mut self.input).await, Ok(1..)) {
            self.input.clear();
        }
    }

    async fn skip_line(&mut self) -> Result<(), End> {
        let mut skipped = 0;
        loop {
            if let Some(at) = memchr(b'\n', &self.input) {
                let _ = self.input.split_to(at + 1);
                return Ok(());
            }
            skipped += self.input.len();
            self.input.clear();
            if skipped > ENDLESS_LINE_BYTES {
                return Err(End::Cut);
            }
            self.fill().await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(octets: &[u8]) -> Vec<String> {
        let (mut client, server) = tokio::io::duplex(64);
        let mut wire = Wire::new(server, Duration::from_secs(5));
        let octets = octets.to_vec();
        let writer = tokio::spawn(async move { client.write_all(&octets).await });
        let mut lines = Vec::new();
        while let Ok(line) = wire.line().await {
            lines.push(match line {
                Line::Whole(line) => String::from_utf8(line.to_vec()).unwrap(),
                Line::BareNewline => "bare".to_owned(),
                Line::TooLong => "long".to_owned(),
            });
        }
        writer.await.unwrap().unwrap();
        lines
    }

    #[tokio::test]
    async fn only_crlf_ends_a_line() {
        assert_eq!(
            lines(b"NOOP\r\nNOOP\nNO\rOP\r\n\r\r\n\r\nQUIT\r\n").await,
            ["NOOP", "bare", "bare", "bare", "", "QUIT"]
        );
    }

    #[tokio::test]
    async fn a_line_over_the_limit_is_read_past() {
        let mut octets = vec![b'x'; LINE_MAX_BYTES];
        octets.extend_from_slice(b"\r\n");
        octets.extend_from_slice(&vec![b'y'; LINE_MAX_BYTES + 1]);
        octets.extend_from_slice(b"\r\n");
        octets.extend_from_slice(&vec![b'z'; 3 * LINE_MAX_BYTES]);
        octets.extend_from_slice(b"\r\nQUIT\r\n");
        let lines = lines(&octets).await;
        assert_eq!(lines.first().unwrap().len(), LINE_MAX_BYTES);
        assert_eq!(lines.get(1..).unwrap(), ["long", "long", "QUIT"]);
    }
}
