//! `status`: the daemon at a glance.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::context::{Context, block_on};
use super::error::{CliError, Exit};
use super::output::Output;
use super::queue::Source;
use super::text::{count, harmless, since, size, until};
use crate::admin::{
    AccountState, AccountStatus, IncidentStatus, QueueStatus, Status, TokenReport, TokenState,
};
use crate::config::Settings;
use crate::queue::{Counts, Queue};

/// Show what the daemon is doing: accounts, tokens, queue
///
/// Exits 0 when the daemon answers, whatever it says; 1 when no daemon runs (the queue's counts are then
/// read from its folder); 75 when it holds the queue but does not answer yet, or any more.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As one JSON object; `running` tells whether the daemon answers
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Running<'a> {
    running: bool,
    #[serde(flatten)]
    status: &'a Status,
}

#[derive(Debug, Serialize)]
struct NotRunning<'a> {
    running: bool,
    queue: FolderStatus<'a>,
}

#[derive(Debug, Serialize)]
struct FolderStatus<'a> {
    quarantined: u64,
    counts: &'a BTreeMap<String, BTreeMap<String, u64>>,
    oldest_received_at: Option<Timestamp>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        let status = block_on(async {
            match Source::find(&settings).await? {
                Source::Daemon(client) => Ok(Ok(client.status().await?)),
                Source::Folder(reader) => Ok(Err(reader.counts()?)),
            }
        })?;
        let mut output = Output::new();
        match status {
            Ok(status) if self.json => output.json_pretty(&Running {
                running: true,
                status: &status,
            })?,
            Ok(status) => {
                for line in page(&status, Timestamp::now()) {
                    output.line(line)?;
                }
            }
            Err(counts) => {
                self.absent(&mut output, &counts)?;
                output.finish()?;
                return Err(nobody(&settings));
            }
        }
        output.finish()
    }

    /// What can be told without a daemon.
    fn absent(&self, output: &mut Output, counts: &Counts) -> Result<(), CliError> {
        if self.json {
            return output.json_pretty(&NotRunning {
                running: false,
                queue: FolderStatus {
                    quarantined: counts.quarantined,
                    counts: &counts.accounts,
                    oldest_received_at: counts.oldest_received_at,
                },
            });
        }
        let now = Timestamp::now();
        output.line(queue_line(&counts.accounts, counts.oldest_received_at, now))?;
        if counts.quarantined > 0 {
            output.line(quarantine_line(counts.quarantined))?;
        }
        Ok(())
    }
}

fn nobody(settings: &Settings) -> CliError {
    let socket = settings.admin.socket.display();
    let directory = settings.queue.directory.display();
    if Queue::is_in_use(&settings.queue.directory) {
        return CliError::new(
            Exit::TryAgain,
            format!(
                "a daemon holds {directory} and does not answer at {socket}: it starts, stops, or has other \
                 settings; try again, or name its settings with --config"
            ),
        );
    }
    CliError::new(
        Exit::Failed,
        format!(
            "no daemon runs: nobody answers at {socket}; start one, or name its settings with --config"
        ),
    )
}

fn page(status: &Status, now: Timestamp) -> Vec<String> {
    let mut lines = vec![format!(
        "exorelay {} on {}, process {}, up {}",
        status.version,
        status.hostname,
        status.pid,
        since(status.started_at, now)
    )];
    for listener in &status.listeners {
        lines.push(format!("listener {}: {}", listener.name, listener.address));
    }
    for account in &status.accounts {
        lines.extend(account_lines(account, now));
    }
    lines.extend(queue_lines(&status.queue, now));
    let incidents = status.incidents.iter();
    lines.extend(incidents.map(|incident| incident_line(incident, now)));
    lines.iter().map(|line| harmless(line)).collect()
}

fn account_lines(account: &AccountStatus, now: Timestamp) -> Vec<String> {
    let mut line = format!(
        "account {} ({} through {}): {}",
        account.name, account.mailbox, account.host, account.state
    );
    if account.state != AccountState::Ready {
        line.push_str(" since ");
        line.push_str(&since(account.since, now));
    }
    if let Some(reason) = &account.reason {
        line.push_str(", ");
        line.push_str(reason);
    }
    if account.probing {
        line.push_str("; being tried just now");
    } else if let Some(next) = account.next_probe_at {
        line.push_str("; tried again ");
        line.push_str(&until(next, now));
    }
    let pace = match account.messages_per_minute {
        0 => format!("{} sent in the last minute", account.sent_last_minute),
        limit => format!(
            "{} of {limit} sent in the last minute",
            account.sent_last_minute
        ),
    };
    let mut lines = vec![line];
    for (word, text) in [("why", &account.why), ("remedy", &account.remedy)] {
        lines.extend(text.iter().map(|text| format!("  {word}: {text}")));
    }
    lines.push(format!(
        "  {}, {pace}, {}",
        token(&account.token, now),
        count(u64::from(account.connections), "connection")
    ));
    if let Some(error) = &account.last_error {
        lines.push(format!("  last error: {error}"));
    }
    if let Some(reply) = &account.last_unknown_reply {
        let many = match account.unknown_replies {
            1 => "1 reply".to_owned(),
            many => format!("{many} replies"),
        };
        lines.push(format!(
            "  {many} that exorelay does not know, last: {reply}"
        ));
    }
    lines
}

