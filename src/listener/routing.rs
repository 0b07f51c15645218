//! Which account takes a message, and what single clients get.
//!
//! A table without state: the same facts always lead to the same account, so that mail in the queue can be
//! asked again once the table has changed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::mail::{Envelope, Mailbox};
use crate::queue::pool_members;
use crate::smtp::BareNewline;

/// The routes of all listeners.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routing {
    clients: Vec<Client>,
    listeners: BTreeMap<String, Option<String>>,
    routes: Vec<Route>,
    default: Option<String>,
    mailboxes: BTreeMap<String, String>,
}

/// What one device or network gets, over its listener's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// The NAME of `[client.NAME]`.
    pub name: String,
    /// Who it is.
    pub network: IpNet,
    /// Takes the place of the reverse-path and of From.
    pub sender: Option<Mailbox>,
    /// For messages without Reply-To.
    pub reply_to: Option<Mailbox>,
    /// Takes its messages.
    pub account: Option<String>,
    /// None: as the listener.
    pub bare_newline: Option<BareNewline>,
    /// None: as the listener.
    pub message_size_max_bytes: Option<u64>,
    /// In any hour; 0: unlimited.
    pub messages_per_hour: u32,
}

/// Conditions, all of which must hold, and where the message goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The reverse-path.
    pub sender: Option<Pattern>,
    /// The peer.
    pub client: Option<IpNet>,
    /// The listener's name.
    pub listener: Option<String>,
    /// The recipient.
    pub recipient: Option<Pattern>,
    /// An account, or the key of a pool of them ([`crate::queue::pool_key`]).
    pub key: String,
}

/// Addresses; upper and lower case are the same, as they are to Exchange.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Every local-part of this domain.
    Domain(String),
    /// Exactly this one.
    Mailbox(Mailbox),
}

impl Pattern {
    /// Whether `address` is one of them.
    pub(super) fn takes(&self, address: &str) -> bool {
        match self {
            Self::Mailbox(mailbox) => mailbox.as_str().eq_ignore_ascii_case(address),
            Self::Domain(domain) => address
                .rsplit_once('@')
                .is_some_and(|(_, of)| domain.eq_ignore_ascii_case(of)),
        }
    }
}

/// What [`Routing::new`] is made of.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// In any order: the longest network that holds an address is the one that counts.
    pub clients: Vec<Client>,
    /// Every listener, and the account that it pins its mail to.
    pub listeners: BTreeMap<String, Option<String>>,
    /// The first that matches counts.
    pub routes: Vec<Route>,
    /// For what no client, listener and route decides.
    pub default: Option<String>,
    /// Of each account.
    pub mailboxes: BTreeMap<String, String>,
}

/// What is known of a message before its recipients are.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The name of the listener that takes it in, or did.
    pub listener: &'a str,
    /// The client, if it has an address.
    pub client: Option<IpAddr>,
    /// Empty for the null path.
    pub reverse_path: &'a str,
}

/// An account or a pool, and what it is to send.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) key: String,
    pub(super) envelope: Envelope,
}

impl Routing {
    /// Puts the table in order.
    pub fn new(table: Table) -> Self {
        let Table {
            mut clients,
            listeners,
            routes,
            default,
            mailboxes,
        } = table;
        clients.sort_by_key(|client| std::cmp::Reverse(client.network.prefix_len()));
        Self {
            clients,
            listeners,
            routes,
            default,
            mailboxes,
        }
    }

    /// What `address` gets: the longest match.
    pub fn client(&self, address: IpAddr) -> Option<&Client> {
        let mut clients = self.clients.iter();
        clients.find(|client| client.network.contains(&address))
    }

    /// Where a message goes for one of its recipients.
    pub fn key(&self, sender: Sender<'_>, recipient: &str) -> Option<&str> {
        self.decided(sender)
            .or_else(|| {
                let mut routes = self.routes_from(sender);
                let takes = |route: &&Route| takes(route.recipient.as_ref(), recipient);
                routes.find(takes).map(|route| route.key.as_str())
            })
            .or_else(|| self.default_of(sender))
    }

    /// The ways of a message, each with the recipients that go it, in their order. `None`: some have none.
    pub(super) fn ways(&self, sender: Sender<'_>, envelope: &Envelope) -> Option<Vec<Way>> {
        let key = |address: &Mailbox| self.key(sender, address.as_str());
        let mut ways: Vec<Way> = Vec::new();
        for recipient in envelope.recipients() {
            let next = key(&recipient.forward_path)?;
            if ways.iter().all(|way| way.key != next) {
                let envelope = envelope.only(|one| key(&one.forward_path) == Some(next))?;
                let key = next.to_owned();
                ways.push(Way { key, envelope });
            }
        }
        Some(ways)
    }

