//! Whom a mailbox may send as, where the header's From and the reverse-path both count (facts C.2), and who may use
//! a mailbox that is not their own (facts D.5).

use std::sync::{Mutex, PoisonError, RwLock};

/// Longer ones are no addresses (RFC 5321 section 4.5.3.1).
const ADDRESS_MAX_BYTES: usize = 320;
/// As many as there are devices in a large house.
const ADDRESSES_MAX: usize = 10_000;

/// Whom mailboxes may send as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SendAs {
    /// Anybody.
    #[default]
    Any,
    /// Themselves and these addresses.
    Only(Vec<String>),
}

/// The rights as they are now.
#[derive(Debug)]
pub(super) struct Rights {
    send_as: RwLock<SendAs>,
    /// People and mailboxes of others that they have Full Access to.
    access: Mutex<Vec<(String, String)>>,
}

impl Rights {
    pub(super) fn new(send_as: SendAs) -> Self {
        Self {
            send_as: RwLock::new(send_as),
            access: Mutex::default(),
        }
    }

    /// Of more than 10,000 such rights the oldest is dropped.
    pub(super) fn grant_access(&self, user: &str, mailbox: &str) {
        // Whole at every step: a panic elsewhere leaves nothing half done.
        let mut access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        if access.len() == ADDRESSES_MAX {
            access.remove(0);
        }
        access.push((user.to_owned(), mailbox.to_owned()));
    }

    /// Whether a person may use a mailbox: it is their own, or they have a right to it.
    pub(super) fn may_use(&self, user: &str, mailbox: &str) -> bool {
        let access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        user.eq_ignore_ascii_case(mailbox)
            || access.iter().any(|(who, what)| {
                who.eq_ignore_ascii_case(user) && what.eq_ignore_ascii_case(mailbox)
            })
    }

    pub(super) fn set(&self, mut send_as: SendAs) {
        if let SendAs::Only(addresses) = &mut send_as {
            addresses.truncate(ADDRESSES_MAX);
        }
        *self.send_as.write().unwrap_or_else(PoisonError::into_inner) = send_as;
    }

    /// Exchange's refusal, if one of these addresses may not be used by `mailbox`.
    pub(super) fn refusal(&self, mailbox: &str, addresses: &[&str]) -> Option<String> {
        let rights = self.send_as.read().unwrap_or_else(PoisonError::into_inner);
        let SendAs::Only(others) = &*rights else {
            return None;
        };
        let is_allowed = |address: &&&str| {
            address.eq_ignore_ascii_case(mailbox)
                || others
                    .iter()
                    .any(|other| other.eq_ignore_ascii_case(address))
        };
        let denied = addresses.iter().find(|address| !is_allowed(address))?;
        Some(format!(
            "554 5.2.252 SendAsDenied; {mailbox} not allowed to send as {denied}; \
             STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process \
             message due to a permanent exception with message [BeginDiagnosticData]Cannot submit message. \
             [EndDiagnosticData]"
        ))
    }
}

/// The address in the value of a From: what stands in the first angle brackets, else all of it.
pub(super) fn author(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let in_brackets = text
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    let address = in_brackets.map_or_else(|| text.as_ref(), |(address, _)| address);
    let address: String = address.chars().filter(|c| !c.is_control()).collect();
    let address = address.trim();
    address
        .get(..address.floor_char_boundary(ADDRESS_MAX_BYTES))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_may_send_as_itself_and_those_it_was_granted() {
        let rights = Rights::new(SendAs::Any);
        assert_eq!(rights.refusal("relay@b", &["x@y", ""]), None);
        rights.set(SendAs::Only(vec!["scan@B".into()]));
        assert_eq!(rights.refusal("relay@b", &["RELAY@b", "SCAN@b"]), None);
        let refusal = rights.refusal("relay@b", &["relay@b", "x@y"]).unwrap();
        let words = "554 5.2.252 SendAsDenied; relay@b not allowed to send as x@y; ";
        assert!(refusal.starts_with(words), "{refusal}");
        assert!(rights.refusal("relay@b", &[""]).is_some(), "the null path");
    }

    #[test]
    fn the_author_is_found() {
        assert_eq!(author(b" \"a, b\" <x@y.z>"), "x@y.z");
        assert_eq!(author(b" x@y.z\t"), "x@y.z");
        assert_eq!(author(b" <>"), "");
    }
}
