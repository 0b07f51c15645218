//! Settings that are legal and probably not meant.

use std::net::SocketAddr;
use std::path::Path;

use super::account::{Access, Account, Provider};
use super::error::Origin;
use super::expiry::{EXPIRY_WARNING_DAYS, days_until, runs_out};
use super::files::{exposed, is_readable_by_all};
use super::reader::Report;
use super::setting::quoted;
use super::settings::Settings;
use super::value::{ListenAddress, is_guid};
use crate::oauth::Cloud;
use crate::secret::SecretSource;

/// Adds a warning for each of them; `today` decides what has run out.
pub(super) fn warn(settings: &Settings, today: jiff::civil::Date, report: &mut Report) {
    for (index, route) in settings.routes.iter().enumerate() {
        let mut before = settings.routes.iter().take(index);
        if let Some(other) = before.position(|before| before.covers(route)) {
            let text =
                format!("is never reached: route[{other}] takes all of it; put it before that one");
            report.warnings.push(format!("route[{index}]: {text}"));
        }
    }
    let reachable = |address: &SocketAddr| ListenAddress::Tcp(*address).is_reachable();
    if let Some(address) = settings.admin.http.filter(reachable) {
        let address = quoted(&address.to_string());
        report
            .warnings
            .push(format!("admin.http: {address} {REACHABLE}"));
    }
    let mut accounts = settings.accounts.values();
    if settings.token_store.key.is_none() && accounts.any(|a| a.access == Access::Delegated) {
        report
            .warnings
            .push(format!("token_store.key: {UNENCRYPTED}"));
    }
    for account in settings.accounts.values() {
        let mut warn = |key: &str, text: String| {
            let key = format!("account.{}.{key}", account.name);
            report.warnings.push(format!("{key}: {text}"));
        };
        placeholders(account, &mut warn);
        if account.provider == Provider::Google {
            google(account, &mut warn);
        }
        expiry(account, today, &mut warn);
        limits(account, &mut warn);
        let key = format!("account.{}.client_secret", account.name);
        let literal = account.client_secrets.iter().any(is_literal);
        if let Some(Origin::File { path, .. }) = report.origin(&key)
            && literal
            && is_readable_by_all(path)
        {
            let text = exposed(Path::new(path));
            report.warnings.push(format!("{key}: {text}"));
        }
    }
}

fn placeholders(account: &Account, warn: &mut impl FnMut(&str, String)) {
    for (key, id) in [
        ("tenant_id", &account.tenant_id),
        ("client_id", &account.client_id),
    ] {
        if is_guid(id) && id.chars().all(|c| c == '0' || c == '-') {
            warn(
                key,
                "is still the placeholder of the shipped file; write your own".to_owned(),
            );
        }
    }
    let named = !account.client_id.is_empty() && !is_guid(&account.client_id);
    if account.provider == Provider::Microsoft && named {
        warn(
            "client_id",
            "is not of the form of an Application (client) ID, which is a GUID".to_owned(),
        );
    }
    let is_id =
        |secret: &SecretSource| matches!(secret, SecretSource::Literal(s) if is_guid(s.reveal()));
    if account.client_secrets.iter().any(is_id) {
        warn(
            "client_secret",
            "looks like the Secret ID; what is needed is the secret's Value, shown once when it is made".to_owned(),
        );
    }
}

fn google(account: &Account, warn: &mut impl FnMut(&str, String)) {
    let is_set = [
        ("tenant_id", account.tenant_id != "common"),
        ("cloud", account.cloud != Cloud::Global),
    ];
    for (key, _) in is_set.into_iter().filter(|(_, is_set)| *is_set) {
        warn(key, "has no effect with provider = \"google\"".to_owned());
    }
    if !account.client_id.ends_with(".apps.googleusercontent.com") {
        warn(
            "client_id",
            "is not of the form of a Google client ID, which ends in .apps.googleusercontent.com"
                .to_owned(),
        );
    }
    if account.client_secrets.is_empty() {
        warn(
            "client_secret",
            "is missing; Google wants that of desktop apps, web apps and devices alike".to_owned(),
        );
    }
}

fn expiry(account: &Account, today: jiff::civil::Date, warn: &mut impl FnMut(&str, String)) {
    let Some(expires) = account.credential_expires else {
        return;
    };
    if days_until(expires, today) <= EXPIRY_WARNING_DAYS {
        let when = runs_out(expires, today);
        warn(
            "credential_expires",
            format!("{when}; make a new secret or certificate"),
        );
    }
}

fn limits(account: &Account, warn: &mut impl FnMut(&str, String)) {
    // Of another service, or a stand-in, the limits are not ours to know.
    if account.provider != Provider::Microsoft || !account.smtp.host.contains("office365") {
        return;
    }
    if account.smtp.connections > 3 {
        warn(
            "smtp.connections",
            "Exchange Online allows 3 for each mailbox".to_owned(),
        );
    }
    if !(1..=30).contains(&account.smtp.messages_per_minute) {
        warn(
            "smtp.messages_per_minute",
            "Exchange Online allows 30 for each mailbox".to_owned(),
        );
    }
    if !(1..=10_000).contains(&account.smtp.recipients_per_day) {
        warn(
            "smtp.recipients_per_day",
            "Exchange Online allows 10000 for each mailbox".to_owned(),
        );
    }
}

fn is_literal(secret: &SecretSource) -> bool {
    matches!(secret, SecretSource::Literal(_))
}

const REACHABLE: &str = "can be reached from other hosts, and asks nobody who they are: whoever can connect reads whom this \
                         relay writes to (addresses, subjects, clients, accounts), though no content, and changes \
                         nothing; write 127.0.0.1 as its address and put a reverse proxy with a login before it, or let a \
                         firewall decide who connects (docs/admin-http.md)";

/// Said once, however many accounts there are.
const UNENCRYPTED: &str = "is not set, so sign-ins are stored without encryption, and nothing but the permissions of \
                           their files protects them; set a key, such as { credential = \"exorelay-token-key\" }";
