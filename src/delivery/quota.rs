//! What one mailbox may use of its service, whoever sends with it at the moment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::delivery::day::Day;
use crate::delivery::members::{Limits, Members};
use crate::delivery::pacing::Pacing;
use crate::delivery::status::Pace;
use crate::queue::{Presented, Queue};

/// After a failure to read what the queue remembers.
const RECALL_PAUSE: Duration = Duration::from_secs(1);

/// Connections and pace of one mailbox; clones share them.
///
/// The service counts by mailbox and knows nothing of our settings and restarts. So all accounts that
/// name a mailbox share its quota, the dispatcher of changed settings takes it over from the one before,
/// and a fresh one first asks the queue what was presented before it was there.
#[derive(Clone, Debug)]
pub struct Quota {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    recalled: OnceCell<()>,
    /// Something has changed that others may wait for.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    pacing: Pacing,
    day: Day,
    members: Members,
}

/// The membership of one dispatcher.
#[derive(Clone, Debug)]
pub(super) struct Tenure {
    quota: Quota,
    number: u64,
}

/// Leave to use a connection, and for a message its place in minute and day. Dropped, the message
/// counts as presented: nobody has said that it was not.
#[derive(Debug)]
pub(super) struct Turn {
    tenure: Tenure,
    /// None: nothing is sent, as when it is tried whether the service lets us in.
    recipients: Option<u64>,
}

/// That the service has heard of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// It has counted the message by then.
    pub(super) counted_by: Instant,
    /// Those of them that count.
    pub(super) recipients: u64,
}

/// The answer to a wish to send.
#[derive(Debug)]
pub(super) enum Leave {
    /// Now.
    Go(Turn),
    /// When something ends, or the minute has room again.
    Later,
    /// The recipients of the last day leave no room until then.
    NotToday(Instant),
}

/// The place of one connection; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Slot {
    tenure: Tenure,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    pacing: Pacing::new(0),
                    day: Day::default(),
                    members: Members::default(),
                }),
                recalled: OnceCell::new(),
                changed: watch::Sender::new(()),
            }),
        }
    }
}

impl Quota {
    /// Whether nobody holds any of it and the last message is more than a minute ago: forgetting it
    /// changes nothing, as the queue remembers the day.
    pub fn is_unused(&self) -> bool {
        let mut state = self.state();
        state.members.is_empty() && state.pacing.is_idle(Instant::now())
    }

    /// Whether both are of the same mailbox.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// What has been used of it.
    pub fn pace(&self, now: Instant) -> Pace {
        let mut state = self.state();
        let (messages_last_minute, messages_per_minute) = state.pacing.used(now);
        let (recipients_last_day, recipients_per_day) = state.day.usage(now);
        Pace {
            messages_last_minute,
            messages_per_minute,
            recipients_last_day,
            recipients_per_day,
            next_room: state.pacing.next_room(),
            connections_max: state.members.connections_max(now),
        }
    }

    /// When so many messages will have been sent, if all goes well and each is for one recipient. None
    /// without a limit: nobody knows how fast the service is.
    pub fn forecast(&self, messages: u64, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        let minute = state.pacing.forecast(messages, now)?;
        let day = state.day.forecast(messages, now)?;
        Some(minute.max(day))
    }

    /// The service has refused a connection as one too many: somebody else uses the mailbox, or it has
    /// not noticed yet that one of ours was closed. One fewer for a while.
    pub fn lower_connections(&self, now: Instant) {
        self.state().members.lower(now);
        self.shared.changed.send_replace(());
    }

    /// A dispatcher begins.
    pub(super) fn begin(&self, limits: Limits) -> Tenure {
        let number = self.change(|state| {
            let number = state.members.join(limits);
            state.adapt();
            number
        });
        Tenure {
            quota: self.clone(),
            number,
        }
    }

    /// Learns what the mailbox has presented before this process, or before this quota was there. To be
    /// awaited before anything is sent.
    pub(super) async fn recall(&self, queue: &Queue, mailbox: &str) {
        let recalled = self.shared.recalled.get_or_init(|| async {
            let mut is_told = false;
            loop {
                let (queue, mailbox) = (queue.clone(), mailbox.to_owned());
                let error = match spawn_blocking(move || queue.presented(&mailbox)).await {
                    Ok(Ok(presented)) => return self.remember(&presented),
                    Ok(Err(error)) => error.to_string(),
                    Err(error) => error.to_string(),
                };
                if !is_told {
                    tracing::warn!(
                        error,
                        "what was sent lately cannot be read; nothing is sent"
                    );
                    is_told = true;
                }
                sleep(RECALL_PAUSE).await;
            }
        });
        recalled.await;
    }

    fn remember(&self, presented: &[Presented]) {
        let now = Instant::now();
        let mut state = self.state();
        let mut presented = presented.to_vec();
        presented.sort_by_key(|one| std::cmp::Reverse(one.age));
        for one in presented {
            state.pacing.recall(one.age, one.messages as usize, now);
            // A machine that is up for less than that: take it for now.
            let at = now.checked_sub(one.age).unwrap_or(now);
            state.day.count(at, one.recipients);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and tells the others if there are any.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state);
        self.tell(&state);
        result
    }

    fn tell(&self, state: &State) {
        if state.members.are_awaiting() {
            self.shared.changed.send_replace(());
        }
    }
}

