//! What the parts below know, in the words of the protocol.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::time::Instant;

use super::cause::single_line;
use super::one_line;
use super::protocol::{
    CommitStatus, IncidentStatus, QueueStatus, SignInReport, TokenReport, TokenState,
};
use crate::oauth::{SignIn, TokenStatus, aadsts};
use crate::queue::{CommitCounts, Incident, Queue};

impl QueueStatus {
    /// Reads the counts off the runtime's threads. Never fails: a damaged database is part of the
    /// status.
    pub async fn of(queue: &Queue) -> Self {
        let queue = queue.clone();
        let read = tokio::task::spawn_blocking(move || Self::read(&queue)).await;
        read.unwrap_or_else(|error| Self {
            error: Some(one_line(&error)),
            ..Self::default()
        })
    }

    fn read(queue: &Queue) -> Self {
        let (messages, bytes) = queue.used();
        let limits = queue.limits();
        let (counts, error) = match queue.reader().counts() {
            Ok(counts) => (counts, None),
            Err(error) => (crate::queue::Counts::default(), Some(one_line(&error))),
        };
        Self {
            messages,
            bytes,
            limit_messages: limits.messages_max,
            limit_bytes: limits.bytes_max,
            counts: counts.accounts,
            unknown_accounts: BTreeMap::new(),
            oldest_received_at: counts.oldest_received_at,
            quarantined: counts.quarantined,
            full: queue.is_full().map(|full| full.to_string()),
            latched: queue.is_latched(),
            error,
            commits: CommitStatus::of(queue.commits()),
        }
    }
}

impl IncidentStatus {
    /// Everything that is wrong.
    pub fn all(queue: &Queue) -> Vec<Self> {
        let open = queue.incidents().open().into_iter();
        open.map(Self::of).collect()
    }

    fn of(incident: Incident) -> Self {
        let Incident {
            id,
            finding,
            count,
            opened_at,
            ..
        } = incident;
        let number = finding.rule.as_deref().and_then(aadsts::number_of);
        Self {
            id: id.to_string(),
            kind: finding.kind.as_str().to_owned(),
            account: finding.of_account().map(str::to_owned),
            client: finding.of_client().map(str::to_owned),
            state: finding.state,
            aadsts: number,
            link: number.map(aadsts::link),
            rule: finding.rule,
            why: finding.why,
            remedy: finding.remedy,
            reason: finding.reason,
            count,
            opened_at: Timestamp::from_second(opened_at.as_second()).unwrap_or(opened_at),
        }
    }
}

impl CommitStatus {
    fn of(counts: CommitCounts) -> Self {
        let CommitCounts {
            messages,
            microseconds,
        } = counts;
        Self {
            count: messages.count,
            messages: messages.sum,
            by_messages: messages.buckets,
            microseconds: microseconds.sum,
            by_microseconds: microseconds.buckets,
        }
    }
}

impl TokenReport {
    /// Nothing is known but this.
    pub fn new(state: TokenState) -> Self {
        Self {
            state,
            expires_at: None,
            renew_at: None,
            error: None,
            rule: None,
            why: None,
            remedy: None,
            aadsts: None,
            link: None,
            next_try_at: None,
            sign_in: None,
        }
    }

    /// The state of the token source of `account`.
    pub fn of(status: &TokenStatus, account: &str) -> Self {
        let mut report = Self::new(TokenState::Stopped);
        match status {
            TokenStatus::Starting => report.state = TokenState::Starting,
            TokenStatus::Valid {
                expires_at,
                renew_at,
                ..
            } => {
                report.state = TokenState::Valid;
                report.expires_at = Some(wall(*expires_at));
                report.renew_at = Some(wall(*renew_at));
            }
            TokenStatus::Failing {
                error,
                next_try,
                usable_until,
                ..
            } => {
                report.state = TokenState::Failing;
                report.expires_at = usable_until.map(wall);
                report.error = Some(single_line(error.words()));
                if let Some(known) = error.known() {
                    let remedy = error.remedy();
                    report.rule = Some(known.key());
                    report.why = Some(known.meaning.to_owned());
                    report.remedy = remedy.map(|remedy| aadsts::addressed(remedy, account));
                    report.aadsts = known.number();
                    report.link = known.number().map(aadsts::link);
                }
                report.next_try_at = Some(wall(*next_try));
            }
            TokenStatus::Stopped => {}
        }
        report
    }
}

impl SignInReport {
    /// What is known of a stored sign-in.
    pub fn of(sign_in: &SignIn) -> Self {
        Self {
            user: sign_in.user.clone(),
            origin: sign_in.origin.as_str().to_owned(),
            client_id: sign_in.client_id.clone(),
            obtained_at: sign_in.obtained_at,
            renewed_at: sign_in.renewed_at,
        }
    }
}

/// What the wall clock shows, or showed, at an instant; to the second, more would be pretence.
pub(crate) fn wall(instant: Instant) -> Timestamp {
    let now = Instant::now();
    let ahead = instant.saturating_duration_since(now).as_secs() as i64;
    let behind = now.saturating_duration_since(instant).as_secs() as i64;
    let second = Timestamp::now().as_second() + ahead - behind;
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}
