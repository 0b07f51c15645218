//! Who may use the admin socket.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tokio::net::unix::UCred;

/// The other end of a connection, as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// None: the kernel would not say.
    pub(super) uid: Option<u32>,
    pub(super) permitted: bool,
}

/// Whom the socket is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Permission bits of the socket.
    pub(super) mode: u32,
}

impl Owner {
    /// As the socket is now: an operator may have given it to another group.
    pub(super) fn of(socket: &Path) -> Option<Self> {
        let metadata = std::fs::symlink_metadata(socket).ok()?;
        Some(Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: metadata.gid(),
            mode: metadata.mode(),
        })
    }

    pub(super) fn admit(self, peer: Option<UCred>) -> Peer {
        Peer {
            uid: peer.map(|peer| peer.uid()),
            permitted: peer.is_some_and(|peer| self.permits(peer.uid(), peer.gid())),
        }
    }

    /// The kernel tells only the peer's primary group, and it has compared all of them with the
    /// socket's mode before. While that mode keeps others out, whoever came through is a member.
    fn permits(self, uid: u32, gid: u32) -> bool {
        let others_may_connect = self.mode & 0o002 != 0;
        uid == 0 || uid == self.uid || gid == self.gid || !others_may_connect
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_the_daemon_and_its_group_are_permitted() {
        let owner = |mode| Owner {
            uid: 500,
            gid: 600,
            mode,
        };
        for (mode, uid, gid, permitted) in [
            (0o140_660, 0, 0, true),
            (0o140_660, 500, 1000, true),
            (0o140_660, 1000, 600, true),
            // By a supplementary group, or the kernel had refused.
            (0o140_660, 1000, 1000, true),
            // Somebody opened the socket to all; we do not.
            (0o140_666, 1000, 1000, false),
            (0o140_666, 1000, 600, true),
            (0o140_666, 0, 0, true),
        ] {
            assert_eq!(
                owner(mode).permits(uid, gid),
                permitted,
                "{mode:o} {uid} {gid}"
            );
        }
        assert!(!owner(0o140_660).admit(None).permitted);
    }
}
