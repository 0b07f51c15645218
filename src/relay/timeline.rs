//! Looks at queue and accounts every few seconds, for what is shown of the last hours.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::view::View;
use crate::admin::{Pace, SAMPLE_INTERVAL, Sample};

/// Until it is dropped; the first look is taken at once.
pub(super) async fn keep(view: Arc<View>) {
    let mut ticks = interval(SAMPLE_INTERVAL);
    // A machine that was asleep has not seen what it missed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let sample = look(&view).await;
        view.timeline.push(&sample);
    }
}

async fn look(view: &View) -> Sample {
    let (queued, bytes) = view.queue.used();
    let at = Timestamp::now();
    Sample {
        at,
        queued,
        bytes,
        oldest_seconds: match queued {
            0 => None,
            _ => oldest(view, at).await,
        },
        accounts: paces(view),
    }
}

/// None also where the database cannot be read: that is told by the status.
async fn oldest(view: &View, now: Timestamp) -> Option<u32> {
    let reader = view.queue.reader();
    let read = spawn_blocking(move || reader.oldest_received_at()).await;
    let received_at = read.ok()?.ok()??;
    let seconds = now.as_second().saturating_sub(received_at.as_second());
    // Of a clock that was set back nothing can be said but that it is young.
    Some(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
}

fn paces(view: &View) -> Vec<(String, Pace)> {
    let now = Instant::now();
    let shown = view.now();
    let accounts = shown.accounts.iter().map(|account| {
        let pace = account.quota.pace(now);
        let pace = Pace {
            messages_last_minute: pace.messages_last_minute as u32,
            messages_per_minute: pace.messages_per_minute.unwrap_or_default() as u32,
        };
        (account.name.clone(), pace)
    });
    accounts.collect()
}
