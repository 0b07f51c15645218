//! Whose mail a message is: an account's, or that of a pool of accounts.
//!
//! `message.account` holds the account's name, or those of the pool joined by `+`, which no name holds.
//! Whoever of a pool is ready and has room leases next: the one with the least to do sends the most, one
//! that is paused is passed by, and nothing has to be measured or decided in advance.

const JOINT: char = '+';

/// The key for mail that any of `accounts` may send; their order does not matter.
pub fn pool_key<S: AsRef<str>>(accounts: &[S]) -> String {
    let mut names: Vec<&str> = accounts.iter().map(AsRef::as_ref).collect();
    names.sort_unstable();
    names.dedup();
    names.join("+")
}

/// The accounts that may send the mail under `key`.
pub fn pool_members(key: &str) -> impl Iterator<Item = &str> {
    key.split(JOINT)
}

/// Whether more than one account may send the mail under `key`.
pub(super) fn is_pool(key: &str) -> bool {
    key.contains(JOINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_known_by_its_members() {
        assert_eq!(pool_key(&["b", "a", "b"]), "a+b");
        assert_eq!(pool_key(&["default"]), "default");
        assert!(pool_members("a+b").eq(["a", "b"]));
        assert!(pool_members("default").eq(["default"]));
    }
}
