//! The `[client.NAME]` that a client wants, as far as what was seen of it can tell.

use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::{BareNewline, Client, Listener, Settings};
use crate::queue::{ClientRecord, Quirk};

const MIB: u64 = 1 << 20;

/// What a client may set, and what somebody has to do elsewhere.
struct Advice<'a> {
    record: &'a ClientRecord,
    settings: &'a Settings,
    address: Option<IpAddr>,
    /// The section that holds for it now.
    section: Option<&'a Client>,
    listener: Option<&'a Listener>,
    /// Key, value and reason.
    keys: Vec<(&'static str, String, &'static str)>,
    remarks: Vec<String>,
}

/// Lines for the settings file; none when the client needs nothing. What was merely tolerated needs nothing.
pub(super) fn suggestion(record: &ClientRecord, settings: &Settings) -> Option<String> {
    let mut advice = Advice {
        record,
        settings,
        address: record.client.parse().ok(),
        section: section(record, settings),
        listener: settings.listeners.get(&record.listener),
        keys: Vec::new(),
        remarks: Vec::new(),
    };
    advice.access();
    advice.sender();
    advice.account();
    advice.newlines();
    advice.size();
    advice.habits();
    advice.written()
}

/// The section that holds for a client: the longest match.
pub(super) fn section<'a>(record: &ClientRecord, settings: &'a Settings) -> Option<&'a Client> {
    let address: IpAddr = record.client.parse().ok()?;
    let sections = settings.clients.values();
    let sections = sections.filter(|client| client.network.contains(&address));
    sections.max_by_key(|client| client.network.prefix_len())
}

impl Advice<'_> {
    /// Whether it was refused with these codes, in these words.
    fn was_refused(&self, codes: &str, words: &str) -> bool {
        let mut refusals = self.record.refusals.iter();
        refusals.any(|one| one.reply.starts_with(codes) && one.reply.contains(words))
    }

    fn has(&self, quirk: Quirk) -> bool {
        self.record.quirks.contains_key(&quirk)
    }

    fn access(&mut self) {
        let Some(address) = self.address else { return };
        let is_allowed = self.listener.is_none_or(|listener| {
            let mut allow = listener.allow.iter();
            allow.any(|network| network.contains(&address))
        });
        if !is_allowed {
            self.remarks.push(format!(
                "to let it in: add \"{address}\" to allow of [listener.{}]",
                self.record.listener
            ));
        }
    }

    fn sender(&mut self) {
        if self.section.is_some_and(|client| client.sender.is_some()) {
            return;
        }
        let why = if self.was_refused("553 5.1.7", "") {
            "its own sender is no full address"
        } else if self.has(Quirk::NoFrom) && self.record.sender.as_deref() == Some("") {
            "it names no sender at all"
        } else {
            return;
        };
        let own = self.section.and_then(|client| client.account.as_ref());
        let pinned = self.listener.and_then(|listener| listener.account.as_ref());
        let named = own
            .or(pinned)
            .and_then(|name| self.settings.accounts.get(name));
        let account = named.or_else(|| self.settings.default_account());
        let mailbox = account.map_or("scan@contoso.com", |account| account.mailbox.as_str());
        self.keys.push(("sender", quoted(mailbox), why));
    }

    fn account(&mut self) {
        let is_set = self.section.is_some_and(|client| client.account.is_some());
        let Some(first) = self.settings.accounts.keys().next() else {
            return;
        };
        if !is_set && self.was_refused("550 5.7.1", "No account") {
            let why = "no [[route]] takes its mail";
            self.keys.push(("account", quoted(first), why));
        }
    }

    fn newlines(&mut self) {
        let of_listener = self.listener.map(|listener| listener.bare_newline);
        let own = self.section.and_then(|client| client.bare_newline);
        let now = own.or(of_listener).unwrap_or(BareNewline::Normalize);
        if self.has(Quirk::LfEnd) && now != BareNewline::Lenient {
            if self.address.is_some_and(|ip| ip.is_loopback()) {
                let why = "its content ends in LF.LF";
                self.keys.push(("bare_newline", quoted("lenient"), why));
            } else {
                self.remarks.push(
                    "its content ends in LF.LF, which no other host may do: have it send CRLF"
                        .into(),
                );
            }
        } else if now == BareNewline::Reject
            && (self.was_refused("550 5.6.11", "") || self.was_refused("550 5.6.0", ""))
        {
            let why = "it sends bare LF, CR or NUL";
            self.keys.push(("bare_newline", quoted("normalize"), why));
        }
    }

    fn size(&mut self) {
        let of_listener = self
            .listener
            .map(|listener| listener.max_message_size_bytes);
        let own = self
            .section
            .and_then(|client| client.max_message_size_bytes);
        let Some(limit) = own.or(of_listener) else {
            return;
        };
        let wanted = self.record.largest_refused_bytes;
        if wanted <= limit {
            return;
        }
        // Whatever is a little larger next time fits too.
        let mib = wanted.saturating_add(wanted / 8).div_ceil(MIB);
        if mib.saturating_mul(MIB) <= self.settings.queue.max_bytes {
            let why = "it was refused for its size";
            self.keys
                .push(("max_message_size", format!("\"{mib}MiB\""), why));
        } else {
            let text = format!(
                "a message of {wanted} bytes was refused, more than queue.max_bytes allows"
            );
            self.remarks.push(text);
        }
    }

    fn habits(&mut self) {
        for (is_met, remark) in [
            (
                self.was_refused("450 4.7.1", "of this hour"),
                "it sends more than messages_per_hour",
            ),
            (
                self.has(Quirk::RepeatedMessageId),
                "it uses Message-IDs again, and Exchange Online drops such mail silently: have it make new ones, or none",
            ),
            (
                self.has(Quirk::PlainAuth),
                "it sends its password in plain text: let it use TLS if it can",
            ),
        ] {
            if is_met {
                self.remarks.push(remark.to_owned());
            }
        }
    }

    fn written(self) -> Option<String> {
        let mut text = String::new();
        // A process on this machine has no network to be known by.
        if let Some(address) = self.address.filter(|_| !self.keys.is_empty()) {
            let network = IpNet::from(address);
            let own = self.section.filter(|client| client.network == network);
            let name = own.map_or_else(|| self.new_name(address), |own| own.name.clone());
            let _ = write!(text, "[client.{name}]\nnetwork = \"{address}\"\n");
            for (key, value, why) in &self.keys {
                let _ = writeln!(text, "{key} = {value}  # {why}");
            }
            if let Some(wider) = self.section.filter(|client| client.network != network) {
                let _ = writeln!(
                    text,
                    "# takes the place of [client.{}] for it: copy what it needs of that",
                    wider.name
                );
            }
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "# {remark}");
        }
        (!text.is_empty()).then_some(text)
    }

    /// By what it calls itself, or else by its address.
    fn new_name(&self, address: IpAddr) -> String {
        let is_free = |name: &String| !self.settings.clients.contains_key(name);
        let label = self.record.helo.split('.').next().unwrap_or_default();
        let label = label.to_ascii_lowercase();
        let is_name = label.starts_with(|c: char| c.is_ascii_alphabetic())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && label != "localhost";
        let by_address = || format!("client-{}", address.to_string().replace(['.', ':'], "-"));
        Some(label)
            .filter(|_| is_name)
            .filter(is_free)
            .unwrap_or_else(by_address)
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}
