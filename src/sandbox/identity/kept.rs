//! Tokens that the platform keeps, so that asking again brings no new one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::sandbox::entra::Proof;
use crate::sandbox::ledger::Count;
use crate::sandbox::tokens::{Grant, Holder};
use crate::sandbox::{Permission, Shared};
use crate::secret::Secret;

/// One for each resource; there are only the few that the sandbox knows, each with slashes behind it or not.
#[derive(Debug, Default)]
pub(super) struct KeptTokens {
    by_resource: Mutex<HashMap<String, Kept>>,
}

/// A token and when it was made.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) token: Secret,
    pub(super) resource: String,
    pub(super) issued_at: Timestamp,
    pub(super) lifetime: Duration,
    since: Instant,
}

impl KeptTokens {
    /// The kept one until it has expired; `None`: none can be made.
    pub(super) fn get(&self, shared: &Shared, resource: &str) -> Option<Kept> {
        let bare = resource.trim_end_matches('/');
        // A token in it is whole, whatever happens elsewhere.
        let mut kept = self
            .by_resource
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let still_good = |kept: &&Kept| kept.since.elapsed() < kept.lifetime;
        if let Some(kept) = kept.get(bare).filter(still_good) {
            return Some(kept.clone());
        }
        let settings = &shared.settings;
        let has_role = shared.entra.registration().permission == Permission::AppRole;
        let grant = Grant {
            tenant_id: &settings.tenant_id,
            client_id: &settings.client_id,
            audience: resource,
            proof: Proof::Assertion,
            lifetime: settings.token_lifetime,
            holder: Holder::Application { has_role },
        };
        let token = shared.tokens.issue(grant, &shared.entra.clock);
        let made = Kept {
            token: token.ok()?,
            resource: resource.to_owned(),
            issued_at: Timestamp::now(),
            lifetime: settings.token_lifetime,
            since: Instant::now(),
        };
        shared.ledger.count(Count::TokenIssued);
        kept.insert(bare.to_owned(), made.clone());
        Some(made)
    }
}

impl Kept {
    /// Unix time.
    pub(super) fn expires_on(&self) -> i64 {
        let issued = self.issued_at.as_second();
        issued.saturating_add_unsigned(self.lifetime.as_secs())
    }
}
