//! What was presented to the service, by mailbox: services count by the minute and by the day, and know
//! nothing of our restarts.
//!
//! Every attempt that reached the service is written down with its settlement. A lease whose process
//! died is taken for presented at the last moment possible: when the folder is opened again.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::queue::Queue;
use crate::queue::lease::Dropped;
use crate::queue::{StorageError, error};

/// How long it is remembered: services count recipients over a day.
const KEEP: Duration = Duration::from_hours(24);

/// Messages presented in one second, or taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// For so long at least it counts as gone by; less than in truth rather than more.
    pub age: Duration,
    /// Transactions.
    pub messages: u32,
    /// Recipients of what the service took, or may have taken.
    pub recipients: u64,
}

/// Who sends an account's mail, and how much of it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Whom the service counts by.
    pub mailbox: String,
    /// In one transaction: a message for more goes out in parts.
    pub recipients_max: usize,
}

impl Sender {
    /// Services do not tell capitals.
    pub(super) fn key(mailbox: &str) -> String {
        mailbox.to_lowercase()
    }
}

impl Queue {
    /// What `mailbox`, in any case, has presented within a day. Blocking.
    ///
    /// Messages that are leased at this moment are taken for presented: to be asked by whoever has
    /// leased none of them.
    pub fn presented(&self, mailbox: &str) -> Result<Vec<Presented>, StorageError> {
        let connection = self.reader().open()?;
        let now_ms = self.shared.clock.now_ms();
        Ok(recall(&connection, &Sender::key(mailbox), now_ms)?)
    }
}

/// So many messages more. Inside the writer's transaction.
pub(super) fn record(
    connection: &Connection,
    mailbox: &str,
    messages: u32,
    recipients: u64,
    now_ms: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO presented (queue_s, mailbox, messages, recipients) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET messages = messages + excluded.messages,
                 recipients = recipients + excluded.recipients",
        )?
        .execute(params![
            now_ms.div_euclid(1000),
            mailbox,
            messages,
            recipients as i64
        ])?;
    Ok(())
}

/// The attempt under way of a message whose lease was dropped: nobody will say what came of it.
pub(super) fn record_dropped(
    connection: &Connection,
    seq: i64,
    now_ms: i64,
) -> rusqlite::Result<()> {
    let under_way: Option<(String, i64)> = connection
        .prepare_cached(
            "SELECT coalesce(mailbox, account), coalesce(presenting, 0) FROM message
             WHERE seq = ?1 AND state = 1",
        )?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match under_way {
        Some((mailbox, recipients)) => record(connection, &mailbox, 1, recipients as u64, now_ms),
        None => Ok(()),
    }
}

/// The last day's. The service may have counted at the end of the second, so that is where a row stands;
/// one from the future, as the clock's last moments were not stored, stands at this moment, and so does what is leased.
pub(super) fn recall(
    connection: &Connection,
    mailbox: &str,
    now_ms: i64,
) -> rusqlite::Result<Vec<Presented>> {
    connection
        .prepare_cached(
            "SELECT queue_s, messages, recipients FROM presented WHERE queue_s >= ?1 AND mailbox = ?2
             UNION ALL
             SELECT ?3, count(*), sum(coalesce(presenting, 0)) FROM message
             WHERE state = 1 AND state < 4 AND coalesce(mailbox, account) = ?2 HAVING count(*) > 0",
        )?
        .query_map(
            params![oldest_s(now_ms), mailbox, now_ms.div_euclid(1000)],
            |row| {
                let end_ms = row.get::<_, i64>(0)?.saturating_add(1).saturating_mul(1000);
                let age_ms = now_ms.saturating_sub(end_ms).max(0);
                Ok(Presented {
                    age: Duration::from_millis(age_ms as u64),
                    messages: row.get(1)?,
                    recipients: row.get::<_, i64>(2)? as u64,
                })
            },
        )?
        .collect()
}

fn oldest_s(now_ms: i64) -> i64 {
    now_ms.div_euclid(1000) - KEEP.as_secs() as i64 - 1
}

/// Forgets what is older than a day.
pub(super) fn prune(connection: &Connection, now_ms: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM presented WHERE queue_s < ?1")?
        .execute([oldest_s(now_ms)])?;
    Ok(())
}

/// Leases of a process that is gone are void, and count as presented just now: the last moment at which
/// that process can have been alive.
///
/// Returns those that cannot be given back yet because the disk is full.
pub(super) fn void_leases(connection: &Connection, now_ms: i64) -> rusqlite::Result<Vec<Dropped>> {
    let voided = connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         INSERT INTO presented (queue_s, mailbox, messages, recipients)
             SELECT {now_s}, mailbox, sum(messages), sum(recipients) FROM presented
             WHERE queue_s > {now_s} GROUP BY mailbox
             ON CONFLICT DO UPDATE SET messages = messages + excluded.messages,
                 recipients = recipients + excluded.recipients;
         DELETE FROM presented WHERE queue_s > {now_s};
         INSERT INTO presented (queue_s, mailbox, messages, recipients)
             SELECT {now_s}, coalesce(mailbox, account), count(*), sum(coalesce(presenting, 0))
             FROM message WHERE state = 1 AND state < 4 GROUP BY 2
             ON CONFLICT DO UPDATE SET messages = messages + excluded.messages,
                 recipients = recipients + excluded.recipients;
         UPDATE message SET state = iif(attempts = 0, 0, 2) WHERE state = 1 AND state < 4;
         COMMIT;",
        now_s = now_ms.div_euclid(1000)
    ));
    match voided {
        Ok(()) => Ok(Vec::new()),
        Err(error) if error::changed_nothing(&error) => {
            tracing::error!(%error, "nothing can be stored for now");
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK")?;
            }
            connection
                .prepare("SELECT seq FROM message WHERE state = 1 AND state < 4")?
                .query_map([], |row| {
                    Ok(Dropped {
                        seq: row.get(0)?,
                        is_presented: true,
                    })
                })?
                .collect()
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
