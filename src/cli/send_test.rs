//! `send-test`: one message through the running daemon, followed to its outcome.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use super::context::{Context, block_on};
use super::error::{CliError, Exit};
use super::output::{Output, say};
use super::sample::Sample;
use super::signals::Signals;
use super::submit::submit;
use super::text::{harmless, span, until};
use crate::admin::{AccountState, Client, Status};
use crate::config::{Listener, ListenerAuth, ListenerTls, Settings, parse_duration};
use crate::delivery::{Rule, explain};
use crate::listener::Sender;
use crate::mail::Mailbox;
use crate::queue::{MessageRecord, MessageState, QueueId, pool_members};

/// Send a message through the running daemon and follow it to its outcome
///
/// It takes the way of every other: in at a plain listener on loopback, through the queue, out to the service; each
/// change is told as it happens. Exits 0 when it was delivered, 1 when it failed, 75 when it still waits
/// (it stays queued), 69 when no daemon runs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// To whom
    #[arg(long, value_name = "ADDRESS", value_parser = Mailbox::parse)]
    to: Mailbox,

    /// From whom [default: the account's mailbox]
    #[arg(long, value_name = "ADDRESS", value_parser = Mailbox::parse)]
    from: Option<Mailbox>,

    /// Through this account, if a listener and the routes lead to it
    #[arg(long, value_name = "NAME")]
    account: Option<String>,

    /// How long to follow it
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    timeout: Duration,

    /// Tell only how it ended, as one JSON object
    #[arg(long)]
    json: bool,
}

/// Often enough to be seen moving, and next to nothing for the daemon.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How the accounts do is asked less often.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// How it ended.
#[derive(Debug, Serialize)]
struct Ending<'a> {
    id: &'a str,
    to: &'a str,
    state: MessageState,
    account: &'a str,
    /// The last reply of the service.
    reply: Option<&'a str>,
    why: Option<&'static str>,
    remedy: Option<&'static str>,
    seconds: u64,
}