fn incident_line(incident: &IncidentStatus, now: Timestamp) -> String {
    let what = match &incident.account {
        Some(account) => format!("account {account}"),
        None => "the queue".to_owned(),
    };
    format!(
        "incident {}: {what}: {} since {}, {}: {}",
        incident.id,
        incident.state,
        since(incident.opened_at, now),
        count(incident.count, "failure"),
        incident.reason
    )
}

fn token(token: &TokenReport, now: Timestamp) -> String {
    let life = match token.expires_at {
        Some(expires) if expires > now => {
            format!("good for {}", since(now, expires))
        }
        Some(_) => "expired".to_owned(),
        None => "none yet".to_owned(),
    };
    match token.state {
        TokenState::Valid => format!("token {life}"),
        TokenState::Failing => {
            let error = token.error.as_deref().unwrap_or("unknown reason");
            let next = token
                .next_try_at
                .map(|next| format!("; tried again {}", until(next, now)))
                .unwrap_or_default();
            let present = match token.expires_at {
                Some(_) => life,
                None => "none".to_owned(),
            };
            format!("token {present}, renewal fails: {error}{next}")
        }
        TokenState::Starting => "token asked for".to_owned(),
        TokenState::Stopped => "token no longer renewed".to_owned(),
        TokenState::Unknown => "token in a state this version does not know".to_owned(),
    }
}

fn queue_lines(queue: &QueueStatus, now: Timestamp) -> Vec<String> {
    let mut lines = vec![match &queue.error {
        Some(error) => format!("queue: cannot be read: {error}"),
        None => queue_line(&queue.counts, queue.oldest_received_at, now),
    }];
    for (account, waiting) in &queue.unknown_accounts {
        lines.push(format!(
            "  {} for account {account}, which the settings do not name: add [account.{account}] and reload",
            count(*waiting, "message")
        ));
    }
    lines.push(format!(
        "  {} of {} messages, {} of {}",
        queue.messages,
        queue.limit_messages,
        size(queue.bytes),
        size(queue.limit_bytes)
    ));
    if queue.quarantined > 0 {
        lines.push(quarantine_line(queue.quarantined));
    }
    if queue.latched {
        lines.push(
            "  STOPPED by a storage failure: no mail is accepted or sent; see the log, then restart"
                .to_owned(),
        );
    } else if let Some(full) = &queue.full {
        lines.push(format!("  FULL, clients are told to try later: {full}"));
    }
    lines
}

fn queue_line(
    counts: &BTreeMap<String, BTreeMap<String, u64>>,
    oldest: Option<Timestamp>,
    now: Timestamp,
) -> String {
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    for (state, counted) in counts.values().flatten() {
        *states.entry(state).or_default() += counted;
    }
    let failed = states.remove("failed").unwrap_or_default();
    let waiting: u64 = states.values().sum();
    let mut parts = vec![match waiting {
        0 => "nothing waits".to_owned(),
        1 => format!("1 message waits ({})", words(&states)),
        _ => format!("{waiting} messages wait ({})", words(&states)),
    }];
    if let Some(oldest) = oldest {
        parts.push(format!("the oldest for {}", since(oldest, now)));
    }
    if failed > 0 {
        parts.push(format!("{failed} failed and kept for inspection"));
    }
    format!("queue: {}", parts.join(", "))
}

fn quarantine_line(messages: u64) -> String {
    format!(
        "  QUARANTINED: {} damaged; exorelay queue verify tells what is wrong",
        count(messages, "message")
    )
}

