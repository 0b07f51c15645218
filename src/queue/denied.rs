//! Senders that an account was told not to send as.
//!
//! They are asked for at every attempt, so what the table holds is also in memory; memory follows the
//! table once a change is on stable storage.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::queue::clock::{QueueClock, wall_ms};
use crate::queue::op::Op;
use crate::queue::query::{number, text, timestamp};
use crate::queue::{Queue, Reader, StorageError};

/// Of all accounts; beyond it those that would be forgotten next go.
const ENTRIES_MAX: i64 = 10_000;

/// A sender that an account's mailbox may not send as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeniedSender {
    /// The account.
    pub account: String,
    /// In lower case.
    pub address: String,
    /// Until when this is remembered.
    pub until: Timestamp,
}

/// What is asked of the writer.
#[derive(Debug)]
pub(super) enum Request {
    Remember {
        account: String,
        address: String,
        lifetime: Duration,
    },
    /// `None` is any.
    Forget {
        account: Option<String>,
        address: Option<String>,
    },
}

/// What a request has done to the table, to be done in memory.
#[derive(Debug, Default)]
pub(super) struct Effect {
    added: Option<(String, String, i64)>,
    removed: Vec<(String, String)>,
}

/// By account and address, until when in queue time.
type Entries = BTreeMap<String, BTreeMap<String, i64>>;

/// What the table holds.
#[derive(Debug, Default)]
pub(super) struct DeniedSenders(RwLock<Entries>);

impl DeniedSenders {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut entries = Entries::new();
        let mut all = connection.prepare("SELECT account, address, until_ms FROM denied_sender")?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            let of_account = entries.entry(text(row, 0)?).or_default();
            of_account.insert(text(row, 1)?, number(row, 2)?);
        }
        Ok(Self(RwLock::new(entries)))
    }

    /// Returns how many are remembered no more.
    pub(super) fn take_in(&self, effect: Effect) -> u64 {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let removed = effect.removed.len() as u64;
        for (account, address) in effect.removed {
            if let Some(of_account) = entries.get_mut(&account) {
                of_account.remove(&address);
                if of_account.is_empty() {
                    entries.remove(&account);
                }
            }
        }
        if let Some((account, address, until_ms)) = effect.added {
            entries
                .entry(account)
                .or_default()
                .insert(address, until_ms);
        }
        removed
    }

    fn read<T>(&self, look: impl FnOnce(&Entries) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Queue {
    /// Whether any sender is remembered for `account`.
    pub fn has_denied(&self, account: &str) -> bool {
        let denied = &self.shared.denied;
        denied.read(|entries| entries.contains_key(account))
    }

    /// Whether it is remembered that `account` may not send as `address`.
    pub fn is_denied(&self, account: &str, address: &str) -> bool {
        let address = address.to_ascii_lowercase();
        let until_ms = self
            .shared
            .denied
            .read(|entries| entries.get(account)?.get(&address).copied());
        until_ms.is_some_and(|until_ms| until_ms > self.shared.clock.now_ms())
    }

    /// Everything that is remembered, in the order of accounts and addresses.
    pub fn denied_senders(&self) -> Vec<DeniedSender> {
        let clock = &self.shared.clock;
        let now_ms = clock.now_ms();
        self.shared.denied.read(|entries| {
            let all = entries.iter().flat_map(|(account, of_account)| {
                let valid = of_account.iter();
                let valid = valid.filter(|(_, until_ms)| **until_ms > now_ms);
                valid.map(move |(address, until_ms)| DeniedSender {
                    account: account.clone(),
                    address: address.clone(),
                    until: timestamp(clock.wall_at(*until_ms)),
                })
            });
            all.collect()
        })
    }

    /// Remembers for `lifetime` that `account` may not send as `address`.
    pub async fn remember_denied(
        &self,
        account: &str,
        address: &str,
        lifetime: Duration,
    ) -> Result<(), StorageError> {
        let request = Request::Remember {
            account: account.to_owned(),
            address: address.to_ascii_lowercase(),
            lifetime,
        };
        self.ask(request).await.map(drop)
    }

    /// Forgets an address, or all, of an account, or of every one: somebody has granted the right.
    /// Returns how many were remembered.
    pub async fn forget_denied(
        &self,
        account: Option<&str>,
        address: Option<&str>,
    ) -> Result<u64, StorageError> {
        let request = Request::Forget {
            account: account.map(str::to_owned),
            address: address.map(str::to_ascii_lowercase),
        };
        self.ask(request).await
    }

    async fn ask(&self, request: Request) -> Result<u64, StorageError> {
        let (answer, answered) = oneshot::channel();
        self.send(Op::Denied { request, answer }).await?;
        answered.await.map_err(|_| StorageError::Closed)?
    }
}

impl Reader {
    /// As [`Queue::denied_senders`], from the folder of a daemon that is not running.
    pub fn denied_senders(&self) -> Result<Vec<DeniedSender>, StorageError> {
        let connection = self.open()?;
        let ahead_ms: i64 = connection
            .query_row(
                "SELECT value FROM meta WHERE key = 'wall_ahead_ms'",
                [],
                |row| row.get(0),
            )
            .optional()?
            .unwrap_or(0);
        let mut valid = connection.prepare(
            "SELECT account, address, until_ms + ?1 FROM denied_sender WHERE until_ms + ?1 > ?2
             ORDER BY account, address",
        )?;
        let rows = valid.query_map([ahead_ms, wall_ms()], |row| {
            Ok(DeniedSender {
                account: text(row, 0)?,
                address: text(row, 1)?,
                until: timestamp(number(row, 2)?),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// Inside the writer's transaction.
pub(super) fn apply(
    connection: &Connection,
    clock: &QueueClock,
    request: &Request,
) -> rusqlite::Result<Effect> {
    let mut effect = Effect::default();
    match request {
        Request::Remember {
            account,
            address,
            lifetime,
        } => {
            let now_ms = clock.now_ms();
            let lifetime_ms = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
            let until_ms = now_ms.saturating_add(lifetime_ms);
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO denied_sender (account, address, until_ms)
                     VALUES (?1, ?2, ?3)",
                )?
                .execute(params![account, address, until_ms])?;
            effect.added = Some((account.clone(), address.clone(), until_ms));
            effect.removed = removed(
                connection,
                "DELETE FROM denied_sender WHERE until_ms <= ?1
                     OR until_ms < (SELECT until_ms FROM denied_sender
                                    ORDER BY until_ms DESC LIMIT 1 OFFSET ?2)
                 RETURNING account, address",
                params![now_ms, ENTRIES_MAX - 1],
            )?;
        }
        Request::Forget { account, address } => {
            effect.removed = removed(
                connection,
                "DELETE FROM denied_sender
                 WHERE (?1 IS NULL OR account = ?1) AND (?2 IS NULL OR address = ?2)
                 RETURNING account, address",
                params![account, address],
            )?;
        }
    }
    Ok(effect)
}

fn removed(
    connection: &Connection,
    statement: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<(String, String)>> {
    connection
        .prepare_cached(statement)?
        .query_map(parameters, |row| Ok((text(row, 0)?, text(row, 1)?)))?
        .collect()
}
