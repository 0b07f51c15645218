//! `status`: the daemon at a glance.

mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::context::{Context, block_on};
use super::error::{CliError, Exit};
use super::output::Output;
use super::queue::Source;
use super::text::{clock, count, harmless, known_lines, since, size, until};
use super::token::origin_words;
use crate::admin::{
    AccountState, AccountStatus, ClientStatus, DeniedSenderStatus, IncidentStatus, PaceReport,
    QueueStatus, SignInReport, Status, TokenReport, TokenState,
};
use crate::config::{EXPIRY_WARNING_DAYS, Settings, days_until, runs_out};
use crate::queue::{Counts, Queue, pool_members};

/// Show what the daemon is doing: accounts, tokens, queue
///
/// Exits 0 when the daemon answers, whatever it says; 1 when no daemon runs (the queue's counts are then
/// read from its folder); 75 when it holds the queue but does not answer yet, or any more.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As one JSON object; `running` tells whether the daemon answers
    #[arg(long)]
    json: bool,
    /// Go on showing it, every 2 seconds or as many as are given, until Ctrl-C
    ///
    /// A terminal is drawn in place; elsewhere one page follows the other after an empty line, and with --json each
    /// look is one line. A daemon that stops answering is said to, and waited for.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    watch: Option<u64>,
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
    /// Why, where there is nowhere else to say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct FolderStatus<'a> {
    quarantined: u64,
    counts: &'a BTreeMap<String, BTreeMap<String, u64>>,
    oldest_received_at: Option<Timestamp>,
}

/// What there is to tell.
#[derive(Debug)]
enum Found {
    /// By the daemon.
    Running(Box<Status>),
    /// By its folder: none runs.
    Folder(Counts),
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        if let Some(seconds) = self.watch {
            return watch::run(&settings, Duration::from_secs(seconds), self.json);
        }
        let found = block_on(find(&settings))?;
        let mut output = Output::new();
        match &found {
            Found::Running(status) if self.json => output.json_pretty(&Running {
                running: true,
                status,
            })?,
            Found::Folder(counts) if self.json => output.json_pretty(&NotRunning {
                running: false,
                queue: FolderStatus::of(counts),
                error: None,
            })?,
            Found::Running(status) => {
                for line in page(status, Timestamp::now()) {
                    output.line(line)?;
                }
            }
            Found::Folder(counts) => {
                for line in absent_lines(counts, Timestamp::now()) {
                    output.line(line)?;
                }
            }
        }
        output.finish()?;
        match found {
            Found::Running(_) => Ok(()),
            Found::Folder(_) => Err(nobody(&settings)),
        }
    }
}

async fn find(settings: &Settings) -> Result<Found, CliError> {
    match Source::find(settings).await? {
        Source::Daemon(client) => Ok(Found::Running(Box::new(client.status().await?))),
        Source::Folder(reader) => {
            let counts = tokio::task::spawn_blocking(move || reader.counts()).await;
            let counts = counts.map_err(|error| CliError::new(Exit::Failed, error))?;
            Ok(Found::Folder(counts?))
        }
    }
}

/// What can be told without a daemon.
fn absent_lines(counts: &Counts, now: Timestamp) -> Vec<String> {
    let mut lines = vec![queue_line(&counts.accounts, counts.oldest_received_at, now)];
    if counts.quarantined > 0 {
        lines.push(quarantine_line(counts.quarantined));
    }
    lines
}