/// `3 deferred, 12 ready`.
fn words(states: &BTreeMap<&str, u64>) -> String {
    let words = states.iter();
    let words: Vec<String> = words.map(|(state, n)| format!("{n} {state}")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn account() -> AccountStatus {
        AccountStatus {
            name: "default".into(),
            mailbox: "relay@contoso.com".into(),
            host: "smtp.office365.com".into(),
            state: AccountState::Ready,
            reason: None,
            rule: None,
            why: None,
            remedy: None,
            since: at("2026-11-20T09:00:00Z"),
            next_probe_at: None,
            probing: false,
            connections: 1,
            sent_last_minute: 12,
            messages_per_minute: 30,
            token: TokenReport {
                state: TokenState::Valid,
                expires_at: Some(at("2026-11-20T10:52:00Z")),
                renew_at: Some(at("2026-11-20T10:20:00Z")),
                error: None,
                next_try_at: None,
            },
            last_error: None,
            unknown_replies: 0,
            last_unknown_reply: None,
        }
    }

    #[test]
    fn accounts_say_how_they_are() {
        let now = at("2026-11-20T10:00:00Z");
        assert_eq!(
            account_lines(&account(), now),
            [
                "account default (relay@contoso.com through smtp.office365.com): ready",
                "  token good for 52m, 12 of 30 sent in the last minute, 1 connection",
            ]
        );
        let mut paused = account();
        paused.state = AccountState::Paused;
        paused.reason = Some("the client secret has expired; make a new one in Entra".into());
        paused.next_probe_at = Some(at("2026-11-20T10:04:00Z"));
        paused.token = TokenReport {
            state: TokenState::Failing,
            expires_at: None,
            renew_at: None,
            error: Some("AADSTS7000222".into()),
            next_try_at: Some(at("2026-11-20T10:04:00Z")),
        };
        paused.last_error = Some("no access token".into());
        assert_eq!(
            account_lines(&paused, now),
            [
                "account default (relay@contoso.com through smtp.office365.com): paused since 1h, the client \
                 secret has expired; make a new one in Entra; tried again in 4m",
                "  token none, renewal fails: AADSTS7000222; tried again in 4m, 12 of 30 sent in the last \
                 minute, 1 connection",
                "  last error: no access token",
            ]
        );
    }

    #[test]
    fn accounts_say_what_is_wrong_and_how_it_is_mended() {
        let now = at("2026-11-20T10:00:00Z");
        let mut blocked = account();
        blocked.state = AccountState::Blocked;
        blocked.reason = Some("550 5.1.8 Access denied, bad outbound sender".into());
        blocked.why = Some("Microsoft has restricted the mailbox.".into());
        blocked.remedy = Some("Release it.".into());
        blocked.probing = true;
        blocked.unknown_replies = 2;
        blocked.last_unknown_reply = Some("550 5.9.9 never".into());
        assert_eq!(
            account_lines(&blocked, now),
            [
                "account default (relay@contoso.com through smtp.office365.com): blocked since 1h, 550 5.1.8 \
                 Access denied, bad outbound sender; being tried just now",
                "  why: Microsoft has restricted the mailbox.",
                "  remedy: Release it.",
                "  token good for 52m, 12 of 30 sent in the last minute, 1 connection",
                "  2 replies that exorelay does not know, last: 550 5.9.9 never",
            ]
        );
    }

    #[test]
    fn incidents_have_an_id_an_age_and_a_count() {
        let incident = IncidentStatus {
            id: "01KA0000000000AB".into(),
            kind: "account".into(),
            account: Some("default".into()),
            state: "blocked".into(),
            rule: None,
            reason: "AADSTS7000222".into(),
            count: 20,
            opened_at: at("2026-11-20T06:48:00Z"),
        };
        assert_eq!(
            incident_line(&incident, at("2026-11-20T10:00:00Z")),
            "incident 01KA0000000000AB: account default: blocked since 3h12m, 20 failures: AADSTS7000222"
        );
    }

    #[test]
    fn queue_says_what_waits_what_failed_and_whether_it_is_full() {
        let now = at("2026-11-20T10:00:00Z");
        assert_eq!(
            queue_line(&BTreeMap::new(), None, now),
            "queue: nothing waits"
        );
        let states = |pairs: &[(&str, u64)]| {
            let pairs = pairs.iter();
            pairs.map(|(state, n)| ((*state).to_owned(), *n)).collect()
        };
        let counts = BTreeMap::from([
            ("a".to_owned(), states(&[("ready", 10), ("failed", 1)])),
            ("b".to_owned(), states(&[("ready", 2), ("deferred", 3)])),
        ]);
        let queue = QueueStatus {
            counts,
            unknown_accounts: BTreeMap::from([("b".to_owned(), 5)]),
            oldest_received_at: Some(at("2026-11-20T06:48:00Z")),
            full: Some("the queue holds its maximum of bytes".into()),
            messages: 15,
            limit_messages: 100_000,
            bytes: 10 << 30,
            limit_bytes: 10 << 30,
            ..QueueStatus::default()
        };
        assert_eq!(
            queue_lines(&queue, now),
            [
                "queue: 15 messages wait (3 deferred, 12 ready), the oldest for 3h12m, 1 failed and kept for \
                 inspection",
                "  5 messages for account b, which the settings do not name: add [account.b] and reload",
                "  15 of 100000 messages, 10 GiB of 10 GiB",
                "  FULL, clients are told to try later: the queue holds its maximum of bytes",
            ]
        );
    }
}
