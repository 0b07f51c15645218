//! Who may connect, and how often at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::listener::rates::Rates;
use crate::listener::sessions::{Descriptor, Sessions, places_for};
use crate::listener::{Peer, Settings};

/// Counts the sessions of one listener.
#[derive(Debug)]
pub(super) struct Access {
    all: Sessions,
    own: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_client: HashMap<Peer, usize>,
    rates: Rates,
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Not in `allow`.
    Network,
    /// `max_connections`.
    Total,
    /// `max_connections_per_client`.
    Client,
    /// `connections_per_client_per_minute`.
    Rate,
    /// The limit of the process.
    Descriptors,
}

/// A place for one session; dropped, the place is free again.
#[derive(Debug)]
pub(super) struct Admission {
    access: Arc<Access>,
    client: Peer,
    _descriptor: Descriptor,
}

impl Access {
    /// One of the listeners whose sessions are counted in `all`.
    pub(super) fn new(all: Sessions) -> Arc<Self> {
        Arc::new(Self {
            all,
            own: Mutex::default(),
        })
    }

    /// A local process has got through the mode of the socket: `allow` is for networks.
    pub(super) fn admit(
        self: &Arc<Self>,
        client: Peer,
        settings: &Settings,
    ) -> Result<Admission, Denied> {
        let allows = |address| {
            settings
                .allow
                .iter()
                .any(|network| network.contains(&address))
        };
        if !client.address().is_none_or(allows) {
            return Err(Denied::Network);
        }
        let connections_max = settings.limits.connections_max;
        // Where this machine is not served nothing is kept for it.
        let places = if settings.serves_this_machine() {
            places_for(client, connections_max)
        } else {
            connections_max
        };
        let mut sessions = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.total >= places {
            return Err(Denied::Total);
        }
        let per_minute = settings.limits.connections_per_client_per_minute;
        if per_minute > 0 && !sessions.rates.take(client, per_minute) {
            return Err(Denied::Rate);
        }
        let own = sessions.by_client.get(&client).copied().unwrap_or_default();
        if own >= settings.limits.connections_per_client_max {
            return Err(Denied::Client);
        }
        let descriptor = self.all.descriptor(client).ok_or(Denied::Descriptors)?;
        sessions.by_client.insert(client, own + 1);
        sessions.total += 1;
        Ok(Admission {
            access: Arc::clone(self),
            client,
            _descriptor: descriptor,
        })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut sessions = self
            .access
            .own
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        sessions.total = sessions.total.saturating_sub(1);
        if let Some(own) = sessions.by_client.get_mut(&self.client) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                sessions.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::listener::tests::settings;

    #[test]
    fn strangers_leave_room_for_this_machine() {
        let mut settings = settings();
        settings.allow.push("192.0.2.0/24".parse().unwrap());
        let stranger = |last| Peer::network(IpAddr::from([192, 0, 2, last]));
        let access = Access::new(Sessions::with_descriptors(100));
        let mut held: Vec<_> = (1..10)
            .map(|last| access.admit(stranger(last), &settings).unwrap())
            .collect();
        assert_eq!(
            access.admit(stranger(10), &settings).unwrap_err(),
            Denied::Total
        );
        let own = Peer::network(IpAddr::from([127, 0, 0, 1]));
        held.push(access.admit(own, &settings).unwrap());
        assert_eq!(access.admit(own, &settings).unwrap_err(), Denied::Total);
        drop(held);

        // Nothing is kept for those who may not come.
        settings.allow.remove(0);
        let held: Vec<_> = (1..=10)
            .map(|last| access.admit(stranger(last), &settings).unwrap())
            .collect();
        assert_eq!(held.len(), 10);
    }

    #[test]
    fn a_refused_client_leaves_no_trace() {
        let settings = settings();
        let access = Access::new(Sessions::with_descriptors(1));
        let client = |last| Peer::network(IpAddr::from([127, 0, 0, last]));
        let held = access.admit(client(1), &settings).unwrap();
        for last in 2..200 {
            let denied = access.admit(client(last), &settings).unwrap_err();
            assert_eq!(denied, Denied::Descriptors);
        }
        assert_eq!(access.own.lock().unwrap().by_client.len(), 1);
        drop(held);
        assert!(access.own.lock().unwrap().by_client.is_empty());
    }
}
