//! The files: both are ready on the disk before the first takes the place of an old one.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::admin::{group_id, user_ids};
use crate::cli::error::{CliError, Exit};
use crate::secret::{Secret, SecretSource};

/// What is to be written.
#[derive(Debug)]
pub(super) struct Writing {
    /// The settings file, links resolved.
    pub(super) file: PathBuf,
    pub(super) text: String,
    /// A new secret and where it goes.
    pub(super) secret: Option<(PathBuf, Secret)>,
}

/// Whom the daemon runs as, by the name of the shipped unit; `None` where there is no such name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Daemon {
    pub(super) user: Option<u32>,
    pub(super) group: Option<u32>,
}

impl Daemon {
    /// From `/etc/passwd` and `/etc/group`.
    pub(super) fn find() -> Self {
        Self {
            user: user_ids(NAME).map(|(user, _)| user),
            group: group_id(NAME),
        }
    }
}

impl Writing {
    /// Writes all of it, or nothing. Blocking. Returns what the daemon may not be able to read.
    pub(super) fn carry_out(&self, daemon: Daemon) -> Result<Vec<String>, CliError> {
        let mut warnings = Vec::new();
        let mut stage = |path: &Path, text: &str, mode, user, group| {
            let failed = |error: io::Error| cannot_write(path, &error);
            let folder = folder(path);
            fs::create_dir_all(folder).map_err(failed)?;
            let mut file = NamedTempFile::new_in(folder).map_err(failed)?;
            let owner = owner(file.as_file(), path, user, group).map_err(failed)?;
            warnings.extend(owner);
            let permissions = Permissions::from_mode(mode);
            file.as_file()
                .set_permissions(permissions)
                .map_err(failed)?;
            file.write_all(text.as_bytes()).map_err(failed)?;
            file.as_file().sync_all().map_err(failed)?;
            Ok::<_, CliError>(file)
        };
        let secret = match &self.secret {
            Some((path, secret)) => {
                let line = Zeroizing::new(format!("{}\n", secret.reveal()));
                Some((path, stage(path, &line, SECRET_MODE, daemon.user, None)?))
            }
            None => None,
        };
        // The owner of the settings may write them; the daemon only has to read them.
        let settings = stage(&self.file, &self.text, 0o640, None, daemon.group)?;
        let staged = secret.into_iter().chain([(&self.file, settings)]);
        for (path, file) in staged {
            file.persist(path)
                .map_err(|error| cannot_write(path, &error.error))?;
            let synced = File::open(folder(path)).and_then(|folder| folder.sync_all());
            synced.map_err(|error| cannot_write(path, &error))?;
        }
        Ok(warnings)
    }
}

/// Whether the file is what would be written.
pub(super) fn holds(path: &Path, secret: &Secret) -> bool {
    let before = SecretSource::File(path.to_owned()).read();
    let mode = fs::metadata(path).map(|file| file.permissions().mode() & 0o7777);
    before.is_ok_and(|before| before == *secret) && mode.is_ok_and(|mode| mode == SECRET_MODE)
}

/// Told before the first question, not after the last.
pub(super) fn check_permission(path: &Path) -> Result<(), CliError> {
    let there = path.ancestors().skip(1).find(|folder| folder.exists());
    let folder = there.unwrap_or_else(|| Path::new("."));
    access(folder, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| cannot_write(path, &error.into()))
}

/// A relative path's folder is the present one.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes the daemon's user or group own the file; else it is as the one that it replaces. What cannot be had
/// is a warning.
fn owner(
    file: &File,
    replaced: &Path,
    user: Option<u32>,
    group: Option<u32>,
) -> io::Result<Option<String>> {
    let mine = file.metadata()?;
    let before = fs::metadata(replaced).ok();
    let as_before = |id: fn(&fs::Metadata) -> u32| before.as_ref().map(id);
    let wanted = (
        user.or_else(|| as_before(fs::Metadata::uid)),
        group.or_else(|| as_before(fs::Metadata::gid)),
    );
    let is_so =
        wanted.0.is_none_or(|id| id == mine.uid()) && wanted.1.is_none_or(|id| id == mine.gid());
    if is_so || fchown(file, wanted.0, wanted.1).is_ok() {
        return Ok(None);
    }
    // A member of the group may give it to the group.
    if user.is_none() && fchown(file, None, wanted.1).is_ok() {
        return Ok(None);
    }
    let path = replaced.display();
    let remedy = if user.is_some() {
        format!("chown {NAME} {path}")
    } else {
        format!("chgrp {NAME} {path}")
    };
    Ok((user.is_some() || group.is_some())
        .then(|| format!("{path}: the daemon cannot read it; as root: {remedy}")))
}

fn cannot_write(path: &Path, error: &io::Error) -> CliError {
    let (exit, remedy) = match error.kind() {
        io::ErrorKind::PermissionDenied => (
            Exit::NotPermitted,
            "; run as root, or name another file with --output",
        ),
        _ => (Exit::Failed, ""),
    };
    CliError::new(
        exit,
        format!("cannot write {}: {error}{remedy}", path.display()),
    )
}

const SECRET_MODE: u32 = 0o600;
/// User and group of the shipped unit.
const NAME: &str = "exorelay";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_made_ready_changes_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("client-secret");
        fs::write(&secret, "before").unwrap();
        let writing = Writing {
            // A folder below a file.
            file: secret.join("exorelay.toml"),
            text: "text".to_owned(),
            secret: Some((secret.clone(), Secret::new("after"))),
        };
        let nobody = Daemon {
            user: None,
            group: None,
        };
        let error = writing.carry_out(nobody).unwrap_err();
        assert_eq!(error.exit(), Exit::Failed);
        assert_eq!(fs::read_to_string(&secret).unwrap(), "before");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left behind"
        );
    }
}
