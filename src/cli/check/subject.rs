//! The account that is looked at, and what is known around it.

use crate::admin::Status;
use crate::config::{Access, Account, Loaded, Provider, Settings};
use crate::oauth::Claims;

/// One account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) account: &'a Account,
    /// What the daemon says, if one runs.
    pub(super) daemon: Option<&'a Status>,
}

impl<'a> Subject<'a> {
    pub(super) fn settings(&self) -> &'a Settings {
        &self.loaded.settings
    }

    /// `account.NAME.KEY`
    pub(super) fn key(&self, key: &str) -> String {
        format!("account.{}.{key}", self.account.name)
    }

    pub(super) fn is_microsoft(&self) -> bool {
        self.account.provider == Provider::Microsoft
    }

    /// On behalf of a person.
    pub(super) fn is_delegated(&self) -> bool {
        self.account.access == Access::Delegated
    }

    /// This machine's own identity service gives tokens, not a host on the network.
    pub(super) fn is_managed(&self) -> bool {
        self.account.access == Access::ManagedIdentity
    }

    /// A remedy as the catalogues have it, the names in capitals filled in as far as they are known, so
    /// that it can be pasted.
    pub(super) fn fill(&self, remedy: &str, claims: Option<&Claims>) -> String {
        let mailbox = self.account.mailbox.as_str();
        let app = match claims.map(|claims| claims.appid.as_str()) {
            Some(app) if !app.is_empty() => app,
            _ => self.account.client_id.as_str(),
        };
        // Of a person's token it is the person's.
        let object = claims.filter(|_| !self.is_delegated());
        let object = object.map_or("", |claims| claims.oid.as_str());
        let mut filled = String::with_capacity(remedy.len());
        let is_inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut rest = remedy;
        while let Some(start) = rest.find(is_inside) {
            let (before, from) = rest.split_at(start);
            let end = from.find(|c| !is_inside(c)).unwrap_or(from.len());
            let (word, after) = from.split_at(end);
            filled.push_str(before);
            filled.push_str(match word {
                "MAILBOX" | "FROM" => mailbox,
                "APP_ID" if !app.is_empty() => app,
                "OBJECT_ID" if !object.is_empty() => object,
                "NAME" if filled.ends_with("account.") => &self.account.name,
                word => word,
            });
            rest = after;
        }
        filled.push_str(rest);
        filled
    }
}
