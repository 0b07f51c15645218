//! The files of a certificate and its key.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::admin::user_ids;
use crate::cli::error::{CliError, Exit, is_permission};
use crate::tls::SelfSigned;

/// As the packages make it.
const DAEMON: &str = "exorelay";

/// Where they go.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// Files that are there may be replaced.
    pub(super) replaces: bool,
}

impl Pair {
    /// Writes both, each as a whole: a daemon that looks finds the old file or the new one. Returns who alone can
    /// read the key, if it is somebody else.
    pub(super) fn write(&self, made: &SelfSigned) -> Result<Option<&'static str>, CliError> {
        for path in [&self.certificate, &self.key] {
            if !self.replaces && path.symlink_metadata().is_ok() {
                return Err(is_there(path));
            }
        }
        let owner = daemon().filter(|_| rustix::process::geteuid().is_root());
        // The key first: a certificate without its key would be of no use.
        self.put(&self.key, made.key.as_bytes(), 0o600, owner)?;
        self.put(&self.certificate, made.certificate.as_bytes(), 0o644, None)?;
        Ok(owner.map(|_| DAEMON))
    }

    fn put(
        &self,
        path: &Path,
        text: &[u8],
        mode: u32,
        owner: Option<(u32, u32)>,
    ) -> Result<(), CliError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // Made with mode 0600.
        let written = NamedTempFile::new_in(folder).and_then(|mut file| {
            file.write_all(text)?;
            if let Some((user, group)) = owner {
                fchown(file.as_file(), Some(user), Some(group))?;
            }
            file.as_file()
                .set_permissions(Permissions::from_mode(mode))?;
            file.as_file().sync_all()?;
            Ok(file)
        });
        let file = written.map_err(|error| cannot_write(path, folder, &error))?;
        let kept = if self.replaces {
            file.persist(path)
        } else {
            file.persist_noclobber(path)
        };
        match kept {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(is_there(path)),
            Err(error) => Err(cannot_write(path, folder, &error.error)),
        }
    }
}

fn daemon() -> Option<(u32, u32)> {
    user_ids(DAEMON)
}

fn is_there(path: &Path) -> CliError {
    let line = format!(
        "{} is there already; name another file, or replace it with --force",
        path.display()
    );
    CliError::new(Exit::Failed, line)
}

fn cannot_write(path: &Path, folder: &Path, error: &io::Error) -> CliError {
    let path = path.display();
    if is_permission(error) {
        let line = format!("cannot write {path}: {error}; run as root, or name other files");
        return CliError::new(Exit::NotPermitted, line);
    }
    let line = if error.kind() == io::ErrorKind::NotFound {
        format!(
            "cannot write {path}: there is no folder {}; make it, or name other files with --certificate and --key",
            folder.display()
        )
    } else {
        format!("cannot write {path}: {error}")
    };
    CliError::new(Exit::Failed, line)
}
