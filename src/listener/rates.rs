//! `connections_per_client_per_minute`.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::listener::Peer;

const MINUTE: Duration = Duration::from_mins(1);

/// More clients than that within a minute are not a device that runs wild, which this is for; what holds then is
/// the limit on all connections.
const CLIENTS_MAX: usize = 4096;

/// How fast clients connect, by the leaky bucket (ITU-T I.371 appendix I): a minute's worth at once, and what was
/// used is given back evenly.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// When each has got everything back; who has is not remembered.
    full: HashMap<Peer, Instant>,
}

impl Rates {
    /// Whether `client` may connect now, at `per_minute`. If so, it has.
    pub(super) fn take(&mut self, client: Peer, per_minute: u32) -> bool {
        let now = Instant::now();
        if self.full.len() >= CLIENTS_MAX && !self.full.contains_key(&client) {
            self.full.retain(|_, full| *full > now);
            if self.full.len() >= CLIENTS_MAX {
                return true;
            }
        }
        let full = self.full.get(&client).copied().unwrap_or(now).max(now);
        let full = full + MINUTE / per_minute.max(1);
        if full > now + MINUTE {
            return false;
        }
        self.full.insert(client, full);
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_minute_gives_what_it_promises() {
        let mut rates = Rates::default();
        let (wild, calm) = (Peer::Local(1), Peer::Local(2));
        for _ in 0..6 {
            assert!(rates.take(wild, 6));
        }
        assert!(!rates.take(wild, 6) && rates.take(calm, 6));
        advance(Duration::from_secs(10)).await;
        assert!(rates.take(wild, 6) && !rates.take(wild, 6));
        advance(MINUTE).await;
        for _ in 0..6 {
            assert!(rates.take(wild, 6));
        }
        assert!(!rates.take(wild, 6));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_free_again_after_a_minute() {
        let mut rates = Rates::default();
        for user in 0..2 * CLIENTS_MAX as u32 {
            assert!(rates.take(Peer::Local(user), 1));
        }
        assert_eq!(rates.full.len(), CLIENTS_MAX);
        assert!(!rates.take(Peer::Local(0), 1));
        advance(MINUTE).await;
        assert!(rates.take(Peer::Local(u32::MAX), 1));
        assert_eq!(rates.full.len(), 1);
    }
}
