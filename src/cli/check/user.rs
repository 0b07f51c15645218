//! Whom the daemon runs as, as far as can be told.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::admin::{Status, user_name};

/// A user and its group. Further groups are not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// The running daemon's, or the owner of the queue's folder: a daemon makes it for itself.
    pub(super) fn of_daemon(daemon: Option<&Status>, directory: &Path) -> Option<Self> {
        let process = daemon.map(|status| format!("/proc/{}", status.pid));
        let process = process.and_then(|path| std::fs::metadata(path).ok());
        let metadata = process.or_else(|| std::fs::metadata(directory).ok())?;
        Some(Self {
            uid: metadata.uid(),
            gid: metadata.gid(),
        })
    }

    /// Whether it is the one who runs this command.
    pub(super) fn is_me(self) -> bool {
        self.uid == rustix::process::geteuid().as_raw()
    }

    pub(super) fn name(self) -> String {
        user_name(self.uid)
    }

    /// As far as owner, group and mode tell.
    pub(super) fn may_read(self, file: &Metadata) -> bool {
        self.may(file, 0o4)
    }

    /// To make files in a folder, and find them.
    pub(super) fn may_use(self, folder: &Metadata) -> bool {
        self.may(folder, 0o7)
    }

    fn may(self, what: &Metadata, bits: u32) -> bool {
        let shift = if self.uid == what.uid() {
            6
        } else if self.gid == what.gid() {
            3
        } else {
            0
        };
        self.uid == 0 || (what.mode() >> shift) & bits == bits
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn owner_group_and_others_each_have_their_bits() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let owner = file.as_file().metadata().unwrap();
        let (uid, gid) = (owner.uid(), owner.gid());
        let (other, stranger) = (uid + 4711, gid + 4711);
        for (mode, user, may) in [
            (0o600, (other, stranger), false),
            (0o640, (other, gid), true),
            (0o640, (other, stranger), false),
            (0o604, (other, stranger), true),
            // The group's bits count for its members, not those for others.
            (0o604, (other, gid), false),
            (0o000, (0, 0), true),
        ] {
            let permissions = std::fs::Permissions::from_mode(mode);
            file.as_file().set_permissions(permissions).unwrap();
            let metadata = file.as_file().metadata().unwrap();
            let user = User {
                uid: user.0,
                gid: user.1,
            };
            assert_eq!(user.may_read(&metadata), may, "{mode:o} {user:?}");
        }
    }
}
