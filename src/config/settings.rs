//! All settings, in their final types.

use std::collections::BTreeMap;

use super::account::{self, Account};
use super::listener::{self, Listener};
use super::operation::{Admin, Alert, Bounce, Log, TokenStore};
use super::queue::Queue;
use super::reader::Table;
use super::route::{self, Client, Route};
use super::sendmail::Sendmail;
use super::value::HostName;

/// The settings in effect: complete, and consistent with each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// For the greeting and for EHLO.
    pub hostname: String,
    /// By name; at least one.
    pub listeners: BTreeMap<String, Listener>,
    /// Where messages wait.
    pub queue: Queue,
    /// By name; at least one.
    pub accounts: BTreeMap<String, Account>,
    /// By name.
    pub clients: BTreeMap<String, Client>,
    /// In the order of their precedence.
    pub routes: Vec<Route>,
    /// Mail of this machine's own programs.
    pub sendmail: Sendmail,
    /// Failure notices.
    pub bounce: Bounce,
    /// Whom to call for help.
    pub alert: Alert,
    /// Refresh tokens at rest.
    pub token_store: TokenStore,
    /// How the daemon is asked.
    pub admin: Admin,
    /// What is logged.
    pub log: Log,
}

impl Settings {
    /// Reads every section; problems go to the report of `root`.
    pub(super) fn read(root: Table<'_>) -> Self {
        let hostname = root.derived("hostname", HostName::machine()).into_string();
        let listeners = listener::read_all(&root).into_iter();
        let queue = Queue::read(&root);
        let accounts = account::read_all(&root).into_iter();
        let clients = route::read_clients(&root).into_iter();
        let admin = Admin::read(&root, &queue.directory);
        let settings = Self {
            hostname,
            listeners: listeners.map(|l| (l.name.clone(), l)).collect(),
            queue,
            accounts: accounts.map(|a| (a.name.clone(), a)).collect(),
            clients: clients.map(|c| (c.name.clone(), c)).collect(),
            routes: route::read_routes(&root),
            sendmail: Sendmail::read(&root),
            bounce: Bounce::read(&root),
            alert: Alert::read(&root),
            token_store: TokenStore::read(&root),
            admin,
            log: Log::read(&root),
        };
        root.finish();
        settings
    }

    /// The account of a message that no listener and no route pins: the only one, or the one named
    /// `default`.
    pub fn default_account(&self) -> Option<&Account> {
        match self.accounts.len() {
            1 => self.accounts.values().next(),
            _ => self.accounts.get("default"),
        }
    }

    /// What names without a domain get, if anything is known.
    pub fn local_domain(&self) -> Option<&str> {
        let default = || {
            self.default_account()
                .map(|account| account.mailbox.domain())
        };
        self.sendmail.domain.as_deref().or_else(default)
    }
}
