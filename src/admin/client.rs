//! Asks a running daemon.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Response, StatusCode, Url};

use super::protocol::{ErrorBody, Status};
use crate::queue::{MessageDetail, QueueId};
use crate::tls::{self, TlsError};

/// A daemon that is silent for longer hangs; the largest queue is counted in far less.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The largest message onto a slow disk.
const UPLOAD_MAX: Duration = Duration::from_mins(10);
/// Ten times what a message of 100,000 recipients with long replies comes to.
const LINE_MAX_BYTES: usize = 512 * 1024 * 1024;
/// Of an answer that is no listing.
const ANSWER_MAX_BYTES: usize = LINE_MAX_BYTES;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No socket, or nobody behind it.
    #[error("no daemon answers at {path}")]
    NoDaemon {
        /// The socket.
        path: PathBuf,
    },
    /// The socket's mode, or the daemon, keeps this user out.
    #[error("not permitted to use {path}")]
    NotPermitted {
        /// The socket.
        path: PathBuf,
    },
    /// There, and not answering in time.
    #[error("the daemon at {path} does not answer")]
    Silent {
        /// The socket.
        path: PathBuf,
    },
    /// Stopping, or asked by too many at once.
    #[error("the daemon cannot answer now: {message}")]
    Busy {
        /// Its words.
        message: String,
    },
    /// No room in the queue, or on its disk.
    #[error("the daemon takes nothing now: {message}")]
    Full {
        /// Its words.
        message: String,
    },
    /// It understood and will not, or failed.
    #[error("the daemon refuses: {message} (status {status})")]
    Refused {
        /// The HTTP status code.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The answer broke off.
    #[error("the daemon broke its answer off")]
    BrokenOff {
        /// How.
        source: reqwest::Error,
    },
    /// Something else answers, or a version that is too far away.
    #[error("the answer from {path} cannot be understood; is the daemon of another version?")]
    Answer {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it, where JSON says so.
        source: Option<serde_json::Error>,
    },
    /// The connection failed in another way.
    #[error("cannot connect to {path}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// How.
        source: reqwest::Error,
    },
    /// The socket cannot be used.
    #[error("cannot connect to {path}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No HTTP client can be made.
    #[error("cannot make an HTTP client")]
    Http(#[from] reqwest::Error),
    /// The same, below it.
    #[error("cannot make an HTTP client")]
    Tls(#[from] TlsError),
}

/// For one socket; each question is a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
    http: reqwest::Client,
}

impl Client {
    /// Nothing is touched before the first question.
    pub fn new(socket: &Path) -> Result<Self, ClientError> {
        Self::with_patience(socket, SILENCE_MAX)
    }

    /// For who sends large messages, whose answer comes only after their last octet.
    pub fn patient(socket: &Path) -> Result<Self, ClientError> {
        Self::with_patience(socket, UPLOAD_MAX)
    }

