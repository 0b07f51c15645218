//! Who can sign in.

use super::random::stable_guid;
use super::refusal::Refusal;
use crate::sandbox::Settings;
use crate::sandbox::content::printable;

/// Longer ones are no user principal names.
const NAME_MAX_BYTES: usize = 320;

/// A person of the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    /// The user principal name, in lower case.
    pub(super) name: String,
    /// The object id.
    pub(super) object_id: String,
}

impl User {
    /// Somebody who signed in under this name: one of `users`, else of `mailboxes`, else anybody with an address.
    pub(super) fn find(settings: &Settings, name: &str) -> Result<Self, Refusal> {
        let name = name.trim();
        let known = [&settings.users, &settings.mailboxes]
            .into_iter()
            .find(|names| !names.is_empty());
        let exists = match known {
            Some(names) => names.iter().any(|known| known.eq_ignore_ascii_case(name)),
            None => name.contains('@') && name.len() <= NAME_MAX_BYTES,
        };
        if !exists {
            let text = format!(
                "The user account {} does not exist in the exorelay sandbox directory. To sign into this application, \
                 the account must be added to the directory.",
                printable(name.as_bytes())
            );
            return Err(Refusal::grant(50_034, text));
        }
        let name = name.to_ascii_lowercase();
        let object_id = stable_guid(&[&settings.tenant_id, "user", &name]);
        Ok(Self { name, object_id })
    }
}
