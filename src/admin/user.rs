//! Who a user id is, and whose a name.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// Accounts beyond that are in a directory service, and known by number only.
const DATABASE_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// `alice (uid 1000)`, or `uid 1000` where `/etc/passwd` does not know the name. Blocking.
pub(crate) fn user_name(uid: u32) -> String {
    match login_name(uid) {
        Some(name) => format!("{name} (uid {uid})"),
        None => format!("uid {uid}"),
    }
}

/// `alice`, if `/etc/passwd` knows the user. Blocking.
pub(crate) fn login_name(uid: u32) -> Option<String> {
    find(passwd()?, uid)
}

/// User id and group id of `name`, where `/etc/passwd` knows it. Blocking.
pub(crate) fn user_ids(name: &str) -> Option<(u32, u32)> {
    find_ids(passwd()?, name)
}

/// Id of the group `name`, where `/etc/group` knows it. Blocking.
pub(crate) fn group_id(name: &str) -> Option<u32> {
    find_id(database("/etc/group")?, name)
}

fn passwd() -> Option<impl BufRead> {
    database("/etc/passwd")
}

fn database(path: &str) -> Option<impl BufRead> {
    let file = File::open(path).ok()?;
    Some(BufReader::new(file.take(DATABASE_MAX_BYTES)))
}

/// `name:password:id:...` (passwd(5), group(5)).
fn find_id(database: impl BufRead, name: &str) -> Option<u32> {
    database.lines().map_while(Result::ok).find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// `name:password:uid:gid:...` (passwd(5)).
fn find_ids(passwd: impl BufRead, name: &str) -> Option<(u32, u32)> {
    passwd.lines().map_while(Result::ok).find_map(|line| {
        let mut fields = line.split(':');
        let _name = fields.next().filter(|found| *found == name)?;
        let uid = fields.nth(1)?.parse().ok()?;
        Some((uid, fields.next()?.parse().ok()?))
    })
}

/// `name:password:uid:...` (passwd(5)).
fn find(passwd: impl BufRead, uid: u32) -> Option<String> {
    passwd.lines().map_while(Result::ok).find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let found: u32 = fields.nth(1)?.parse().ok()?;
        (found == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_by_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nexorelay2:x:7:7::/:/\nexorelay:x:991:990::/:/\n";
        assert_eq!(find_id(passwd.as_bytes(), "exorelay"), Some(991));
        assert_eq!(find_id(&b"exorelay\nexorelay:x:no\n"[..], "exorelay"), None);
    }

    #[test]
    fn names_are_found_by_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbroken\n+::::::\nalice:x:1000:1000::/:/bin/sh\n";
        assert_eq!(find(passwd.as_bytes(), 0).as_deref(), Some("root"));
        assert_eq!(find(passwd.as_bytes(), 1000).as_deref(), Some("alice"));
        assert_eq!(find(passwd.as_bytes(), 1001), None);
        assert_eq!(find_ids(passwd.as_bytes(), "alice"), Some((1000, 1000)));
        assert_eq!(find_ids(passwd.as_bytes(), "broken"), None);
        assert_eq!(find_ids(passwd.as_bytes(), "bob"), None);
    }
}
