//! Whether a file has changed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Enough to tell a file that was replaced or written to: device, inode, size, time of change. None: there is no
/// such file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look(Option<(u64, u64, u64, i64, i64)>);

impl Look {
    /// What `path` looks like now. Blocking.
    pub(super) fn at(path: &Path) -> Self {
        Self(fs::metadata(path).ok().map(|file| {
            let changed = (file.ctime(), file.ctime_nsec());
            (file.dev(), file.ino(), file.size(), changed.0, changed.1)
        }))
    }
}
