//! Happy eyeballs (RFC 8305): several addresses, and the first that answers wins.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::error::Unreachable;
use super::network::Network;

/// RFC 8305 section 5, "Connection Attempt Delay".
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A name server may answer with hundreds.
const ADDRESSES_MAX: usize = 16;

type Attempt<'n, S> = (
    SocketAddr,
    Pin<Box<dyn Future<Output = io::Result<S>> + Send + 'n>>,
);

/// Connects to one of the addresses of `host` before `deadline`. The losers are given up.
pub(super) async fn race<N: Network>(
    network: &N,
    host: &str,
    port: u16,
    deadline: Instant,
) -> Result<N::Stream, Unreachable> {
    let resolved = timeout_at(deadline, network.resolve(host, port)).await;
    let addresses = resolved
        .unwrap_or_else(|_| Err(no_answer()))
        .map_err(Unreachable::Unresolved)?;
    let mut waiting = in_turn(addresses);
    if waiting.is_empty() {
        let none = io::Error::new(io::ErrorKind::NotFound, "it has no address");
        return Err(Unreachable::Unresolved(none));
    }
    let mut attempts: Vec<Attempt<'_, N::Stream>> = Vec::new();
    let mut failures = Vec::new();
    let mut next_at = Instant::now();
    loop {
        if attempts.is_empty() || Instant::now() >= next_at {
            match waiting.pop_front() {
                Some(address) => attempts.push((address, Box::pin(network.connect(address)))),
                None if attempts.is_empty() => return Err(Unreachable::NoAnswer(failures)),
                None => {}
            }
            next_at = Instant::now() + ATTEMPT_DELAY;
        }
        tokio::select! {
            biased;
            (index, result) = first_ended(&mut attempts) => {
                let (address, _) = attempts.swap_remove(index);
                match result {
                    Ok(stream) => {
                        tracing::debug!(host, %address, "connected");
                        return Ok(stream);
                    }
                    Err(error) => {
                        tracing::debug!(host, %address, %error, "no connection to this address");
                        failures.push((address, error));
                        // The next one need not wait any longer.
                        next_at = Instant::now();
                    }
                }
            }
            () = sleep_until(deadline) => {
                let silent = attempts.into_iter().map(|(address, _)| (address, no_answer()));
                failures.extend(silent);
                return Err(Unreachable::NoAnswer(failures));
            }
            () = sleep_until(next_at), if !waiting.is_empty() => {}
        }
    }
}

/// Whichever attempt ends first, with its index. Pending without attempts.
async fn first_ended<S>(attempts: &mut [Attempt<'_, S>]) -> (usize, io::Result<S>) {
    poll_fn(|cx| {
        for (index, (_, attempt)) in attempts.iter_mut().enumerate() {
            if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                return Poll::Ready((index, result));
            }
        }
        Poll::Pending
    })
    .await
}

/// The families alternate, the preferred one first (RFC 8305 section 4), each address once.
fn in_turn(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let mut ordered = VecDeque::new();
    let Some(preferred) = addresses.first().map(SocketAddr::is_ipv6) else {
        return ordered;
    };
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == preferred);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    while ordered.len() < ADDRESSES_MAX {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            break;
        }
        for address in pair.into_iter().flatten() {
            if ordered.len() < ADDRESSES_MAX && !ordered.contains(&address) {
                ordered.push_back(address);
            }
        }
    }
    ordered
}

fn no_answer() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}
