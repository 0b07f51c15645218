//! A small file that is there as a whole, or as it was before.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::owner;

/// What was read.
pub(super) struct Octets {
    pub(super) octets: Zeroizing<Vec<u8>>,
    /// Others than its owner may read it.
    pub(super) is_exposed: bool,
}

/// A refresh token has 1 to 2 KiB; nothing larger than an answer of the token endpoint can come here.
const MAX_BYTES: u64 = 256 * 1024;

/// `None` when there is no such file. What is too large is cut off, and therefore damaged.
pub(super) fn read(path: &Path) -> io::Result<Option<Octets>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let is_exposed = file.metadata()?.mode() & 0o077 != 0;
    let mut octets = Zeroizing::new(Vec::new());
    file.take(MAX_BYTES).read_to_end(&mut octets)?;
    Ok(Some(Octets { octets, is_exposed }))
}

/// Makes the folder of `path`, for its owner alone, if it is not there.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let Some(parent) = folder.parent() else {
        return Ok(());
    };
    owner::adopt(&File::open(folder)?, parent)?;
    // What is stored in it is worth nothing if the folder itself does not outlive a power cut.
    File::open(parent)?.sync_all()
}

/// Replaces `path`, whose folder is there; the caller is alone with it. On stable storage when it returns.
pub(super) fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let part = path.with_extension("part");
    // One that a crash has left may have any owner, mode and content.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)?;
    owner::adopt(&file, folder)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    File::open(folder)?.sync_all()
}
