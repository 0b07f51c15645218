//! `[sendmail]`: mail of this machine's own programs.

use std::collections::BTreeMap;

use figment::value::Value;

use super::reader::Table;
use super::setting::{Fault, Given, Setting, kind, quoted};
use super::value::HostName;
use crate::mail::{Mailbox, MailboxError};

/// What `exorelay sendmail` makes of names without a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sendmail {
    /// Added to them; none: that of the default account's mailbox.
    pub domain: Option<String>,
    /// Who gets the mail of local users, by name in lower case; `*` is everybody else.
    pub aliases: BTreeMap<String, Mailbox>,
}

impl Sendmail {
    pub(super) fn read(root: &Table<'_>) -> Self {
        let table = root.section("sendmail");
        let domain: Option<HostName> = table.read("domain", None);
        let Aliases(aliases) = table.read("aliases", Aliases::default());
        table.finish();
        Self {
            domain: domain.map(HostName::into_string),
            aliases,
        }
    }
}

#[derive(Debug, Default)]
struct Aliases(BTreeMap<String, Mailbox>);

impl Setting for Aliases {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let Value::Dict(_, dict) = given.value else {
            return Err(Fault(format!(
                "is {}, not a table; write it as {EXAMPLE}",
                kind(given.value)
            )));
        };
        let alias = |(name, value): (&String, &Value)| {
            if name != "*" && Mailbox::parse(name) != Err(MailboxError::NoDomain) {
                return Err(Fault(format!(
                    "{} is not the name of a local user, without a domain; write it as {EXAMPLE}",
                    quoted(name)
                )));
            }
            let layer = given.layer;
            let mailbox = <Mailbox as Setting>::parse(&Given { value, layer })
                .map_err(|Fault(text)| Fault(format!("{name}: {text}")))?;
            Ok((name.to_lowercase(), mailbox))
        };
        dict.iter().map(alias).collect::<Result<_, _>>().map(Self)
    }

    fn shown(&self) -> serde_json::Value {
        let pairs = self.0.iter();
        pairs
            .map(|(name, mailbox)| (name.clone(), mailbox.shown()))
            .collect()
    }
}

const EXAMPLE: &str = "{ root = \"it@contoso.com\" }";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Loaded, load_text};

    fn loaded(more: &str) -> Loaded {
        let account = "[account.default]\nmailbox = \"relay@contoso.com\"\ntenant_id = \"contoso.com\"\n\
            client_id = \"11111111-2222-3333-4444-555555555555\"\nclient_secret = \"x\"\n";
        let text = format!("{account}{more}");
        load_text(Path::new("test.toml"), &text, std::iter::empty(), &[]).unwrap()
    }

    #[test]
    fn names_are_those_of_any_spelling_and_are_shown_as_they_are_read() {
        let written = "[sendmail]\naliases = { Root = \"it@x.com\", \"*\" = \"all@x.com\" }\n";
        let loaded = loaded(written);
        let names: Vec<_> = loaded.settings.sendmail.aliases.keys().collect();
        assert_eq!(names, ["*", "root"]);
        let shown = loaded.provenance.show();
        let line = "aliases = { \"*\" = \"all@x.com\", root = \"it@x.com\" }";
        assert!(shown.contains(line), "{shown}");
    }

    #[test]
    fn the_domain_is_that_of_the_mailbox_unless_it_is_given() {
        let domain = |more| loaded(more).settings.local_domain().map(str::to_owned);
        assert_eq!(domain("").as_deref(), Some("contoso.com"));
        let given = "[sendmail]\ndomain = \"web01.contoso.com\"\n";
        assert_eq!(domain(given).as_deref(), Some("web01.contoso.com"));
    }
}