    /// Whether there is a recipient whose mail finds a way.
    pub fn takes_from(&self, sender: Sender<'_>) -> bool {
        self.decided(sender).is_some()
            || self.default_of(sender).is_some()
            || self.routes_from(sender).next().is_some()
    }

    /// The mailbox of an account, or of the first of a pool.
    pub fn mailbox(&self, key: &str) -> Option<&str> {
        pool_members(key).find_map(|account| self.mailboxes.get(account).map(String::as_str))
    }

    /// Whether any of the accounts that `key` names is there.
    pub fn serves(&self, key: &str) -> bool {
        self.mailbox(key).is_some()
    }

    /// Differs where mail may go another way. From one release of the program to another it may differ
    /// without need.
    pub fn mark(&self) -> i64 {
        let mut hasher = DefaultHasher::new();
        for client in &self.clients {
            (client.network, &client.account).hash(&mut hasher);
        }
        (&self.listeners, &self.routes, &self.default).hash(&mut hasher);
        hasher.finish().cast_signed()
    }

    /// Without a look at the routes.
    fn decided(&self, sender: Sender<'_>) -> Option<&str> {
        let client = sender.client.and_then(|address| self.client(address));
        let pinned = || self.listeners.get(sender.listener)?.as_ref();
        let decided = client.and_then(|client| client.account.as_ref());
        decided.or_else(pinned).map(String::as_str)
    }

    /// Mail of a listener that is gone was perhaps pinned: only a route can tell where it belongs now.
    fn default_of(&self, sender: Sender<'_>) -> Option<&str> {
        let is_there = self.listeners.contains_key(sender.listener);
        self.default.as_deref().filter(|_| is_there)
    }

    /// Those whose conditions hold, as far as they can be known before a recipient is.
    fn routes_from(&self, sender: Sender<'_>) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(move |route| {
            let within = |network: &IpNet| sender.client.is_some_and(|ip| network.contains(&ip));
            takes(route.sender.as_ref(), sender.reverse_path)
                && route.client.as_ref().is_none_or(within)
                && route
                    .listener
                    .as_deref()
                    .is_none_or(|l| l == sender.listener)
        })
    }
}

