//! Notices that a file with a credential was replaced.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::blocking::Blocking;
use crate::file_version::FileVersion;

/// The files of one account, and how they were when a request was made with what is in them.
#[derive(Debug)]
pub(super) struct Watch {
    files: Arc<[PathBuf]>,
    looking: Blocking,
    noted: Option<Vec<FileVersion>>,
}

impl Watch {
    pub(super) fn new(files: &Arc<[PathBuf]>) -> Self {
        Self {
            files: Arc::clone(files),
            looking: Blocking::new(),
            noted: None,
        }
    }

    /// Before a request, so that a file which is replaced while it is under way counts as changed.
    pub(super) async fn note(&mut self) {
        self.noted = self.look().await;
    }

    /// Returns soon after a file is no longer what was noted. Looks at each every ten seconds: cheaper to
    /// understand than a notification, which network file systems do not give.
    ///
    /// # Cancel safety
    /// Dropping the future forgets nothing.
    pub(super) async fn changed(&mut self) {
        if self.files.is_empty() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(INTERVAL).await;
            let seen = self.look().await;
            // A file system that does not answer has not changed.
            if seen.is_some() && seen != self.noted {
                self.noted = seen;
                return;
            }
        }
    }

    async fn look(&self) -> Option<Vec<FileVersion>> {
        if self.files.is_empty() {
            return None;
        }
        let files = Arc::clone(&self.files);
        let look = move || files.iter().map(|path| FileVersion::at(path)).collect();
        self.looking.run(look).await.ok()
    }
}

const INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    async fn is_noticed(watch: &mut Watch) -> bool {
        tokio::time::timeout(2 * INTERVAL, watch.changed())
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn file_that_comes_changes_is_let_be_read_or_goes_is_noticed_once() {
        let folder = tempfile::tempdir().unwrap();
        let (secret, other) = (folder.path().join("secret"), folder.path().join("other"));
        fs::write(&other, "as ever").unwrap();
        let mut watch = Watch::new(&[secret.clone(), other].into());
        watch.note().await;
        assert!(!is_noticed(&mut watch).await);
        fs::write(&secret, "old").unwrap();
        assert!(is_noticed(&mut watch).await && !is_noticed(&mut watch).await);
        let next = folder.path().join("next");
        fs::write(&next, "new").unwrap();
        fs::rename(&next, &secret).unwrap();
        assert!(is_noticed(&mut watch).await && !is_noticed(&mut watch).await);
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(is_noticed(&mut watch).await && !is_noticed(&mut watch).await);
        fs::remove_file(&secret).unwrap();
        assert!(is_noticed(&mut watch).await && !is_noticed(&mut watch).await);
    }

    #[tokio::test(start_paused = true)]
    async fn change_while_a_request_is_under_way_counts() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        let mut watch = Watch::new(&[secret.clone()].into());
        watch.note().await;
        fs::write(&secret, "replaced meanwhile").unwrap();
        assert!(is_noticed(&mut watch).await);
    }
}