/// Why following it ended.
enum End {
    Decided(MessageRecord),
    /// It waits on, and this is where.
    Waiting(MessageRecord, &'static str),
    /// An operator removed it meanwhile.
    Gone,
}

/// Where the message is to go in.
struct Door<'a> {
    listener: &'a str,
    address: SocketAddr,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = context.load()?.settings;
        block_on(self.send(&settings))
    }

    async fn send(self, settings: &Settings) -> Result<(), CliError> {
        let client = Client::new(&settings.admin.socket)?;
        if !client.is_answered().await? {
            let socket = settings.admin.socket.display();
            let line = format!(
                "no daemon runs: nobody answers at {socket}; start it, or name its settings with --config"
            );
            return Err(CliError::new(Exit::Unavailable, line));
        }
        let from = self.sender(settings)?;
        let status = client.status().await?;
        let door = self.door(settings, &status, &from)?;
        let sample = Sample {
            from: &from,
            to: &self.to,
            hostname: &settings.hostname,
            subject: "exorelay send-test",
            text: "This message was sent by exorelay send-test, through the queue of the daemon. That it arrived\r\n\
                   shows that mail gets from a device to you.\r\n",
        };
        // From here on Ctrl-C ends the following, and not the message.
        let mut signals = Signals::catch()?;
        let content = sample.compose();
        let parties = (&from, &self.to);
        let submitted = submit(door.address, "send-test", parties, &content).await;
        let id = submitted.map_err(|error| {
            let exit = if error.is_temporary() {
                Exit::TryAgain
            } else {
                Exit::Failed
            };
            let Door { listener, address } = door;
            let line = format!("the listener {listener} at {address} does not take it: {error}");
            CliError::new(exit, line)
        })?;
        let begun = Instant::now();
        self.tell(&format!(
            "queued     as {id}, on stable storage, by listener {} at {}",
            door.listener, door.address
        ))?;
        let end = tokio::select! {
            biased;
            () = signals.stop_signal() => self.stand(&client, id, "interrupted").await?,
            end = self.follow(&client, id, begun) => end?,
        };
        self.end(id, &end, begun.elapsed())
    }

    /// Nothing for programs: they want the end.
    fn tell(&self, line: &str) -> Result<(), CliError> {
        if self.json {
            return Ok(());
        }
        say(&format!("{}\n", harmless(line)))
    }

    fn sender(&self, settings: &Settings) -> Result<Mailbox, CliError> {
        if let Some(from) = &self.from {
            return Ok(from.clone());
        }
        let accounts = &settings.accounts;
        let account = match &self.account {
            Some(name) => accounts.get(name),
            None => settings
                .default_account()
                .or_else(|| accounts.values().next()),
        };
        account
            .map(|account| account.mailbox.clone())
            .ok_or_else(|| {
                let names: Vec<&str> = accounts.keys().map(String::as_str).collect();
                let line = format!(
                    "no such account in the settings; they have {}",
                    names.join(", ")
                );
                CliError::new(Exit::Failed, line)
            })
    }

    /// The first listener that takes a plain message from this machine, for the account that is wanted.
    fn door<'l>(
        &self,
        settings: &'l Settings,
        status: &Status,
        from: &Mailbox,
    ) -> Result<Door<'l>, CliError> {
        let routing = settings.routing_part();
        let mut doors = settings.listeners.values().filter_map(|listener| {
            let address = plain_address(listener, status)?;
            let sender = Sender {
                listener: &listener.name,
                client: Some(address.ip()),
                reverse_path: from.as_str(),
            };
            let key = routing.key(sender, self.to.as_str())?.to_owned();
            let name = listener.name.as_str();
            Some((
                Door {
                    listener: name,
                    address,
                },
                key,
            ))
        });
        let leads = |key: &str| match &self.account {
            Some(wanted) => pool_members(key).any(|member| member == wanted),
            None => true,
        };
        let found = doors.find(|(_, key)| leads(key));
        found.map(|(door, _)| door).ok_or_else(|| {
            let line = match &self.account {
                Some(account) => format!(
                    "no plain listener on loopback leads from {from} to account {account}: set account = \"{account}\" for one, or try exorelay check {account} --send {}, which needs none",
                    self.to
                ),
                None => "no listener of the daemon takes plain mail on loopback: add one (address = \"127.0.0.1:2525\"), or try exorelay check --send, which needs none".to_owned(),
            };
            CliError::new(Exit::Failed, line)
        })
    }

    /// Tells every change until there is an outcome, or no more patience.
    async fn follow(&self, client: &Client, id: QueueId, begun: Instant) -> Result<End, CliError> {
        let deadline = begun + self.timeout;
        let mut before = None;
        let mut trouble = None;
        let mut status_at = begun + STATUS_EVERY;
        loop {
            let Some(message) = client.show(id).await?.map(|detail| detail.message) else {
                return Ok(End::Gone);
            };
            match message.state {
                MessageState::Delivered | MessageState::Failed => return Ok(End::Decided(message)),
                MessageState::Deleted => return Ok(End::Gone),
                MessageState::Ready
                | MessageState::Sending
                | MessageState::Deferred
                | MessageState::Held => {}
            }
            let now = (message.state, message.attempts, message.last_reply.clone());
            if before.as_ref() != Some(&now) {
                self.tell(&change(&message, Timestamp::now()))?;
                before = Some(now);
            }
            if Instant::now() >= deadline {
                return Ok(End::Waiting(message, "it still waits"));
            }
            if Instant::now() >= status_at {
                status_at += STATUS_EVERY;
                let status = client.status().await?;
                let said = troubled(&status, &message.account);
                if said != trouble {
                    if let Some(said) = &said {
                        self.tell(said)?;
                    }
                    trouble = said;
                }
            }
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                () = sleep_until(deadline) => {}
            }
        }
    }

    /// Where it stands.
    async fn stand(
        &self,
        client: &Client,
        id: QueueId,
        why: &'static str,
    ) -> Result<End, CliError> {
        let detail = client.show(id).await?;
        Ok(
            detail.map_or(End::Gone, |detail| match detail.message.state {
                MessageState::Delivered | MessageState::Failed => End::Decided(detail.message),
                _ => End::Waiting(detail.message, why),
            }),
        )
    }

    fn end(&self, id: QueueId, end: &End, took: Duration) -> Result<(), CliError> {
        let message = match end {
            End::Decided(message) | End::Waiting(message, _) => message,
            End::Gone => {
                let line =
                    format!("message {id} was deleted; exorelay history --id {id} tells by whom");
                return Err(CliError::new(Exit::Failed, line));
            }
        };
        let reply = message.last_reply.as_deref();
        let is_delivered = message.state == MessageState::Delivered;
        let rule = reply.and_then(explain).filter(|_| !is_delivered);
        if self.json {
            let mut output = Output::new();
            output.json_pretty(&Ending {
                id: &message.id,
                to: self.to.as_str(),
                state: message.state,
                account: &message.account,
                reply,
                why: rule.map(|rule| rule.sentence),
                remedy: rule.map(|rule| rule.remedy),
                seconds: took.as_secs(),
            })?;
            output.finish()?;
        }
        let took = span(took.as_secs().try_into().unwrap_or(i64::MAX));
        let reply = reply.unwrap_or_default();
        let (exit, line) = match end {
            End::Decided(_) if is_delivered => {
                self.tell(&format!("delivered  after {took}: {reply}"))?;
                return Ok(());
            }
            End::Waiting(_, why) => (
                Exit::TryAgain,
                format!(
                    "{why} after {took}; the message stays queued and is sent when it can be: exorelay queue show {id}; exorelay queue delete {id} takes it back"
                ),
            ),
            End::Decided(_) | End::Gone => {
                self.tell(&refused("failed", reply, rule))?;
                (
                    Exit::Failed,
                    format!(
                        "the message was refused; everything about it: exorelay queue show {id}"
                    ),
                )
            }
        };
        if self.json {
            return Err(CliError::quiet(exit));
        }
        Err(CliError::new(exit, line))
    }
}

