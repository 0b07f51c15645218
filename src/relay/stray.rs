//! Messages queued for an account that the settings do not name: nobody sends them.
//!
//! They come about when an account is removed or renamed while mail waits for it. They are kept, do not
//! grow older, and flow again once the account is back; an operator must know of them all the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::view::View;
use crate::admin::one_line;

/// Between two looks when nothing is known to have changed: an operator may have moved messages.
const INTERVAL: Duration = Duration::from_secs(30);

/// Warns of strays at the start, after each reload and whenever they have become more.
pub(super) async fn watch(view: Arc<View>) {
    let mut changes = view.subscribe();
    let mut told = BTreeMap::new();
    loop {
        let shown = Arc::clone(&changes.borrow_and_update());
        let reader = view.queue.reader();
        // A listing takes a moment with a full queue.
        match tokio::task::spawn_blocking(move || reader.counts()).await {
            Ok(Ok(counts)) => {
                let strays = shown.strays(&counts.accounts);
                tell(&strays, &told);
                told = strays;
            }
            Ok(Err(error)) => {
                tracing::debug!(error = %one_line(&error), "the queue could not be counted");
            }
            Err(error) => tracing::debug!(%error, "the queue could not be counted"),
        }
        match timeout(INTERVAL, changes.changed()).await {
            // What was told before a reload is told again after it.
            Ok(Ok(())) => told.clear(),
            Ok(Err(_)) => return,
            Err(_) => {}
        }
    }
}

fn tell(strays: &BTreeMap<String, u64>, told: &BTreeMap<String, u64>) {
    for (account, waiting) in strays {
        if told.get(account).is_none_or(|before| before < waiting) {
            tracing::warn!(
                account,
                waiting,
                "messages wait for an account that the settings do not name: bring [account.{account}] back and reload to \
                 have them sent; exorelay queue list --account {account} shows them"
            );
        }
    }
}
