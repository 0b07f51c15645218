//! Names and addresses to those that mail can be sent to.

use std::collections::BTreeSet;

use crate::cli::error::{CliError, Exit};
use crate::mail::{ListedAddress, Mailbox, MailboxError, ReversePath, listed_addresses};
use crate::relay::LocalMail;

/// Who is asking for mail to be sent on this machine.
#[derive(Debug)]
pub(super) struct Directory<'a> {
    local: &'a LocalMail,
    /// This machine as the system knows it.
    machine: &'a str,
}

impl<'a> Directory<'a> {
    pub(super) fn new(local: &'a LocalMail, machine: &'a str) -> Self {
        Self { local, machine }
    }

    /// For senders and header fields: somewhere it comes from in any case.
    pub(super) fn domain(&self) -> &str {
        self.local.domain.as_deref().unwrap_or(self.machine)
    }

    /// Each address once, in their order.
    pub(super) fn recipients(
        &self,
        listed: impl IntoIterator<Item = ListedAddress>,
    ) -> Result<Vec<Mailbox>, CliError> {
        let mut seen = BTreeSet::new();
        let mut recipients = Vec::new();
        for address in listed {
            let mailbox = self.recipient(address)?;
            if seen.insert(mailbox.as_str().to_lowercase()) {
                recipients.push(mailbox);
            }
        }
        Ok(recipients)
    }

    fn recipient(&self, address: ListedAddress) -> Result<Mailbox, CliError> {
        let name = match address {
            ListedAddress::Mailbox(mailbox) => match self.local_name(&mailbox) {
                Some(name) => name.to_owned(),
                None => return Ok(mailbox),
            },
            ListedAddress::Local { name, .. } => name,
            ListedAddress::Malformed(text) => {
                let line = format!("{text:?} is no address");
                return Err(CliError::new(Exit::BadData, line));
            }
        };
        let aliases = &self.local.aliases;
        if let Some(alias) = aliases
            .get(&name.to_lowercase())
            .or_else(|| aliases.get("*"))
        {
            return parse(alias);
        }
        let Some(domain) = &self.local.domain else {
            let line = format!(
                "{name} has no domain, and none is known: write the whole address, set [sendmail] aliases, or \
                 start exorelay"
            );
            return Err(CliError::new(Exit::NoUser, line));
        };
        parse(&format!("{name}@{domain}"))
    }

    /// Of an address that only this machine knows. `root@relay.contoso.com` with the relay's own name is one
    /// when there is an alias; else it may be somebody's mailbox.
    fn local_name<'m>(&self, mailbox: &'m Mailbox) -> Option<&'m str> {
        let is = |host: &str| mailbox.domain().eq_ignore_ascii_case(host);
        if is("localhost") || is("localhost.localdomain") {
            return Some(mailbox.local_part());
        }
        let domain = self.local.domain.as_deref();
        let is_host = is(self.machine) || self.local.hostname.as_deref().is_some_and(is);
        let has_alias = || {
            let name = mailbox.local_part().to_lowercase();
            let aliases = &self.local.aliases;
            aliases.contains_key(&name) || aliases.contains_key("*")
        };
        (is_host && !domain.is_some_and(is) && has_alias()).then(|| mailbox.local_part())
    }

    /// What `-f` names, or the user `login`.
    pub(super) fn sender(&self, given: Option<&str>, login: &str) -> Result<ReversePath, CliError> {
        let given = given.unwrap_or(login).trim();
        if matches!(given, "" | "<>") {
            return Ok(ReversePath::Null);
        }
        let mut listed = listed_addresses(given.as_bytes()).into_iter();
        let mailbox = match (listed.next(), listed.next()) {
            (Some(ListedAddress::Mailbox(mailbox)), None) => mailbox,
            (Some(ListedAddress::Local { name, .. }), None) => {
                parse(&format!("{name}@{}", self.domain()))?
            }
            _ => {
                let line = format!("the sender {given:?} is no address");
                return Err(CliError::new(Exit::BadData, line));
            }
        };
        Ok(ReversePath::Mailbox(mailbox))
    }
}

fn parse(address: &str) -> Result<Mailbox, CliError> {
    Mailbox::parse(address).map_err(|error: MailboxError| {
        CliError::new(Exit::BadData, format!("{address:?}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(domain: Option<&str>, aliases: &[(&str, &str)]) -> LocalMail {
        let aliases = aliases.iter();
        LocalMail {
            hostname: Some("relay.contoso.com".into()),
            domain: domain.map(str::to_owned),
            aliases: aliases
                .map(|(name, to)| ((*name).to_owned(), (*to).to_owned()))
                .collect(),
            ..LocalMail::default()
        }
    }

    fn find(local: &LocalMail, list: &str) -> Result<Vec<String>, Exit> {
        let directory = Directory::new(local, "web01");
        let found = directory.recipients(listed_addresses(list.as_bytes()));
        let shown = |all: Vec<Mailbox>| all.iter().map(ToString::to_string).collect();
        found.map(shown).map_err(|error| error.exit())
    }

    #[test]
    fn local_users_are_found_by_alias_or_domain() {
        let local = local(Some("contoso.com"), &[("root", "it@contoso.com")]);
        for (list, found) in [
            ("root", &["it@contoso.com"][..]),
            (
                "Root, <root>, root@localhost, IT@Contoso.com",
                &["it@contoso.com"],
            ),
            (
                "alice, root@web01, root@RELAY.contoso.com",
                &["alice@contoso.com", "it@contoso.com"],
            ),
            ("alice@localhost", &["alice@contoso.com"]),
            (
                "alice@web01, root@contoso.com",
                &["alice@web01", "root@contoso.com"],
            ),
        ] {
            assert_eq!(find(&local, list).unwrap(), found, "{list}");
        }
        assert_eq!(find(&local, "a@b, John Doe"), Err(Exit::BadData));
    }

    #[test]
    fn everybody_else_has_an_alias_too() {
        let aliases = [("*", "it@contoso.com"), ("web", "web@contoso.com")];
        let same = local(Some("relay.contoso.com"), &aliases);
        assert_eq!(
            find(&same, "www-data, web, a@relay.contoso.com").unwrap(),
            ["it@contoso.com", "web@contoso.com", "a@relay.contoso.com"]
        );
    }

    #[test]
    fn nobody_is_guessed_without_a_domain() {
        let local = local(None, &[]);
        assert_eq!(find(&local, "root"), Err(Exit::NoUser));
        assert_eq!(find(&local, "root@localhost"), Err(Exit::NoUser));
        assert_eq!(find(&local, "a@b").unwrap(), ["a@b"]);
    }

    #[test]
    fn the_sender_is_who_calls_or_whom_they_name() {
        let (with, without) = (local(Some("contoso.com"), &[]), local(None, &[]));
        let sender = |local: &LocalMail, given| {
            let directory = Directory::new(local, "web01");
            let sender = directory.sender(given, "alice");
            sender
                .map(|path| path.to_string())
                .map_err(|error| error.exit())
        };
        for (given, from) in [
            (None, "alice@contoso.com"),
            (Some("root"), "root@contoso.com"),
            (Some("<root>"), "root@contoso.com"),
            (Some("Web <web@x.com>"), "web@x.com"),
            (Some(""), ""),
            (Some("<>"), ""),
        ] {
            assert_eq!(sender(&with, given).unwrap(), from, "{given:?}");
        }
        assert_eq!(sender(&without, None).unwrap(), "alice@web01");
        assert_eq!(sender(&with, Some("a b")), Err(Exit::BadData));
        assert_eq!(sender(&with, Some("a@b, c@d")), Err(Exit::BadData));
    }
}
