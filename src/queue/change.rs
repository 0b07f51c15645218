//! What an operator does to messages: in steps, so that mail flows on meanwhile.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::queue::bounds::Reservation;
use crate::queue::insert::STORED_FILE;
use crate::queue::op::Op;
use crate::queue::query::text;
use crate::queue::shares::Holder;
use crate::queue::store::Shared;
use crate::queue::{
    Actor, Full, MessageState, Queue, QueueId, Selection, StorageError, content, event,
};
use crate::telemetry::Act;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Try again now; what had failed begins anew.
    Retry,
    /// Try everything that is deferred again now.
    Flush,
    /// Do not try until released.
    Hold,
    /// Try what was held again now.
    Release,
    /// Remove the content and remember the rest as history.
    Delete,
}

/// Why nothing was done to a message.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error,
)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// There is nothing to do.
    #[error("is so already")]
    Already,
    /// An attempt is under way, which cannot be called back.
    #[error("is being sent; try again in a moment")]
    Sending,
    /// An operator, or damage, holds it.
    #[error("is held; release it first")]
    Held,
    /// There is nothing to release.
    #[error("is not held")]
    NotHeld,
    /// It has left.
    #[error("is delivered")]
    Delivered,
    /// It was given up.
    #[error("has failed; retry it instead")]
    Failed,
    /// Its content is gone.
    #[error("is deleted")]
    Deleted,
    /// It would wait again, and the queue cannot take it.
    #[error("finds no room in the queue")]
    NoRoom,
    /// Forgotten, or never there.
    #[error("is not in the queue")]
    Unknown,
}

/// What has been done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Messages that were meant.
    pub selected: u64,
    /// Messages to which it was done.
    pub touched: u64,
    /// The others so far, by reason.
    pub skipped: BTreeMap<Skip, u64>,
    /// Each of the others, where messages were named by id.
    pub notes: Vec<(QueueId, Skip)>,
    /// Which bound was reached, if one was.
    pub full: Option<String>,
}

impl Tally {
    /// Messages that have been looked at.
    pub fn seen(&self) -> u64 {
        self.touched + self.skipped.values().sum::<u64>()
    }

    fn skip(&mut self, id: Option<QueueId>, skip: Skip) {
        *self.skipped.entry(skip).or_default() += 1;
        self.notes.extend(id.map(|id| (id, skip)));
    }
}

/// Messages in one transaction: the writer must not be away for long.
const STEP_MAX: usize = 100;

/// Something that is being done to a selection, a step at a time. Dropped, it ends where it is.
#[derive(Debug)]
pub struct Change {
    queue: Queue,
    action: Action,
    actor: Actor,
    messages: std::vec::IntoIter<(i64, QueueId)>,
    by_id: bool,
    tally: Tally,
}

impl Queue {
    /// Finds out which messages are meant; [`Change::step`] then does it. Blocking.
    pub fn change(
        &self,
        action: Action,
        selection: &Selection,
        actor: Actor,
    ) -> Result<Change, StorageError> {
        if self.is_latched() {
            return Err(StorageError::Latched);
        }
        let selected = self.reader().select(selection)?;
        let mut tally = Tally {
            selected: (selected.messages.len() + selected.unknown.len()) as u64,
            ..Tally::default()
        };
        for id in selected.unknown {
            tally.skip(Some(id), Skip::Unknown);
        }
        Ok(Change {
            queue: self.clone(),
            action,
            actor,
            messages: selected.messages.into_iter(),
            by_id: matches!(selection, Selection::Ids(_)),
            tally,
        })
    }
}

impl Change {
    /// What has been done so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Does some of what is left, durably; false when nothing was left.
    ///
    /// # Cancel safety
    /// A dropped call may still have done its step.
    pub async fn step(&mut self) -> Result<bool, StorageError> {
        let messages: Vec<_> = self.messages.by_ref().take(STEP_MAX).collect();
        if messages.is_empty() {
            if self.action == Action::Flush {
                self.queue.shared.wake_all();
            }
            return Ok(false);
        }
        let (answer, answered) = oneshot::channel();
        let request = Request {
            action: self.action,
            messages,
            actor: self.actor.clone(),
        };
        let op = Op::Change {
            request: Box::new(request),
            answer,
        };
        self.queue.send(op).await?;
        let changed = answered.await.map_err(|_| StorageError::Closed)??;
        self.tally.touched += changed.touched;
        for (id, skip) in changed.skipped {
            self.tally.skip(self.by_id.then_some(id), skip);
        }
        if let Some(full) = changed.full {
            self.tally.full = Some(full.to_string());
        }
        Ok(true)
    }
}

