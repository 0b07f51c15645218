//! What was done to messages, and by whom.

use std::fmt;

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::queue::clock::wall_ms;

/// Who does something to messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// For people: `alice (uid 1000)`.
    pub name: String,
    /// How the actor got at the queue.
    pub through: Through,
}

/// How an actor got at the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Through {
    /// The admin socket of a running daemon.
    Socket,
    /// The queue's folder, while no daemon ran.
    Folder,
    /// The daemon did it by itself.
    Daemon,
}

impl Actor {
    /// The daemon itself.
    pub(super) fn daemon() -> Self {
        Self {
            name: "exorelay".to_owned(),
            through: Through::Daemon,
        }
    }
}

impl Through {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Folder => "folder",
            Self::Daemon => "daemon",
        }
    }
}

impl fmt::Display for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Inside the writer's transaction.
pub(super) fn record(
    connection: &Connection,
    seq: i64,
    action: &str,
    actor: &Actor,
    detail: Option<&str>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO event (seq, wall_ms, action, actor, through, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            seq,
            wall_ms(),
            action,
            actor.name,
            actor.through.as_str(),
            detail,
        ])?;
    Ok(())
}

/// As [`record`], unless it stands there already: each attempt may do the same again.
pub(super) fn record_once(
    connection: &Connection,
    seq: i64,
    action: &str,
    actor: &Actor,
    detail: &str,
) -> rusqlite::Result<()> {
    let is_known: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM event WHERE seq = ?1 AND action = ?2 AND detail = ?3)",
        )?
        .query_row(params![seq, action, detail], |row| row.get(0))?;
    if is_known {
        return Ok(());
    }
    record(connection, seq, action, actor, Some(detail))
}
