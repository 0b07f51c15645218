//! Root's hands in a folder that is not root's: the queue's, and the tokens' in it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;

/// What root makes in the queue's folder belongs to the folder's owner: the daemon must be able to read
/// it. SQLite does the same with its own files.
pub(crate) fn adopt(file: &File, folder: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let folder = std::fs::metadata(folder)?;
    if folder.uid() == 0 {
        return Ok(());
    }
    fchown(file, Some(folder.uid()), Some(folder.gid()))
}
