//! Whether a file has changed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Enough to tell a file that was replaced, written to or given another mode. None: there is no such file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileVersion(Option<Seen>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    mode: u32,
    size: u64,
    /// Seconds and nanoseconds.
    changed: (i64, i64),
}

impl FileVersion {
    /// What lies at `path` now. Blocking.
    pub(crate) fn at(path: &Path) -> Self {
        Self(fs::metadata(path).ok().map(|file| Seen {
            device: file.dev(),
            inode: file.ino(),
            mode: file.mode(),
            size: file.size(),
            changed: (file.ctime(), file.ctime_nsec()),
        }))
    }
}