/// Where a listener takes plain mail from this machine; none: it does not.
fn plain_address(listener: &Listener, status: &Status) -> Option<SocketAddr> {
    let takes_plain = matches!(listener.tls, ListenerTls::None | ListenerTls::Optional)
        && listener.auth != ListenerAuth::Required;
    let mut bound = status.listeners.iter();
    let bound = bound.find(|bound| bound.name == listener.name && takes_plain)?;
    let mut address: SocketAddr = bound.address.parse().ok()?;
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address.ip().is_loopback().then_some(address)
}

/// A line, and more when there is a reason.
fn change(message: &MessageRecord, now: Timestamp) -> String {
    match message.state {
        MessageState::Ready => format!("ready      for account {}", message.account),
        MessageState::Sending => "sending".to_owned(),
        MessageState::Held => "held       until exorelay queue release".to_owned(),
        state => {
            let reply = message.last_reply.as_deref().unwrap_or_default();
            let mut line = refused(state.as_str(), reply, explain(reply));
            if let Some(next) = message.next_attempt_at {
                line.push_str("; tried again ");
                line.push_str(&until(next, now));
            }
            line
        }
    }
}

fn refused(state: &str, reply: &str, rule: Option<&Rule>) -> String {
    match rule {
        Some(rule) => format!(
            "{state:<10} {reply}: {} Remedy: {}",
            rule.sentence, rule.remedy
        ),
        None => format!("{state:<10} {reply}"),
    }
}

/// What keeps the account from sending, if it is kept.
fn troubled(status: &Status, key: &str) -> Option<String> {
    let mut members = pool_members(key);
    let account = members.find_map(|name| status.accounts.iter().find(|it| it.name == name))?;
    let waits = matches!(
        account.state,
        AccountState::Throttled | AccountState::Paused | AccountState::Blocked
    );
    waits.then(|| {
        let reason = account.reason.as_deref().unwrap_or("for a reason not told");
        let mut line = format!(
            "waiting    account {} is {}: {reason}",
            account.name, account.state
        );
        for text in [&account.why, &account.remedy].into_iter().flatten() {
            line.push_str(". ");
            line.push_str(text.trim_end_matches('.'));
        }
        line
    })
}
