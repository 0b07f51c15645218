//! Messages queued for an account that the settings do not name: nobody sends them.
//!
//! They come about when an account is removed or renamed while mail waits for it. Those for which the
//! settings have another way take it. The others are kept, do not grow older, and flow again once the account
//! is back; an operator must know of them all the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::reroute;
use super::view::{Shown, View};
use crate::admin::one_line;
use crate::queue::pool_members;

/// Between two looks when nothing is known to have changed: an operator may have moved messages.
const INTERVAL: Duration = Duration::from_secs(30);

/// At the start, after each reload and whenever strays have become more: sends them by the routes there are,
/// and warns of what is left. Also finishes what a reload has not had the time for.
pub(super) async fn watch(view: Arc<View>) {
    let mut changes = view.subscribe();
    let mut told = BTreeMap::new();
    loop {
        let shown = Arc::clone(&changes.borrow_and_update());
        reroute::follow(&view.queue, &shown.routing).await;
        let mut strays = strays(&view, &shown).await;
        if let Some(found) = &strays
            && is_more(found, &told)
        {
            let keys = found.keys().cloned().collect();
            if reroute::rescue(&view.queue, &shown.routing, keys).await > 0 {
                strays = self::strays(&view, &shown).await;
            }
        }
        if let Some(strays) = strays {
            tell(&strays, &told);
            told = strays;
        }
        match timeout(INTERVAL, changes.changed()).await {
            // What was told before a reload is told again after it.
            Ok(Ok(())) => told.clear(),
            Ok(Err(_)) => return,
            Err(_) => {}
        }
    }
}

/// `None`: the queue cannot be counted for now.
async fn strays(view: &View, shown: &Shown) -> Option<BTreeMap<String, u64>> {
    let reader = view.queue.reader();
    // A listing takes a moment with a full queue.
    match tokio::task::spawn_blocking(move || reader.counts()).await {
        Ok(Ok(counts)) => Some(shown.strays(&counts.accounts)),
        Ok(Err(error)) => {
            tracing::debug!(error = %one_line(&error), "the queue could not be counted");
            None
        }
        Err(error) => {
            tracing::debug!(%error, "the queue could not be counted");
            None
        }
    }
}

fn is_more(strays: &BTreeMap<String, u64>, told: &BTreeMap<String, u64>) -> bool {
    let mut strays = strays.iter();
    strays.any(|(account, waiting)| told.get(account).is_none_or(|before| before < waiting))
}

fn tell(strays: &BTreeMap<String, u64>, told: &BTreeMap<String, u64>) {
    for (account, waiting) in strays {
        if told.get(account).is_none_or(|before| before < waiting) {
            // Of a pool one is enough.
            let one = pool_members(account).next().unwrap_or_default();
            tracing::warn!(
                account,
                waiting,
                "messages wait for an account that the settings do not name: bring [account.{one}] back, or add a \
                 [[route]] that takes them, and reload to have them sent; exorelay queue list --account {account} \
                 shows them"
            );
        }
    }
}
