//! The queue's folder.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

use super::finding::{Finding, Step};
use super::report::Report;
use super::user::User;
use crate::cli::error::{CliError, Exit, is_permission};
use crate::cli::text::size;
use crate::config::Queue;

pub(super) fn check(
    settings: &Queue,
    daemon: Option<User>,
    report: &mut Report,
) -> Result<(), CliError> {
    report.add(look(settings, daemon))
}

fn look(settings: &Queue, daemon: Option<User>) -> Finding {
    let directory = settings.directory.as_path();
    let shown = directory.display();
    let metadata = match std::fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            return Finding::failed(
                Step::Queue,
                Exit::Configuration,
                format!("{shown} is no folder"),
            )
            .remedy("name another one in queue.directory");
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let detail =
                format!("{shown} does not exist yet: the daemon makes it at its first start");
            return Finding::warning(Step::Queue, detail).remedy(
                "nothing is to be done under systemd (StateDirectory=); else make it, owned by the daemon's user, mode 700",
            );
        }
        Err(error) => return out_of_reach(directory, &error),
    };
    if let Some(finding) = unusable(directory, &metadata, daemon) {
        return finding;
    }
    let room = match statvfs(directory) {
        Ok(room) => room,
        Err(errno) => return out_of_reach(directory, &errno.into()),
    };
    if room.f_flag.contains(StatVfsMountFlags::RDONLY) {
        let detail = format!("{shown} is on a file system that is mounted read-only");
        return Finding::failed(Step::Queue, Exit::Failed, detail)
            .remedy("mount it for writing; after an error of the disk see dmesg");
    }
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    let floor = settings.min_free_disk_bytes;
    let detail = format!(
        "{shown}: {} free, {} of it stay free",
        size(free),
        size(floor)
    );
    let remedy = "make room on that disk, or lower queue.min_free_disk";
    if free <= floor {
        let detail = format!("{detail}: no mail is taken in");
        return Finding::failed(Step::Queue, Exit::Failed, detail).remedy(remedy);
    }
    if free - floor < NEAR_BYTES {
        return Finding::warning(Step::Queue, format!("{detail}: that is little")).remedy(remedy);
    }
    Finding::ok(Step::Queue, detail)
}

fn out_of_reach(directory: &Path, error: &io::Error) -> Finding {
    let detail = format!("cannot look at {}: {error}", directory.display());
    let exit = if is_permission(error) {
        Exit::NotPermitted
    } else {
        Exit::Failed
    };
    Finding::failed(Step::Queue, exit, detail).remedy("run this as root or as the daemon's user")
}

/// A folder that the daemon's user, or else whoever runs this, cannot write into.
fn unusable(directory: &Path, metadata: &Metadata, daemon: Option<User>) -> Option<Finding> {
    let shown = directory.display();
    let mode = metadata.mode() & 0o777;
    if let Some(user) = daemon
        && !user.may_use(metadata)
    {
        let name = user.name();
        let detail = format!("{shown} (mode {mode:03o}) is closed to the daemon's user, {name}");
        return Some(
            Finding::failed(Step::Queue, Exit::NotPermitted, detail)
                .remedy(format!("chown it to that user, and chmod 700 {shown}")),
        );
    }
    let is_mine = daemon.is_none_or(User::is_me);
    if is_mine && access(directory, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let detail = format!("{shown} (mode {mode:03o}) cannot be written");
        return Some(
            Finding::failed(Step::Queue, Exit::NotPermitted, detail).remedy(format!(
                "chmod 700 {shown}; see that nothing makes it immutable"
            )),
        );
    }
    None
}

/// Filled by a few large scans.
const NEAR_BYTES: u64 = 256 * 1024 * 1024;
