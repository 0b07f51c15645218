//! What stands in a settings file before: the defaults of the interview.

use std::path::PathBuf;

use toml_edit::{DocumentMut, Item, TableLike};

use super::answers::{Answers, Present, Reach, SecretAnswer};
use super::interview::LOOPBACK;
use super::way::Way;
use crate::config::is_guid;
use crate::oauth::Cloud;

impl Present {
    /// Of the account called `account`, which need not exist. Values that the loader would refuse are no
    /// worse than others here: whoever answers sees them.
    pub(super) fn read(document: &DocumentMut, account: &str) -> Self {
        let root = document.as_table();
        let text = |path: &[&str]| {
            let mut path = vec!["account", account]
                .into_iter()
                .chain(path.iter().copied());
            let item = path.try_fold(document.as_item(), |item, key| item.get(key));
            item.and_then(Item::as_str).unwrap_or_default()
        };
        // The shipped file's placeholders are nobody's.
        let id = |key| {
            let text = text(&[key]);
            let is_placeholder = is_guid(text) && text.chars().all(|c| matches!(c, '0' | '-'));
            if is_placeholder { "" } else { text }
        };
        let is_shipped = id("client_id") != text(&["client_id"]);
        let secret = root
            .get("account")
            .and_then(|item| item.get(account)?.get("client_secret"));
        let secret_file = secret
            .and_then(|item| item.get("file")?.as_str())
            .map(PathBuf::from);
        // The shipped file names one that nobody has made yet.
        let has_secret = secret.is_some() && secret_file.as_ref().is_none_or(|path| path.exists());
        let secret_file = secret_file.filter(|_| has_secret);
        let cloud = text(&["cloud"]);
        let mailbox = Some(text(&["mailbox"])).filter(|_| !is_shipped);
        let (listener, reach, listeners_untouched) = listener(root.get("listener"));
        let bounce_to = root.get("bounce").and_then(|item| item.get("to")?.as_str());
        Self {
            answers: Answers {
                way: Way::from_settings(
                    text(&["provider"]) == "google",
                    text(&["access"]),
                    !text(&["client_certificate"]).is_empty(),
                ),
                cloud: Cloud::ALL
                    .into_iter()
                    .find(|known| known.name() == cloud)
                    .unwrap_or_default(),
                tenant_id: id("tenant_id").to_owned(),
                client_id: id("client_id").to_owned(),
                secret: if has_secret {
                    SecretAnswer::Keep
                } else {
                    SecretAnswer::None
                },
                credential_expires: text(&["credential_expires"]).to_owned(),
                certificate: text(&["client_certificate"]).to_owned(),
                certificate_key: text(&["client_certificate_key"]).to_owned(),
                federated_token_file: text(&["oauth", "federated_token_file"]).to_owned(),
                mailbox: mailbox.unwrap_or_default().to_owned(),
                reach,
                bounce_to: bounce_to.unwrap_or("sender").to_owned(),
            },
            secret_file,
            listener,
            listeners_untouched,
        }
    }
}

/// The one TCP listener, or why there is none to ask about.
fn listener(section: Option<&Item>) -> (String, Option<Reach>, Option<&'static str>) {
    let default = Reach {
        address: "127.0.0.1:2525".to_owned(),
        networks: Vec::new(),
    };
    let mut listeners = section
        .and_then(Item::as_table_like)
        .into_iter()
        .flat_map(TableLike::iter);
    let Some((name, settings)) = listeners.next() else {
        return ("local".to_owned(), Some(default), None);
    };
    if listeners.next().is_some() {
        return (name.to_owned(), None, Some("There are several listeners"));
    }
    let address = settings.get("address").and_then(Item::as_str);
    let address = address.map_or(default.address, str::to_owned);
    if address.starts_with("unix:") || address.starts_with("systemd:") {
        return (name.to_owned(), None, Some("The listener is a socket"));
    }
    let allow = settings.get("allow").and_then(Item::as_array);
    let networks = allow.into_iter().flatten().filter_map(|item| item.as_str());
    let networks = networks.filter(|network| !LOOPBACK.contains(network));
    let reach = Reach {
        address,
        networks: networks.map(str::to_owned).collect(),
    };
    // With AUTH in place of a list.
    if !reach.is_local() && reach.networks.is_empty() {
        return (
            name.to_owned(),
            None,
            Some("The listener has rules of its own"),
        );
    }
    (name.to_owned(), Some(reach), None)
}
