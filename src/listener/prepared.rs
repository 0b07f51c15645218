//! Settings together with what their files hold: everything that can fail has been done.

use std::sync::Arc;

use crate::listener::certificate::{Certificate, CertificateError};
use crate::listener::{Current, Settings};

/// Ready for [`crate::listener::Listener::bind`] and [`crate::listener::Handle::apply`].
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(super) settings: Settings,
    pub(super) certificate: Option<Arc<Certificate>>,
}

/// A file that a listener needs cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("listener.{name}: {source}")]
pub struct PrepareError {
    name: String,
    source: CertificateError,
}

impl Prepared {
    /// Reads the files that `settings` name. Blocking.
    pub fn read(settings: Settings) -> Result<Self, PrepareError> {
        let files = settings
            .encryption
            .as_ref()
            .map(|encryption| encryption.files.clone());
        let certificate = files.map(Certificate::load).transpose();
        match certificate {
            Ok(certificate) => Ok(Self {
                certificate: certificate.map(Arc::new),
                settings,
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
        Current::new(self, Arc::default())
    }
}
