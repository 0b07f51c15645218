//! What the accounts of one tenant tell each other: its quota is everybody's.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::delivery::trouble::Trouble;

/// The account that met the trouble probes it; the others wait this much longer for what it finds.
const OTHERS_WAIT: Duration = Duration::from_mins(1);

/// The tenant of an account; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Tenant {
    news: watch::Sender<Option<TenantTrouble>>,
}

/// What keeps a whole tenant from sending.
#[derive(Clone, Debug)]
pub(super) struct TenantTrouble {
    /// The account that met it last.
    pub(super) account: String,
    pub(super) trouble: Trouble,
    /// When accounts other than the one that met it may look into it.
    pub(super) next_probe: Instant,
}

impl Tenant {
    /// `account` met `trouble` and probes it at `next_probe`.
    pub(super) fn pause(&self, account: &str, trouble: &Trouble, next_probe: Instant) {
        self.news.send_replace(Some(TenantTrouble {
            account: account.to_owned(),
            trouble: trouble.clone(),
            next_probe: next_probe + OTHERS_WAIT,
        }));
    }

    /// Somebody's mail flows again.
    pub(super) fn recover(&self) {
        self.news.send_if_modified(|news| news.take().is_some());
    }

    /// What is known now counts as news too.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<TenantTrouble>> {
        let mut news = self.news.subscribe();
        news.mark_changed();
        news
    }
}
