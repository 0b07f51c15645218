//! Notices on their way in: with each, in one transaction, goes what it tells of, so that a crash
//! leaves neither a message that nobody hears of nor one that is told of twice.

use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use crate::mail::NoticeKind;
use crate::queue::op::Op;
use crate::queue::{Actor, DraftError, Owing, Queue, QueueId, StorageError, event};

/// What a notice tells of, and whom.
#[derive(Clone, Debug)]
pub struct NoticeOf {
    /// The address it goes to.
    pub destination: String,
    /// At least one message, each owing until now.
    pub messages: Vec<Owing>,
}

/// Why a notice was not taken in; nothing of it is stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoticeError {
    /// A message that it tells of is not failed any more: an operator has it tried again, say.
    #[error("a message that the notice tells of has changed meanwhile")]
    Overtaken,
    /// As for any message.
    #[error(transparent)]
    Draft(DraftError),
}

impl From<DraftError> for NoticeError {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::Storage(StorageError::Database(source))
                if matches!(*source, rusqlite::Error::StatementChangedRows(_)) =>
            {
                Self::Overtaken
            }
            error => Self::Draft(error),
        }
    }
}

/// What the writer notes about telling, apart from notices themselves.
#[derive(Debug)]
pub(super) enum Telling {
    /// They wait for long.
    Delayed(Vec<Owing>),
    /// Nobody is told of them; perhaps it is worth saying why.
    Nobody(Vec<Owing>, Option<&'static str>),
}

/// Messages in one transaction: the writer must not be away for long.
const STEP_MAX: usize = 500;

impl Queue {
    /// Notes that somebody is to be told that `messages` are delayed. Once told, they are not found
    /// overdue again, unless an operator has them begin anew.
    pub async fn owe_delay(&self, messages: &[Owing]) -> Result<(), StorageError> {
        for step in messages.chunks(STEP_MAX) {
            self.note(Telling::Delayed(step.to_vec())).await?;
        }
        Ok(())
    }

    /// Notes that nobody will be told of `messages`; `why` stands in their history.
    pub async fn tell_nobody(
        &self,
        messages: &[Owing],
        why: Option<&'static str>,
    ) -> Result<(), StorageError> {
        for step in messages.chunks(STEP_MAX) {
            self.note(Telling::Nobody(step.to_vec(), why)).await?;
        }
        Ok(())
    }

    async fn note(&self, telling: Telling) -> Result<(), StorageError> {
        let (answer, answered) = oneshot::channel();
        self.send(Op::Tell { telling, answer }).await?;
        answered.await.map_err(|_| StorageError::Closed)?
    }
}

/// The message has failed. Nobody is ever told of a notice. Inside the writer's transaction.
pub(super) fn owe(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE message SET tell = 2 WHERE seq = ?1 AND notice_to IS NULL")?
        .execute([seq])?;
    Ok(())
}

/// Inside the writer's transaction.
pub(super) fn tell(connection: &Connection, telling: &Telling) -> rusqlite::Result<()> {
    match telling {
        Telling::Delayed(messages) => {
            let mut owe = connection.prepare_cached(
                "UPDATE message SET tell = 1
                 WHERE seq = ?1 AND id = ?2 AND tell = 0 AND state IN (0, 1, 2)",
            )?;
            for message in messages {
                owe.execute(params![message.seq, message.id.as_str()])?;
            }
        }
        Telling::Nobody(messages, why) => {
            for message in messages {
                let noted = settle(connection, message)?;
                if let (true, Some(why)) = (noted, why) {
                    let detail = format!("nobody is told of its {}: {why}", noun(message.kind));
                    let actor = Actor::daemon();
                    event::record(connection, message.seq, "notice", &actor, Some(&detail))?;
                }
            }
        }
    }
    Ok(())
}

/// Beside the row of the notice itself. Inside the writer's transaction.
pub(super) fn store(
    connection: &Connection,
    seq: i64,
    id: QueueId,
    about: &NoticeOf,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE message SET notice_to = ?2 WHERE seq = ?1")?
        .execute(params![seq, about.destination])?;
    let actor = Actor::daemon();
    for message in &about.messages {
        let noted = settle(connection, message)?;
        // A message may leave at the moment at which it is said to be late; what is said to have
        // failed must have.
        if !noted && message.kind == NoticeKind::Failed {
            return Err(rusqlite::Error::StatementChangedRows(0));
        }
        if noted {
            let kind = noun(message.kind);
            let detail = format!("of its {kind}, sent as {id} to {}", about.destination);
            event::record(connection, message.seq, "notice", &actor, Some(&detail))?;
        }
    }
    let detail = match about.messages.as_slice() {
        [] => return Ok(()),
        [only] => format!("of the {} of {}", noun(only.kind), only.id),
        [first, ..] => {
            let count = about.messages.len();
            format!("of {count} messages, the first of them {}", first.id)
        }
    };
    event::record(connection, seq, "notice", &actor, Some(&detail))
}

/// It has been told, or nobody is to hear of it; false when there was nothing to tell any more.
fn settle(connection: &Connection, message: &Owing) -> rusqlite::Result<bool> {
    let (before, after) = match message.kind {
        NoticeKind::Delayed => (1, -1),
        NoticeKind::Failed => (2, 0),
    };
    let changed = connection
        .prepare_cached("UPDATE message SET tell = ?4 WHERE seq = ?1 AND id = ?2 AND tell = ?3")?
        .execute(params![message.seq, message.id.as_str(), before, after])?;
    Ok(changed > 0)
}

fn noun(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Delayed => "delay",
        NoticeKind::Failed => "failure",
    }
}
