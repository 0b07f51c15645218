//! Whose message is sent next: clients take turns, and so do fresh mail and mail that is tried again.
//!
//! A client that has queued fifty thousand messages gets every second place as long as another one
//! waits, not the next fifty thousand; mail that was deferred in an outage does not stand before what
//! comes in after it, nor the other way round. The mail of one client keeps the order in which it is
//! due. Each step is one look into an index, however much is queued and by however many.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::queue::MessageState;
use crate::queue::query::{number, text};

/// Where the turns of each account stand. Only the writer knows it, and a restart begins anew: nobody
/// loses more than one turn by it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    accounts: HashMap<String, Turn>,
}

/// Accounts that are remembered; a reload may bring new ones again and again.
const ACCOUNTS_MAX: usize = 1000;

/// Deferred clients that one leasing passes over because nothing of theirs is due yet.
const PASSED_MAX: usize = 100;

/// The first client from this one on, and of its mail what is due first.
const NEXT_CLIENT: &str = "SELECT seq, id, client, due_ms
    FROM message INDEXED BY message_waiting
    WHERE account = ?1 AND state = ?2 AND state < 4 AND client >= ?3
    ORDER BY client, due_ms, seq LIMIT 1";

/// Whatever is due first.
const OLDEST_DEFERRED: &str = "SELECT seq, id, client, due_ms
    FROM message INDEXED BY message_deferred
    WHERE account = ?1 AND state = 2 AND due_ms <= ?2
    ORDER BY due_ms, seq LIMIT 1";

/// When that is.
const NEXT_DUE: &str = "SELECT min(due_ms) FROM message INDEXED BY message_deferred
    WHERE account = ?1 AND state = 2";

/// Where the turns of one account stand.
#[derive(Debug, Default)]
struct Turn {
    /// No client below it has its turn before those from it on have had theirs.
    fresh_from: String,
    deferred_from: String,
    /// The last place went to fresh mail.
    deferred_is_next: bool,
}

/// A message whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pick {
    pub(super) seq: i64,
    /// As it stands in the row.
    pub(super) id: String,
    client: String,
    due_ms: i64,
}

/// The turns of one account during one leasing.
#[derive(Debug)]
pub(super) struct Round<'a> {
    connection: &'a Connection,
    account: &'a str,
    now_ms: i64,
    turn: &'a mut Turn,
    /// Nothing comes in while it lasts: what is found to be empty stays so.
    fresh_ended: bool,
    deferred_ended: bool,
    /// All fresh mail is one client's.
    is_alone: bool,
    passed: usize,
}

impl Turns {
    /// Goes on where the account's last one ended.
    pub(super) fn round<'a>(
        &'a mut self,
        connection: &'a Connection,
        account: &'a str,
        now_ms: i64,
    ) -> Round<'a> {
        if self.accounts.len() >= ACCOUNTS_MAX && !self.accounts.contains_key(account) {
            self.accounts.clear();
        }
        Round {
            connection,
            account,
            now_ms,
            turn: self.accounts.entry(account.to_owned()).or_default(),
            fresh_ended: false,
            deferred_ended: false,
            is_alone: false,
            passed: 0,
        }
    }
}

impl Round<'_> {
    /// The next message. It must not be ready or deferred any more when this is called again.
    pub(super) fn next(&mut self) -> rusqlite::Result<Option<Pick>> {
        let first = if self.turn.deferred_is_next {
            self.deferred()?
        } else {
            self.fresh()?
        };
        match first {
            Some(pick) => Ok(Some(pick)),
            None if self.turn.deferred_is_next => self.fresh(),
            None => self.deferred(),
        }
    }

    /// When the earliest of the deferred messages is due.
    pub(super) fn next_due_ms(&self) -> rusqlite::Result<Option<i64>> {
        self.connection
            .prepare_cached(NEXT_DUE)?
            .query_row([self.account], |row| row.get(0))
    }

    /// What is ready is due, whatever the clock says.
    fn fresh(&mut self) -> rusqlite::Result<Option<Pick>> {
        if self.fresh_ended {
            return Ok(None);
        }
        let from = &mut self.turn.fresh_from;
        let mut found = None;
        if !self.is_alone {
            found = next_client(self.connection, self.account, MessageState::Ready, from)?;
        }
        let wraps = found.is_none() && !from.is_empty();
        if wraps {
            found = next_client(self.connection, self.account, MessageState::Ready, "")?;
        }
        match &found {
            Some(pick) => {
                let next = after(&pick.client);
                self.is_alone = wraps && next == *from;
                *from = next;
                self.turn.deferred_is_next = true;
            }
            None => self.fresh_ended = true,
        }
        Ok(found)
    }

    fn deferred(&mut self) -> rusqlite::Result<Option<Pick>> {
        if self.deferred_ended {
            return Ok(None);
        }
        let oldest = self
            .connection
            .prepare_cached(OLDEST_DEFERRED)?
            .query_row(params![self.account, self.now_ms], pick)
            .optional()?;
        let Some(oldest) = oldest else {
            self.deferred_ended = true;
            return Ok(None);
        };
        self.turn.deferred_is_next = false;
        let from = &mut self.turn.deferred_from;
        while self.passed < PASSED_MAX {
            let state = MessageState::Deferred;
            match next_client(self.connection, self.account, state, from)? {
                Some(pick) => {
                    *from = after(&pick.client);
                    if pick.due_ms <= self.now_ms {
                        return Ok(Some(pick));
                    }
                }
                None => from.clear(),
            }
            self.passed += 1;
        }
        // Nobody waits for those who have nothing due; the next leasing goes on behind them.
        Ok(Some(oldest))
    }
}

fn next_client(
    connection: &Connection,
    account: &str,
    state: MessageState,
    from: &str,
) -> rusqlite::Result<Option<Pick>> {
    connection
        .prepare_cached(NEXT_CLIENT)?
        .query_row(params![account, state.number(), from], pick)
        .optional()
}

/// A row that is damaged must not keep the others waiting: whoever loads it finds out.
fn pick(row: &Row<'_>) -> rusqlite::Result<Pick> {
    Ok(Pick {
        seq: row.get(0)?,
        id: text(row, 1)?,
        client: text(row, 2)?,
        due_ms: number(row, 3)?,
    })
}

/// The lowest text above it.
fn after(client: &str) -> String {
    format!("{client}\0")
}

#[cfg(test)]
mod tests;
