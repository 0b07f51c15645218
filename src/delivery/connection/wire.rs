//! A connection as octets: replies in, commands and content out.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use rustls::{CipherSuite, ClientConfig, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_util::io::poll_read_buf;

use super::ConnectionError;
use crate::smtp::{Reply, ReplyDecoder};
use crate::tls;

/// TCP, with or without TLS.
pub(in crate::delivery) trait Stream:
    AsyncRead + AsyncWrite + Send + Sync + Unpin
{
}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// The stream and its buffers.
pub(in crate::delivery) struct Wire {
    stream: Box<dyn Stream>,
    decoder: ReplyDecoder,
    input: BytesMut,
    /// What is to be written next.
    pub(super) output: BytesMut,
    /// Once there was a handshake.
    pub(super) encryption: Option<Encryption>,
}

/// What both sides agreed upon in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// Of TLS.
    pub version: ProtocolVersion,
    /// The cipher suite.
    pub cipher: CipherSuite,
}

/// How writing content ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// All of it is on its way.
    Whole,
    /// The remote began to speak before the last octet was on its way.
    Answered,
}

/// What a remote says that was not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unasked {
    /// It has closed, or is about to: 421 may come at any time (RFC 5321 section 3.8).
    Goodbye,
    /// Anything else, as far as it fits a log line.
    Words(String),
}

/// Room for at least a part of a reply.
const READ_MIN_OCTETS: usize = 512;

/// Of what nobody asked for, this much is shown.
const SHOWN_MAX_OCTETS: usize = 200;

impl Wire {
    /// `early` was read already.
    pub(in crate::delivery) fn new(stream: impl Stream + 'static, early: BytesMut) -> Self {
        Self {
            stream: Box::new(stream),
            decoder: ReplyDecoder::new(),
            input: early,
            output: BytesMut::with_capacity(4096),
            encryption: None,
        }
    }

    /// The next whole reply.
    pub(super) async fn reply(&mut self) -> Result<Reply, ConnectionError> {
        loop {
            if let Some(reply) = self.decoder.decode(&mut self.input)? {
                return Ok(reply);
            }
            if poll_fn(|cx| self.poll_read(cx)).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Writes everything in `output`, and wipes it: a token may have been in it.
    pub(super) async fn write(&mut self) -> io::Result<()> {
        let written = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        let written = written.await;
        self.output.clear();
        written
    }

    /// Writes everything in `output`, as [`Wire::write`], but stops when the remote speaks: in the
    /// middle of content there is nothing it could say but that it does not want more. `all_taken`
    /// becomes true once the stream has taken the last octet, so that the remote may have it.
    pub(super) async fn write_content(&mut self, all_taken: &mut bool) -> io::Result<Written> {
        let mut written = 0;
        let ended = poll_fn(|cx| self.poll_write_content(cx, &mut written, all_taken)).await;
        self.output.clear();
        ended
    }

    fn poll_write_content(
        &mut self,
        cx: &mut Context<'_>,
        written: &mut usize,
        all_taken: &mut bool,
    ) -> Poll<io::Result<Written>> {
        loop {
            let rest = self.output.get(*written..).unwrap_or_default();
            let all_written = rest.is_empty();
            if all_written {
                *all_taken = true;
                // Looked at before anything is read: what is said afterwards is an answer to all of it.
                if let Poll::Ready(flushed) = Pin::new(&mut *self.stream).poll_flush(cx) {
                    return Poll::Ready(flushed.map(|()| Written::Whole));
                }
            }
            if self.has_input() {
                return Poll::Ready(Ok(Written::Answered));
            }
            if let Poll::Ready(read) = self.poll_read(cx) {
                match read? {
                    0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    _ => continue,
                }
            }
            if all_written {
                return Poll::Pending;
            }
            let rest = self.output.get(*written..).unwrap_or_default();
            match Pin::new(&mut *self.stream).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => *written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Looks, without waiting, whether there is more to read.
    pub(super) async fn unasked(&mut self) -> Option<Unasked> {
        if !self.has_input() {
            let looked = poll_fn(|cx| Poll::Ready(self.poll_read(cx)));
            if looked.await.is_pending() {
                return None;
            }
        }
        Some(self.name_unasked())
    }

    /// Resolves when the remote does something.
    ///
    /// # Cancel safety
    /// Cancel safe: what was read stays in the buffer and ends the connection at its next use.
    pub(super) async fn stirs(&mut self) -> Unasked {
        // An end and an error come to the same here.
        let _ = poll_fn(|cx| self.poll_read(cx)).await;
        self.name_unasked()
    }

    /// Whether something was read that no reply was made of yet.
    pub(super) fn has_input(&self) -> bool {
        !self.input.is_empty() || self.decoder.is_within_reply()
    }

    /// Goes on inside TLS. Nothing may have been read before (RFC 3207 section 6).
    pub(super) async fn handshake(
        &mut self,
        host: &str,
        config: &Arc<ClientConfig>,
    ) -> Result<(), ConnectionError> {
        if self.has_input() {
            return Err(ConnectionError::Injected {
                host: host.to_owned(),
            });
        }
        let failed = |reason: String| ConnectionError::Handshake {
            host: host.to_owned(),
            reason,
        };
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
        let (placeholder, _) = tokio::io::duplex(1);
        let stream = std::mem::replace(&mut self.stream, Box::new(placeholder));
        let connecting = TlsConnector::from(Arc::clone(config)).connect(name, stream);
        let stream = connecting.await.map_err(|error| {
            failed(match tls::certificate_error(&error) {
                Some(reason) => format!(
                    "its certificate is not trusted: {reason}; \
                     set ca_file if a private CA or an inspecting firewall is at work"
                ),
                None => error.to_string(),
            })
        })?;
        let (_, session) = stream.get_ref();
        self.encryption = session
            .protocol_version()
            .zip(session.negotiated_cipher_suite())
            .map(|(version, suite)| Encryption {
                version,
                cipher: suite.suite(),
            });
        self.stream = Box::new(stream);
        Ok(())
    }

    pub(super) async fn shut_down(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(READ_MIN_OCTETS);
        poll_read_buf(Pin::new(&mut *self.stream), cx, &mut self.input)
    }

    /// Nothing was read: the stream has ended.
    fn name_unasked(&self) -> Unasked {
        let code = self.input.get(..3).unwrap_or(&self.input);
        if !self.decoder.is_within_reply() && b"421".starts_with(code) {
            return Unasked::Goodbye;
        }
        let shown = self.input.get(..SHOWN_MAX_OCTETS).unwrap_or(&self.input);
        Unasked::Words(String::from_utf8_lossy(shown.trim_ascii_end()).into_owned())
    }
}