/// One step, as the writer gets it.
#[derive(Debug)]
pub(super) struct Request {
    action: Action,
    messages: Vec<(i64, QueueId)>,
    actor: Actor,
}

/// What a step has done.
#[derive(Debug)]
pub(super) struct Changed {
    action: Action,
    actor: Actor,
    touched: u64,
    skipped: Vec<(QueueId, Skip)>,
    full: Option<Full>,
    effects: Effects,
}

/// What the writer does once the step is on stable storage.
#[derive(Debug, Default)]
struct Effects {
    /// What happened to which message, of what account.
    acts: Vec<(QueueId, String)>,
    /// Of messages that wait again, with whose they are and their sizes.
    reserved: Vec<(Reservation, Holder, u64)>,
    /// Whose room is free again, and how many bytes of it.
    released: Vec<(Holder, u64)>,
    content_files: Vec<QueueId>,
    accounts: Vec<String>,
}

impl Changed {
    /// The step is on stable storage.
    pub(super) fn take_effect(&mut self, shared: &Shared) {
        let effects = std::mem::take(&mut self.effects);
        for (id, account) in &effects.acts {
            let act = Act {
                event: self.action.done(),
                queue_id: id.as_str(),
                actor: &self.actor.name,
                through: self.actor.through.as_str(),
                account,
            };
            act.log();
        }
        for (reservation, holder, size_bytes) in effects.reserved {
            reservation.keep(holder, size_bytes);
        }
        for (holder, size_bytes) in effects.released {
            shared.room.release(holder, size_bytes);
        }
        for account in effects.accounts {
            shared.wake(&account);
        }
        remove_files(shared, effects.content_files);
    }
}

/// Removing a hundred large files takes a disk longer than the writer may be away.
fn remove_files(shared: &Shared, ids: Vec<QueueId>) {
    if ids.is_empty() {
        return;
    }
    let directory = shared.directory.clone();
    let remove = move || {
        for id in ids {
            content::remove(&directory, id);
        }
    };
    // Without a thread the next start sweeps them.
    let started = std::thread::Builder::new()
        .name("queue-remove".into())
        .spawn(remove);
    if let Err(error) = started {
        tracing::warn!(%error, "content files of deleted messages stay until the next start");
    }
}

struct Row {
    state: Option<MessageState>,
    account: String,
    size_bytes: u64,
    stored: i64,
    holder: Holder,
}

/// Inside the writer's transaction.
pub(super) fn change(
    connection: &Connection,
    shared: &Shared,
    request: &Request,
) -> Result<Changed, StorageError> {
    let mut changed = Changed {
        action: request.action,
        actor: request.actor.clone(),
        touched: 0,
        skipped: Vec::new(),
        full: None,
        effects: Effects::default(),
    };
    for (seq, id) in &request.messages {
        let row = connection
            .prepare_cached(
                "SELECT state, account, size_bytes, stored, client FROM message
                 WHERE seq = ?1 AND id = ?2",
            )?
            .query_row(params![seq, id.as_str()], |row| {
                Ok(Row {
                    state: MessageState::from_number(row.get(0)?),
                    account: row.get(1)?,
                    size_bytes: row.get::<_, i64>(2)? as u64,
                    stored: row.get(3)?,
                    holder: shared.room.holder(&text(row, 4)?),
                })
            })
            .optional()?;
        let Some(row) = row else {
            changed.skipped.push((*id, Skip::Unknown));
            continue;
        };
        if let Err(skip) = allowed(request.action, row.state) {
            changed.skipped.push((*id, skip));
            continue;
        }
        match request.action {
            Action::Retry | Action::Flush if row.state == Some(MessageState::Failed) => {
                match shared.room.reserve(None, row.size_bytes) {
                    Ok(place) => {
                        let reserved = (place, row.holder, row.size_bytes);
                        changed.effects.reserved.push(reserved);
                    }
                    Err(full) => {
                        changed.full = Some(full);
                        changed.skipped.push((*id, Skip::NoRoom));
                        continue;
                    }
                }
                revive(connection, shared, *seq, &row.account)?;
            }
            Action::Retry | Action::Flush => make_due(connection, shared, *seq)?,
            Action::Hold => hold(connection, shared, *seq, &row.account, None)?,
            Action::Release => release(connection, shared, *seq, &row.account)?,
            Action::Delete => {
                delete(connection, shared, *seq)?;
                if row.state.is_some_and(MessageState::waits) {
                    let released = (row.holder, row.size_bytes);
                    changed.effects.released.push(released);
                }
                if row.stored == STORED_FILE {
                    changed.effects.content_files.push(*id);
                }
            }
        }
        event::record(
            connection,
            *seq,
            request.action.done(),
            &request.actor,
            None,
        )?;
        changed.touched += 1;
        changed.effects.acts.push((*id, row.account.clone()));
        let accounts = &mut changed.effects.accounts;
        if request.action.makes_due() && !accounts.contains(&row.account) {
            accounts.push(row.account);
        }
    }
    Ok(changed)
}

