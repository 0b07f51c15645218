//! Tells senders of mail that failed or is late.
//!
//! What is owed stands in the queue, stored with the settlement that made a message fail; a notice is
//! stored in one transaction with the fact that it was made. So a crash between the two loses no
//! notice and sends none twice. Notices are mail like any other: they wait for their account's pace
//! and for the end of its trouble, and if they fail nobody is told of it.
//!
//! An address gets up to [`NOTICES_MAX`] notices in any [`WINDOW`]. What is more than that waits, and
//! is told in one digest as soon as there is room for one.

mod letter;
mod meaning;
mod round;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::pending;
use std::mem;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::queue::{DraftError, Queue, StorageError};

pub use meaning::meaning;
use round::Round;
pub use settings::{Destination, Explain, Explanation, NoticeAccount, NoticeSettings};

/// To one address, in any [`WINDOW`].
const NOTICES_MAX: usize = 10;

/// See [`NOTICES_MAX`].
const WINDOW: Duration = Duration::from_mins(10);

/// Between two looks for mail that is late, and after a failure of the queue.
const LOOK_INTERVAL: Duration = Duration::from_mins(1);

/// From a failure until somebody is told of it.
const GATHERING: Duration = Duration::from_millis(200);

/// Tells senders of their mail until it is told to stop.
#[derive(Debug)]
pub struct Notices {
    queue: Queue,
    settings: watch::Receiver<NoticeSettings>,
    /// Since when each account has been seen without trouble.
    calm: BTreeMap<String, Timestamp>,
}

/// For whoever has other settings for it while it runs.
#[derive(Debug)]
pub struct NoticesHandle {
    settings: watch::Sender<NoticeSettings>,
}

impl NoticesHandle {
    /// What is told from now on is told under `settings`.
    pub fn apply(&self, settings: NoticeSettings) {
        self.settings.send_replace(settings);
    }
}

impl Notices {
    /// Nothing is told before it runs.
    pub fn new(queue: Queue, settings: NoticeSettings) -> (Self, NoticesHandle) {
        let (sender, receiver) = watch::channel(settings);
        let notices = Self {
            queue,
            settings: receiver,
            calm: BTreeMap::new(),
        };
        (notices, NoticesHandle { settings: sender })
    }

    /// Tells of what is owed, now and whenever a message fails, until `stop`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves what was not told for the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        let waker = self.queue.owing_waker();
        let mut failing = false;
        loop {
            let pause = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                looked = self.look(Timestamp::now()) => match looked {
                    Ok(pause) => {
                        failing = false;
                        pause
                    }
                    Err(DraftError::Storage(StorageError::Latched | StorageError::Closed)) => return,
                    Err(error) => {
                        if !mem::replace(&mut failing, true) {
                            tracing::warn!(%error, "notices wait until the queue takes them");
                        }
                        LOOK_INTERVAL
                    }
                },
            };
            // Whoever makes the settings may have gone; those that hold go on holding.
            let changed = async {
                if self.settings.changed().await.is_err() {
                    pending::<()>().await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                // Mail that fails often fails together.
                () = async { waker.notified().await; sleep(GATHERING).await } => {}
                () = changed => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Tells of what can be told at `now`; how long until there may be more, if no message fails.
    async fn look(&mut self, now: Timestamp) -> Result<Duration, DraftError> {
        let settings = self.settings.borrow_and_update().clone();
        let calm = settings.accounts.iter().filter_map(|(name, account)| {
            let in_trouble = account.status.borrow().trouble.is_some();
            let since = self.calm.get(name).copied().unwrap_or(now);
            (!in_trouble).then(|| (name.clone(), since))
        });
        self.calm = calm.collect();
        let mut round = Round::new(&self.queue, &settings, &self.calm, now);
        round.find_late().await?;
        round.tell().await?;
        Ok(round.pause())
    }
}
