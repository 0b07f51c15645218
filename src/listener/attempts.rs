//! Logins that failed: how long a client waits for the answer, and when it is not asked any more.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::listener::Peer;
use crate::tls::Tag;

/// Different credentials that a client may try in vain within [`WINDOW`]; then it is shut out.
///
/// Different ones: a device that goes on with the password of last year guesses nothing, and others behind the same
/// address are not to suffer from it.
const DIFFERENT_MAX: usize = 10;

/// From the first failure on; what was before is forgotten.
const WINDOW: Duration = Duration::from_mins(10);

/// How long AUTH is refused then.
const SHUT_OUT: Duration = Duration::from_mins(10);

/// What the answer to the first failure takes, and each further one twice as long.
const DELAY_FIRST: Duration = Duration::from_secs(1);
const DELAY_DOUBLINGS_MAX: u32 = 4;

/// Clients that are remembered; beyond that the one that is forgotten first anyway goes.
const CLIENTS_MAX: usize = 4096;

/// What one listener knows of its clients' failures.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    clients: Mutex<HashMap<Peer, Failures>>,
}

#[derive(Debug)]
struct Failures {
    /// When all this is forgotten.
    until: Instant,
    count: u32,
    /// What was wrong, each once.
    wrong: Vec<Tag>,
}

/// What a failure leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Consequence {
    /// From when the login began until it is answered.
    pub(super) delay: Duration,
    /// It was one too many: so long AUTH is refused.
    pub(super) shut_out: Option<Duration>,
}

impl Attempts {
    /// How long `client` is still shut out, if it is.
    pub(super) fn shut_out(&self, client: Peer) -> Option<Duration> {
        let now = Instant::now();
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = clients.get(&subscriber(client))?;
        let left = failures.until.saturating_duration_since(now);
        (failures.is_shut_out() && left > Duration::ZERO).then_some(left)
    }

    /// The credentials that `tag` stands for were wrong.
    pub(super) fn failed(&self, client: Peer, tag: Tag) -> Consequence {
        let now = Instant::now();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = subscriber(client);
        if clients.len() >= CLIENTS_MAX && !clients.contains_key(&client) {
            clients.retain(|_, failures| failures.until > now);
            if clients.len() >= CLIENTS_MAX {
                let rank = |failures: &Failures| (failures.is_shut_out(), failures.until);
                let first = clients.iter().min_by_key(|(_, failures)| rank(failures));
                if let Some(first) = first.map(|(client, _)| *client) {
                    clients.remove(&first);
                }
            }
        }
        let failures = clients.entry(client).or_insert_with(|| Failures::from(now));
        if failures.until <= now {
            *failures = Failures::from(now);
        }
        failures.add(tag, now)
    }
}

impl Failures {
    fn from(now: Instant) -> Self {
        Self {
            until: now + WINDOW,
            count: 0,
            wrong: Vec::new(),
        }
    }

    fn is_shut_out(&self) -> bool {
        self.wrong.len() >= DIFFERENT_MAX
    }

    fn add(&mut self, tag: Tag, now: Instant) -> Consequence {
        let was_shut_out = self.is_shut_out();
        if !was_shut_out && !self.wrong.contains(&tag) {
            self.wrong.push(tag);
        }
        let shut_out = (!was_shut_out && self.is_shut_out()).then_some(SHUT_OUT);
        if shut_out.is_some() {
            self.until = now + SHUT_OUT;
        }
        let doublings = self.count.min(DELAY_DOUBLINGS_MAX);
        self.count = self.count.saturating_add(1);
        Consequence {
            delay: DELAY_FIRST * (1 << doublings),
            shut_out,
        }
    }
}

/// Whoever has one IPv6 address has the 2^64 next to it as well (RFC 6177).
fn subscriber(client: Peer) -> Peer {
    match client {
        Peer::Network(IpAddr::V6(address)) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            Peer::Network(Ipv6Addr::from_bits(network).into())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn client(address: &str) -> Peer {
        Peer::network(address.parse().unwrap())
    }

    fn tag(number: usize) -> Tag {
        let mut tag = Tag::default();
        tag[..8].copy_from_slice(&number.to_be_bytes());
        tag
    }

    #[tokio::test(start_paused = true)]
    async fn guessing_becomes_slow_and_then_ends_for_a_while() {
        let attempts = Attempts::default();
        let (guesser, other) = (client("10.0.0.1"), client("10.0.0.2"));
        let mut delays = Vec::new();
        for number in 1..=DIFFERENT_MAX {
            assert_eq!(attempts.shut_out(guesser), None, "{number}");
            let consequence = attempts.failed(guesser, tag(number));
            assert_eq!(consequence.shut_out.is_some(), number == DIFFERENT_MAX);
            delays.push(consequence.delay.as_secs());
        }
        assert_eq!(delays, [1, 2, 4, 8, 16, 16, 16, 16, 16, 16]);
        assert_eq!(attempts.shut_out(guesser), Some(SHUT_OUT));
        assert_eq!(attempts.shut_out(other), None);
        assert_eq!(attempts.failed(other, tag(1)).delay, DELAY_FIRST);

        // What was under way already neither lengthens it nor ends it.
        advance(SHUT_OUT / 2).await;
        assert_eq!(attempts.failed(guesser, tag(99)).shut_out, None);
        assert_eq!(attempts.shut_out(guesser), Some(SHUT_OUT / 2));
        advance(SHUT_OUT / 2).await;
        assert_eq!(attempts.shut_out(guesser), None);
        assert_eq!(attempts.failed(guesser, tag(1)).delay, DELAY_FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_with_an_old_password_is_slowed_and_not_shut_out() {
        let attempts = Attempts::default();
        let device = client("10.0.0.1");
        for _ in 0..100 {
            assert_eq!(attempts.failed(device, tag(1)).shut_out, None);
        }
        assert_eq!(attempts.shut_out(device), None);
        assert_eq!(attempts.failed(device, tag(1)).delay.as_secs(), 16);
        advance(WINDOW).await;
        assert_eq!(attempts.failed(device, tag(1)).delay, DELAY_FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_of_ipv6_is_one_client() {
        let attempts = Attempts::default();
        for number in 0..DIFFERENT_MAX {
            let address = client(&format!("2001:db8::{number:x}"));
            attempts.failed(address, tag(number));
        }
        assert!(attempts.shut_out(client("2001:db8::ffff")).is_some());
        assert!(attempts.shut_out(client("2001:db8:0:1::1")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_who_is_shut_out_stays_so() {
        let attempts = Attempts::default();
        for user in 0..CLIENTS_MAX as u32 {
            attempts.failed(Peer::Local(user), tag(1));
        }
        advance(WINDOW / 2).await;
        let guesser = client("10.0.0.1");
        for number in 0..DIFFERENT_MAX {
            attempts.failed(guesser, tag(number));
        }
        for user in 0..2 * CLIENTS_MAX as u32 {
            attempts.failed(Peer::Local(user + 1_000_000), tag(1));
            assert!(attempts.clients.lock().unwrap().len() <= CLIENTS_MAX);
        }
        assert!(attempts.shut_out(guesser).is_some());
    }
}