impl State {
    /// Goes by the settings of those who are here.
    fn adapt(&mut self) {
        let limits = self.members.limits();
        self.pacing
            .set_limit(limits.messages_per_minute, Instant::now());
        self.day.set_limit(limits.recipients_per_day);
    }
}

impl Tenure {
    /// Nothing is started any more.
    pub(super) fn leave(&self) {
        self.quota.change(|state| {
            state.members.leave(self.number);
            if !state.members.is_empty() {
                state.adapt();
            }
        });
    }

    /// Whether there is something to send at this moment: others let it go first when it is its turn.
    pub(super) fn want(&self, wants: bool) {
        let mut state = self.quota.state();
        if state.members.want(self.number, wants) {
            self.quota.tell(&state);
        }
    }

    /// Leave to find out whether the service lets us in.
    pub(super) fn probe(&self, now: Instant) -> Option<Turn> {
        let mut state = self.quota.state();
        let may = state.members.may_work(self.number, now);
        may.then(|| {
            state.members.begin(self.number);
            self.turn(None)
        })
    }

    /// Leave to send a message to so many recipients.
    pub(super) fn start(&self, recipients: u64, now: Instant) -> Leave {
        let mut state = self.quota.state();
        if !state.members.may_work(self.number, now)
            || !state.members.is_turn(self.number, now)
            || state.pacing.room(now) == 0
        {
            return Leave::Later;
        }
        match state.day.room_for(recipients, now) {
            Some(at) if at <= now => {}
            Some(later) => return Leave::NotToday(later),
            None => return Leave::Later,
        }
        state.members.begin(self.number);
        state.members.take_turn(self.number);
        state.pacing.start();
        state.day.start(recipients);
        self.quota.tell(&state);
        Leave::Go(self.turn(Some(recipients)))
    }

    /// Leave for a second transaction in a turn, as the service wants the message anew: the first one was
    /// counted by `counted_by`.
    pub(super) fn again(&self, counted_by: Instant, now: Instant) -> bool {
        self.quota.state().pacing.again(counted_by, now)
    }

    /// How many messages the minute has room for; `usize::MAX` without a limit.
    pub(super) fn room(&self, now: Instant) -> usize {
        self.quota.state().pacing.room(now)
    }

    /// When waiting may have an end without anybody doing anything.
    pub(super) fn next_room(&self, now: Instant) -> Option<Instant> {
        let state = self.quota.state();
        let raised = state.members.raised_at(now);
        state.pacing.next_room().into_iter().chain(raised).min()
    }

    /// As [`Quota::lower_connections`].
    pub(super) fn lower_connections(&self, now: Instant) {
        self.quota.lower_connections(now);
    }

    /// For whoever waits for something that others may do.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.quota.shared.changed.subscribe()
    }

    /// All connections of the mailbox.
    pub(super) fn connections(&self) -> usize {
        self.quota.state().members.open()
    }

    /// For a connection that is about to be opened. Whoever has a [`Turn`] waits no longer than an idle
    /// connection needs to be closed.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn slot(&self) -> Slot {
        let mut changes = self.changes();
        if let Some(slot) = self.try_slot() {
            return slot;
        }
        let _waiting = Waiting::new(&self.quota);
        loop {
            if let Some(slot) = self.try_slot() {
                return slot;
            }
            // Its sender is ours.
            let _ = changes.changed().await;
        }
    }

    fn try_slot(&self) -> Option<Slot> {
        let mut state = self.quota.state();
        let opened = state.members.open_one(self.number, Instant::now());
        opened.then(|| Slot {
            tenure: self.clone(),
        })
    }

    /// Resolves when an idle connection is to be closed, as somebody else needs it or there are too many.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn gives_way(&self) {
        let mut changes = self.changes();
        let gives_way = || {
            let mut state = self.quota.state();
            state.members.gives_way(Instant::now())
        };
        while !gives_way() {
            // Its sender is ours.
            let _ = changes.changed().await;
        }
    }

    fn turn(&self, recipients: Option<u64>) -> Turn {
        Turn {
            tenure: self.clone(),
            recipients,
        }
    }
}

impl Turn {
    /// The message has ended; none: the service has not heard of it.
    pub(super) fn end(mut self, heard: Option<Heard>) {
        if let Some(recipients) = self.recipients.take() {
            self.tenure.quota.change(|state| {
                state.pacing.end(heard.map(|heard| heard.counted_by));
                let counted = heard.map_or(0, |heard| heard.recipients);
                state.day.end(recipients, counted, Instant::now());
            });
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.tenure.quota.change(|state| {
            if let Some(recipients) = self.recipients {
                let now = Instant::now();
                state.pacing.end(Some(now));
                state.day.end(recipients, recipients, now);
            }
            state.members.end(self.tenure.number);
        });
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let number = self.tenure.number;
        let quota = &self.tenure.quota;
        quota.change(|state| state.members.close_one(number));
    }
}

/// Somebody waits for a connection to be closed.
struct Waiting<'a>(&'a Quota);

impl<'a> Waiting<'a> {
    fn new(quota: &'a Quota) -> Self {
        quota.state().members.wait(true);
        quota.shared.changed.send_replace(());
        Self(quota)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().members.wait(false);
    }
}

#[cfg(test)]
mod tests;
