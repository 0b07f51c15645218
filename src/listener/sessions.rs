//! What the sessions of all listeners have in common.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;

use rustix::process::{Resource, getrlimit};

use crate::listener::Peer;

/// Sessions of all listeners, for as long as the program runs: the file descriptors that they may use, and how
/// many of them broke.
#[derive(Clone, Debug)]
pub struct Sessions(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Held by clients: a socket each, and a content file for each transaction.
    descriptors: AtomicUsize,
    descriptors_max: usize,
    panics: AtomicU64,
    open: AtomicUsize,
}

/// One file descriptor that a client may cost; dropped, it is free for another.
#[derive(Debug)]
pub(super) struct Descriptor(Arc<Shared>);

/// Where the system names no limit.
const DESCRIPTORS_MAX: u64 = 1 << 20;

impl Sessions {
    /// Within the limit that the process has now. A quarter of it is left for what clients must not starve: the
    /// queue's database, delivery, tokens and the admin socket.
    pub fn within_limits() -> Self {
        let limit = getrlimit(Resource::Nofile).current;
        let limit = limit.unwrap_or(DESCRIPTORS_MAX).min(DESCRIPTORS_MAX);
        Self::with_descriptors((limit - limit / 4) as usize)
    }

    pub(super) fn with_descriptors(descriptors_max: usize) -> Self {
        Self(Arc::new(Shared {
            descriptors: AtomicUsize::new(0),
            descriptors_max,
            panics: AtomicU64::new(0),
            open: AtomicUsize::new(0),
        }))
    }

    /// Sessions that ended by a defect of the program.
    pub fn panics(&self) -> u64 {
        self.0.panics.load(Ordering::Relaxed)
    }

    /// How many there are at the moment.
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// None is left.
    pub(super) fn descriptor(&self, client: Peer) -> Option<Descriptor> {
        let max = places_for(client, self.0.descriptors_max);
        let taken = |now: usize| (now < max).then_some(now + 1);
        let descriptors = &self.0.descriptors;
        descriptors
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
            .ok()?;
        Some(Descriptor(Arc::clone(&self.0)))
    }

    /// Carries a session out. Should it panic it is over, its client sees the connection end, and nobody else
    /// notices.
    pub(super) async fn contain(
        &self,
        listener: &str,
        client: Peer,
        mut session: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) {
        let _open = Open::begin(&self.0.open);
        let ended = poll_fn(|context| {
            // It is never polled again, and what others see of it is whole at every step.
            let polled = catch_unwind(AssertUnwindSafe(|| session.as_mut().poll(context)));
            match polled {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
                Err(panic) => Poll::Ready(Err(panic)),
            }
        })
        .await;
        if let Err(panic) = ended {
            let panics = self.0.panics.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::error!(
                listener, %client, panics, panic = text_of(panic.as_ref()),
                "a session broke off: this is a defect of exorelay, please report it; all others go on"
            );
        }
    }
}

/// Counts for as long as it lives: the task may be dropped in the middle of the session.
struct Open<'a>(&'a AtomicUsize);

impl<'a> Open<'a> {
    fn begin(open: &'a AtomicUsize) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.0.descriptors.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Of `max` places those that `client` may use: the last tenth, and one at least, is kept for the programs of
/// this machine, so that strangers on the network cannot lock them out.
pub(super) fn places_for(client: Peer, max: usize) -> usize {
    if client.is_near() || max < 2 {
        return max;
    }
    max - (max / 10).max(1)
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn the_last_tenth_is_for_this_machine() {
        let stranger = Peer::network(IpAddr::from([192, 0, 2, 1]));
        let own = Peer::network(IpAddr::from([127, 0, 0, 1]));
        let table = [
            (0, 0),
            (1, 1),
            (2, 1),
            (9, 8),
            (10, 9),
            (200, 180),
            (201, 181),
        ];
        for (max, strangers) in table {
            assert_eq!(places_for(stranger, max), strangers, "{max}");
            assert_eq!(places_for(own, max), max);
            assert_eq!(places_for(Peer::Local(1000), max), max);
        }
    }

    #[test]
    fn descriptors_run_out_and_come_back() {
        let stranger = Peer::network(IpAddr::from([192, 0, 2, 1]));
        let sessions = Sessions::with_descriptors(3);
        let held = (sessions.descriptor(stranger), sessions.descriptor(stranger));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(sessions.descriptor(stranger).is_none());
        let last = sessions.descriptor(Peer::Local(0));
        assert!(last.is_some() && sessions.descriptor(Peer::Local(0)).is_none());
        drop((held, last));
        assert!(sessions.descriptor(stranger).is_some());
    }
}
