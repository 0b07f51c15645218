//! Who may connect, and how often at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::listener::rates::Rates;
use crate::listener::{Peer, Settings};

/// Counts the sessions of one listener.
#[derive(Debug)]
pub(super) struct Access {
    sessions: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
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
}

/// A place for one session; dropped, the place is free again.
#[derive(Debug)]
pub(super) struct Admission {
    access: Arc<Access>,
    client: Peer,
}

impl Access {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            sessions: Mutex::default(),
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
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.total >= settings.limits.connections_max {
            return Err(Denied::Total);
        }
        let per_minute = settings.limits.connections_per_client_per_minute;
        if per_minute > 0 && !sessions.rates.take(client, per_minute) {
            return Err(Denied::Rate);
        }
        let own = sessions.by_client.entry(client).or_default();
        if *own >= settings.limits.connections_per_client_max {
            return Err(Denied::Client);
        }
        *own += 1;
        sessions.total += 1;
        Ok(Admission {
            access: Arc::clone(self),
            client,
        })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut sessions = self
            .access
            .sessions
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
