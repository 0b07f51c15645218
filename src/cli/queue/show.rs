//! `queue show`: one message with everything that happened to it.

use jiff::Timestamp;

use super::table::reverse_path;
use super::{Source, export, parse_id};
use crate::admin::{AccountState, AccountStatus, Client};
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CliError, Exit};
use crate::cli::history::origin;
use crate::cli::output::Output;
use crate::cli::text::{count, harmless, known_lines, local_time, since, size, until};
use crate::delivery::{Rule, explain};
use crate::queue::{
    AttemptRecord, EventRecord, MessageDetail, MessageState, QueueId, RecipientState, Selection,
    pool_members,
};

/// Show one message: envelope, recipients, attempts, why it waits and until when, and its headers
///
/// Exits 1 when neither queue nor history has a message of that id.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The id from `queue list` or from the reply to the client
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: QueueId,

    /// As one JSON object
    #[arg(long)]
    json: bool,

    /// The message itself, octet for octet, and nothing else
    #[arg(long, conflicts_with = "json")]
    content: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        if self.content {
            return export::to_output(&settings, &Selection::Ids(vec![self.id]), true);
        }
        let (found, sender) = block_on(async {
            match Source::find(&settings).await? {
                Source::Daemon(client) => {
                    let found = client.show(self.id).await?;
                    let sender = match &found {
                        Some(detail) => sender(&client, detail).await,
                        None => Sender::Unknown,
                    };
                    Ok((found, sender))
                }
                Source::Folder(reader) => Ok((reader.show(self.id)?, Sender::Stopped)),
            }
        })?;
        let Some(detail) = found else {
            return Err(CliError::new(
                Exit::Failed,
                format!(
                    "no message {} in queue or history; exorelay queue list shows what waits",
                    self.id
                ),
            ));
        };
        let mut output = Output::new();
        if self.json {
            output.json_pretty(&detail)?;
        } else {
            for line in page(&detail, &sender, Timestamp::now()) {
                output.line(line)?;
            }
            let header = export::header(&settings, self.id);
            if !header.is_empty() {
                output.line("headers")?;
            }
            for line in header {
                output.line(format!("  {}", harmless(&line)))?;
            }
        }
        output.finish()
    }
}

/// What is known of the account that sends the message.
enum Sender {
    /// The daemon does not run.
    Stopped,
    Account(Box<AccountStatus>),
    Unknown,
}

/// The message is what was asked for: without the account's state the page is less helpful, not wrong.
async fn sender(client: &Client, detail: &MessageDetail) -> Sender {
    let Ok(status) = client.status().await else {
        return Sender::Unknown;
    };
    let may_send = |account: &AccountStatus| {
        pool_members(&detail.message.account).any(|name| name == account.name)
    };
    let accounts = status.accounts.into_iter().filter(may_send);
    // While one of a pool is ready, the pool is.
    accounts
        .min_by_key(|account| account.state != AccountState::Ready)
        .map_or(Sender::Unknown, |account| {
            Sender::Account(Box::new(account))
        })
}

