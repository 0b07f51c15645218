//! Waits for the browser to return to this machine, RFC 8252 section 7.3.
//!
//! Anybody on this machine can connect, and any web page can make the browser do so: only the redirect URI's
//! path with the right `state` counts, everything else is answered and forgotten.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::answer::{Answer, AnswerError};
use super::error::SignInError;
use super::page::Page;
use super::redirect::RedirectUri;
use crate::secret::Secret;

/// Entra's longest codes have some 2 KiB; cookies of other services on localhost come along.
pub(super) const HEAD_MAX_BYTES: usize = 32 * 1024;
/// For a request to arrive, and for its answer to leave.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// Browsers open some in advance and say nothing on them.
const CONNECTIONS_MAX: usize = 32;
/// Until a free port is free in both families.
const PORTS_TRIED: usize = 16;
/// After a failure to accept, which may last (no more descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port that a browser returns to; closed when it is dropped.
#[derive(Debug)]
pub struct Loopback {
    listeners: Vec<Arc<TcpListener>>,
    redirect: RedirectUri,
    serving: JoinSet<()>,
}

/// The browser is back.
#[derive(Debug)]
pub struct Arrival {
    /// What it brought.
    pub answer: Answer,
    /// Where it waits for a page.
    pub browser: Browser,
}

/// A browser that waits for its page; dropped, it is told to look at the terminal.
#[derive(Debug)]
pub struct Browser {
    page: oneshot::Sender<Page>,
    shown: oneshot::Receiver<()>,
}

impl Browser {
    /// Returns when the page has left, or when the browser has gone.
    pub async fn show(self, page: Page) {
        if self.page.send(page).is_ok() {
            // It is dropped at the end of the connection, whose time is bounded.
            let _ = self.shown.await;
        }
    }
}

/// What counts, and who waits for it.
#[derive(Debug)]
struct Expected {
    path: String,
    state: Secret,
    /// Taken by the first.
    arrival: Mutex<Option<oneshot::Sender<Arrival>>>,
}

impl Loopback {
    /// Opens the port of `redirect`, or a free one.
    pub async fn bind(redirect: &RedirectUri) -> Result<Self, SignInError> {
        let Some((addresses, port)) = redirect.listen_on() else {
            let redirect_uri = redirect.as_str().to_owned();
            return Err(SignInError::Elsewhere { redirect_uri });
        };
        let mut tries = 0;
        loop {
            tries += 1;
            match listen(addresses, port).await {
                Ok((listeners, port)) => {
                    return Ok(Self {
                        listeners,
                        redirect: redirect.at(port),
                        serving: JoinSet::new(),
                    });
                }
                // Free in the one family only.
                Err((_, source))
                    if port == 0
                        && source.kind() == io::ErrorKind::AddrInUse
                        && tries < PORTS_TRIED => {}
                Err((address, source)) => return Err(SignInError::Listen { address, source }),
            }
        }
    }

    /// The redirect URI with its port in it.
    pub fn redirect(&self) -> &RedirectUri {
        &self.redirect
    }

    /// The first request for the redirect URI with `state`. Others are answered until this is dropped.
    pub async fn wait(&mut self, state: &Secret) -> Arrival {
        let (sender, receiver) = oneshot::channel();
        let expected = Arc::new(Expected {
            path: self.redirect.path().to_owned(),
            state: state.clone(),
            arrival: Mutex::new(Some(sender)),
        });
        self.serving.shutdown().await;
        for listener in &self.listeners {
            let (listener, expected) = (Arc::clone(listener), Arc::clone(&expected));
            self.serving
                .spawn(async move { accept(&listener, &expected).await });
        }
        match receiver.await {
            Ok(arrival) => arrival,
            // Never: the tasks hold the sender, and they do not end.
            Err(_) => std::future::pending().await,
        }
    }
}

async fn listen(
    addresses: &[std::net::IpAddr],
    mut port: u16,
) -> Result<(Vec<Arc<TcpListener>>, u16), (SocketAddr, io::Error)> {
    let mut listeners = Vec::new();
    for address in addresses {
        let address = SocketAddr::new(*address, port);
        let opened = match TcpListener::bind(address).await {
            Ok(listener) => listener.local_addr().map(|bound| (listener, bound.port())),
            Err(error) => Err(error),
        };
        match opened {
            Ok((listener, bound)) => {
                port = bound;
                listeners.push(Arc::new(listener));
            }
            // A machine may have only one family; but nobody else may have the browser's other try.
            Err(error) if !listeners.is_empty() && error.kind() != io::ErrorKind::AddrInUse => {}
            Err(error) => return Err((address, error)),
        }
    }
    Ok((listeners, port))
}

