//! `history`: what happened to which message.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::context::{Context, block_on};
use super::error::{CliError, Exit};
use super::output::{JsonArray, Output};
use super::queue::{Source, parse_id, states};
use super::text::{harmless, local_time, size};
use crate::config::parse_duration;
use crate::queue::{
    AddressPattern, HistoryFilter, MessageDetail, MessageState, QueueId, RecipientState,
};

/// Show what happened to messages, delivered and deleted ones included
///
/// When and from whom each was received, every attempt with its reply, what became of each recipient, and
/// what operators did; for as long as the settings keep it. Exits 1 when --id names
/// no message.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only messages from this address, from *@DOMAIN, or from <>
    #[arg(long, value_name = "ADDRESS")]
    from: Option<AddressPattern>,

    /// Only messages with this recipient, or one in *@DOMAIN
    #[arg(long, value_name = "ADDRESS")]
    to: Option<AddressPattern>,

    /// Only messages received since: an age such as 2h or 3d, or a time such as 2026-11-20T10:00
    #[arg(long, value_name = "WHEN", value_parser = parse_since)]
    since: Option<Timestamp>,

    /// Only messages that are now in this state
    #[arg(long, value_name = "STATE", value_parser = states(&MessageState::ALL))]
    state: Option<MessageState>,

    /// Only this message
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    id: Option<QueueId>,

    /// As one JSON array, a message on each line
    #[arg(long)]
    json: bool,
}

/// An age, an instant, or a time as the wall clock here shows it.
fn parse_since(text: &str) -> Result<Timestamp, String> {
    if let Ok(age) = parse_duration(text) {
        let age = SignedDuration::try_from(age).map_err(|error| error.to_string())?;
        return Timestamp::now()
            .checked_sub(age)
            .map_err(|error| error.to_string());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let local = text.parse::<DateTime>().ok();
    local
        .and_then(|time| time.to_zoned(TimeZone::system()).ok())
        .map(|time| time.timestamp())
        .ok_or_else(|| {
            "write an age such as 2h or 3d, or a time such as 2026-11-20T10:00".to_owned()
        })
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        let filter = HistoryFilter {
            id: self.id,
            state: self.state,
            from: self.from,
            to: self.to,
            since: self.since,
            ..HistoryFilter::default()
        };
        let mut output = Output::new();
        let mut array = self.json.then(JsonArray::default);
        let mut messages = 0_u64;
        let mut written = Ok(());
        let each = |detail: MessageDetail| {
            messages += 1;
            written = match &mut array {
                Some(array) => array.item(&mut output, &detail),
                None => page(&detail).iter().try_for_each(|line| output.line(line)),
            };
            match written {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        };
        block_on(async {
            match Source::find(&settings).await? {
                Source::Daemon(client) => client.history(&filter, each).await?,
                Source::Folder(reader) => reader.history(&filter, each)?,
            }
            Ok(())
        })?;
        written?;
        if let (Some(id), 0) = (self.id, messages) {
            let line = format!("no message {id} in queue or history; exorelay history shows all");
            return Err(CliError::new(Exit::Failed, line));
        }
        match array {
            Some(array) => array.end(&mut output)?,
            None if messages == 0 => output.line("no such message in the history")?,
            None => {}
        }
        output.finish()
    }
}

/// One message: how it came, what happened in the order of time, and where each recipient stands.
fn page(detail: &MessageDetail) -> Vec<String> {
    let message = &detail.message;
    let sender = match message.reverse_path.as_str() {
        "" => "<>",
        sender => sender,
    };
    let mut head = format!(
        "{}  {}  {}  {}",
        message.id,
        message.state.as_str(),
        sender,
        size(message.size_bytes)
    );
    for more in [&message.subject, &message.message_id]
        .into_iter()
        .flatten()
    {
        head.push_str("  ");
        head.push_str(more);
    }
    let mut lines = vec![head];
    let mut steps = vec![(message.received_at, format!("received {}", origin(detail)))];
    steps.extend(detail.history.iter().map(|attempt| {
        let mut text = format!("attempt {} to {}", attempt.number, attempt.remote);
        if let Some(connection) = attempt.connection {
            let _ = write!(text, ", connection {connection}");
        }
        let uncertain = if attempt.uncertain {
            ", perhaps delivered"
        } else {
            ""
        };
        let result = match attempt.result.as_str() {
            "" => "undecided",
            result => result,
        };
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            " (account {}): {result}{uncertain}: {}",
            attempt.account, attempt.reply
        );
        (attempt.started_at, text)
    }));
    steps.extend(detail.events.iter().map(|event| {
        let mut text = format!(
            "{} by {} through the {}",
            event.action, event.actor, event.through
        );
        if let Some(more) = &event.detail {
            text.push_str(": ");
            text.push_str(more);
        }
        (event.at, text)
    }));
    // The reception stays first where the clock was set back.
    if let Some(later) = steps.get_mut(1..) {
        later.sort_by_key(|(at, _)| *at);
    }
    let steps = steps.into_iter();
    lines.extend(steps.map(|(at, text)| format!("  {}  {text}", local_time(at))));
    for recipient in &message.recipients {
        let state = match recipient.state {
            RecipientState::Pending => "pending",
            RecipientState::Delivered => "delivered",
            RecipientState::Failed => "failed",
        };
        let reply = recipient.reply.as_deref().unwrap_or_default();
        lines.push(format!("  {state:<9} {}  {reply}", recipient.address));
    }
    let lines = lines.iter();
    lines.map(|line| harmless(line.trim_end())).collect()
}

/// `by listener local from 10.20.1.15 (scanner), TLSv1.3, as alice`.
pub(super) fn origin(detail: &MessageDetail) -> String {
    let mut text = format!("by listener {}", detail.listener);
    if !detail.client.is_empty() {
        let helo = match detail.helo.as_str() {
            "" => "no name given",
            helo => helo,
        };
        // Writing to a `String` cannot fail.
        let _ = write!(text, " from {} ({helo})", detail.client);
    }
    if let Some(tls) = &detail.tls {
        text.push_str(", ");
        text.push_str(tls);
    }
    if let Some(name) = &detail.auth_name {
        text.push_str(", as ");
        text.push_str(name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_an_age_or_a_time() {
        let now = Timestamp::now();
        let hour = parse_since("1h").unwrap();
        let seconds = now.duration_since(hour).as_secs();
        assert!((3599..=3601).contains(&seconds), "{seconds}");
        let zulu = parse_since("2026-11-20T10:00:00Z").unwrap();
        assert_eq!(zulu, "2026-11-20T10:00:00Z".parse().unwrap());
        for local in ["2026-11-20", "2026-11-20T10:00", "2026-11-20 10:00:05"] {
            assert!(parse_since(local).is_ok(), "{local}");
        }
        for bad in ["", "yesterday", "5", "2026-13-01", "-1h"] {
            assert!(
                parse_since(bad).unwrap_err().contains("write an age"),
                "{bad}"
            );
        }
    }
}