fn page(detail: &MessageDetail, sender: &Sender, now: Timestamp) -> Vec<String> {
    let message = &detail.message;
    let mut lines = Vec::new();
    let mut field = |name: &str, value: &str| {
        lines.push(format!("{name:<11} {}", harmless(value)));
    };
    field("ID", &message.id);
    field("State", message.state.as_str());
    if let Some(why) = why(detail, sender, now) {
        field("Waits", &why);
    }
    field("Account", &message.account);
    field("From", reverse_path(message));
    if let Some(subject) = &message.subject {
        field("Subject", subject);
    }
    if let Some(message_id) = &message.message_id {
        field("Message-ID", message_id);
    }
    if let Some(ret) = &detail.ret {
        field("RET", ret);
    }
    if let Some(envelope_id) = &detail.envelope_id {
        field("ENVID", envelope_id);
    }
    let bytes = message.size_bytes;
    field("Size", &format!("{} ({bytes} bytes)", size(bytes)));
    let received = format!(
        "{}, {} ago, {}",
        local_time(message.received_at),
        since(message.received_at, now),
        origin(detail)
    );
    field("Received", &received);
    if let Some(ended_at) = detail.ended_at {
        field("Ended", &local_time(ended_at));
    }
    lines.push(count(message.recipients.len() as u64, "recipient"));
    for recipient in &message.recipients {
        let state = match recipient.state {
            RecipientState::Pending => "pending",
            RecipientState::Delivered => "delivered",
            RecipientState::Failed => "failed",
        };
        let address = harmless(&recipient.address);
        let reply = recipient.reply.as_deref().map(harmless).unwrap_or_default();
        lines.push(
            format!("  {state:<9} {address}  {reply}")
                .trim_end()
                .to_owned(),
        );
        let asked = [
            ("NOTIFY", &recipient.notify),
            ("ORCPT", &recipient.original_recipient),
        ];
        for (keyword, value) in asked {
            if let Some(value) = value {
                lines.push(format!("            {keyword}={}", harmless(value)));
            }
        }
    }
    lines.extend(meanings(detail, sender));
    lines.push(match message.attempts {
        0 => "no attempt yet".to_owned(),
        attempts => count(u64::from(attempts), "attempt"),
    });
    lines.extend(detail.history.iter().flat_map(attempt));
    if !detail.events.is_empty() {
        lines.push(count(detail.events.len() as u64, "event"));
        lines.extend(detail.events.iter().map(event));
    }
    lines
}

