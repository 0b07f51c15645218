//! Incidents on the disk.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::ledger::millis;
use super::record::{Finding, Incident, IncidentKind, ProbePlan, Told, Urgency};
use crate::queue::QueueId;

/// What is over is remembered for this long ...
const KEPT: Duration = Duration::from_hours(30 * 24);

/// ... but not more than this many.
const KEPT_MAX: i64 = 1_000;

/// What is open, or was until lately, in the order of the opening. What makes no sense is left out: it
/// must not keep the daemon from starting.
pub(in crate::queue) fn load(connection: &Connection) -> rusqlite::Result<Vec<Incident>> {
    let mut statement = connection.prepare(
        "SELECT id, kind, account, mailbox, cause, state, rule, why, remedy, reason, count, failures,
             next_probe_ms, opened_wall_ms, last_wall_ms, recovered_ms, recovered_wall_ms, alarm_ms,
             was_urgent, told_command, told_webhook
         FROM incident ORDER BY recovered_ms IS NULL DESC, id DESC LIMIT ?1",
    )?;
    let rows = statement.query_map([KEPT_MAX], incident)?;
    let mut known = Vec::new();
    for row in rows {
        known.extend(row?);
    }
    known.sort_by_key(|one| one.id);
    Ok(known)
}

fn incident(row: &Row<'_>) -> rusqlite::Result<Option<Incident>> {
    let id = QueueId::parse(&row.get::<_, String>("id")?);
    let kind = IncidentKind::named(&row.get::<_, String>("kind")?);
    let (Ok(id), Some(kind)) = (id, kind) else {
        return Ok(None);
    };
    let wall = |column| {
        let ms: Option<i64> = row.get(column)?;
        Ok::<_, rusqlite::Error>(ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()))
    };
    let told = |column| row.get(column).map(Told::from_number);
    let next_probe_ms: Option<i64> = row.get("next_probe_ms")?;
    let mailbox: String = row.get("mailbox")?;
    let alarm_ms: Option<i64> = row.get("alarm_ms")?;
    let was_urgent: bool = row.get("was_urgent")?;
    Ok(Some(Incident {
        id,
        finding: Finding {
            kind,
            account: row.get("account")?,
            cause: row.get("cause")?,
            state: row.get("state")?,
            rule: row.get("rule")?,
            why: row.get("why")?,
            remedy: row.get("remedy")?,
            reason: row.get("reason")?,
            urgency: match (alarm_ms, was_urgent) {
                (None, _) => Urgency::Silent,
                (_, true) => Urgency::Urgent,
                (_, false) => Urgency::Lasting,
            },
            probe: (!mailbox.is_empty()).then_some(ProbePlan {
                mailbox,
                failures: row.get("failures")?,
                next_in: Duration::ZERO,
            }),
        },
        count: row.get::<_, i64>("count")?.max(1) as u64,
        opened_at: wall("opened_wall_ms")?.unwrap_or_default(),
        last_at: wall("last_wall_ms")?.unwrap_or_default(),
        recovered_at: wall("recovered_wall_ms")?,
        recovered_ms: row.get("recovered_ms")?,
        next_probe_ms,
        alarm_ms,
        was_urgent,
        told_command: told("told_command")?,
        told_webhook: told("told_webhook")?,
    }))
}

/// Inside the writer's transaction.
pub(in crate::queue) fn save(
    connection: &Connection,
    incidents: &[Incident],
    now_ms: i64,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO incident (id, kind, account, mailbox, cause, state, rule, why, remedy,
             reason, count, failures, next_probe_ms, opened_wall_ms, last_wall_ms, recovered_ms,
             recovered_wall_ms, alarm_ms, was_urgent, told_command, told_webhook)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
             ?20, ?21)",
    )?;
    for one in incidents {
        let Finding {
            kind,
            account,
            state,
            cause,
            rule,
            why,
            remedy,
            reason,
            urgency: _,
            probe,
        } = &one.finding;
        statement.execute(params![
            one.id.as_str(),
            kind.as_str(),
            account,
            probe.as_ref().map_or("", |probe| &probe.mailbox),
            cause,
            state,
            rule,
            why,
            remedy,
            reason,
            one.count as i64,
            probe.as_ref().map_or(0, |probe| probe.failures),
            one.next_probe_ms,
            one.opened_at.as_millisecond(),
            one.last_at.as_millisecond(),
            one.recovered_ms,
            one.recovered_at.map(Timestamp::as_millisecond),
            one.alarm_ms,
            one.was_urgent,
            one.told_command.number(),
            one.told_webhook.number(),
        ])?;
    }
    connection
        .prepare_cached(
            "DELETE FROM incident WHERE recovered_ms < ?1 OR recovered_ms IS NOT NULL
             AND id NOT IN (SELECT id FROM incident ORDER BY id DESC LIMIT ?2)",
        )?
        .execute([now_ms.saturating_sub(millis(KEPT)), KEPT_MAX])?;
    Ok(())
}
