//! `[client.NAME]` and `[[route]]`: what single clients get, and which account takes a message.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use figment::value::Value;
use ipnet::IpNet;

use super::listener::BareNewline;
use super::reader::Table;
use super::setting::{Fault, Given, Setting};
use super::value::{AddressPattern, Size, shown_duration};
use crate::mail::Mailbox;

/// What one device or network gets, over its listener's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The name in `[client.NAME]`.
    pub name: String,
    /// Who it is; the longest match wins.
    pub network: IpNet,
    /// Forced as reverse-path and From.
    pub sender: Option<Mailbox>,
    /// Added when the message has none.
    pub reply_to: Option<Mailbox>,
    /// Takes its messages.
    pub account: Option<String>,
    /// None: as the listener.
    pub bare_newline: Option<BareNewline>,
    /// None: as the listener.
    pub max_message_size_bytes: Option<u64>,
    /// 0: unlimited.
    pub messages_per_hour: u32,
    /// Without a message for so long, somebody is told; none: never.
    pub silent_after: Option<Duration>,
}

/// Conditions, all of which must hold, and where the message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The reverse-path.
    pub sender: Option<AddressPattern>,
    /// The peer.
    pub client: Option<IpNet>,
    /// The listener's name.
    pub listener: Option<String>,
    /// Any recipient.
    pub recipient: Option<AddressPattern>,
    /// At least one; messages are spread over them.
    pub accounts: Vec<String>,
}

/// All clients that could be read.
pub(super) fn read_clients(root: &Table<'_>) -> Vec<Client> {
    let sections = root.named("client").into_iter();
    sections
        .filter_map(|(name, section)| Client::read(name, section))
        .collect()
}

/// All routes that could be read, in order.
pub(super) fn read_routes(root: &Table<'_>) -> Vec<Route> {
    let tables = root.list("route").into_iter();
    tables.filter_map(Route::read).collect()
}

impl Client {
    fn read(name: String, table: Table<'_>) -> Option<Self> {
        let network: Option<IpNet> = table.required(
            "network",
            "write the device's address, such as network = \"10.20.1.15\"",
        );
        let size: Option<Size> = table.read("max_message_size", None);
        let silent_after: Option<SilentAfter> = table.read("silent_after", None);
        let client = Self {
            name,
            // Without a network there is a problem already, and only the other keys are read on.
            network: network.unwrap_or_else(|| IpAddr::V4(Ipv4Addr::LOCALHOST).into()),
            sender: table.read("sender", None),
            reply_to: table.read("reply_to", None),
            account: table.read("account", None),
            bare_newline: table.read("bare_newline", None),
            max_message_size_bytes: size.map(Size::bytes),
            messages_per_hour: table.read("messages_per_hour", 0),
            silent_after: silent_after.map(|SilentAfter(time)| time),
        };
        table.finish();
        network.map(|_| client)
    }
}

/// How long a client may send nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SilentAfter(Duration);

/// Less would be an alarm at every pause.
const SILENT_AFTER_MIN: Duration = Duration::from_mins(1);
const SILENT_AFTER_MAX: Duration = Duration::from_hours(365 * 24);

impl Setting for SilentAfter {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let time = Duration::parse(given)?;
        if (SILENT_AFTER_MIN..=SILENT_AFTER_MAX).contains(&time) {
            return Ok(Self(time));
        }
        Err(Fault(format!(
            "{} is out of range; write something from 1m to 365d, or leave the key out",
            shown_duration(time)
        )))
    }

    fn shown(&self) -> serde_json::Value {
        self.0.shown()
    }
}

impl Route {
    fn read(table: Table<'_>) -> Option<Self> {
        let accounts: Option<Accounts> = table.required(
            "account",
            "write account = \"NAME\", the account that takes these messages",
        );
        let route = Self {
            sender: table.read("sender", None),
            client: table.read("client", None),
            listener: table.read("listener", None),
            recipient: table.read("recipient", None),
            accounts: accounts
                .clone()
                .map(|Accounts(names)| names)
                .unwrap_or_default(),
        };
        table.finish();
        accounts.map(|_| route)
    }
}

impl Route {
    /// Whether it takes whatever `other` would take, so that none of it gets there.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let listener = |ours: &String, theirs: &String| ours == theirs;
        covers(self.sender.as_ref(), other.sender.as_ref(), covers_address)
            && covers(self.client.as_ref(), other.client.as_ref(), IpNet::contains)
            && covers(self.listener.as_ref(), other.listener.as_ref(), listener)
            && covers(
                self.recipient.as_ref(),
                other.recipient.as_ref(),
                covers_address,
            )
    }
}

/// A condition that is not set always holds.
fn covers<'a, T>(
    ours: Option<&'a T>,
    theirs: Option<&'a T>,
    holds: impl Fn(&'a T, &'a T) -> bool,
) -> bool {
    ours.is_none_or(|ours| theirs.is_some_and(|theirs| holds(ours, theirs)))
}

fn covers_address(ours: &AddressPattern, theirs: &AddressPattern) -> bool {
    use AddressPattern::{Domain, Mailbox};
    match (ours, theirs) {
        (Domain(ours), Domain(theirs)) => ours.eq_ignore_ascii_case(theirs),
        (Domain(ours), Mailbox(theirs)) => ours.eq_ignore_ascii_case(theirs.domain()),
        (Mailbox(ours), Mailbox(theirs)) => ours.as_str().eq_ignore_ascii_case(theirs.as_str()),
        (Mailbox(_), Domain(_)) => false,
    }
}

/// One name, or a list of them.
#[derive(Clone, Debug)]
struct Accounts(Vec<String>);

impl Setting for Accounts {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let names = match given.value {
            Value::Array(..) => Vec::parse(given)?,
            _ => vec![String::parse(given)?],
        };
        if names.is_empty() {
            return Err(Fault("is an empty list; name at least one account".into()));
        }
        Ok(Self(names))
    }

    fn shown(&self) -> serde_json::Value {
        match self.0.as_slice() {
            [name] => name.shown(),
            names => names.to_vec().shown(),
        }
    }
}
