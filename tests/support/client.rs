//! A client that says exactly what it is told to.

use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::within;

/// What a client speaks over.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

pub struct Client {
    stream: BufReader<Box<dyn Wire>>,
    pub greeting: String,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    pub async fn over(stream: impl Wire + 'static) -> Self {
        let mut client = Self {
            stream: BufReader::new(Box::new(stream)),
            greeting: String::new(),
        };
        client.greeting = client.reply().await;
        client
    }

    /// TLS from the first octet; trusts the certificates in `ca_file` alone, for `localhost`.
    pub async fn connect_tls(address: SocketAddr, ca_file: &Path) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await.unwrap();
        Ok(Self::over(shake_hands(stream, ca_file).await?).await)
    }

    /// STARTTLS, with `behind` written in the same breath.
    pub async fn start_tls(mut self, ca_file: &Path, behind: &[u8]) -> Self {
        self.write(&[b"STARTTLS\r\n", behind].concat()).await;
        let reply = self.reply().await;
        assert!(reply.starts_with("220 2.0.0 "), "{reply}");
        assert_eq!(self.stream.buffer(), b"");
        let stream = self.stream.into_inner();
        Self {
            stream: BufReader::new(Box::new(shake_hands(stream, ca_file).await.unwrap())),
            greeting: self.greeting,
        }
    }

    /// Octets as they are.
    pub async fn write(&mut self, octets: &[u8]) {
        self.try_write(octets).await.unwrap();
    }

    /// As [`Client::write`], where the connection may have ended.
    pub async fn try_write(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(octets).await
    }

    /// One reply, its lines joined by LF; empty when the connection has ended.
    pub async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            let read = within("a reply", self.stream.read_line(&mut line))
                .await
                .unwrap_or(0);
            let line = line.trim_end();
            reply.push_str(line);
            if read == 0 || line.as_bytes().get(3) != Some(&b'-') {
                return reply;
            }
            reply.push('\n');
        }
    }

    /// A command and its reply.
    pub async fn command(&mut self, line: &str) -> String {
        self.write(format!("{line}\r\n").as_bytes()).await;
        self.reply().await
    }

    /// As [`Client::command`], and the reply must begin with `code`.
    pub async fn expect(&mut self, line: &str, code: &str) -> String {
        let reply = self.command(line).await;
        assert!(reply.starts_with(code), "{line}: {reply}");
        reply
    }

    /// MAIL, RCPT and DATA, then `wire` as it is, which must hold the end of data; the last reply.
    pub async fn send_raw(&mut self, from: &str, to: &[&str], wire: &[u8]) -> String {
        self.expect(&format!("MAIL FROM:<{from}>"), "250").await;
        for to in to {
            self.expect(&format!("RCPT TO:<{to}>"), "250").await;
        }
        self.expect("DATA", "354").await;
        self.write(wire).await;
        self.reply().await
    }

    /// A message whose lines end in CRLF, dot-stuffed here; returns the queue id.
    pub async fn send(&mut self, from: &str, to: &[&str], content: &str) -> String {
        let mut wire = String::new();
        for line in content.split_inclusive("\r\n") {
            if line.starts_with('.') {
                wire.push('.');
            }
            wire.push_str(line);
        }
        wire.push_str(".\r\n");
        let reply = self.send_raw(from, to, wire.as_bytes()).await;
        let id = reply.strip_prefix("250 2.0.0 Ok: queued as ");
        id.unwrap_or_else(|| panic!("not accepted: {reply}"))
            .to_owned()
    }

    /// Everything until the connection ends.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = within(
            "the end of the connection",
            self.stream.read_to_end(&mut rest),
        )
        .await;
        String::from_utf8_lossy(&rest).into_owned()
    }
}

async fn shake_hands<S: Wire>(
    stream: S,
    ca_file: &Path,
) -> std::io::Result<tokio_rustls::client::TlsStream<S>> {
    exorelay::tls::install_provider();
    let config = exorelay::tls::client_config(Some(ca_file)).unwrap();
    let name = "localhost".try_into().unwrap();
    within(
        "the handshake",
        TlsConnector::from(config).connect(name, stream),
    )
    .await
}