impl Action {
    /// The word in the history.
    pub fn done(self) -> &'static str {
        match self {
            Self::Retry => "retried",
            Self::Flush => "flushed",
            Self::Hold => "held",
            Self::Release => "released",
            Self::Delete => "deleted",
        }
    }

    fn makes_due(self) -> bool {
        matches!(self, Self::Retry | Self::Flush | Self::Release)
    }
}

/// `None`: a state that this version does not know, which is nothing to lay hands on.
fn allowed(action: Action, state: Option<MessageState>) -> Result<(), Skip> {
    use MessageState as S;
    match (action, state.ok_or(Skip::Unknown)?) {
        (Action::Retry, S::Deferred | S::Failed)
        | (Action::Flush, S::Deferred)
        | (Action::Hold, S::Ready | S::Deferred)
        | (Action::Release, S::Held)
        | (Action::Delete, S::Ready | S::Deferred | S::Held | S::Failed) => Ok(()),
        (Action::Retry | Action::Flush, S::Ready)
        | (Action::Hold, S::Held)
        | (Action::Delete, S::Deleted) => Err(Skip::Already),
        (Action::Release, S::Ready | S::Deferred | S::Sending) => Err(Skip::NotHeld),
        (_, S::Sending) => Err(Skip::Sending),
        (_, S::Held) => Err(Skip::Held),
        (_, S::Failed) => Err(Skip::Failed),
        (_, S::Delivered) => Err(Skip::Delivered),
        (_, S::Deleted) => Err(Skip::Deleted),
    }
}

fn make_due(connection: &Connection, shared: &Shared, seq: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE message SET state = 0, due_ms = ?2 WHERE seq = ?1")?
        .execute(params![seq, shared.clock.now_ms()])?;
    Ok(())
}

/// As if it had just been accepted, but for those who have it already.
fn revive(
    connection: &Connection,
    shared: &Shared,
    seq: i64,
    account: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE recipient SET state = 0 WHERE seq = ?1 AND state = 2")?
        .execute([seq])?;
    connection
        .prepare_cached(
            "UPDATE message SET state = 0, due_ms = ?2, born_ms = ?3, attempts = 0,
                 ended_wall_ms = NULL, tell = 0
             WHERE seq = ?1",
        )?
        .execute(params![
            seq,
            shared.clock.now_ms(),
            shared.clock.active_ms(account)
        ])?;
    Ok(())
}

/// `damage`: why it is quarantined, if that is the reason.
pub(super) fn hold(
    connection: &Connection,
    shared: &Shared,
    seq: i64,
    account: &str,
    damage: Option<&str>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE message SET state = 3, held_ms = ?2, damage = ?3 WHERE seq = ?1")?
        .execute(params![seq, shared.clock.active_ms(account), damage])?;
    Ok(())
}

/// The time for which it was held does not make it older.
fn release(
    connection: &Connection,
    shared: &Shared,
    seq: i64,
    account: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE message SET state = 0, due_ms = ?2, damage = NULL, held_ms = NULL,
                 born_ms = born_ms + max(0, ?3 - coalesce(held_ms, ?3))
             WHERE seq = ?1",
        )?
        .execute(params![
            seq,
            shared.clock.now_ms(),
            shared.clock.active_ms(account)
        ])?;
    Ok(())
}

/// It ends now, also if it had failed long ago: its story is kept from here on.
fn delete(connection: &Connection, shared: &Shared, seq: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM content WHERE seq = ?1")?
        .execute([seq])?;
    connection
        .prepare_cached(
            "UPDATE message SET state = 6, stored = 0, due_ms = ?2, ended_wall_ms = ?3, tell = 0
             WHERE seq = ?1",
        )?
        .execute(params![seq, shared.clock.now_ms(), shared.clock.wall_ms()])?;
    Ok(())
}
