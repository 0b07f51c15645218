//! One connection to the upstream: the shell round [`crate::smtp::Client`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use crate::delivery::Settings;
use crate::delivery::content::ContentReader;
use crate::delivery::letter::Letter;
use crate::delivery::quota::Slot;
use crate::delivery::settings::{CONNECTION_AGE_MAX, CONNECTION_MESSAGES_MAX, Timeouts};
use crate::mail::Envelope;
use crate::mail::rewrite::Changes;
use crate::oauth::AccessToken;
use crate::smtp::{
    Client, ClientError, ClientSettings, Event, Reply, ReplyDecoder, ReplyError, Step, Tls,
    TransactionOutcome,
};
use crate::tls;

/// Why a connection could not be opened or came to an end.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// No address, or none that answers.
    #[error("cannot connect to {host}:{port}: {source}; check name, network and firewall")]
    Connect {
        host: String,
        port: u16,
        source: io::Error,
    },
    /// The handshake failed.
    #[error("no TLS with {host}: {reason}")]
    Handshake { host: String, reason: String },
    /// Octets before the handshake: somebody injects replies (RFC 3207 section 6).
    #[error("{host} sent data before the TLS handshake; somebody interferes with the connection")]
    Injected { host: String },
    /// The remote said something that ends the session.
    #[error(transparent)]
    Protocol(#[from] ClientError),
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
pub(super) struct Interrupted {
    pub(super) error: ConnectionError,
    /// One for each recipient, in the order of the envelope; `None` is undecided.
    pub(super) decided: Vec<Option<(Step, Reply)>>,
    /// The final dot was sent and its reply never came: the remote may have the message.
    pub(super) uncertain: bool,
}

trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for T {}

/// An open session with the upstream.
pub(super) struct Connection {
    stream: Box<dyn Wire>,
    machine: Client,
    decoder: ReplyDecoder,
    input: BytesMut,
    output: BytesMut,
    timeouts: Timeouts,
    opened_at: Instant,
    token_serial: Option<u64>,
    messages: u32,
    /// Among the mailbox's connections.
    _slot: Slot,
}

/// Written at once while content is sent.
const BLOCK_BYTES: usize = 64 * 1024;

impl Connection {
    /// Connects and goes on to the point where the remote wants to know who we are.
    pub(super) async fn open(
        settings: &Settings,
        config: &Arc<ClientConfig>,
        slot: Slot,
    ) -> Result<Self, ConnectionError> {
        let stream = connect(settings).await?;
        let mut connection = Self {
            stream: Box::new(stream),
            machine: Client::new(ClientSettings {
                ehlo_name: settings.ehlo_name.clone(),
                tls: settings.tls,
                auth: true,
            }),
            decoder: ReplyDecoder::new(),
            input: BytesMut::with_capacity(4096),
            output: BytesMut::with_capacity(4096),
            timeouts: settings.timeouts,
            opened_at: Instant::now(),
            token_serial: None,
            messages: 0,
            _slot: slot,
        };
        if settings.tls == Tls::Implicit {
            connection.handshake(settings, config).await?;
        }
        loop {
            match connection.next_event().await? {
                Event::UpgradeTls => {
                    connection.handshake(settings, config).await?;
                    connection.machine.tls_established()?;
                }
                Event::Authenticate => return Ok(connection),
                event => return Err(out_of_turn(&event)),
            }
        }
    }

    /// Authenticates; afterwards messages can be sent.
    pub(super) async fn authenticate(
        &mut self,
        mailbox: &str,
        token: &AccessToken,
    ) -> Result<(), ConnectionError> {
        self.machine.authenticate(mailbox, token.secret())?;
        self.token_serial = Some(token.serial());
        match self.next_event().await? {
            Event::Ready => Ok(()),
            event => Err(out_of_turn(&event)),
        }
    }

    /// Whether the connection may carry another message (facts A.5).
    pub(super) fn is_fresh(&self) -> bool {
        self.messages < CONNECTION_MESSAGES_MAX && self.opened_at.elapsed() < CONNECTION_AGE_MAX
    }

    /// Whether it has carried a message yet: one that has may have been closed by the remote since.
    pub(super) fn is_used(&self) -> bool {
        self.messages > 0
    }

    /// Sends one message to all recipients of `envelope`.
    pub(super) async fn send(
        &mut self,
        envelope: &Envelope,
        letter: &mut Letter,
    ) -> Result<TransactionOutcome, Box<Interrupted>> {
        self.messages += 1;
        let mut dot_sent = false;
        let result = self.transact(envelope, letter, &mut dot_sent).await;
        result.map_err(|error| {
            let undecided = dot_sent
                && !matches!(
                    error,
                    ConnectionError::Protocol(ClientError::Goodbye {
                        step: Some(Step::EndOfData),
                        ..
                    })
                );
            Box::new(Interrupted {
                error,
                decided: self.machine.take_decided(),
                uncertain: undecided,
            })
        })
    }

    async fn transact(
        &mut self,
        envelope: &Envelope,
        letter: &mut Letter,
        dot_sent: &mut bool,
    ) -> Result<TransactionOutcome, ConnectionError> {
        let reader = letter.open().await.map_err(ConnectionError::Content)?;
        let limit = self.machine.capabilities().size;
        let size_bytes = letter.size_to_declare(&reader, limit);
        let mut event = match self.machine.submit(envelope, size_bytes)? {
            Some(event) => event,
            None => self.next_event().await?,
        };
        if event == Event::SendContent {
            letter.changes = self.send_content(reader, dot_sent).await?;
            self.machine.content_sent()?;
            event = self.next_event().await?;
        }
        match event {
            Event::Outcome(outcome) => Ok(outcome),
            event => Err(out_of_turn(&event)),
        }
    }

    async fn send_content(
        &mut self,
        mut reader: ContentReader,
        dot_sent: &mut bool,
    ) -> Result<Option<Changes>, ConnectionError> {
        loop {
            let more = reader
                .next(&mut self.output)
                .await
                .map_err(ConnectionError::Content)?;
            if !more {
                // From here on the remote may have all of it.
                *dot_sent = true;
                let changes = reader.finish(&mut self.output);
                self.write(self.timeouts.body).await?;
                return Ok(changes);
            }
            if self.output.len() >= BLOCK_BYTES {
                self.write(self.timeouts.body).await?;
            }
        }
    }

    /// Says good-bye, and does not wait long for the answer.
    pub(super) async fn quit(mut self) {
        if self.machine.quit().is_ok() {
            let _ = timeout(Duration::from_secs(2), self.next_event()).await;
        }
        let _ = timeout(Duration::from_secs(1), self.stream.shutdown()).await;
    }

    /// Resolves when the remote does something on an idle connection: there is nothing it could
    /// say that is of use but 421, and usually it has just closed.
    ///
    /// # Cancel safety
    /// Cancel safe: what was read stays in the buffer and ends the connection at its next use.
    pub(super) async fn stirs(&mut self) {
        let _ = self.stream.read_buf(&mut self.input).await;
    }

    async fn next_event(&mut self) -> Result<Event, ConnectionError> {
        loop {
            self.machine.take_output(&mut self.output);
            if !self.output.is_empty() {
                self.write(self.timeouts.command).await?;
            }
            let patience = match self.machine.expecting() {
                Some(Step::Greeting) => self.timeouts.greeting,
                Some(Step::Data) => self.timeouts.data,
                Some(Step::EndOfData) => self.timeouts.end_of_data,
                Some(
                    Step::Ehlo
                    | Step::StartTls
                    | Step::Auth
                    | Step::Mail
                    | Step::Rcpt(_)
                    | Step::Rset
                    | Step::Quit,
                ) => self.timeouts.command,
                None => return Err(ClientError::OutOfTurn.into()),
            };
            let reply = timeout(patience, self.read_reply())
                .await
                .map_err(|_| ConnectionError::Timeout(patience))??;
            tracing::trace!(reply = %reply, "upstream replied");
            if let Some(event) = self.machine.receive(reply)? {
                return Ok(event);
            }
        }
    }

    async fn read_reply(&mut self) -> Result<Reply, ConnectionError> {
        loop {
            if let Some(reply) = self.decoder.decode(&mut self.input)? {
                return Ok(reply);
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Writes everything in `output`, and wipes it: a token may have been in it.
    async fn write(&mut self, patience: Duration) -> Result<(), ConnectionError> {
        let written = timeout(patience, async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        })
        .await;
        self.output.clear();
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.last_words(error).await),
            Err(_) => Err(ConnectionError::Timeout(patience)),
        }
    }

    /// A remote that closes while we write has often said why.
    async fn last_words(&mut self, error: io::Error) -> ConnectionError {
        match timeout(Duration::from_secs(5), self.read_reply()).await {
            Ok(Ok(reply)) => ClientError::Goodbye {
                step: self.machine.expecting(),
                reply,
            }
            .into(),
            Ok(Err(_)) | Err(_) => error.into(),
        }
    }

    async fn handshake(
        &mut self,
        settings: &Settings,
        config: &Arc<ClientConfig>,
    ) -> Result<(), ConnectionError> {
        let host = settings.host.clone();
        if !self.input.is_empty() || self.decoder.is_within_reply() {
            return Err(ConnectionError::Injected { host });
        }
        let failed = |reason: String| ConnectionError::Handshake {
            host: host.clone(),
            reason,
        };
        let name = ServerName::try_from(settings.host.clone())
            .map_err(|error| failed(error.to_string()))?;
        let (placeholder, _) = tokio::io::duplex(1);
        let stream = std::mem::replace(&mut self.stream, Box::new(placeholder));
        let connecting = TlsConnector::from(Arc::clone(config)).connect(name, stream);
        let stream = timeout(self.timeouts.tls, connecting)
            .await
            .map_err(|_| ConnectionError::Timeout(self.timeouts.tls))?
            .map_err(|error| {
                failed(match tls::certificate_error(&error) {
                    Some(reason) => format!(
                        "its certificate is not trusted: {reason}; \
                         set ca_file if a private CA or an inspecting firewall is at work"
                    ),
                    None => error.to_string(),
                })
            })?;
        self.stream = Box::new(stream);
        Ok(())
    }
}

async fn connect(settings: &Settings) -> Result<TcpStream, ConnectionError> {
    let failed = |source| ConnectionError::Connect {
        host: settings.host.clone(),
        port: settings.port,
        source,
    };
    let connecting = async {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        // Every address in turn; the name is resolved anew for each connection.
        let addresses: Vec<SocketAddr> =
            tokio::net::lookup_host((settings.host.as_str(), settings.port))
                .await?
                .collect();
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    let stream = timeout(settings.timeouts.connect, connecting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(failed)?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn out_of_turn(event: &Event) -> ConnectionError {
    tracing::debug!(?event, "event out of turn");
    ClientError::OutOfTurn.into()
}
