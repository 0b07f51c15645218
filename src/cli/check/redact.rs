//! Takes out of a text what support has no need of.

use serde_json::Value;

use crate::config::Settings;
use crate::secret::Secret;

/// Knows the secrets of the settings, so that they are found wherever they may have got to.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    secrets: Vec<Secret>,
}

/// A token is longer, and no other word begins so.
const TOKEN_START: &str = "eyJ";

impl Redactor {
    /// Reads the secrets; short and blocking. One that cannot be read is nowhere else either.
    pub(super) fn new(settings: &Settings) -> Self {
        let accounts = settings.accounts.values();
        let sources = accounts.clone().flat_map(|account| &account.client_secrets);
        let sources = sources.chain(settings.token_store.key.as_ref());
        let logins = accounts.filter_map(|account| account.smtp.proxy.as_ref()?.login.as_ref());
        let logins = logins.flat_map(|login| [login.user.clone(), login.password.clone()]);
        let secrets = sources.filter_map(|source| source.read().ok());
        let secrets = secrets.chain(logins).chain(settings.alert.webhook.clone());
        Self {
            secrets: secrets.filter(|it| !it.reveal().is_empty()).collect(),
        }
    }

    /// Every text in it.
    pub(super) fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.value(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Without secrets, tokens, and the names before the @ of addresses.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.reveal(), "(redacted)");
        }
        without_names(&without_tokens(&text))
    }
}

fn without_tokens(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.=+/".contains(c);
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(TOKEN_START) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c| !is_part(c)).unwrap_or(from.len());
        kept.push_str(before);
        kept.push_str("(token)");
        rest = from.get(end..).unwrap_or_default();
    }
    kept.push_str(rest);
    kept
}

/// `relay@contoso.com` becomes `r***@contoso.com`; `*@contoso.com` names nobody.
fn without_names(text: &str) -> String {
    const BOUNDS: &[char] = &[
        ' ', '<', '>', '(', ')', '[', ']', '"', '\'', ',', ';', ':', '=', '/',
    ];
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let (before, after) = rest.split_at(at);
        let start = match before.strip_suffix('"') {
            // A quoted local part may hold anything (RFC 5321 section 4.1.2).
            Some(quoted) => quoted.rfind('"').unwrap_or(0),
            None => before.rfind(BOUNDS).map_or(0, |bound| bound + 1),
        };
        let (before, name) = before.split_at(start);
        kept.push_str(before);
        match name.chars().next() {
            Some(first) if name != "*" => {
                kept.push(first);
                kept.push_str("***");
            }
            _ => kept.push_str(name),
        }
        kept.push('@');
        rest = after.get(1..).unwrap_or_default();
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_secrets_and_tokens_go_and_the_rest_stays() {
        let redactor = Redactor {
            secrets: vec![Secret::new("hunter2")],
        };
        for (text, kept) in [
            ("", ""),
            (
                "554 5.2.252 SendAsDenied; relay@b.c not allowed to send as <ada.l@x.y>;",
                "554 5.2.252 SendAsDenied; r***@b.c not allowed to send as <a***@x.y>;",
            ),
            ("a@b.c,d@e.f", "a***@b.c,d***@e.f"),
            ("*@contoso.com", "*@contoso.com"),
            ("\"Ada Lovelace\"@x.y said", "\"***@x.y said"),
            ("größe@x.y", "g***@x.y"),
            (
                "socks5://(redacted)@proxy:1080",
                "socks5://(redacted)@proxy:1080",
            ),
            ("<1234.exorelay@relay>", "<1***@relay>"),
            ("secret=hunter2&x", "secret=(redacted)&x"),
            (
                "Bearer eyJhbGciOi.eyJhdWQiOi.c2ln rest",
                "Bearer (token) rest",
            ),
            (
                "https://login.example/tenant/token",
                "https://login.example/tenant/token",
            ),
        ] {
            assert_eq!(redactor.text(text), kept);
        }
    }

    #[test]
    fn every_depth_is_reached() {
        let mut value = serde_json::json!({"a": [{"b": "me@x.y"}, 7, null]});
        Redactor::default().value(&mut value);
        assert_eq!(
            value,
            serde_json::json!({"a": [{"b": "m***@x.y"}, 7, null]})
        );
    }
}
