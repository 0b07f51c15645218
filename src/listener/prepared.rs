//! Settings together with what their files hold: everything that can fail has been done.

use std::sync::Arc;

use crate::listener::certificate::{Certificate, CertificateError};
use crate::listener::users::{Users, UsersError};
use crate::listener::{Current, Lasting, Settings};

/// Ready for [`crate::listener::Listener::bind`] and [`crate::listener::Handle::apply`].
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(super) settings: Settings,
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) users: Option<Arc<Users>>,
}

/// A file that a listener needs cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("listener.{name}: {source}")]
pub struct PrepareError {
    name: String,
    source: FileError,
}

#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Users(#[from] UsersError),
}

impl Prepared {
    /// Reads the files that `settings` name. Blocking.
    pub fn read(settings: Settings) -> Result<Self, PrepareError> {
        match read_files(&settings) {
            Ok((certificate, users)) => Ok(Self {
                settings,
                certificate: certificate.map(Arc::new),
                users: users.map(Arc::new),
            }),
            Err(source) => Err(PrepareError {
                name: settings.name,
                source,
            }),
        }
    }

    /// What it was made of.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn current(self) -> Arc<Current> {
        Current::new(self, Lasting::default())
    }
}

fn read_files(settings: &Settings) -> Result<(Option<Certificate>, Option<Users>), FileError> {
    let files = settings.encryption.as_ref().map(|one| one.files.clone());
    let certificate = files.map(Certificate::load).transpose()?;
    let users = settings.login.as_ref().map(|login| login.users.clone());
    Ok((certificate, users.map(Users::load).transpose()?))
}