impl<'a> FolderStatus<'a> {
    fn of(counts: &'a Counts) -> Self {
        Self {
            quarantined: counts.quarantined,
            counts: &counts.accounts,
            oldest_received_at: counts.oldest_received_at,
        }
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
    if let Some(address) = &status.admin_http {
        lines.push(format!("status page: http://{address}/"));
    }
    if status.session_panics > 0 {
        lines.push(format!(
            "{} broken off by a defect of exorelay: see the log and report it",
            count(status.session_panics, "session")
        ));
    }
    for account in &status.accounts {
        lines.extend(account_lines(account, now, &TimeZone::system()));
    }
    lines.extend(queue_lines(&status.queue, now));
    lines.extend(watched_line(&status.clients));
    let incidents = status.incidents.iter();
    lines.extend(incidents.map(|incident| incident_line(incident, now)));
    lines.iter().map(|line| harmless(line)).collect()
}

fn account_lines(account: &AccountStatus, now: Timestamp, zone: &TimeZone) -> Vec<String> {
    let mut line = format!(
        "account {} ({} through {}): {}",
        account.name, account.mailbox, account.host, account.state
    );
    // Nothing is to be tried: the moment is known.
    let knows_when = account.state == AccountState::Throttled && account.next_probe_at.is_none();
    if let Some(until) = account.pace.waiting_until.filter(|_| knows_when) {
        line.push_str(" until ");
        line.push_str(&clock(until, now, zone));
    } else if account.state != AccountState::Ready {
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
    let mut lines = vec![line];
    lines.extend(known_lines([&account.why, &account.remedy, &account.link]));
    let report = &account.token;
    // What is told of the account need not be told of its token.
    let is_told = report.rule.is_some() && report.rule == account.rule;
    lines.push(format!(
        "  {}, {}",
        token(report, is_told, now),
        count(u64::from(account.connections), "connection")
    ));
    let sign_in = account.token.sign_in.as_ref();
    lines.extend(sign_in.map(|sign_in| format!("  {}", sign_in_line(sign_in, now))));
    if !is_told {
        let known = known_lines([&report.why, &report.remedy, &report.link]);
        lines.extend(known.iter().map(|line| format!("  {line}")));
    }
    let today = now.to_zoned(zone.clone()).date();
    lines.extend(account.credential_expires.map(|on| expiry_line(on, today)));
    lines.extend(pace_line(&account.pace, now, zone).map(|pace| format!("  {pace}")));
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
    lines.extend(denied_lines(&account.denied_senders, now));
    lines
}

fn expiry_line(on: Date, today: Date) -> String {
    let what = if days_until(on, today) <= EXPIRY_WARNING_DAYS {
        "CREDENTIAL"
    } else {
        "credential"
    };
    format!("  {what} {}", runs_out(on, today))
}

/// Refused senders that are shown one by one.
const DENIED_MAX: usize = 5;

fn denied_lines(denied: &[DeniedSenderStatus], now: Timestamp) -> Vec<String> {
    let shown = denied.iter().take(DENIED_MAX);
    let mut lines: Vec<_> = shown
        .map(|one| {
            let rest = since(now, one.until);
            format!("  may not send as {}: rewritten for {rest}", one.address)
        })
        .collect();
    let more = denied.len().saturating_sub(DENIED_MAX);
    if more > 0 {
        lines.push(format!(
            "  and {more} more; exorelay sender list shows them all"
        ));
    }
    lines
}

/// `30/30 this minute, 412 queued, drained at about 14:32`.
fn pace_line(pace: &PaceReport, now: Timestamp, zone: &TimeZone) -> Option<String> {
    let mut parts = Vec::new();
    if pace.messages_per_minute > 0 {
        let (used, limit) = (pace.messages_last_minute, pace.messages_per_minute);
        parts.push(format!("{used}/{limit} this minute"));
    }
    if pace.queued > 0 {
        parts.push(format!("{} queued", pace.queued));
    }
    if let Some(drained) = pace.drained_at {
        parts.push(format!("drained at about {}", clock(drained, now, zone)));
    }
    if pace.recipients_per_day > 0 {
        let (used, limit) = (pace.recipients_last_day, pace.recipients_per_day);
        parts.push(format!("{used}/{limit} recipients in 24 hours"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// `clients: 3 watched, 1 silent (lobby)`; none where nobody is watched.
fn watched_line(clients: &[ClientStatus]) -> Option<String> {
    let is_watched = |client: &&ClientStatus| client.silent_after_seconds.is_some();
    let watched = clients.iter().filter(is_watched).count();
    let silent = clients.iter().filter(|client| client.silent);
    let silent: Vec<&str> = silent.map(|client| client.name.as_str()).collect();
    let mut line = format!("clients: {watched} watched");
    if !silent.is_empty() {
        line.push_str(&format!(
            ", {} silent ({})",
            silent.len(),
            silent.join(", ")
        ));
    }
    (watched > 0).then_some(line)
}

fn incident_line(incident: &IncidentStatus, now: Timestamp) -> String {
    let what = match (&incident.account, &incident.client) {
        (Some(account), _) => format!("account {account}"),
        (None, Some(client)) => format!("client {client}"),
        (None, None) => "the queue".to_owned(),
    };
    // One that runs out has not failed yet: only the days are counted. Nor is there anything to count of silence.
    let failures = match incident.kind.as_str() {
        "credential" | "client" => String::new(),
        _ => format!(", {}", count(incident.count, "failure")),
    };
    format!(
        "incident {}: {what}: {} since {}{failures}: {}",
        incident.id,
        incident.state,
        since(incident.opened_at, now),
        incident.reason
    )
}

/// `is_told`: why there is none stands above already.
fn token(token: &TokenReport, is_told: bool, now: Timestamp) -> String {
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
            let next = token
                .next_try_at
                .map(|next| format!("; tried again {}", until(next, now)))
                .unwrap_or_default();
            let present = match token.expires_at {
                Some(_) => life,
                None => "none".to_owned(),
            };
            let error = match &token.error {
                _ if is_told => String::new(),
                Some(error) => format!(": {error}"),
                None => ": unknown reason".to_owned(),
            };
            format!("token {present}, renewal fails{error}{next}")
        }
        TokenState::Starting => "token asked for".to_owned(),
        TokenState::Stopped => "token no longer renewed".to_owned(),
        TokenState::Unknown => "token in a state this version does not know".to_owned(),
    }
}

/// `signed in as relay@contoso.com in a browser 3d ago, renewed 12m ago`.
fn sign_in_line(sign_in: &SignInReport, now: Timestamp) -> String {
    let user = sign_in.user.as_deref().unwrap_or("an unknown person");
    format!(
        "signed in as {user} {} {} ago, renewed {} ago",
        origin_words(&sign_in.origin),
        since(sign_in.obtained_at, now),
        since(sign_in.renewed_at, now)
    )
}

fn queue_lines(queue: &QueueStatus, now: Timestamp) -> Vec<String> {
    let mut lines = vec![match &queue.error {
        Some(error) => format!("queue: cannot be read: {error}"),
        None => queue_line(&queue.counts, queue.oldest_received_at, now),
    }];
    for (account, waiting) in &queue.unknown_accounts {
        // Of a pool one is enough.
        let one = pool_members(account).next().unwrap_or_default();
        lines.push(format!(
            "  {} for account {account}, which the settings do not name: add [account.{one}], or a [[route]] that \
             takes them, and reload",
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
mod tests;