async fn accept(listener: &TcpListener, expected: &Arc<Expected>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let expected = Arc::clone(expected);
        connections.spawn(async move {
            serve(stream, &expected).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// One request and its answer.
async fn serve(mut stream: TcpStream, expected: &Expected) {
    let head = timeout(REQUEST_MAX, read_head(&mut stream)).await;
    let Ok(Ok(head)) = head else { return };
    let (page, shown) = match head.as_deref().map_or_else(
        || Err(too_large()),
        |head| judge(head, &expected.path, &expected.state),
    ) {
        Ok(answer) => expected.announce(answer).await,
        Err(page) => (page, None),
    };
    let goodbye = async {
        stream.write_all(page.to_response().as_bytes()).await?;
        stream.shutdown().await?;
        // Closing with something unread would take the answer back.
        let rest = (&mut stream).take(HEAD_MAX_BYTES as u64);
        tokio::io::copy(&mut { rest }, &mut tokio::io::sink()).await
    };
    // Whoever does not listen has lost nothing that matters.
    let _ = timeout(REQUEST_MAX, goodbye).await;
    drop(shown);
}

impl Expected {
    /// Hands the first answer over and waits for its page.
    async fn announce(&self, answer: Answer) -> (Page, Option<oneshot::Sender<()>>) {
        let first = self
            .arrival
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(first) = first else {
            return (already_here(), None);
        };
        let (page, awaited) = oneshot::channel();
        let (end, shown) = oneshot::channel();
        let browser = Browser { page, shown };
        if first.send(Arrival { answer, browser }).is_err() {
            return (look_at_the_terminal(), None);
        }
        let page = awaited.await.unwrap_or_else(|_| look_at_the_terminal());
        (page, Some(end))
    }
}

/// Everything up to the empty line; `None` when that does not come in time for the limit.
async fn read_head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut limited = stream.take(HEAD_MAX_BYTES as u64);
    loop {
        if limited.read_buf(&mut head).await? == 0 {
            break;
        }
        if memchr::memmem::find(&head, b"\r\n\r\n").is_some() {
            return Ok(Some(head));
        }
    }
    if head.len() < HEAD_MAX_BYTES {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(None)
}

/// The answer that a request brings, or the page for any other.
fn judge(head: &[u8], path: &str, state: &Secret) -> Result<Answer, Page> {
    let line = head.split(|octet| *octet == b'\r').next();
    let line = line.and_then(|line| std::str::from_utf8(line).ok());
    let mut words = line.unwrap_or_default().split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let (Some(method), Some(target), Some(version), None) = (method, target, version, words.next())
    else {
        return Err(Page::failure("This is not a request of a browser."));
    };
    if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return Err(Page::failure("This is not a request of a browser."));
    }
    let (asked, query) = target.split_once('?').unwrap_or((target, ""));
    if asked != path {
        return Err(Page::new("404 Not Found", "Not found", "Nothing is here."));
    }
    if method != "GET" {
        let text = "A browser returns from a sign-in with GET.";
        return Err(Page::new(
            "405 Method Not Allowed",
            "Method not allowed",
            text,
        ));
    }
    Answer::from_query(query, state).map_err(|error| {
        Page::failure(match error {
            AnswerError::OtherSignIn => {
                "This belongs to another sign-in. Open the address that exorelay has printed last."
            }
            AnswerError::NoAnswer => "There is no code here. Sign in once more.",
        })
    })
}

fn too_large() -> Page {
    Page::new(
        "431 Request Header Fields Too Large",
        "Too large",
        "The browser sends more than a sign-in needs; delete its cookies for this machine.",
    )
}

fn already_here() -> Page {
    Page::new(
        "409 Conflict",
        "Already here",
        "This sign-in has come back before. Look at the terminal.",
    )
}

fn look_at_the_terminal() -> Page {
    Page::failure("exorelay has ended without waiting for this. Look at the terminal.")
}