fn takes(pattern: Option<&Pattern>, address: &str) -> bool {
    pattern.is_none_or(|pattern| pattern.takes(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        match text.strip_prefix("*@") {
            Some(domain) => Pattern::Domain(domain.into()),
            None => Pattern::Mailbox(Mailbox::parse(text).unwrap()),
        }
    }

    fn route(conditions: &[(&str, &str)], key: &str) -> Route {
        let given = |name| {
            let mut conditions = conditions.iter();
            conditions.find(|(key, _)| *key == name).map(|(_, v)| *v)
        };
        Route {
            sender: given("sender").map(pattern),
            client: given("client").map(|network| network.parse().unwrap()),
            listener: given("listener").map(Into::into),
            recipient: given("recipient").map(pattern),
            key: key.into(),
        }
    }

    fn client(name: &str, network: &str, account: Option<&str>) -> Client {
        Client {
            name: name.into(),
            network: network.parse().unwrap(),
            sender: None,
            reply_to: None,
            account: account.map(Into::into),
            bare_newline: None,
            message_size_max_bytes: None,
            messages_per_hour: 0,
        }
    }

    fn table(routes: Vec<Route>, default: Option<&str>) -> Table {
        Table {
            clients: Vec::new(),
            listeners: [("local".into(), None), ("pinned".into(), Some("p".into()))].into(),
            routes,
            default: default.map(Into::into),
            mailboxes: [("p".into(), "p@x".into()), ("b".into(), "b@x".into())].into(),
        }
    }

    fn key<'r>(routing: &'r Routing, listener: &str, ip: &str, from: &str, to: &str) -> &'r str {
        let sender = Sender {
            listener,
            client: Some(ip.parse().unwrap()),
            reverse_path: from,
        };
        let found = routing.key(sender, to);
        assert!(found.is_none() || routing.takes_from(sender));
        found.unwrap_or("none")
    }

    #[test]
    fn every_condition_must_hold_and_the_first_match_wins() {
        let routing = Routing::new(table(
            vec![
                route(
                    &[("sender", "*@fabrikam.com"), ("client", "10.1.0.0/16")],
                    "1",
                ),
                route(&[("recipient", "*@partner.example")], "2"),
                route(
                    &[("sender", "Boss@contoso.com"), ("listener", "local")],
                    "3",
                ),
                route(&[("client", "10.2.0.9/32")], "4"),
                route(&[("sender", "*@fabrikam.com")], "5"),
            ],
            Some("d"),
        ));
        for (listener, ip, from, to, expected) in [
            ("local", "10.1.2.3", "a@FABRIKAM.com", "x@y", "1"),
            ("local", "10.3.2.3", "a@fabrikam.com", "x@y", "5"),
            ("local", "10.3.2.3", "a@sub.fabrikam.com", "x@y", "d"),
            (
                "local",
                "10.3.2.3",
                "a@contoso.com",
                "x@Partner.example",
                "2",
            ),
            (
                "local",
                "10.1.2.3",
                "a@fabrikam.com",
                "x@partner.example",
                "1",
            ),
            ("local", "10.3.2.3", "boss@contoso.com", "x@y", "3"),
            ("local", "10.2.0.9", "", "x@y", "4"),
            ("local", "10.2.0.8", "", "x@y", "d"),
            ("local", "fd00::1", "boss@contoso.com", "x@y", "3"),
            ("pinned", "10.1.2.3", "a@fabrikam.com", "x@y", "p"),
        ] {
            assert_eq!(
                key(&routing, listener, ip, from, to),
                expected,
                "{from} {to}"
            );
        }
    }

    #[test]
    fn the_longest_network_is_the_client_and_its_account_goes_before_all() {
        let routing = Routing::new(Table {
            clients: vec![
                client("site", "10.0.0.0/8", Some("s")),
                client("printer", "10.1.1.1/32", Some("b")),
                client("floor", "10.1.0.0/16", None),
            ],
            ..table(vec![route(&[], "r")], None)
        });
        let name = |ip: &str| routing.client(ip.parse().unwrap()).map(|c| c.name.as_str());
        assert_eq!(name("10.1.1.1"), Some("printer"));
        assert_eq!(name("10.1.1.2"), Some("floor"));
        assert_eq!(name("10.9.1.2"), Some("site"));
        assert_eq!(name("192.0.2.1"), None);
        for (listener, ip, expected) in [
            ("pinned", "10.1.1.1", "b"),
            ("pinned", "10.1.1.2", "p"),
            ("local", "10.1.1.2", "r"),
            ("local", "10.9.1.2", "s"),
        ] {
            assert_eq!(key(&routing, listener, ip, "a@b", "x@y"), expected, "{ip}");
        }
    }

    #[test]
    fn mail_without_a_way_is_known_before_its_recipients_where_none_can_help() {
        let recipients = route(&[("sender", "*@contoso.com"), ("recipient", "*@a")], "b");
        let routing = Routing::new(table(vec![recipients], None));
        let from = |listener, reverse_path| Sender {
            listener,
            client: None,
            reverse_path,
        };
        assert!(!routing.takes_from(from("local", "a@fabrikam.com")));
        assert!(!routing.takes_from(from("local", "")));
        assert!(routing.takes_from(from("pinned", "")));
        let contoso = from("local", "a@contoso.com");
        assert!(routing.takes_from(contoso));
        assert_eq!(routing.key(contoso, "x@a"), Some("b"));
        assert_eq!(routing.key(contoso, "x@b"), None);
    }

    #[test]
    fn mail_of_a_listener_that_is_gone_goes_by_routes_alone() {
        let routes = vec![route(&[("sender", "*@contoso.com")], "b")];
        let routing = Routing::new(table(routes, Some("d")));
        assert_eq!(
            key(&routing, "gone", "10.1.1.1", "a@contoso.com", "x@y"),
            "b"
        );
        assert_eq!(key(&routing, "gone", "10.1.1.1", "a@b", "x@y"), "none");
        assert_eq!(key(&routing, "local", "10.1.1.1", "a@b", "x@y"), "d");
    }

    #[test]
    fn a_key_is_served_while_one_of_its_accounts_is_there() {
        let routing = Routing::new(table(Vec::new(), None));
        assert_eq!(routing.mailbox("b"), Some("b@x"));
        assert_eq!(routing.mailbox("gone+p"), Some("p@x"));
        assert!(!routing.serves("gone") && routing.serves("b+gone"));
    }

    #[test]
    fn the_mark_tells_of_changes_that_lead_elsewhere() {
        let marks = [
            table(Vec::new(), None),
            table(Vec::new(), Some("b")),
            table(vec![route(&[], "b")], None),
            table(vec![route(&[("client", "10.0.0.0/8")], "b")], None),
            Table {
                clients: vec![client("x", "10.0.0.0/8", Some("b"))],
                ..table(Vec::new(), None)
            },
        ]
        .map(|table| Routing::new(table).mark());
        for (index, mark) in marks.iter().enumerate() {
            assert!(!marks.iter().skip(index + 1).any(|other| other == mark));
        }
        let mut same = table(Vec::new(), None);
        same.mailboxes.clear();
        assert_eq!(Routing::new(same).mark(), marks[0]);
    }
}
