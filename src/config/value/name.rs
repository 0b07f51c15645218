//! Names: hosts, tenants, patterns of addresses, log levels.

use std::net::IpAddr;

use crate::config::setting::{Fault, Given, Setting, quoted, unknown_word};
use crate::mail::Mailbox;

/// A host's name or address, without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostName(String);

impl HostName {
    pub(crate) fn into_string(self) -> String {
        self.0
    }

    /// For the built-in names, whose form is known.
    pub(crate) fn known(text: &str) -> Self {
        debug_assert!(is_domain(text), "{text}");
        Self(text.to_owned())
    }

    /// This machine's name; `localhost` when the system has none that may stand in a greeting.
    pub(crate) fn machine() -> Self {
        let uname = rustix::system::uname();
        let name = sanitised(&uname.nodename().to_string_lossy());
        Self(if is_domain(&name) {
            name
        } else {
            "localhost".to_owned()
        })
    }
}

impl Setting for HostName {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let text = given.text()?;
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if is_domain(text) || bare.parse::<IpAddr>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        let remedy = if text.contains("://") {
            "leave out the scheme and the path"
        } else if text.contains(':') {
            "leave out the port, which has a key of its own"
        } else {
            "write letters, digits, hyphens and dots, such as relay.contoso.local"
        };
        Err(Fault(format!(
            "{} is not a host name; {remedy}",
            quoted(text)
        )))
    }

    fn shown(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}

/// A tenant's id or domain, or `common`, `organizations`, `consumers`; safe in a URL's path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tenant(pub(crate) String);

impl Setting for Tenant {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let text = given.text()?;
        if text.is_empty() || is_domain(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Fault(format!(
            "{} is not a tenant; write its id (a GUID) or its domain, such as contoso.com",
            quoted(text)
        )))
    }

    fn shown(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}

/// `*@contoso.com`, or one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressPattern {
    /// Every local-part of this domain.
    Domain(String),
    /// Exactly this one.
    Mailbox(Mailbox),
}

impl Setting for AddressPattern {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let text = given.text()?;
        let fault = || {
            Fault(format!(
                "{} is no pattern of addresses; write \"*@contoso.com\" or \"scan@contoso.com\"",
                quoted(text)
            ))
        };
        match text.strip_prefix("*@") {
            Some(domain) if is_domain(domain) => Ok(Self::Domain(domain.to_owned())),
            Some(_) => Err(fault()),
            None if text.contains('*') => Err(fault()),
            None => <Mailbox as Setting>::parse(given)
                .map(Self::Mailbox)
                .map_err(|_| fault()),
        }
    }

    fn shown(&self) -> serde_json::Value {
        match self {
            Self::Domain(domain) => format!("*@{domain}").into(),
            Self::Mailbox(mailbox) => mailbox.as_str().into(),
        }
    }
}

/// `LEVEL`, or `LEVEL,PART=LEVEL` to see more or less of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLevel(pub(crate) String);

impl Setting for LogLevel {
    fn parse(given: &Given<'_>) -> Result<Self, Fault> {
        let text = given.text()?;
        for directive in text.split(',') {
            // A filter would take a misspelt level for the name of a part and show everything of it.
            let level = directive
                .split_once('=')
                .map_or(directive, |(_, level)| level);
            if !LEVELS.contains(&level.trim()) {
                return Err(unknown_word(level, &LEVELS));
            }
        }
        Ok(Self(text.to_owned()))
    }

    fn shown(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}

/// `8-4-4-4-12` hexadecimal digits, as every id of Entra.
pub(crate) fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// RFC 5321 section 4.1.2 `Domain`, with the lengths of RFC 1035 section 2.3.4.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Windows administrators like underscores; the grammar does not.
fn sanitised(name: &str) -> String {
    let name = name.replace('_', "-");
    name.trim_matches(['-', '.']).to_owned()
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_follow_the_grammar() {
        for (name, good) in [
            ("relay.contoso.local", true),
            ("relay", true),
            ("a-b.c", true),
            ("", false),
            ("relay.", false),
            (".relay", false),
            ("-relay", false),
            ("my relay", false),
            ("print_srv", false),
        ] {
            assert_eq!(is_domain(name), good, "{name}");
        }
        assert!(!is_domain(&"a".repeat(64)));
        assert!(!is_domain(&["a"; 128].join(".")));
    }

    #[test]
    fn the_machine_always_has_a_name() {
        assert!(is_domain(&HostName::machine().into_string()));
        assert_eq!(sanitised("PRINT_SRV."), "PRINT-SRV");
    }

    #[test]
    fn a_guid_is_known_by_its_shape() {
        assert!(is_guid("00000000-0000-0000-0000-00000000000a"));
        assert!(!is_guid("00000000-0000-0000-0000-00000000000g"));
        assert!(!is_guid("contoso.com"));
    }
}