    fn with_patience(socket: &Path, silence_max: Duration) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            // Never used on this socket, yet no client is made without: this one needs no trust store.
            .tls_backend_preconfigured((*tls::untrusting_client_config()?).clone())
            .unix_socket(socket)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .read_timeout(silence_max)
            .user_agent(concat!("exorelay/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            path: socket.to_owned(),
            http,
        })
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether somebody listens there; `false` is the only way to learn that no daemon runs.
    pub async fn is_answered(&self) -> Result<bool, ClientError> {
        let path = self.path.clone();
        let Err(error) = tokio::net::UnixStream::connect(&self.path).await else {
            return Ok(true);
        };
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(false),
            io::ErrorKind::PermissionDenied => Err(ClientError::NotPermitted { path }),
            // It listens, and more callers wait than it takes in.
            io::ErrorKind::WouldBlock => Err(ClientError::Silent { path }),
            _ => Err(ClientError::Socket {
                path,
                source: error,
            }),
        }
    }

    /// The state of everything.
    pub async fn status(&self) -> Result<Status, ClientError> {
        let response = self.get(&["v1", "status"], &[]).await?;
        self.decode(response).await
    }

    /// One message, or none of that id.
    pub async fn show(&self, id: QueueId) -> Result<Option<MessageDetail>, ClientError> {
        match self.get(&["v1", "queue", id.as_str()], &[]).await {
            Ok(response) => self.decode(response).await.map(Some),
            Err(ClientError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn get(
        &self,
        path: &[&str],
        query: &[(String, String)],
    ) -> Result<Response, ClientError> {
        let mut url = self.url(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.sent(self.http.get(url)).await
    }

    pub(super) async fn post_json(
        &self,
        path: &[&str],
        value: &impl serde::Serialize,
    ) -> Result<Response, ClientError> {
        let body = serde_json::to_vec(value).map_err(|error| self.strange(Some(error)))?;
        self.post(path, "application/json", body.into()).await
    }

    pub(super) async fn post(
        &self,
        path: &[&str],
        kind: &str,
        body: reqwest::Body,
    ) -> Result<Response, ClientError> {
        let request = self.http.post(self.url(path)?);
        self.sent(request.header("content-type", kind).body(body))
            .await
    }

    fn url(&self, path: &[&str]) -> Result<Url, ClientError> {
        // The host is only a name in a header: the connection goes to the socket.
        let mut url = Url::parse("http://exorelay/").map_err(|_| self.strange(None))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        Ok(url)
    }

    async fn sent(&self, request: reqwest::RequestBuilder) -> Result<Response, ClientError> {
        let sent = request.send().await;
        let response = sent.map_err(|error| self.failure(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status == StatusCode::FORBIDDEN {
            return Err(ClientError::NotPermitted {
                path: self.path.clone(),
            });
        }
        let message = match self.decode(response).await {
            Ok(ErrorBody { error }) => error,
            Err(ClientError::Answer { .. }) => return Err(self.strange(None)),
            Err(error) => return Err(error),
        };
        Err(match status {
            StatusCode::SERVICE_UNAVAILABLE => ClientError::Busy { message },
            StatusCode::INSUFFICIENT_STORAGE => ClientError::Full { message },
            status => ClientError::Refused {
                status: status.as_u16(),
                message,
            },
        })
    }

    pub(super) async fn decode<T: serde::de::DeserializeOwned>(
        &self,
        mut response: Response,
    ) -> Result<T, ClientError> {
        let mut answer = Vec::new();
        while let Some(octets) = self.chunk(&mut response).await? {
            if answer.len() + octets.len() > ANSWER_MAX_BYTES {
                return Err(self.strange(None));
            }
            answer.extend_from_slice(&octets);
        }
        serde_json::from_slice(&answer).map_err(|error| self.strange(Some(error)))
    }

    pub(super) async fn chunk(
        &self,
        response: &mut Response,
    ) -> Result<Option<bytes::Bytes>, ClientError> {
        response.chunk().await.map_err(|source| {
            if source.is_timeout() {
                self.silent()
            } else {
                ClientError::BrokenOff { source }
            }
        })
    }

    fn failure(&self, error: reqwest::Error) -> ClientError {
        let path = self.path.clone();
        match io_kind(&error) {
            Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                ClientError::NoDaemon { path }
            }
            Some(io::ErrorKind::PermissionDenied) => ClientError::NotPermitted { path },
            _ if error.is_timeout() => self.silent(),
            _ if error.is_connect() => ClientError::Connect {
                path,
                source: error,
            },
            _ => ClientError::BrokenOff { source: error },
        }
    }

    fn silent(&self) -> ClientError {
        ClientError::Silent {
            path: self.path.clone(),
        }
    }

    pub(super) fn strange(&self, source: Option<serde_json::Error>) -> ClientError {
        ClientError::Answer {
            path: self.path.clone(),
            source,
        }
    }
}

/// What the system said, below all that wraps it.
fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        next = error.source();
    }
    None
}

/// Cuts lines out of octets that come in any chunks.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// Octets of `buffer` that were handed out.
    taken: usize,
    /// Octets of `buffer` known to hold no line end, after those taken.
    searched: usize,
}

#[derive(Debug)]
pub(super) struct TooLong;

impl Lines {
    pub(super) fn push(&mut self, octets: &[u8]) -> Result<(), TooLong> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        if self.buffer.len() + octets.len() > LINE_MAX_BYTES {
            return Err(TooLong);
        }
        self.buffer.extend_from_slice(octets);
        Ok(())
    }

    pub(super) fn next(&mut self) -> Option<&[u8]> {
        let rest = self.buffer.get(self.taken..)?;
        let unsearched = rest.get(self.searched..)?;
        let Some(end) = memchr::memchr(b'\n', unsearched) else {
            self.searched = rest.len();
            return None;
        };
        let end = self.searched + end;
        self.taken += end + 1;
        self.searched = 0;
        rest.get(..end)
    }

    /// Octets that are no lines: up to `max` of what is there.
    pub(super) fn take(&mut self, max: usize) -> &[u8] {
        let start = self.taken;
        self.taken = self.buffer.len().min(start.saturating_add(max));
        self.searched = 0;
        self.buffer.get(start..self.taken).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken == self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn chunks_make_no_difference(
            lines in prop::collection::vec("[a-z]{0,20}", 0..20),
            size in 1_usize..30,
        ) {
            let mut text = lines.join("\n");
            if !lines.is_empty() {
                text.push('\n');
            }
            let mut cut = Lines::default();
            let mut found = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                cut.push(chunk).unwrap();
                while let Some(line) = cut.next() {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            prop_assert_eq!(found, lines);
            prop_assert!(cut.is_empty());
        }
    }
}
