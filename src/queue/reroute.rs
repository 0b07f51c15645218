//! Mail on its way by other settings than those it came in under: in steps, as operators' changes are.

use std::fmt;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use crate::queue::op::Op;
use crate::queue::query::{number, text};
use crate::queue::store::Shared;
use crate::queue::{Actor, Queue, QueueId, Reader, Selection, StorageError, event};
use crate::telemetry::life::log_rerouted;

/// What decides on the way of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The account, or the pool, that it waits for.
    pub account: String,
    /// The listener that took it in.
    pub listener: String,
    /// The client's address.
    pub client: String,
    /// Empty for the null path.
    pub reverse_path: String,
    /// Those who do not have it yet, in their order.
    pub recipients: Vec<String>,
    /// An operator brought it, and said who sends it.
    pub imported: bool,
}

/// Where a message goes: an account or the key of a pool. `None`: it stays.
pub type Way = dyn Fn(&Facts) -> Option<String> + Send + Sync;

/// Messages that are being sent another way, a step at a time. Dropped, it ends where it is.
pub struct Reroute {
    queue: Queue,
    way: Arc<Way>,
    messages: std::vec::IntoIter<(i64, QueueId)>,
    /// Stored when all is done.
    mark: Option<i64>,
    moved: u64,
}

/// Messages in one transaction: the writer must not be away for long.
const STEP_MAX: usize = 100;

/// `meta.routes`: the mark of the routes that all mail goes by.
const MARK: &str = "routes";

impl fmt::Debug for Reroute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reroute")
            .field("left", &self.messages.len())
            .field("moved", &self.moved)
            .finish_non_exhaustive()
    }
}

impl Queue {
    /// The mark of the last [`Reroute`] that was carried to its end. Blocking.
    pub fn routes_mark(&self) -> Result<Option<i64>, StorageError> {
        let connection = self.reader().open()?;
        let mark = connection
            .query_row("SELECT value FROM meta WHERE key = ?1", [MARK], |row| {
                row.get(0)
            })
            .optional()?;
        Ok(mark)
    }

    /// Finds out which messages are meant; [`Reroute::step`] then asks `way` for each and moves it.
    /// At the end `mark` is stored. Blocking.
    pub fn reroute(
        &self,
        selection: &Selection,
        way: Arc<Way>,
        mark: Option<i64>,
    ) -> Result<Reroute, StorageError> {
        let selected = self.reader().select(selection)?;
        Ok(Reroute {
            queue: self.clone(),
            way,
            messages: selected.messages.into_iter(),
            mark,
            moved: 0,
        })
    }
}

impl Reroute {
    /// How many messages go another way so far.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Looks at some of what is left and moves it durably; false when nothing was left.
    ///
    /// A message that is being sent is moved too: should it have to be tried again, it goes the new way.
    ///
    /// # Cancel safety
    /// A dropped call may still have done its step.
    pub async fn step(&mut self) -> Result<bool, StorageError> {
        let messages: Vec<_> = self.messages.by_ref().take(STEP_MAX).collect();
        let mark = if messages.is_empty() {
            self.mark.take()
        } else {
            None
        };
        let goes_on = !messages.is_empty();
        let (reader, way) = (self.queue.reader(), Arc::clone(&self.way));
        let found = tokio::task::spawn_blocking(move || moves(&reader, &messages, &*way)).await;
        let moves = found.map_err(|_| StorageError::Closed)??;
        if moves.is_empty() && mark.is_none() {
            return Ok(goes_on);
        }
        let (answer, answered) = oneshot::channel();
        let request = Box::new(Request { moves, mark });
        self.queue.send(Op::Reroute { request, answer }).await?;
        self.moved += answered.await.map_err(|_| StorageError::Closed)??.count;
        Ok(goes_on)
    }
}

fn moves(
    reader: &Reader,
    messages: &[(i64, QueueId)],
    way: &Way,
) -> Result<Vec<Move>, StorageError> {
    let connection = reader.open()?;
    let mut moves = Vec::new();
    for (seq, id) in messages {
        let Some(facts) = facts(&connection, *seq, *id)? else {
            continue;
        };
        if let Some(to) = way(&facts).filter(|to| *to != facts.account) {
            moves.push(Move {
                seq: *seq,
                id: *id,
                from: facts.account,
                to,
            });
        }
    }
    Ok(moves)
}

fn facts(connection: &Connection, seq: i64, id: QueueId) -> rusqlite::Result<Option<Facts>> {
    let facts = connection
        .prepare_cached(
            "SELECT account, listener, client, reverse_path,
                 EXISTS (SELECT 1 FROM event WHERE event.seq = message.seq AND action = 'imported')
             FROM message WHERE seq = ?1 AND id = ?2",
        )?
        .query_row(params![seq, id.as_str()], |row| {
            Ok(Facts {
                account: text(row, 0)?,
                listener: text(row, 1)?,
                client: text(row, 2)?,
                reverse_path: text(row, 3)?,
                recipients: Vec::new(),
                imported: number(row, 4)? != 0,
            })
        })
        .optional()?;
    let Some(mut facts) = facts else {
        return Ok(None);
    };
    let mut statement = connection
        .prepare_cached("SELECT address FROM recipient WHERE seq = ?1 AND state <> 1 ORDER BY n")?;
    let rows = statement.query_map([seq], |row| text(row, 0))?;
    facts.recipients = rows.collect::<rusqlite::Result<_>>()?;
    Ok(Some(facts))
}

/// One step, as the writer gets it.
#[derive(Debug)]
pub(super) struct Request {
    moves: Vec<Move>,
    mark: Option<i64>,
}

#[derive(Debug)]
struct Move {
    seq: i64,
    id: QueueId,
    from: String,
    to: String,
}

/// What a step has done.
#[derive(Debug, Default)]
pub(super) struct Moved {
    count: u64,
    /// Under which mail waits now that did not before.
    keys: Vec<String>,
    /// Which messages, from where and to where.
    moves: Vec<(QueueId, String, String)>,
}

impl Moved {
    /// The step is on stable storage.
    pub(super) fn take_effect(&self, shared: &Shared) {
        for (id, from, to) in &self.moves {
            log_rerouted(id.as_str(), from, to);
        }
        for key in &self.keys {
            shared.wake(key);
        }
    }
}

/// Inside the writer's transaction.
pub(super) fn reroute(
    connection: &Connection,
    shared: &Shared,
    request: &Request,
) -> rusqlite::Result<Moved> {
    let mut moved = Moved::default();
    for Move { seq, id, from, to } in &request.moves {
        // Ages are kept: what was active time of the one becomes active time of the other.
        let later_ms = shared.clock.active_ms(to) - shared.clock.active_ms(from);
        let updated = connection
            .prepare_cached(
                "UPDATE message SET account = ?4, born_ms = born_ms + ?5, held_ms = held_ms + ?5
                 WHERE seq = ?1 AND id = ?2 AND account = ?3 AND state <= 4",
            )?
            .execute(params![seq, id.as_str(), from, to, later_ms])?;
        // It has ended meanwhile, or somebody else has moved it.
        if updated == 0 {
            continue;
        }
        let detail = format!("from {from} to {to}");
        event::record(
            connection,
            *seq,
            "rerouted",
            &Actor::daemon(),
            Some(&detail),
        )?;
        moved.count += 1;
        moved.moves.push((*id, from.clone(), to.clone()));
        if !moved.keys.contains(to) {
            moved.keys.push(to.clone());
        }
    }
    if let Some(mark) = request.mark {
        connection
            .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
            .execute(params![MARK, mark])?;
    }
    Ok(moved)
}