/// What the replies to recipients mean, and why its account does not send, each meaning once; delivered
/// ones need no explaining.
fn meanings(detail: &MessageDetail, sender: &Sender) -> Vec<String> {
    let mut rules: Vec<&Rule> = Vec::new();
    let undelivered = detail.message.recipients.iter();
    let undelivered = undelivered.filter(|one| one.state != RecipientState::Delivered);
    for rule in undelivered.filter_map(|one| explain(one.reply.as_deref()?)) {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    let mut lines = Vec::new();
    for rule in &rules {
        lines.push(format!("  why: {}", rule.sentence));
        lines.push(format!("  remedy: {}", rule.remedy));
    }
    if let Sender::Account(account) = sender
        && waits(detail.message.state)
        && !rules
            .iter()
            .any(|rule| Some(rule.key) == account.rule.as_deref())
    {
        let known = known_lines([&account.why, &account.remedy, &account.link]);
        lines.extend(known.iter().map(|line| harmless(line)));
    }
    lines
}

fn waits(state: MessageState) -> bool {
    matches!(state, MessageState::Ready | MessageState::Deferred)
}

fn event(event: &EventRecord) -> String {
    let mut text = format!(
        "  {}  {} by {} through the {}",
        local_time(event.at),
        event.action,
        event.actor,
        event.through
    );
    if let Some(detail) = &event.detail {
        text.push_str(": ");
        text.push_str(detail);
    }
    harmless(&text)
}

fn attempt(attempt: &AttemptRecord) -> [String; 2] {
    let took = attempt.started_at.duration_until(attempt.ended_at);
    [
        format!(
            "  {:>3}  {}  {:.1} s  {}  {}{} (account {}{})",
            attempt.number,
            local_time(attempt.started_at),
            took.as_secs_f64().max(0.0),
            harmless(&attempt.remote),
            harmless(&attempt.result),
            if attempt.uncertain {
                ", perhaps delivered"
            } else {
                ""
            },
            harmless(&attempt.account),
            attempt
                .connection
                .map_or_else(String::new, |number| format!(", connection {number}")),
        ),
        format!("       {}", harmless(&attempt.reply)),
    ]
}

/// Why the message has not ended, and until when it waits.
fn why(detail: &MessageDetail, sender: &Sender, now: Timestamp) -> Option<String> {
    let message = &detail.message;
    let why = match message.state {
        MessageState::Sending => "an attempt is under way".to_owned(),
        MessageState::Held if message.quarantined.is_some() => format!(
            "for an operator: quarantined, {}; release it once that is repaired, or delete it",
            message.quarantined.as_deref().unwrap_or_default()
        ),
        MessageState::Held => match &message.last_reply {
            Some(reply) => format!("for an operator: {reply}"),
            None => "for an operator".to_owned(),
        },
        MessageState::Failed | MessageState::Delivered | MessageState::Deleted => return None,
        MessageState::Ready => "for its turn".to_owned(),
        MessageState::Deferred => {
            let next = match message.next_attempt_at {
                Some(next) => format!("until {} ({})", local_time(next), until(next, now)),
                None => "for its next attempt".to_owned(),
            };
            match &message.last_reply {
                Some(reply) => format!("{next}: {reply}"),
                None => next,
            }
        }
    };
    let waits = waits(message.state);
    Some(match sender {
        Sender::Stopped if waits => format!("{why}; no daemon runs, so nothing is sent"),
        Sender::Account(account) if waits => match account_trouble(account, now) {
            Some(trouble) => format!("{why}; {trouble}"),
            None => why,
        },
        Sender::Stopped | Sender::Account(_) | Sender::Unknown => why,
    })
}

fn account_trouble(account: &AccountStatus, now: Timestamp) -> Option<String> {
    if account.state == AccountState::Ready {
        return None;
    }
    let mut text = format!("its account is {}", account.state);
    if let Some(reason) = &account.reason {
        text.push_str(": ");
        text.push_str(reason);
    }
    if let Some(next) = account.next_probe_at {
        text.push_str("; tried again ");
        text.push_str(&until(next, now));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::PaceReport;
    use crate::admin::{TokenReport, TokenState};
    use crate::queue::{MessageRecord, RecipientRecord};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn detail(state: MessageState) -> MessageDetail {
        MessageDetail {
            message: MessageRecord {
                id: "01K9Z3X4T5ABCDEF".into(),
                state,
                account: "default".into(),
                reverse_path: String::new(),
                recipients: vec![RecipientRecord {
                    address: "desk@contoso.com".into(),
                    state: RecipientState::Pending,
                    reply: Some("451 4.7.0 busy\x1b[0m".into()),
                    notify: Some("FAILURE,DELAY".into()),
                    original_recipient: Some("rfc822;front@contoso.com".into()),
                }],
                size_bytes: 5,
                received_at: at("2026-11-20T09:00:00Z"),
                next_attempt_at: Some(at("2026-11-20T10:05:00Z")),
                attempts: 1,
                last_reply: Some("451 4.7.0 busy".into()),
                subject: Some("Scan".into()),
                message_id: None,
                quarantined: None,
            },
            listener: "local".into(),
            client: "127.0.0.1".into(),
            helo: String::new(),
            tls: None,
            auth_name: None,
            ret: Some("HDRS".into()),
            envelope_id: Some("QQ+2B1".into()),
            events: Vec::new(),
            ended_at: None,
            history: vec![AttemptRecord {
                number: 1,
                started_at: at("2026-11-20T09:00:00Z"),
                ended_at: at("2026-11-20T09:00:01.5Z"),
                account: "default".into(),
                remote: "smtp.office365.com".into(),
                result: "deferred".into(),
                reply: "451 4.7.0 busy".into(),
                uncertain: false,
                connection: Some(3),
            }],
        }
    }

    fn paused() -> Sender {
        Sender::Account(Box::new(AccountStatus {
            name: "default".into(),
            mailbox: "relay@contoso.com".into(),
            host: "smtp.office365.com".into(),
            state: AccountState::Paused,
            reason: Some("535 5.7.3 Authentication unsuccessful".into()),
            rule: None,
            why: None,
            remedy: None,
            aadsts: None,
            link: None,
            since: at("2026-11-20T09:30:00Z"),
            next_probe_at: Some(at("2026-11-20T10:01:00Z")),
            probing: false,
            connections: 0,
            pace: PaceReport::default(),
            token: TokenReport::new(TokenState::Starting),
            credential_expires: None,
            last_error: None,
            unknown_replies: 0,
            last_unknown_reply: None,
            denied_senders: Vec::new(),
        }))
    }

    #[test]
    fn page_tells_why_a_message_waits_and_until_when() {
        let now = at("2026-11-20T10:00:00Z");
        let page = page(&detail(MessageState::Deferred), &paused(), now).join("\n");
        for part in [
            "From        <>",
            "(in 5m): 451 4.7.0 busy; its account is paused: 535 5.7.3 Authentication unsuccessful; tried again in 1m",
            "1h ago, by listener local from 127.0.0.1 (no name given)",
            "  pending   desk@contoso.com  451 4.7.0 busy\u{fffd}[0m",
            "            NOTIFY=FAILURE,DELAY\n            ORCPT=rfc822;front@contoso.com",
            "RET         HDRS\nENVID       QQ+2B1",
            "1.5 s  smtp.office365.com  deferred (account default, connection 3)",
        ] {
            assert!(page.contains(part), "{part:?} in\n{page}");
        }
    }

    #[test]
    fn replies_are_explained_once_each() {
        let now = at("2026-11-20T10:00:00Z");
        let mut detail = detail(MessageState::Failed);
        let recipient = |state, reply: &str| RecipientRecord {
            address: "desk@contoso.com".into(),
            state,
            reply: Some(reply.into()),
            notify: None,
            original_recipient: None,
        };
        detail.message.recipients = vec![
            recipient(RecipientState::Failed, "550 5.1.1 no such user"),
            recipient(
                RecipientState::Failed,
                "550 5.1.10 RESOLVER.ADR.RecipientNotFound",
            ),
            recipient(RecipientState::Delivered, "250 2.0.0 OK"),
            recipient(RecipientState::Failed, "550 5.9.9 never heard of"),
        ];
        let lines = page(&detail, &Sender::Stopped, now);
        let meanings: Vec<_> = lines
            .iter()
            .filter(|line| line.starts_with("  why: ") || line.starts_with("  remedy: "))
            .collect();
        assert_eq!(meanings.len(), 2, "{meanings:?}");
        assert_eq!(meanings[0], "  why: There is no such recipient.");
    }

    #[test]
    fn what_keeps_the_account_from_sending_is_explained_too() {
        let now = at("2026-11-20T10:00:00Z");
        let Sender::Account(mut account) = paused() else {
            panic!("an account");
        };
        account.rule = Some("aadsts50173".into());
        account.why = Some("The sign-in was revoked.".into());
        account.remedy = Some("Sign in again: exorelay login default.".into());
        account.link = Some("https://login.microsoftonline.com/error?code=50173".into());
        let sender = Sender::Account(account);
        let lines = page(&detail(MessageState::Ready), &sender, now);
        let told = "  why: The sign-in was revoked.\n  remedy: Sign in again: exorelay login default.\n  \
                    more: https://login.microsoftonline.com/error?code=50173";
        assert!(lines.join("\n").contains(told), "{lines:?}");
        let failed = page(&detail(MessageState::Failed), &sender, now).join("\n");
        assert!(!failed.contains("revoked"), "{failed}");
    }

    #[test]
    fn ended_messages_wait_for_nothing() {
        let now = at("2026-11-20T10:00:00Z");
        for state in [MessageState::Failed, MessageState::Delivered] {
            assert_eq!(why(&detail(state), &Sender::Stopped, now), None);
        }
        let ready = why(&detail(MessageState::Ready), &Sender::Stopped, now).unwrap();
        assert!(ready.contains("no daemon runs"), "{ready}");
    }
}
